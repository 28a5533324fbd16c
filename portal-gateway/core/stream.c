#include "portal-gateway/core/stream.h"
#include "shared/mem.h"
#include <stdlib.h>
#include <string.h>

void stream_init(struct stream *s, size_t ring_events, size_t ring_bytes)
{
    *s = (struct stream){0};
    ring_init(&s->ring, ring_events, ring_bytes);
    latest_init(&s->latest);
}

static void forget_early(struct stream *s)
{
    for (size_t i = 0; i < s->early_count; i++)
        record_destroy(s->early[i]);
    s->early_count = s->early_bytes = 0;
}

void stream_finish(struct stream *s)
{
    forget_early(s);
    free(s->early);
    latest_finish(&s->latest);
    ring_finish(&s->ring);
}

/* Keeps the hole's clock: set when one opens, forgotten when it is closed. */
static void watch_hole(struct stream *s, int64_t now_ms)
{
    if (!s->placed || s->at.seq >= s->head) {
        s->ask_at_ms = 0;
        s->wait_ms = STREAM_HOLE_MS;
    } else if (!s->ask_at_ms) {
        s->wait_ms = STREAM_HOLE_MS;
        s->ask_at_ms = now_ms + s->wait_ms;
    }
}

/* Nothing had happened before: whoever stood at no epoch's 0 stands at this one's. */
static void begin_history(struct stream *s, const char *epoch)
{
    memcpy(s->at.epoch, epoch, sizeof s->at.epoch);
    if (!*s->ring.before.epoch)
        memcpy(s->ring.before.epoch, epoch, sizeof s->ring.before.epoch);
}

static enum stream_verdict put_early(struct stream *s, struct record *r)
{
    size_t at = s->early_count;
    while (at && s->early[at - 1]->event.seq > r->event.seq)
        at--;
    bool known = at && s->early[at - 1]->event.seq == r->event.seq &&
                 strcmp(s->early[at - 1]->event.epoch, r->event.epoch) == 0;
    if (known || s->early_count == STREAM_EARLY_MAX || s->early_bytes + r->bytes > STREAM_EARLY_BYTES) {
        record_destroy(r); /* what there is no room for is fetched from the log */
        return known ? STREAM_REPEAT : STREAM_EARLY;
    }
    if (s->early_count == s->early_cap) {
        s->early_cap = s->early_cap ? s->early_cap * 2 : 8;
        s->early = xrealloc(s->early, s->early_cap * sizeof(struct record *));
    }
    memmove(s->early + at + 1, s->early + at, (s->early_count - at) * sizeof(struct record *));
    s->early[at] = r;
    s->early_count++;
    s->early_bytes += r->bytes;
    return STREAM_EARLY;
}

static void append_next(struct stream *s, struct record *r)
{
    s->at.seq = r->event.seq;
    ring_append(&s->ring, r, &s->at);
}

static bool is_of(const struct record *r, const struct position *at)
{
    return strcmp(r->event.epoch, at->epoch) == 0;
}

/* Drops those that are heard already or of another epoch. */
static void purge_early(struct stream *s)
{
    size_t kept = 0;
    for (size_t i = 0; i < s->early_count; i++) {
        struct record *r = s->early[i];
        if (is_of(r, &s->at) && r->event.seq > s->at.seq) {
            s->early[kept++] = r;
        } else {
            s->early_bytes -= r->bytes;
            record_destroy(r);
        }
    }
    s->early_count = kept;
}

/* Appends those that waited and are next now. */
static void take_early(struct stream *s)
{
    purge_early(s);
    size_t taken = 0;
    for (; taken < s->early_count && s->early[taken]->event.seq == s->at.seq + 1; taken++) {
        s->early_bytes -= s->early[taken]->bytes;
        append_next(s, s->early[taken]);
    }
    s->early_count -= taken;
    if (taken)
        memmove(s->early, s->early + taken, s->early_count * sizeof(struct record *));
}

static enum stream_verdict offer_latest(struct stream *s, struct record *r)
{
    struct latest_value *old = latest_find(&s->latest, r);
    if (old && old->record->event.rev >= r->event.rev) {
        record_destroy(r);
        return STREAM_REPEAT;
    }
    if (old && old->place >= s->ring.first)
        ring_kill(&s->ring, old->place);
    latest_keep(&s->latest, r, s->ring.head);
    ring_append(&s->ring, r, &s->at);
    return STREAM_APPENDED;
}

static enum stream_verdict offer_in_sequence(struct stream *s, struct record *r, int64_t now_ms)
{
    if (!s->placed)
        return put_early(s, r);
    if (!*s->at.epoch) /* there was no history; this is how it begins */
        begin_history(s, r->event.epoch);
    bool strange = !is_of(r, &s->at);
    if (strange || r->event.seq <= s->at.seq) {
        record_destroy(r);
        return strange ? STREAM_STRANGE : STREAM_REPEAT;
    }
    if (r->event.seq > s->head)
        s->head = r->event.seq;
    enum stream_verdict verdict = STREAM_APPENDED;
    if (r->event.seq == s->at.seq + 1) {
        append_next(s, r);
        if (s->early_count)
            take_early(s);
    } else {
        verdict = put_early(s, r);
    }
    watch_hole(s, now_ms);
    return verdict;
}

