#include "portal-gateway/core/poll.h"
#include "portal-gateway/core/eio_payload.h"
#include "portal-gateway/core/hub.h"
#include "portal-gateway/core/probe.h"
#include "portal-gateway/core/sio_packet.h"
#include "shared/mem.h"
#include <stdlib.h>
#include <string.h>

enum {
    /* Of one answer; the rest goes with the next. It is handed over at once: what a slow client has not taken
     * yet is kept in memory, and is to be taken within the time that a stall may last. */
    ANSWER_BYTES = 1 << 16,
    ANSWER_MAX = 1 << 29,    /* a single frame may be that big */
    WORDS_KEPT_MS = 30000,   /* the reference's time for a client to come back */
    SCRATCH_KEPT = 64 * 1024 /* more is given back after the answer */
};

static const char text_plain[] = "text/plain; charset=UTF-8";

/* What is left of a session that was closed while nobody polled. */
struct last_words {
    struct list node;
    int64_t until_ms;
    char *text; /* queued packets; NULL: said */
    size_t n;
    char sid[SECRET_ID_SIZE];
};

struct polls {
    struct loop *loop;
    struct poll_out out;
    struct map requests;       /* id -> the link that holds or receives it */
    struct list links, ending; /* ending: session_gone() is due */
    struct buf answer;         /* being gathered within one call */
    struct map words;          /* sid -> struct last_words */
    struct list words_by_age;
    struct loop_timer *end_timer, *words_timer;
};

struct poll_link {
    struct polls *polls;
    struct session *session;
    struct list node;
    uint64_t get, post; /* held; being received; 0: none */
    char *origin;       /* of the last GET; NULL: none so far */
    struct probe *probe;
    bool taking;       /* a POST's packets are being handled: answers gather */
    bool closing;      /* takes all that is left */
    bool slow;         /* its POSTs are answered later */
    bool is_done;      /* the POST was handled, and its answer waits */
    char *post_origin; /* then; NULL */
};

static struct poll_link *link_of(const struct session *s)
{
    return s->link;
}

/* --- requests --- */

static struct view key_of(const uint64_t *request)
{
    return (struct view){(const char *)request, sizeof *request};
}

static void remember(struct poll_link *l, uint64_t *slot, uint64_t request)
{
    *slot = request;
    map_put(&l->polls->requests, key_of(slot), l);
}

static void forget(struct poll_link *l, uint64_t *slot)
{
    if (*slot)
        map_remove(&l->polls->requests, key_of(slot));
    *slot = 0;
}

static bool reply(const struct polls *p, uint64_t request, const char *origin, int status, const char *type,
                  struct view body)
{
    return p->out.reply(p->out.ctx, request, origin, status, type, body);
}

static void refuse(const struct polls *p, uint64_t request, const char *origin)
{
    reply(p, request, origin, 400, NULL, VIEW(""));
}

/* When the client turns out to have gone, the session goes with it: in polls_on_gone(). */
static void answer_get(struct poll_link *l, struct view body)
{
    if (reply(l->polls, l->get, l->origin, 200, text_plain, body))
        forget(l, &l->get);
}

static void say_ok(const struct polls *p, uint64_t request, const char *origin)
{
    reply(p, request, origin, 200, "text/html", VIEW("ok"));
}

/* The answer to a POST that waits; none: nothing. */
static void answer_post(struct poll_link *l)
{
    uint64_t request = l->post;
    char *origin = l->post_origin;
    if (!l->is_done)
        return;
    l->is_done = false;
    l->post_origin = NULL;
    forget(l, &l->post);
    say_ok(l->polls, request, origin);
    free(origin);
}

static void hold(struct poll_link *l, uint64_t request, const char *origin)
{
    remember(l, &l->get, request);
    if (l->origin && strcmp(l->origin, origin) == 0)
        return;
    free(l->origin);
    l->origin = xstrdup(origin);
}

/* --- the link --- */

static void clear_answer(struct polls *p)
{
    if (p->answer.cap > SCRATCH_KEPT)
        buf_free(&p->answer);
    else
        buf_clear(&p->answer);
}

static size_t take_frames(void *link, const struct iovec *frames, size_t n)
{
    struct poll_link *l = link;
    struct buf *answer = &l->polls->answer;
    if (!l->closing && (!l->get || l->taking))
        return 0;
    size_t taken = 0;
    for (; taken < n && answer->len < ANSWER_BYTES; taken++) {
        bool is_text;
        struct view left = {frames[taken].iov_base, frames[taken].iov_len};
        while (left.n) {
            struct view payload = frame_next(&left, &is_text);
            eio_payload_add(answer, payload, is_text);
        }
    }
    return taken;
}

static void flush(void *link)
{
    struct poll_link *l = link;
    if (!l->polls->answer.len)
        return;
    answer_get(l, buf_view(&l->polls->answer));
    clear_answer(l->polls);
}

