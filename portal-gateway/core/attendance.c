#include "portal-gateway/core/attendance.h"
#include "shared/mem.h"
#include <stdlib.h>
#include <string.h>

struct holding {
    char gateway[GATEWAY_TAG_SIZE];
    struct claim claim;
    int64_t heard_ms;
};

struct person {
    struct list in_changed, in_unsaid;
    unsigned here; /* sessions */
    struct holding *held;
    unsigned held_count;
    struct claim claim;        /* the newest of his holders; of the last one while there is none */
    int64_t absent_until_ms;   /* without holders: when he is gone; 0: he has one */
    enum presence_status told; /* to the sockets here */
    bool admitted;
    char sub[];
};

static const char *const names[] = {
#define X(id, name) name,
    PRESENCE_STATUSES(X)
#undef X
};

const char *presence_status_name(enum presence_status status)
{
    return names[status];
}

bool presence_status_parse(struct view name, enum presence_status *out)
{
    for (size_t i = 0; i < countof(names); i++)
        if (view_is(name, names[i])) {
            *out = (enum presence_status)i;
            return true;
        }
    return false;
}

void attendance_init(struct attendance *r, size_t max_people, int64_t lease_ms)
{
    *r = (struct attendance){.max = max_people, .lease_ms = lease_ms};
    map_init(&r->people);
    list_init(&r->changed);
    list_init(&r->unsaid);
}

static void person_destroy(struct person *p)
{
    list_unlink(&p->in_changed);
    list_unlink(&p->in_unsaid);
    free(p->held);
    free(p);
}

static struct person *next_person(const struct attendance *r, size_t *at)
{
    struct view key;
    void *found;
    return map_next(&r->people, at, &key, &found) ? found : NULL;
}

void attendance_finish(struct attendance *r)
{
    size_t at = 0;
    for (struct person *p = next_person(r, &at); p; p = next_person(r, &at))
        person_destroy(p);
    map_free(&r->people);
}

static void touch(struct list *list, struct list *node)
{
    list_unlink(node);
    list_append(list, node);
}

static bool is_present(const struct person *p)
{
    return p->here || p->held_count;
}

static bool is_gone(const struct person *p, int64_t now_ms)
{
    return !is_present(p) && now_ms >= p->absent_until_ms;
}

static void admit(struct attendance *r, struct person *p)
{
    if (p->admitted || r->admitted >= r->max)
        return;
    p->admitted = true;
    r->admitted++;
    touch(&r->changed, &p->in_changed);
    if (p->here)
        touch(&r->unsaid, &p->in_unsaid);
}

static struct person *find(const struct attendance *r, const char *sub)
{
    return map_get(&r->people, view_of(sub));
}

static struct person *find_or_make(struct attendance *r, const char *sub)
{
    struct person *p = find(r, sub);
    if (p)
        return p;
    size_t n = strlen(sub);
    p = xcalloc(1, sizeof *p + n + 1);
    memcpy(p->sub, sub, n);
    p->claim.status = PRESENCE_ONLINE;
    list_init(&p->in_changed);
    list_init(&p->in_unsaid);
    map_put(&r->people, view_of(p->sub), p);
    admit(r, p);
    return p;
}

static void forget(struct attendance *r, struct person *p)
{
    r->admitted -= p->admitted;
    map_remove(&r->people, view_of(p->sub));
    person_destroy(p);
}

static bool is_newer(const struct claim *a, const struct claim *b)
{
    return a->set_ms > b->set_ms || (a->set_ms == b->set_ms && a->status > b->status);
}

/* We hold him, too: what we know of him must outlive who told us. */
static void adopt(struct attendance *r, struct person *p, const struct claim *claim)
{
    if (!is_newer(claim, &p->claim))
        return;
    p->claim = *claim;
    if (p->here)
        touch(&r->unsaid, &p->in_unsaid);
}

/* After any change of who holds him, or of what they claim. */
static void settle(struct attendance *r, struct person *p, int64_t gone_at_ms)
{
    touch(&r->changed, &p->in_changed);
    if (!is_present(p)) {
        if (!p->absent_until_ms)
            p->absent_until_ms = gone_at_ms;
        return;
    }
    p->absent_until_ms = 0;
    if (!p->here && list_empty(&p->in_unsaid)) /* else he said it here last, and they do not know yet */
        p->claim = p->held[0].claim;
    for (unsigned i = 0; i < p->held_count; i++)
        adopt(r, p, &p->held[i].claim);
}

void attendance_arrive(struct attendance *r, const char *sub)
{
    struct person *p = find_or_make(r, sub);
    if (!p->admitted && !is_present(p))
        r->waiting++;
    if (!p->here++)
        touch(&r->unsaid, &p->in_unsaid);
    settle(r, p, 0);
}

void attendance_depart(struct attendance *r, const char *sub, int64_t now_ms)
{
    struct person *p = find(r, sub);
    if (!p || !p->here || --p->here)
        return;
    touch(&r->unsaid, &p->in_unsaid);
    settle(r, p, now_ms + ATTENDANCE_GRACE_MS);
}

void attendance_set(struct attendance *r, const char *sub, enum presence_status status, int64_t wall_ms)
{
    struct person *p = find(r, sub);
    if (!p || !p->here)
        return;
    /* Clocks of gateways differ; what he says now comes after what he has said before all the same. */
    int64_t after = p->claim.set_ms + 1;
    p->claim = (struct claim){status, wall_ms > after ? wall_ms : after};
    touch(&r->changed, &p->in_changed);
    touch(&r->unsaid, &p->in_unsaid);
}

