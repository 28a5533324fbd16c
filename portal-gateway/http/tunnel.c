#include "portal-gateway/http/tunnel.h"
#include "portal-gateway/core/meters.h"
#include "shared/log.h"
#include "shared/mem.h"
#include "shared/tcp.h"
#include <stdlib.h>
#include <unistd.h>

enum {
    ANSWER_MS = 10000, /* for the owner's first byte */
    STALL_MS = 30000,  /* a side that takes nothing for so long ends it; its gateway has its own rule */
    LAST_MS = 2000     /* for what is left, once a side has ended */
};

struct tunnel {
    struct list node;
    struct tunnels *all;
    struct tcp *client, *owner; /* NULL: has ended */
    struct loop_timer *deadline;
    bool answered;     /* by the owner */
    bool stalled;      /* a side takes nothing */
    int64_t passed_ms; /* when something last went either way */
};

static const char no_answer[] =
    "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/html\r\nContent-Length: 9\r\n"
    "Connection: close\r\n\r\ntry again";

static void destroy(struct tunnel *t)
{
    tcp_destroy(t->client);
    tcp_destroy(t->owner);
    loop_timer_destroy(t->deadline);
    list_unlink(&t->node);
    t->all->count--;
    *t->all->files -= 2;
    meter_add(RELAYING, -1);
    free(t);
}

static void count_failure(const char *why)
{
    meter_add(RELAY_FAILED, 1);
    log_warn("relay_failed", "what=websocket why=\"%s\"", why);
}

static void say_no_answer(struct tunnel *t, const char *why)
{
    count_failure(why);
    tcp_write(t->client, (struct view){no_answer, sizeof no_answer - 1});
    tcp_finish(t->client);
    loop_timer_start(t->deadline, LAST_MS, 0);
}

static bool is_whole(const struct tunnel *t)
{
    return t->answered && t->client && t->owner;
}

/* The timer goes its rounds while bytes pass, instead of being set anew by each. */
static bool was_silent(struct tunnel *t)
{
    int64_t left = t->passed_ms + t->all->silent_ms - loop_now_ms(t->all->loop);
    if (left > 0)
        loop_timer_start(t->deadline, left, 0);
    else
        count_failure("nothing passes");
    return left <= 0;
}

static void on_deadline(void *ctx)
{
    struct tunnel *t = ctx;
    if (is_whole(t) && !t->stalled && !was_silent(t))
        return;
    if (t->answered || !t->owner || !t->client) {
        destroy(t);
        return;
    }
    tcp_destroy(t->owner);
    t->owner = NULL;
    say_no_answer(t, "no answer in time");
}

/* Bytes of one side for the other one; what comes when that has ended is of no use to anybody. */
static void pass(struct tunnel *t, struct tcp *from, struct tcp *to, struct view bytes)
{
    t->passed_ms = loop_now_ms(t->all->loop);
    if (!to || !tcp_write(to, bytes))
        return;
    tcp_pause(from);
    t->stalled = t->answered;
    if (t->stalled)
        loop_timer_start(t->deadline, STALL_MS, 0);
}

static void watch_silence(struct tunnel *t)
{
    t->stalled = false;
    loop_timer_start(t->deadline, t->all->silent_ms, 0);
}

static void go_on(struct tunnel *t, struct tcp *from)
{
    if (!from || !t->client || !t->owner)
        return;
    if (t->answered)
        watch_silence(t);
    tcp_resume(from);
}

/* What the other side has not taken yet still goes to it. */
static void let_end(struct tunnel *t, struct tcp *other)
{
    if (!other) {
        destroy(t);
        return;
    }
    tcp_resume(other);
    tcp_finish(other);
    loop_timer_start(t->deadline, LAST_MS, 0);
}

static void on_client_bytes(void *ctx, struct view bytes)
{
    struct tunnel *t = ctx;
    pass(t, t->client, t->owner, bytes);
}

static void on_client_drained(void *ctx)
{
    struct tunnel *t = ctx;
    go_on(t, t->owner);
}

static void on_client_closed(void *ctx, const char *why)
{
    struct tunnel *t = ctx;
    (void)why;
    tcp_destroy(t->client);
    t->client = NULL;
    let_end(t, t->owner);
}

static void on_owner_bytes(void *ctx, struct view bytes)
{
    struct tunnel *t = ctx;
    if (!t->answered)
        watch_silence(t);
    t->answered = true;
    pass(t, t->owner, t->client, bytes);
}

static void on_owner_drained(void *ctx)
{
    struct tunnel *t = ctx;
    go_on(t, t->client);
}

static void on_owner_closed(void *ctx, const char *why)
{
    struct tunnel *t = ctx;
    tcp_destroy(t->owner);
    t->owner = NULL;
    if (t->client && !t->answered)
        say_no_answer(t, why);
    else
        let_end(t, t->client);
}

static const struct tcp_handler of_client = {
    .on_bytes = on_client_bytes, .on_drained = on_client_drained, .on_closed = on_client_closed};
static const struct tcp_handler of_owner = {
    .on_bytes = on_owner_bytes, .on_drained = on_owner_drained, .on_closed = on_owner_closed};

void tunnels_init(struct tunnels *t, struct loop *loop, int64_t silent_ms, size_t *files)
{
    *t = (struct tunnels){.loop = loop, .silent_ms = silent_ms, .files = files};
    list_init(&t->all);
}

void tunnel_open(struct tunnels *all, int fd, const char *address, int port, struct view request)
{
    struct err err;
    struct tunnel *t = xcalloc(1, sizeof *t);
    t->all = all;
    list_init(&t->node);
    list_append(&all->all, &t->node);
    all->count++;
    *all->files += 2;
    meter_add(RELAYED, 1);
    meter_add(RELAYING, 1);
    t->deadline = loop_timer_create(all->loop, on_deadline, t);
    loop_timer_start(t->deadline, ANSWER_MS, 0);
    t->client = tcp_adopt(all->loop, fd, &of_client, t);
    t->owner = tcp_connect(all->loop, address, port, &of_owner, t, &err);
    if (t->owner)
        tcp_write(t->owner, request);
    else
        say_no_answer(t, err.text);
}

void tunnels_cut(struct tunnels *all, size_t max)
{
    list_foreach(node, &all->all)
    {
        if (!max--)
            return;
        destroy(container_of(node, struct tunnel, node));
    }
}
