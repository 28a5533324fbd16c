#include "portal-gateway/core/strangers.h"
#include "portal-gateway/core/hub.h"
#include "portal-gateway/core/session.h"
#include "shared/mem.h"
#include <stdlib.h>
#include <string.h>

struct words {
    struct list in_waiting;
    struct session *s;
    bool is_text;
    size_t n;
    char bytes[];
};

static void read_it(struct session *s, bool on)
{
    if (s->ops && s->ops->slow && s->state != SESSION_CLOSING)
        s->ops->slow(s->link, !on);
}

static void hear_one(void *ctx)
{
    struct strangers *all = ctx;
    strangers_hear(container_of(all->waiting.next, struct words, in_waiting)->s);
    if (!list_empty(&all->waiting))
        loop_job_want(all->job);
}

void strangers_init(struct strangers *all, struct loop *loop)
{
    list_init(&all->waiting);
    all->bytes = 0;
    all->loop = loop;
    all->job = loop_job_create(loop, hear_one, all);
}

void strangers_finish(struct strangers *all)
{
    loop_job_destroy(all->job);
}

/* A session of a protocol without sign-in stays a stranger for good, but nothing is due from it. */
static bool is_to_sign_in(const struct session *s)
{
    return s->state == SESSION_STRANGER && s->due[DUE_CONNECT];
}

bool strangers_put_off(struct session *s, struct view message, bool is_text)
{
    struct strangers *all = &s->hub->turns;
    if (!is_to_sign_in(s))
        return false;
    if (all->bytes + message.n > STRANGERS_BYTES_MAX || loop_may_do(all->loop))
        return false;
    struct words *w = xcalloc(1, sizeof *w + message.n);
    w->s = s;
    w->is_text = is_text;
    w->n = message.n;
    if (message.n)
        memcpy(w->bytes, message.p, message.n);
    list_append(&all->waiting, &w->in_waiting);
    loop_job_want(all->job);
    all->bytes += w->n;
    s->words = w;
    read_it(s, false);
    return true;
}

static struct words *take(struct session *s)
{
    struct words *w = s->words;
    if (!w)
        return NULL;
    list_unlink(&w->in_waiting);
    s->hub->turns.bytes -= w->n;
    s->words = NULL;
    if (list_empty(&s->hub->turns.waiting))
        loop_job_cancel(s->hub->turns.job);
    return w;
}

void strangers_hear(struct session *s)
{
    struct words *w = take(s);
    if (!w)
        return;
    read_it(s, true); /* before: what it says may be why it is not read any more */
    session_hear(s, (struct view){w->bytes, w->n}, w->is_text);
    free(w);
}

void strangers_forget(struct session *s)
{
    free(take(s));
}
