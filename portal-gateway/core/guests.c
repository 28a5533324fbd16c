#include "portal-gateway/core/guests.h"
#include "shared/mem.h"
#include <stdlib.h>

struct guest {
    struct address address;
    size_t sessions;
};

static struct view key_of(const struct address *a)
{
    return (struct view){(const char *)a->bytes, sizeof a->bytes};
}

void guests_init(struct guests *g)
{
    map_init(&g->by_address);
}

void guests_finish(struct guests *g)
{
    map_free(&g->by_address);
}

size_t guests_count(const struct guests *g, const struct address *from)
{
    struct address site = address_of_site(from);
    const struct guest *guest = map_get(&g->by_address, key_of(&site));
    return guest ? guest->sessions : 0;
}

struct guest *guests_enter(struct guests *g, const struct address *from)
{
    struct address site = address_of_site(from);
    struct guest *guest = map_get(&g->by_address, key_of(&site));
    if (!guest) {
        guest = xcalloc(1, sizeof *guest);
        guest->address = site;
        map_put(&g->by_address, key_of(&site), guest);
    }
    guest->sessions++;
    return guest;
}

void guests_leave(struct guests *g, struct guest *guest)
{
    if (!guest || --guest->sessions)
        return;
    map_remove(&g->by_address, key_of(&guest->address));
    free(guest);
}
