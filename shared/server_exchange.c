/* Requests that have begun, and how they are found again: by id, because they may be gone. */
#include "shared/mem.h"
#include "shared/server_parts.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { SLOT_BITS = 20 /* of a request's id; the rest is its serial number */ };

static uint64_t slot_take(struct server *s, struct exchange *x)
{
    if (s->first_free == s->slot_count) {
        uint32_t count = s->slot_count ? s->slot_count * 2 : 64;
        s->slots = xrealloc(s->slots, count * sizeof *s->slots);
        for (uint32_t i = s->slot_count; i < count; i++)
            s->slots[i] = (struct slot){.next_free = i + 1};
        s->slot_count = count;
    }
    uint32_t at = s->first_free;
    assert(at < 1u << SLOT_BITS);
    s->first_free = s->slots[at].next_free;
    s->slots[at].exchange = x;
    return ++s->serial << SLOT_BITS | at;
}

static void slot_give_back(struct server *s, uint64_t id)
{
    uint32_t at = (uint32_t)(id & ((1u << SLOT_BITS) - 1));
    s->slots[at] = (struct slot){.next_free = s->first_free};
    s->first_free = at;
}

struct exchange *exchange_find(const struct server *s, uint64_t id)
{
    uint64_t at = id & ((1u << SLOT_BITS) - 1);
    struct exchange *x = at < s->slot_count ? s->slots[at].exchange : NULL;
    return x && x->request.id == id ? x : NULL;
}

struct exchange *exchange_create(struct conn *c, enum http_method method, struct view path, struct view query)
{
    assert(!c->exchange);
    struct exchange *x = xcalloc(1, sizeof *x + path.n + query.n + 1);
    memcpy(x->text, path.p, path.n);
    if (query.n)
        memcpy(x->text + path.n, query.p, query.n);
    x->conn = c;
    list_init(&x->in_late);
    x->request = (struct request){.id = slot_take(c->server, x),
                                  .method = method,
                                  .path = {x->text, path.n},
                                  .query = {x->text + path.n, query.n},
                                  .body = VIEW(""),
                                  .address = c->address,
                                  .head = c};
    c->exchange = x;
    return x;
}

void exchange_destroy(struct exchange *x)
{
    if (!x)
        return;
    struct server *s = x->conn->server;
    uint64_t id = x->request.id;
    bool is_awaited = x->is_shown && !x->is_answered;
    x->conn->exchange = NULL;
    list_unlink(&x->in_late);
    slot_give_back(s, id);
    buf_free(&x->body);
    buf_free(&x->rest);
    free(x);
    if (is_awaited)
        s->options.handler->on_gone(s->options.ctx, id);
}
