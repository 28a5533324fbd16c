#include "state-manager/turns.h"
#include "shared/mem.h"
#include <stdlib.h>
#include <string.h>

enum {
    PRESENT_US = 1000000,   /* how long somebody counts as there */
    BURST_US = 100000,      /* of the worker's time, beyond the share, before a party has to wait */
    WEIGHT_MAX = 20,        /* of a long slice */
    STANDS_BACK_US = 10000, /* behind who takes less, at most */
    SWEEP_US = 1000000
};

/* --- who is there --- */

void crowd_init(struct crowd *c)
{
    *c = (struct crowd){0};
    pthread_mutex_init(&c->lock, NULL);
    c->last[0].at_us = c->last[1].at_us = -PRESENT_US;
}

void crowd_finish(struct crowd *c)
{
    pthread_mutex_destroy(&c->lock);
}

void crowd_note(struct crowd *c, uint64_t who, int64_t now_us)
{
    pthread_mutex_lock(&c->lock);
    if (c->last[0].who != who)
        c->last[1] = c->last[0];
    c->last[0].who = who;
    c->last[0].at_us = now_us;
    pthread_mutex_unlock(&c->lock);
}

bool crowd_has_others(struct crowd *c, uint64_t who, int64_t now_us)
{
    pthread_mutex_lock(&c->lock);
    int64_t at_us = c->last[c->last[0].who == who].at_us;
    pthread_mutex_unlock(&c->lock);
    return now_us - at_us < PRESENT_US;
}

/* --- turns --- */

void turns_init(struct turns *t, const struct turns_options *options)
{
    *t = (struct turns){.options = *options};
    map_init(&t->by_name);
    list_init(&t->waiting);
    list_init(&t->idle);
}

static bool has_work(const struct party *p)
{
    return p->first || p->has_more;
}

static void forget(struct turns *t, struct party *p)
{
    list_unlink(&p->node);
    map_remove(&t->by_name, view_of(p->name));
    if (t->options.finish)
        t->options.finish(p);
    free(p);
}

static void forget_all(struct turns *t, struct list *list, void (*discard)(struct letter *))
{
    while (!list_empty(list)) {
        struct party *p = container_of(list->next, struct party, node);
        for (struct letter *job; (job = turns_take(p));)
            discard(job);
        forget(t, p);
    }
}

void turns_finish(struct turns *t, void (*discard)(struct letter *))
{
    forget_all(t, &t->waiting, discard);
    forget_all(t, &t->idle, discard);
    map_free(&t->by_name);
}

struct party *turns_party(struct turns *t, struct view name)
{
    struct party *p = map_get(&t->by_name, name);
    if (p)
        return p;
    p = xcalloc(1, t->options.party_bytes);
    list_init(&p->node);
    if (!view_copy(name, p->name, sizeof p->name))
        p->name[0] = 0;
    p->hash = map_hash(view_of(p->name));
    list_append(&t->idle, &p->node);
    map_put(&t->by_name, view_of(p->name), p);
    return p;
}

static int64_t burst_us(const struct turns *t)
{
    return BURST_US * 100 / t->options.share;
}

static bool takes_all(const struct turns *t, const struct party *p, int64_t now_us)
{
    return p->even_at_us - now_us >= burst_us(t) / 2;
}

/* Nobody is held up for somebody who takes all he can get himself: those are held up by each other's slices.
 */
static void note(struct turns *t, const struct party *p, int64_t now_us)
{
    if (!takes_all(t, p, now_us))
        crowd_note(t->options.crowd, p->hash, now_us);
}

static void move(struct turns *t, struct party *p, bool waits)
{
    p->is_waiting = waits;
    list_unlink(&p->node);
    list_append(waits ? &t->waiting : &t->idle, &p->node);
}

/* Who is there already keeps its place, also while its last job is being taken: a round goes by the places.
 */
static void let_wait(struct turns *t, struct party *p)
{
    if (!p->is_waiting)
        move(t, p, true);
}

