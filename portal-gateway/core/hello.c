#include "portal-gateway/core/hello.h"
#include "portal-gateway/core/session.h"

void hello_write_rooms(struct json_writer *w, const struct session *s)
{
    jw_key(w, "rooms");
    jw_begin(w, '[');
    for (unsigned i = 0; i < s->member.count; i++) {
        const struct room *room = s->member.rooms[i].room;
        if (room->name_bytes)
            jw_text(w, (struct view){room->name, room->name_bytes});
    }
    jw_end(w, ']');
}