/* --- last words --- */

static void forget_words(struct polls *p, struct last_words *w)
{
    map_remove(&p->words, view_of(w->sid));
    list_unlink(&w->node);
    free(w->text);
    free(w);
}

static void watch_words(struct polls *p)
{
    if (list_empty(&p->words_by_age))
        return;
    const struct last_words *oldest = container_of(p->words_by_age.next, struct last_words, node);
    int64_t left = oldest->until_ms - loop_now_ms(p->loop);
    loop_timer_start(p->words_timer, left > 0 ? left : 0, 0);
}

static void on_words_old(void *ctx)
{
    struct polls *p = ctx;
    list_foreach(node, &p->words_by_age)
    {
        struct last_words *w = container_of(node, struct last_words, node);
        if (w->until_ms > loop_now_ms(p->loop))
            break;
        forget_words(p, w);
    }
    watch_words(p);
}

static void leave_words(struct poll_link *l, struct view text)
{
    struct polls *p = l->polls;
    struct last_words *w = xcalloc(1, sizeof *w);
    memcpy(w->sid, l->session->secret_id, sizeof w->sid);
    w->text = text.n ? xstrndup(text.p, text.n) : NULL;
    w->n = text.n;
    w->until_ms = loop_now_ms(p->loop) + WORDS_KEPT_MS;
    bool first = list_empty(&p->words_by_age);
    list_append(&p->words_by_age, &w->node);
    map_put(&p->words, view_of(w->sid), w);
    if (first)
        watch_words(p);
}

bool polls_last_words(struct polls *p, struct view sid, bool is_get, uint64_t request, const char *origin)
{
    struct last_words *w = map_get(&p->words, sid);
    if (!w)
        return false;
    if (!is_get) {
        reply(p, request, origin, 200, "text/html", VIEW("ok")); /* to nobody */
        return true;
    }
    if (w->text) {
        reply(p, request, origin, 200, text_plain, (struct view){w->text, w->n});
        free(w->text);
        w->text = NULL;
        return true;
    }
    reply(p, request, origin, 200, text_plain,
          VIEW("6\x1e"
               "1"));
    forget_words(p, w);
    return true;
}

/* --- the end --- */

/* Where the client knows, or cannot be told in order, there are no last words. */
static bool ends_at_once(enum close_reason reason)
{
    return reason == CLOSE_PEER || reason == CLOSE_LEFT || reason == CLOSE_TRANSPORT ||
           reason == CLOSE_PING_TIMEOUT;
}

/* What a client that is cut did not take is not kept for it. */
static bool keeps_words(enum close_reason reason)
{
    return reason != CLOSE_SLOW && reason != CLOSE_RATE;
}

static void end_later(struct poll_link *l)
{
    struct polls *p = l->polls;
    bool first = list_empty(&p->ending);
    list_unlink(&l->node);
    list_append(&p->ending, &l->node);
    if (first)
        loop_timer_start(p->end_timer, 0, 0);
}

static void close_link(void *link, int code, const char *text)
{
    struct poll_link *l = link;
    struct session *s = l->session;
    struct buf *answer = &l->polls->answer;
    (void)code; /* there is no place for it */
    (void)text;
    l->closing = true;
    s->blocked = !keeps_words(s->reason);
    session_pump(s);
    if (l->get && answer->len && s->reason != CLOSE_LEFT && !ends_at_once(s->reason)) {
        /* The official client hands on the events of an answer later than it closes by the "1" behind them:
         * that goes with the next one. */
        answer_get(l, buf_view(answer));
        leave_words(l, (struct view){NULL, 0});
    } else if (l->get) {
        if (s->reason != CLOSE_LEFT || !answer->len)
            eio_payload_add(answer, s->reason == CLOSE_LEFT ? VIEW("6") : VIEW("1"), true);
        answer_get(l, buf_view(answer));
    } else if (!ends_at_once(s->reason)) {
        leave_words(l, buf_view(answer));
    }
    clear_answer(l->polls);
    answer_post(l);
    forget(l, &l->post);
    if (l->probe)
        probe_desert(l->probe);
    l->probe = NULL;
    end_later(l);
}

/* Who says too much waits for the answer to its POST: until then it may not send another. */
static void slow(void *link, bool on)
{
    struct poll_link *l = link;
    l->slow = on;
    if (!on)
        answer_post(l);
}

static const struct link_ops poll_link_ops = {
    .write = take_frames, .flush = flush, .slow = slow, .close = close_link};

static void free_link(struct poll_link *l)
{
    answer_post(l);
    forget(l, &l->get);
    forget(l, &l->post);
    list_unlink(&l->node);
    free(l->origin);
    free(l->post_origin);
    free(l);
}

static void end_links(struct list *links)
{
    list_foreach(node, links)
    {
        struct poll_link *l = container_of(node, struct poll_link, node);
        session_gone(l->session);
        free_link(l);
    }
}

