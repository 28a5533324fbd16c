/*
 * Many may hang up at once: a proxy ends, a network breaks. The loop would report a thousand of them in one
 * turn, and the end of each costs the library some 50 us, more the more connections there are, since it looks
 * through its table of them: whoever asks something meanwhile would stand behind all of that. So once one has
 * gone, the kernel is asked who else has hung up, by a set of its own, and those are kept from the loop until
 * it is their turn, one at a time.
 */
#include "shared/log.h"
#include "shared/loop.h"
#include "shared/server_parts.h"
#include <sys/epoll.h>
#include <unistd.h>

enum { ASKED_AT_ONCE = 64 };

/* Once is enough: who has hung up stays so. A socket that is closed is in no set any more. */
void leave_watch(struct conn *c)
{
    struct epoll_event event = {.events = EPOLLRDHUP | EPOLLONESHOT, .data.ptr = c};
    if (epoll_ctl(c->server->leave_fd, EPOLL_CTL_ADD, c->fd, &event))
        log_debug("leave_not_watched", "fd=%d", c->fd); /* then it goes when it goes */
}

static void wait_for_turn(struct conn *c)
{
    if (!list_empty(&c->in_leaving) || c->is_ended)
        return;
    link_pause(c);
    list_append(&c->server->leaving, &c->in_leaving);
    loop_job_want(c->server->leave_job);
}

/* A crowd that has gone may also be found out by writing to it. */
void conn_cut(struct conn *c)
{
    if (c->state == CONN_CUT)
        return;
    conn_enter(c, CONN_CUT);
    if (c->is_open)
        wait_for_turn(c);
    else
        link_kill(c);
}

static void hold_up_others(struct server *s)
{
    struct epoll_event events[ASKED_AT_ONCE];
    int n;
    do {
        n = epoll_wait(s->leave_fd, events, ASKED_AT_ONCE, 0);
        for (int i = 0; i < n; i++)
            wait_for_turn(events[i].data.ptr);
    } while (n == ASKED_AT_ONCE);
}

void leave_end(struct conn *c)
{
    list_unlink(&c->in_leaving);
    loop_has_done(c->server->loop);
    hold_up_others(c->server);
}

static void let_one_go(void *ctx)
{
    struct server *s = ctx;
    if (list_empty(&s->leaving)) /* it has gone by itself */
        return;
    struct conn *c = container_of(s->leaving.next, struct conn, in_leaving);
    list_unlink(&c->in_leaving);
    if (c->state == CONN_CUT)
        link_kill(c);
    else
        link_resume(c);
    if (!list_empty(&s->leaving))
        loop_job_want(s->leave_job);
}

void leave_init(struct server *s)
{
    list_init(&s->leaving);
    s->leave_fd = epoll_create1(EPOLL_CLOEXEC);
    s->leave_job = loop_job_create(s->loop, let_one_go, s);
}

void leave_finish(struct server *s)
{
    loop_job_destroy(s->leave_job);
    if (s->leave_fd >= 0)
        close(s->leave_fd);
}
