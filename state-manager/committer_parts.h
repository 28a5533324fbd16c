/*
 * What the parts of committer.h share; nobody else includes this. committer.c decides and commits, gather.c
 * takes jobs apart. Thread: the committer's.
 */
#ifndef STATE_MANAGER_COMMITTER_PARTS_H
#define STATE_MANAGER_COMMITTER_PARTS_H

#include "state-manager/aside.h"
#include "state-manager/committer.h"
#include "state-manager/core/batch.h"
#include "state-manager/owners.h"
#include "state-manager/revocations.h"
#include "state-manager/turns.h"
#include <stdatomic.h>

enum { GROUP_JOBS_MAX = 256 };

/* A command and the job that waits for it. */
struct task {
    struct command command;
    struct job *job;
};

/* A tenant's: its jobs wait in the party, those that were taken apart here. */
struct slot {
    struct party party;
    struct slot *next; /* in this round */
    struct task *tasks;
    size_t count, cap;
    size_t done;    /* tasks before this one are settled */
    size_t decided; /* tasks before this one are in the batch */
    size_t most;    /* tasks that this round may decide */
    int conflicts;
    int64_t decide_us;          /* what a task takes by experience, without its part of the commit */
    int64_t used_us, beside_us; /* what this round took, and what its jobs had taken before */
    struct batch *batch;
    struct entry *entry;
};

struct committer {
    struct store *store;
    struct jobs *jobs;
    void (*on_committed)(void *ctx, const char *tenant_id);
    void *ctx;
    atomic_bool healthy;
    _Atomic int64_t busy_since_ms; /* monotonic; 0: waits for work */
    struct owners owners;
    struct revocations revocations;
    struct turns turns;
    struct slot *round; /* those whose turn it is */
    struct job **open;  /* jobs that were taken apart and are not finished */
    size_t open_count, open_cap;
    struct aside aside;
    struct keeper *keeper;
    size_t given;                      /* jobs of the keeper's that are not finished */
    struct mark marks[GROUP_JOBS_MAX]; /* of this round's jobs */
    size_t mark_count;
    int64_t commit_us; /* what a commit takes by experience, of the processor */
    int64_t wait_us;   /* and until it is done */
    bool conflicted;   /* in the last round */
    int64_t probed_ms; /* monotonic */
};

/* The first failure of a job is the one that its caller hears. */
void fail_job(struct job *job, const struct err *err);
void store_failed(struct committer *c, const struct err *err);

/* gather.c */

/* Puts the job behind the others of its tenant. */
void gather_add(struct committer *c, struct job *job);
/* Takes the job apart: into tasks of slots, what is put aside, and what is done at once. */
void gather_take(struct committer *c, struct job *job);

#endif