/* --- other gateways --- */

static struct holding *holding_of(const struct person *p, const char *gateway)
{
    for (unsigned i = 0; i < p->held_count; i++)
        if (strcmp(p->held[i].gateway, gateway) == 0)
            return &p->held[i];
    return NULL;
}

static struct holding *hold(struct person *p, const char *gateway)
{
    struct holding *h = holding_of(p, gateway);
    if (h || p->held_count == ATTENDANCE_HOLDERS_MAX)
        return h;
    p->held = xrealloc(p->held, (p->held_count + 1) * sizeof *p->held);
    h = &p->held[p->held_count++];
    *h = (struct holding){0};
    memcpy(h->gateway, gateway, strnlen(gateway, GATEWAY_TAG_CHARS));
    return h;
}

static void drop(struct person *p, struct holding *h)
{
    *h = p->held[--p->held_count];
    if (p->held_count)
        return;
    free(p->held);
    p->held = NULL;
}

void attendance_hold(struct attendance *r, const char *gateway, const char *sub, const struct claim *claim,
                     int64_t now_ms)
{
    struct person *p = find(r, sub);
    if (!p && r->admitted >= r->max)
        return; /* said again with the next renewal */
    p = p ? p : find_or_make(r, sub);
    struct holding *h = hold(p, gateway);
    if (!h)
        return;
    h->claim = *claim;
    h->heard_ms = now_ms;
    settle(r, p, 0);
}

void attendance_unhold(struct attendance *r, const char *gateway, const char *sub, const struct claim *claim,
                       int64_t now_ms)
{
    struct person *p = find(r, sub);
    struct holding *h = p ? holding_of(p, gateway) : NULL;
    if (!p)
        return;
    if (h)
        drop(p, h);
    if (p->here || !p->held_count)
        adopt(r, p, claim);
    settle(r, p, now_ms + ATTENDANCE_GRACE_MS);
}

void attendance_release(struct attendance *r, const char *gateway, int64_t now_ms)
{
    size_t at = 0;
    for (struct person *p = next_person(r, &at); p; p = next_person(r, &at)) {
        struct holding *h = holding_of(p, gateway);
        if (!h)
            continue;
        drop(p, h);
        settle(r, p, now_ms + ATTENDANCE_GRACE_MS);
    }
}

void attendance_excuse(struct attendance *r, int64_t now_ms)
{
    size_t at = 0;
    for (struct person *p = next_person(r, &at); p; p = next_person(r, &at))
        for (unsigned i = 0; i < p->held_count; i++)
            p->held[i].heard_ms = now_ms;
}

static void expire_leases(struct attendance *r, struct person *p, int64_t now_ms)
{
    unsigned before = p->held_count;
    for (unsigned i = before; i-- > 0;)
        if (now_ms - p->held[i].heard_ms >= r->lease_ms)
            drop(p, &p->held[i]);
    if (p->held_count < before)
        settle(r, p, now_ms);
}

void attendance_age(struct attendance *r, int64_t now_ms, bool hearing)
{
    size_t at = 0;
    r->waiting = 0;
    for (struct person *p = next_person(r, &at); p; p = next_person(r, &at)) {
        if (hearing)
            expire_leases(r, p, now_ms);
        if (is_gone(p, now_ms))
            touch(&r->changed, &p->in_changed);
        else if (is_present(p))
            admit(r, p);
        r->waiting += is_present(p) && !p->admitted;
    }
}

/* --- what is to be told and said --- */

void attendance_repeat(struct attendance *r)
{
    size_t at = 0;
    for (struct person *p = next_person(r, &at); p; p = next_person(r, &at)) {
        p->told = PRESENCE_OFFLINE;
        touch(&r->changed, &p->in_changed);
    }
    r->told = 0;
}

bool attendance_next_change(struct attendance *r, int64_t now_ms, struct attendance_change *out)
{
    while (!list_empty(&r->changed)) {
        struct person *p = container_of(r->changed.next, struct person, in_changed);
        enum presence_status was = p->told;
        bool gone = is_gone(p, now_ms);
        list_unlink(&p->in_changed);
        if (is_present(p) && p->admitted)
            p->told = p->claim.status;
        else if (gone)
            p->told = PRESENCE_OFFLINE;
        bool news = p->told != was;
        if (news) {
            out->status = p->told;
            memcpy(out->sub, p->sub, strlen(p->sub) + 1);
            r->told += !was;
            r->told -= !p->told;
        }
        if (gone)
            forget(r, p);
        if (news)
            return true;
    }
    return false;
}

bool attendance_next_unsaid(struct attendance *r, struct attendance_saying *out)
{
    while (!list_empty(&r->unsaid)) {
        struct person *p = container_of(r->unsaid.next, struct person, in_unsaid);
        list_unlink(&p->in_unsaid);
        *out = (struct attendance_saying){p->sub, p->claim, p->here > 0};
        if (p->admitted)
            return true;
    }
    return false;
}

bool attendance_next_here(const struct attendance *r, size_t *at, struct attendance_saying *out)
{
    for (struct person *p = next_person(r, at); p; p = next_person(r, at))
        if (p->here && p->admitted) {
            *out = (struct attendance_saying){p->sub, p->claim, true};
            return true;
        }
    return false;
}
