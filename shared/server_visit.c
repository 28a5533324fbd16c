/*
 * Who comes from where, and how often. Connections are accepted as they come; when they have something to ask
 * (server_gate.c) they wait here, by address; some of them are handed to the library in a turn of the loop,
 * addresses in turns, and so many a second of one address: a connection costs many times what a message does,
 * and who is at work already comes first. Replies that refuse something wait, too, when one address gets many
 * of them. Who is alone here waits for nobody.
 */
#include "shared/address.h"
#include "shared/clock.h"
#include "shared/mem.h"
#include "shared/server_parts.h"
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    ACCEPTS_MAX = 4,           /* in a turn of the loop */
    ARRIVALS_AT_ONCE = 50,     /* of one address, before they have to wait */
    ARRIVALS_PART = 2,         /* of all connections, that may wait of one address; more are closed */
    ARRIVALS_LEAST = 256,      /* but not below that */
    REFUSALS_PER_SECOND = 200, /* of one address */
    REFUSALS_AT_ONCE = 400,
    DELAY_MAX_US = 2000000,
    LATER_MS = 20,
    NO_FILES_MS = 100,
    SWEEP_US = 1000000,
    SECOND_US = 1000000
};

/* An address (of IPv6: the network of one site). */
struct visitor {
    struct list node; /* in the server's queues or absent */
    struct address site;
    bool is_many;    /* a proxy's */
    bool is_present; /* has connections, or waits for them */
    size_t conns, waiting;
    struct list arrivals;                       /* who may come in */
    int64_t arrivals_even_us, refusals_even_us; /* when what it has used will be within its rate */
};

/* --- visitors --- */

static struct view key_of(const struct address *site)
{
    return (struct view){(const char *)site->bytes, sizeof site->bytes};
}

static void forget(struct server *s, struct visitor *v)
{
    list_unlink(&v->node);
    map_remove(&s->visitors, key_of(&v->site));
    free(v);
}

static void sweep(struct server *s, int64_t now)
{
    if (now - s->swept_us < SWEEP_US)
        return;
    s->swept_us = now;
    list_foreach(node, &s->absent)
    {
        struct visitor *v = container_of(node, struct visitor, node);
        if (v->arrivals_even_us <= now && v->refusals_even_us <= now)
            forget(s, v);
    }
}

static struct visitor *visitor_of(struct server *s, int fd, int64_t now)
{
    char text[INET6_ADDRSTRLEN] = "";
    struct address peer = {{0}};
    net_peer_address(fd, text);
    if (!address_parse(view_of(text), &peer)) /* it has gone */
        peer = (struct address){{0}};
    struct address site = address_of_site(&peer);
    struct visitor *v = map_get(&s->visitors, key_of(&site));
    const struct server_handler *handler = s->options.handler;
    if (!v) {
        sweep(s, now);
        v = xcalloc(1, sizeof *v);
        v->site = site;
        list_init(&v->node);
        list_init(&v->arrivals);
        map_put(&s->visitors, key_of(&site), v);
    }
    v->is_many = handler->is_many && handler->is_many(s->options.ctx, &peer);
    return v;
}

static void come(struct server *s, struct visitor *v)
{
    s->present += !v->is_present;
    v->is_present = true;
}

/* Asked of one who is present. */
static bool is_alone(const struct server *s)
{
    return s->present < 2;
}

static void leave(struct server *s, struct visitor *v)
{
    if (v->conns || v->waiting)
        return;
    s->present -= v->is_present;
    v->is_present = false;
    list_unlink(&v->node);
    list_append(&s->absent, &v->node);
}

void visit_end(struct server *s, struct visitor *v)
{
    if (!v)
        return;
    v->conns--;
    leave(s, v);
}

/* --- arrivals --- */

static bool is_paced(const struct server *s, const struct visitor *v)
{
    return s->options.arrival_rate && !v->is_many && !is_alone(s);
}

static int64_t due_us(const struct server *s, const struct visitor *v)
{
    return is_paced(s, v) ? v->arrivals_even_us - ARRIVALS_AT_ONCE * SECOND_US / s->options.arrival_rate : 0;
}

static struct arrival *take_arrival(struct server *s, struct visitor *v)
{
    struct arrival *a = container_of(v->arrivals.next, struct arrival, node);
    list_unlink(&a->node);
    v->waiting--;
    s->arrivals--;
    s->queued--;
    return a;
}

/* Its next one goes to the library; it itself behind the others. */
static void admit(struct server *s, struct visitor *v, int64_t now)
{
    struct arrival *a = take_arrival(s, v);
    if (is_paced(s, v)) {
        if (v->arrivals_even_us < now)
            v->arrivals_even_us = now;
        v->arrivals_even_us += SECOND_US / s->options.arrival_rate;
    }
    list_unlink(&v->node);
    if (!list_empty(&v->arrivals))
        list_append(&s->queues, &v->node);
    v->conns++;
    s->arriving = v;
    link_adopt(s, a->fd);
    if (s->arriving) /* the library did not get as far as to call us */
        visit_end(s, v);
    s->arriving = NULL;
    free(a);
}

/* One: others are heard between two. */
static void admit_next(void *ctx)
{
    struct server *s = ctx;
    int64_t now = clock_mono_us(), next = INT64_MAX;
    bool is_done = false;
    for (size_t n = s->queued; n && !is_done && !list_empty(&s->queues); n--) {
        struct visitor *v = container_of(s->queues.next, struct visitor, node);
        if (due_us(s, v) <= now) {
            admit(s, v, now);
            is_done = true;
        } else {
            list_unlink(&v->node);
            list_append(&s->queues, &v->node);
        }
    }
    list_foreach(node, &s->queues)
    {
        int64_t due = due_us(s, container_of(node, struct visitor, node));
        next = due < next ? due : next;
    }
    if (list_empty(&s->queues))
        return;
    if (next <= now)
        loop_job_want(s->admit_job);
    else
        loop_timer_start(s->admission, (next - now + 999) / 1000, 0);
}

