#include "portal-gateway/core/record.h"
#include "shared/mem.h"
#include <stdlib.h>
#include <string.h>

struct record *record_create(struct view body, struct err *err)
{
    struct record *r = xcalloc(1, sizeof *r + body.n);
    r->bytes = body.n;
    if (body.n)
        memcpy(r->body, body.p, body.n);
    if (!event_decode((struct view){r->body, body.n}, &r->event, err))
        goto refused;
    /* It goes into every frame as it is. */
    if (*r->event.epoch && !view_is_name(view_of(r->event.epoch), EPOCH_MAX, "")) {
        err_set(err, ERR_INVALID, "epoch is not made of letters and digits");
        goto refused;
    }
    return r;
refused:
    free(r);
    return NULL;
}

/* A view into one body, as the same view into another; views that point elsewhere stay. */
static struct view rebased(struct view v, const struct record *from, const struct record *to)
{
    if (v.p < from->body || v.p >= from->body + from->bytes)
        return v;
    return (struct view){to->body + (v.p - from->body), v.n};
}

struct record *record_copy(const struct record *r)
{
    struct record *copy = xcalloc(1, sizeof *copy + r->bytes);
    memcpy(copy, r, sizeof *r + r->bytes);
    copy->next = NULL;
    copy->event.rooms = rebased(r->event.rooms, r, copy);
    copy->event.data = rebased(r->event.data, r, copy);
    copy->event.at = rebased(r->event.at, r, copy);
    return copy;
}

void record_destroy(struct record *r)
{
    free(r);
}

void record_destroy_chain(struct record *first)
{
    for (struct record *next; first; first = next) {
        next = first->next;
        free(first);
    }
}