enum stream_verdict stream_offer(struct stream *s, struct record *r, int64_t now_ms)
{
    if (r->event.class == EVENT_LATEST)
        return offer_latest(s, r);
    if (r->event.seq)
        return offer_in_sequence(s, r, now_ms);
    ring_append(&s->ring, r, &s->at);
    return STREAM_APPENDED;
}

/* Goes on at `to`; with a reason: tells everyone that what is between is lost to them. */
static void move_to(struct stream *s, const struct position *to, const char *reason, int64_t now_ms)
{
    s->at = *to;
    s->head = to->seq;
    s->placed = true;
    s->ask_at_ms = 0;
    if (reason)
        ring_append_resync(&s->ring, reason, &s->at);
    else
        ring_place(&s->ring, &s->at);
    if (!*s->at.epoch && s->early_count)
        begin_history(s, s->early[0]->event.epoch);
    take_early(s);
    uint64_t last = s->early_count ? s->early[s->early_count - 1]->event.seq : 0;
    s->head = last > s->at.seq ? last : s->at.seq;
    watch_hole(s, now_ms);
}

static enum stream_move start_anew(struct stream *s, const struct position *head, const char *reason,
                                   int64_t now_ms)
{
    latest_clear(&s->latest); /* revisions begin again, too */
    s->asking = false;
    move_to(s, head, reason, now_ms);
    return STREAM_RESET;
}

enum stream_move stream_on_head(struct stream *s, const struct position *head, const struct position *asked,
                                int64_t now_ms)
{
    if (!s->placed) {
        move_to(s, head, NULL, now_ms);
        return STREAM_PLACED;
    }
    if (strcmp(asked->epoch, s->at.epoch) != 0 && *asked->epoch)
        return STREAM_SAME; /* moved on since the question */
    if (strcmp(head->epoch, s->at.epoch) != 0) {
        if (*asked->epoch || (*s->at.epoch && *head->epoch))
            return start_anew(s, head, "history_replaced", now_ms);
        if (!*head->epoch)
            return STREAM_SAME; /* history began after the answer was made */
        begin_history(s, head->epoch);
    } else if (head->seq < asked->seq) {
        return start_anew(s, head, "history_rewound", now_ms);
    }
    if (head->seq > s->head)
        s->head = head->seq;
    watch_hole(s, now_ms);
    return STREAM_SAME;
}

bool stream_ask(struct stream *s, int64_t now_ms, struct position *after)
{
    if (!s->ask_at_ms || s->asking || now_ms < s->ask_at_ms)
        return false;
    s->asking = true;
    s->asked_after = *after = s->at;
    return true;
}

void stream_on_replay_failed(struct stream *s, int64_t now_ms)
{
    if (!s->asking)
        return;
    s->asking = false;
    if (!s->ask_at_ms)
        return;
    s->wait_ms = s->wait_ms * 2 < STREAM_RETRY_MOST_MS ? s->wait_ms * 2 : STREAM_RETRY_MOST_MS;
    s->ask_at_ms = now_ms + s->wait_ms;
}

/* Some of what we asked for is gone from the log: go on from what is left of it. */
static void skip_what_is_gone(struct stream *s, const struct replay *answer, int64_t now_ms)
{
    struct position to = answer->head;
    if (answer->records)
        to.seq = answer->records->event.seq - 1;
    if (to.seq > s->at.seq)
        move_to(s, &to, "events_gone", now_ms);
}

enum stream_verdict stream_on_replay(struct stream *s, struct replay *answer, int64_t now_ms)
{
    struct record *r = answer->records;
    bool expected = s->asking && answer->after.seq == s->asked_after.seq &&
                    strcmp(answer->after.epoch, s->asked_after.epoch) == 0;
    bool strange = strcmp(answer->head.epoch, s->at.epoch) != 0;
    if (!expected || strange) {
        record_destroy_chain(r);
        if (expected)
            stream_on_replay_failed(s, now_ms);
        return expected ? STREAM_STRANGE : STREAM_REPEAT;
    }
    uint64_t before = s->at.seq, known = answer->head.seq > s->head ? answer->head.seq : s->head;
    if (!answer->complete)
        skip_what_is_gone(s, answer, now_ms);
    for (struct record *next; r; r = next) {
        next = r->next;
        stream_offer(s, r, now_ms);
    }
    if (known > s->head)
        s->head = known;
    watch_hole(s, now_ms);
    if (s->at.seq == before) {
        stream_on_replay_failed(s, now_ms);
        return STREAM_EARLY;
    }
    s->asking = false;
    if (s->ask_at_ms) /* there is more: at once */
        s->ask_at_ms = now_ms;
    return STREAM_APPENDED;
}