static void on_end(void *ctx)
{
    end_links(&((struct polls *)ctx)->ending);
}

void poll_leave(struct poll_link *l)
{
    if (l->get)
        answer_get(l, VIEW("1"));
    free_link(l);
}

void polls_on_gone(struct polls *p, uint64_t request)
{
    struct poll_link *l = map_get(&p->requests, key_of(&request));
    if (!l)
        return;
    bool was_get = l->get == request;
    forget(l, was_get ? &l->get : &l->post);
    l->is_done &= was_get;
    session_close(l->session, was_get ? CLOSE_PEER : CLOSE_TRANSPORT);
}

/* --- what clients ask --- */

void poll_open(struct polls *p, struct session *s, uint64_t request, const char *origin)
{
    struct poll_link *l = xcalloc(1, sizeof *l);
    l->polls = p;
    l->session = s;
    list_init(&l->node);
    list_append(&p->links, &l->node);
    hold(l, request, origin);
    session_on_open(s, &poll_link_ops, l);
}

void poll_get(struct session *s, uint64_t request, const char *origin)
{
    struct poll_link *l = link_of(s);
    if (l->get) {
        session_close(s, CLOSE_TRANSPORT);
        refuse(l->polls, request, origin);
        return;
    }
    hold(l, request, origin);
    session_on_writable(s);
    if (l->probe)
        probe_on_poll(l->probe);
}

static void refuse_second_post(struct poll_link *l, uint64_t request, const char *origin)
{
    struct polls *p = l->polls;
    uint64_t first = l->post;
    forget(l, &l->post);
    l->is_done = false;
    p->out.abort(p->out.ctx, first);
    session_close(l->session, CLOSE_TRANSPORT);
    refuse(p, request, origin);
}

bool poll_post_begins(struct session *s, uint64_t request, const char *origin)
{
    struct poll_link *l = link_of(s);
    if (l->post) {
        refuse_second_post(l, request, origin);
        return false;
    }
    remember(l, &l->post, request);
    return true;
}

/* Hands over packet by packet; false: one could not be read. */
static bool take_payload(struct session *s, struct view payload)
{
    struct eio_payload reader;
    struct view packet;
    bool is_text;
    enum eio_found found = EIO_FOUND;
    eio_payload_init(&reader, payload);
    while (s->state != SESSION_CLOSING && (found = eio_payload_next(&reader, &packet, &is_text)) == EIO_FOUND)
        session_on_message(s, packet, is_text);
    eio_payload_finish(&reader);
    return found != EIO_BROKEN;
}

void poll_post(struct session *s, uint64_t request, const char *origin, struct view payload)
{
    struct poll_link *l = link_of(s);
    struct polls *p = l->polls;
    if (l->post && l->post != request) {
        refuse_second_post(l, request, origin);
        return;
    }
    forget(l, &l->post);
    l->taking = true;
    bool is_whole = take_payload(s, payload);
    l->taking = false;
    if (is_whole && l->slow && s->state != SESSION_CLOSING) {
        remember(l, &l->post, request);
        free(l->post_origin);
        l->post_origin = xstrdup(origin);
        l->is_done = true;
    } else if (is_whole) {
        say_ok(p, request, origin);
    } else {
        session_close(s, CLOSE_TRANSPORT);
        refuse(p, request, origin);
    }
    if (s->state != SESSION_CLOSING && l->get)
        session_on_writable(s);
}

/* --- while a WebSocket is tried --- */

struct probe *poll_probe(const struct session *s)
{
    return link_of(s)->probe;
}

void poll_set_probe(struct session *s, struct probe *probe)
{
    link_of(s)->probe = probe;
}

bool poll_holds(const struct session *s)
{
    return link_of(s)->get != 0;
}

void poll_release(struct session *s)
{
    if (link_of(s)->get)
        answer_get(link_of(s), VIEW("6"));
}

/* --- life --- */

struct polls *polls_create(struct loop *loop, const struct poll_out *out)
{
    struct polls *p = xcalloc(1, sizeof *p);
    p->loop = loop;
    p->out = *out;
    map_init(&p->requests);
    map_init(&p->words);
    list_init(&p->links);
    list_init(&p->ending);
    list_init(&p->words_by_age);
    buf_init(&p->answer, ANSWER_MAX);
    p->end_timer = loop_timer_create(loop, on_end, p);
    p->words_timer = loop_timer_create(loop, on_words_old, p);
    return p;
}

void polls_destroy(struct polls *p)
{
    if (!p)
        return;
    end_links(&p->links);
    end_links(&p->ending);
    list_foreach(node, &p->words_by_age) forget_words(p, container_of(node, struct last_words, node));
    map_free(&p->requests);
    map_free(&p->words);
    buf_free(&p->answer);
    loop_timer_destroy(p->end_timer);
    loop_timer_destroy(p->words_timer);
    free(p);
}
