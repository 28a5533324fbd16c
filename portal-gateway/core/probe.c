#include "portal-gateway/core/probe.h"
#include "portal-gateway/core/hub.h"
#include "portal-gateway/core/poll.h"
#include "shared/log.h"
#include "shared/mem.h"
#include <stdlib.h>

/* For a client that polls on because it has not read the 3probe yet: it is not to spin. */
enum { RELEASE_AFTER_MS = 5 };

struct probe {
    struct session *session; /* NULL: it has failed, and its link is closing */
    const struct link_ops *ops;
    void *link; /* NULL: not open yet */
    bool is_answered;
    struct loop_timer *deadline, *release;
};

static void give_up(struct probe *p, const char *why)
{
    struct session *s = p->session;
    if (!s)
        return;
    log_debug("upgrade_failed", "session=%s why=\"%s\"", s->id, why);
    poll_set_probe(s, NULL);
    probe_desert(p);
}

void probe_desert(struct probe *p)
{
    p->session = NULL;
    loop_timer_stop(p->deadline);
    loop_timer_stop(p->release);
    if (p->link)
        p->ops->close(p->link, 0, "");
}

static void on_deadline(void *ctx)
{
    give_up(ctx, "no upgrade in time");
}

static void on_release(void *ctx)
{
    poll_release(((struct probe *)ctx)->session);
}

struct probe *probe_create(struct session *s, const struct link_ops *ops)
{
    struct probe *p = xcalloc(1, sizeof *p);
    p->session = s;
    p->ops = ops;
    p->deadline = loop_timer_create(s->hub->loop, on_deadline, p);
    p->release = loop_timer_create(s->hub->loop, on_release, p);
    loop_timer_start(p->deadline, s->hub->policy->upgrade_timeout_ms, 0);
    poll_set_probe(s, p);
    return p;
}

void probe_on_open(struct probe *p, void *link)
{
    p->link = link;
    if (!p->session)
        p->ops->close(link, 0, "");
}

static void answer_probe(struct probe *p)
{
    struct frame *f = frame_create(WS_TEXT, VIEW("3probe"));
    size_t taken = p->ops->write(p->link, &(struct iovec){f->bytes, f->len}, 1);
    frame_unref(f);
    p->is_answered = true;
    if (taken)
        poll_release(p->session);
    else
        give_up(p, "does not read");
}

static struct session *take_over(struct probe *p)
{
    struct session *s = p->session;
    struct poll_link *left = s->link;
    p->session = NULL;
    poll_set_probe(s, NULL);
    session_move(s, p->ops, p->link);
    poll_leave(left);
    return s;
}

struct session *probe_on_message(struct probe *p, struct view message, bool is_text)
{
    if (!p->session)
        return NULL;
    if (is_text && view_is(message, "5"))
        return take_over(p);
    if (is_text && view_is(message, "2probe"))
        answer_probe(p);
    else
        give_up(p, "neither 2probe nor 5");
    return NULL;
}

void probe_gone(struct probe *p)
{
    p->link = NULL;
    give_up(p, "gone");
    loop_timer_destroy(p->deadline);
    loop_timer_destroy(p->release);
    free(p);
}

void probe_on_poll(struct probe *p)
{
    if (p->is_answered && poll_holds(p->session))
        loop_timer_start(p->release, RELEASE_AFTER_MS, 0);
}
