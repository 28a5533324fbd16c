/*
 * The hand-off between the loop and the workers: a call that needs the store becomes a job, which travels to
 * a worker, is done there, and comes back to be answered by the id of its request.
 *
 *   loop --submit--> committer (writes) or reader (reads) --finish--> loop: on_done
 *
 * A job that is not back in time is answered 503 by on_late; what comes back later finds nobody waiting, and
 * what has not begun by then is not done.
 * Ownership: submit takes the job; the worker has it alone; on_done has it back and destroys it.
 * Thread: jobs_submit and the callbacks on the loop; jobs_finish on any worker.
 */
#ifndef STATE_MANAGER_JOBS_H
#define STATE_MANAGER_JOBS_H

#include "shared/buf.h"
#include "shared/err.h"
#include "shared/loop.h"
#include "shared/mailbox.h"
#include "shared/token.h"
#include "state-manager/core/command.h"
#include "state-manager/core/store.h"
#include "state-manager/turns.h"

enum job_type {
    /* the committer's */
    JOB_WEBHOOK,
    JOB_COMMAND,
    JOB_CHANNEL_PUT,
    JOB_CHANNEL_DELETE,
    JOB_MARK,
    /* the reader's */
    JOB_GET_CHANNEL,
    JOB_GET_TENANT,
    JOB_GET_CONVERSATION,
    JOB_LIST_CONVERSATIONS,
    JOB_LIST_MESSAGES,
    JOB_GET_STATS,
    JOB_LIST_EVENTS,
    JOB_RESOURCE /* what its operation says: get, list, audit */
};

/* A place in a tenant's stream. */
struct position {
    char epoch[EPOCH_MAX + 1];
    uint64_t seq;
    bool given; /* false: from the oldest that is kept */
};

/* What a call is charged besides what is measured, of processors: to be read, to be answered; and for each
 * event what it takes of the relay, the broker and the gateways, and keeps others waiting. The latter is no
 * sum: at 250 us a flood of events still moved its neighbours' p99 by a fifth (docs/reliability.md). */
enum { JOB_BESIDE_US = 50, EVENT_BESIDE_US = 600 };

enum { FILTER_OWNER_SIZE = 1 + 128 + 1, FILTER_TEXT_SIZE = 400 + 1, CONTENT_TAG_SIZE = 20 + 1 };

/* What a list of conversations is narrowed to besides states. */
struct list_filter {
    char owner[FILTER_OWNER_SIZE]; /* where the page's owner points */
    char text[FILTER_TEXT_SIZE];   /* to be found (core/search.h); "": any */
};

/* Whose token a call came with. */
struct caller {
    char tenant_id[TENANT_ID_MAX + 1]; /* the token's, not that of the job */
    char sub[TOKEN_NAME_MAX + 1], jti[TOKEN_NAME_MAX + 1];
    int64_t issued_at_s; /* 0: it does not say */
};

struct job {
    struct letter letter;
    enum job_type type;
    uint64_t request_id;                            /* 0: no caller of ours (marks, the intake) */
    void (*on_settled)(void *ctx, struct job *job); /* who takes it back instead; NULL: nobody */
    void *settled_ctx;
    char tenant_id[TENANT_ID_MAX + 1];
    char id[128]; /* of the conversation, or the phone number id */
    char author[TOKEN_NAME_MAX + 1];
    char idempotency_key[IDEMPOTENCY_KEY_MAX + 1];
    enum key_use key_use;
    struct caller *caller; /* owned; NULL: nobody who may have been revoked since */
    char origin[160];      /* the allowed origin to answer to, or "" */
    enum command_type command;
    char *body; /* owned; of lists of a resource: their filters */
    size_t body_n;
    /* of a profile's resource, which live longer than any job */
    const struct operation *operation; /* NULL: of none */
    const struct profiles *profiles;   /* whose rooms a session may join; NULL: the agent portal's */
    char *params, *claims;             /* owned; JSON objects */
    bool acquainted;                   /* its caller is among the people that are kept */
    struct channel channel;
    struct page page;
    struct list_filter *filter; /* owned; NULL: everything */
    struct position after;      /* events behind this one are asked for */
    bool wants_tag;             /* of the reply, for an ETag */
    char *if_none_match;        /* owned; the caller's header, NULL: none */
    struct mark mark;
    int64_t deadline_ms; /* monotonic: nobody waits for it any more; 0: somebody always does */
    int64_t spent_us;    /* of the processor, before it was submitted; charged with what the worker takes */
    /* outcome */
    int status; /* HTTP, when there is no error */
    struct err err;
    struct buf reply;           /* JSON */
    char tag[CONTENT_TAG_SIZE]; /* the same for the same reply, "": not wanted */
    size_t open_tasks;          /* the committer's own: commands of it that are not settled */
    /* the intake's own */
    uint64_t delivery_tag;
    int connection;
};

struct jobs;

struct job *job_create(enum job_type type, uint64_t request_id);
void job_destroy(struct job *job);
/* The command of a JOB_COMMAND; it borrows what the job has. */
void job_command(struct job *job, struct command *out);
/* Its caller has been told that it was not done: what has not begun need not. */
bool job_is_late(const struct job *job);
/* What the store says of itself, hosts and all, is for the operator: it is logged, and callers hear less. */
void job_hide_error(struct job *job);
/* For mailbox_destroy(). */
void job_discard(struct letter *letter);
static inline struct job *job_of(struct letter *letter)
{
    return container_of(letter, struct job, letter);
}

struct jobs_options {
    size_t queue_length;
    int timeout_ms;
    int64_t share; /* percent of a worker's time for one tenant, while others are there; 0: all of it */
    void (*on_done)(void *ctx, struct job *job);
    void (*on_late)(void *ctx, uint64_t request_id, const char *origin); /* the job's */
    void *ctx;
};

struct jobs *jobs_create(struct loop *loop, const struct jobs_options *options);
void jobs_destroy(struct jobs *j); /* after the workers have stopped; NULL-safe */

/* Takes the job in any case. False: it is destroyed, because too many wait: of this lane, which may have a
 * quarter of the queue (LIMITED), or of all (UNAVAILABLE). */
bool jobs_submit(struct jobs *j, struct job *job, struct view lane, struct err *err) MUSTCHECK;
/* Nobody waits for this call any more; its job is done all the same. */
void jobs_forget(struct jobs *j, uint64_t request_id);
/* A worker is done with it. */
void jobs_finish(struct jobs *j, struct job *job);
/* Where workers take from. */
struct mailbox *jobs_writes(struct jobs *j);
struct mailbox *jobs_reads(struct jobs *j);
/* Who is there, and what one of them may have, for the workers' turns. */
struct crowd *jobs_crowd(struct jobs *j);
int64_t jobs_share(const struct jobs *j);
/* Calls that were submitted and have not come back. */
size_t jobs_waiting(const struct jobs *j);

#endif
