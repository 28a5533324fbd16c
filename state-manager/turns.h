/*
 * Whose turn it is at a worker: fairness between tenants, measured by the worker's time.
 *
 * A party is somebody who has work for the worker: its jobs wait here, in their order. What the worker spends
 * on a party is charged to it. While others are there, too, a party that has used up its share waits between
 * its slices, and slices are short, so that who asks for little is never behind more than one of them. Who is
 * alone is not held up, nor are those who are only among others as busy as they are: they take turns, and the
 * worker never waits. Long slices count more than they take: it is what all others wait for.
 *
 * Who is there is one matter for all workers of a process (struct crowd): somebody who only reads is held up
 * as well for somebody who only writes.
 *
 * Thread: struct turns its worker's; struct crowd any. Lifetime: parties live in their turns, while they have
 * work and until what they have used is forgotten. Units: microseconds, monotonic; what is charged is time of
 * the processor: that a disk or a network is slow is nobody's doing.
 */
#ifndef STATE_MANAGER_TURNS_H
#define STATE_MANAGER_TURNS_H

#include "shared/list.h"
#include "shared/mailbox.h"
#include "shared/map.h"
#include "shared/token.h"
#include <pthread.h>

/* --- who is there --- */

struct crowd {
    pthread_mutex_t lock; /* a leaf */
    struct {
        uint64_t who;
        int64_t at_us;
    } last[2]; /* who was here last, and who was before of all others */
};

void crowd_init(struct crowd *c);
void crowd_finish(struct crowd *c);
/* That one asks for something. */
void crowd_note(struct crowd *c, uint64_t who, int64_t now_us);
/* Whether somebody else was there a short while ago. */
bool crowd_has_others(struct crowd *c, uint64_t who, int64_t now_us);

/* --- turns --- */

struct party {
    struct list node; /* among those who have work, or those who have not */
    uint64_t hash;
    char name[TENANT_ID_MAX + 1];
    struct letter *first, *last; /* its jobs */
    bool has_more;               /* work besides its jobs: the worker's to say */
    bool is_waiting;             /* in the list of those who have work */
    int64_t even_at_us;          /* when what it has used will be within its share */
};

struct turns_options {
    struct crowd *crowd;
    int64_t share;                   /* percent of the worker's time */
    int64_t slice_us;                /* what one may take at a time; longer ones count for more */
    size_t party_bytes;              /* of the worker's own struct, whose first member is the party */
    void (*finish)(struct party *p); /* before a party without work is freed; NULL: nothing to do */
};

struct turns {
    struct turns_options options;
    struct map by_name;
    struct list waiting, idle;
    int64_t swept_us;
};

void turns_init(struct turns *t, const struct turns_options *options);
/* Jobs that are left are given to `discard`. */
void turns_finish(struct turns *t, void (*discard)(struct letter *));

/* The party of that name. */
struct party *turns_party(struct turns *t, struct view name);
/* It has work besides its jobs. */
void turns_want(struct turns *t, struct party *p, int64_t now_us);
void turns_add(struct turns *t, struct party *p, struct letter *job, int64_t now_us);
/* Its next job; NULL: none. */
struct letter *turns_take(struct party *p);
/* The first of those whose turn it is, from `after` on (NULL: from the longest waiting); NULL: nobody's. Who
 * takes all it can get stands back for a while behind those who do not, and so is first, and then alone,
 * where nobody else is: what is done for several at once takes longer for each. */
struct party *turns_next(struct turns *t, const struct party *after, int64_t now_us);
/* Whether its slice has to be short. */
bool turns_is_shared(const struct turns *t, const struct party *p, int64_t now_us);
/* It had a slice that took so much of the processor and ends now, and has cost so much elsewhere; has_more
 * says whether there is work besides jobs. It goes behind the others. */
void turns_charge(struct turns *t, struct party *p, int64_t slice_us, int64_t beside_us, int64_t now_us);
/* How long it is nobody's turn, at most `most_ms`. */
int turns_wait_ms(const struct turns *t, int64_t now_us, int most_ms);

#endif