static bool has_room_for(const struct server *s, const struct visitor *v)
{
    size_t most = s->options.max_connections / ARRIVALS_PART;
    most = most > ARRIVALS_LEAST ? most : ARRIVALS_LEAST;
    return s->live + s->arrivals < s->options.max_connections && server_may_open_files(s) &&
           (v->is_many || is_alone(s) || v->waiting < most);
}

static void receive(struct server *s, int fd, int64_t now)
{
    int on = 1;
    struct visitor *v = visitor_of(s, fd, now);
    come(s, v);
    if (!has_room_for(s, v)) {
        close(fd);
        leave(s, v);
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct arrival *a = xcalloc(1, sizeof *a);
    *a = (struct arrival){.fd = fd, .visitor = v, .server = s};
    list_init(&a->node);
    v->waiting++;
    s->arrivals++;
    gate_wait(a);
}

void visit_on_head(struct arrival *a)
{
    struct server *s = a->server;
    struct visitor *v = a->visitor;
    if (list_empty(&v->arrivals)) {
        list_unlink(&v->node);
        list_append(&s->queues, &v->node);
    }
    list_append(&v->arrivals, &a->node);
    s->queued++;
    loop_job_want(s->admit_job);
}

void visit_on_silence(struct arrival *a)
{
    struct visitor *v = a->visitor;
    v->waiting--;
    a->server->arrivals--;
    close(a->fd);
    leave(a->server, v);
    free(a);
}

static void listen_again(void *ctx)
{
    struct server *s = ctx;
    if (s->listener)
        loop_watch_want(s->listener, LOOP_READ);
    loop_job_want(s->admit_job);
}

static void on_arrivals(void *ctx, int events)
{
    (void)events;
    struct server *s = ctx;
    int64_t now = clock_mono_us();
    for (int i = 0; i < ACCEPTS_MAX; i++) {
        int fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            receive(s, fd, now);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            loop_watch_want(s->listener, 0); /* it would be reported without end */
            loop_timer_start(s->admission, NO_FILES_MS, 0);
            return;
        } else if (errno == EAGAIN) {
            break;
        }
    }
}

/* --- replies that wait --- */

static void on_late(void *ctx)
{
    struct server *s = ctx;
    int64_t now = clock_mono_us();
    list_foreach(node, &s->late)
    {
        struct exchange *x = container_of(node, struct exchange, in_late);
        if (x->due_us > now)
            continue;
        list_unlink(&x->in_late);
        http_send_late(x);
    }
    if (list_empty(&s->late))
        loop_timer_stop(s->late_timer);
}

static bool is_refusal(const struct exchange *x, const struct reply *reply)
{
    bool whole = x->is_shown && !x->is_urgent; /* else the connection ends with it */
    return whole && (reply->refuses || (reply->status >= 400 && reply->status < 500));
}

bool visit_delays(struct exchange *x, const struct reply *reply)
{
    struct server *s = x->conn->server;
    struct visitor *v = x->conn->visitor;
    if (!v || v->is_many || is_alone(s) || !is_refusal(x, reply))
        return false;
    int64_t now = clock_mono_us();
    if (v->refusals_even_us < now)
        v->refusals_even_us = now;
    v->refusals_even_us += SECOND_US / REFUSALS_PER_SECOND;
    int64_t wait = v->refusals_even_us - now - REFUSALS_AT_ONCE * SECOND_US / REFUSALS_PER_SECOND;
    if (wait <= 0)
        return false;
    x->due_us = now + (wait < DELAY_MAX_US ? wait : DELAY_MAX_US);
    if (list_empty(&s->late))
        loop_timer_start(s->late_timer, LATER_MS, LATER_MS);
    list_append(&s->late, &x->in_late);
    return true;
}

/* --- life --- */

void visit_init(struct server *s)
{
    map_init(&s->visitors);
    gate_init(s);
    leave_init(s);
    list_init(&s->queues);
    list_init(&s->absent);
    list_init(&s->late);
    s->admission = loop_timer_create(s->loop, listen_again, s);
    s->admit_job = loop_job_create(s->loop, admit_next, s);
    s->late_timer = loop_timer_create(s->loop, on_late, s);
    s->listener = loop_watch_create(s->loop, s->listen_fd, on_arrivals, s);
    loop_watch_want(s->listener, LOOP_READ);
}

void visit_stop_listening(struct server *s)
{
    if (!s->listener)
        return;
    loop_watch_destroy(s->listener);
    s->listener = NULL;
    close(s->listen_fd);
}

void visit_close_waiting(struct server *s)
{
    gate_close(s);
    while (!list_empty(&s->queues)) {
        struct visitor *v = container_of(s->queues.next, struct visitor, node);
        while (!list_empty(&v->arrivals)) {
            struct arrival *a = take_arrival(s, v);
            close(a->fd);
            free(a);
        }
        list_unlink(&v->node);
        leave(s, v);
    }
    loop_timer_stop(s->admission);
    loop_job_cancel(s->admit_job);
}

void visit_finish(struct server *s)
{
    while (!list_empty(&s->absent))
        forget(s, container_of(s->absent.next, struct visitor, node));
    map_free(&s->visitors);
    gate_finish(s);
    leave_finish(s);
    loop_timer_destroy(s->admission);
    loop_job_destroy(s->admit_job);
    loop_timer_destroy(s->late_timer);
}