void turns_want(struct turns *t, struct party *p, int64_t now_us)
{
    let_wait(t, p);
    p->has_more = true;
    note(t, p, now_us);
}

void turns_add(struct turns *t, struct party *p, struct letter *job, int64_t now_us)
{
    let_wait(t, p);
    job->next = NULL;
    if (p->last)
        p->last->next = job;
    else
        p->first = job;
    p->last = job;
    note(t, p, now_us);
}

struct letter *turns_take(struct party *p)
{
    struct letter *job = p->first;
    if (!job)
        return NULL;
    p->first = job->next;
    if (!p->first)
        p->last = NULL;
    job->next = NULL;
    return job;
}

bool turns_is_shared(const struct turns *t, const struct party *p, int64_t now_us)
{
    return crowd_has_others(t->options.crowd, p->hash, now_us);
}

/* When its turn comes, while others are there. */
static int64_t turn_at_us(const struct turns *t, const struct party *p)
{
    return p->even_at_us - burst_us(t);
}

static bool may(const struct turns *t, const struct party *p, int64_t now_us)
{
    return turn_at_us(t, p) <= now_us || !turns_is_shared(t, p, now_us);
}

/* It takes all it can get while others are there, and its turn has only just come. */
static bool stands_back(const struct turns *t, const struct party *p, int64_t now_us)
{
    return takes_all(t, p, now_us) && now_us - turn_at_us(t, p) < STANDS_BACK_US &&
           turns_is_shared(t, p, now_us);
}

struct party *turns_next(struct turns *t, const struct party *after, int64_t now_us)
{
    struct party *back = NULL;
    const struct list *node = after ? after->node.next : t->waiting.next;
    for (; node != &t->waiting; node = node->next) {
        struct party *p = container_of((struct list *)(uintptr_t)node, struct party, node);
        if (!may(t, p, now_us))
            continue;
        if (!stands_back(t, p, now_us))
            return p;
        back = back ? back : p;
    }
    return after ? NULL : back;
}

/* Who have no work, and are even again. */
static void sweep(struct turns *t, int64_t now_us)
{
    if (now_us - t->swept_us < SWEEP_US)
        return;
    t->swept_us = now_us;
    list_foreach(node, &t->idle)
    {
        struct party *p = container_of(node, struct party, node);
        if (p->even_at_us <= now_us)
            forget(t, p);
    }
}

/* What all others wait for counts more, up to WEIGHT_MAX times: who uses what it may is then met by one call
 * in ten if its slices are short, by one in two hundred if they are long. */
static int64_t weigh(const struct turns *t, int64_t used_us)
{
    int64_t slice_us = t->options.slice_us;
    if (used_us <= slice_us)
        return used_us;
    int64_t weighed =
        used_us / slice_us < WEIGHT_MAX ? used_us * used_us / slice_us * used_us / slice_us : INT64_MAX;
    return weighed < used_us * WEIGHT_MAX ? weighed : used_us * WEIGHT_MAX;
}

void turns_charge(struct turns *t, struct party *p, int64_t slice_us, int64_t beside_us, int64_t now_us)
{
    int64_t price = (weigh(t, slice_us) + beside_us) * 100 / t->options.share, most = now_us + burst_us(t);
    if (price > burst_us(t)) /* one slice holds nobody up */
        price = burst_us(t);
    if (p->even_at_us < now_us)
        p->even_at_us = now_us;
    if (p->even_at_us > most) /* while it was alone it could take what it liked */
        p->even_at_us = most;
    p->even_at_us += price;
    move(t, p, has_work(p));
    sweep(t, now_us);
}

int turns_wait_ms(const struct turns *t, int64_t now_us, int most_ms)
{
    int64_t wait_us = (int64_t)most_ms * 1000;
    list_foreach(node, &t->waiting)
    {
        const struct party *p = container_of(node, struct party, node);
        int64_t in_us = may(t, p, now_us) ? 0 : turn_at_us(t, p) - now_us;
        wait_us = in_us < wait_us ? in_us : wait_us;
    }
    return (int)((wait_us + 999) / 1000);
}
