/*
 * The HTTP face of the state-manager: routes, who may call them, and what becomes a job (design: section 5).
 *
 * A request is checked here as far as that needs no store; then it is either answered at once or travels as a
 * job. Thread: the loop's. Lifetime: the api outlives the server's callbacks.
 */
#ifndef STATE_MANAGER_HTTP_API_H
#define STATE_MANAGER_HTTP_API_H

#include "shared/profile.h"
#include "shared/server.h"
#include "shared/token.h"
#include "state-manager/jobs.h"
#include "state-manager/settings.h"

struct api {
    const struct settings *settings;
    struct server *server;
    struct jobs *jobs;
    const struct token_rules *rules;
    /* Whether the parts work, for /readyz. */
    bool (*part_works)(void *ctx, int part);
    void *parts_ctx;
    bool draining;
};

enum api_part { PART_STORE, PART_RELAY, PART_RPC, PART_COUNT };

/* A call on its way through a handler. */
struct call {
    struct api *api;
    const struct request *request;
    struct claims claims;              /* empty where the route asks for no token */
    struct view param;                 /* the {id} of the path */
    const struct operation *operation; /* of a profile; NULL: the route is one of ours */
    struct path_params params;         /* of its path */
    struct view body;                  /* checked JSON, where the route wants it */
    int64_t started_us;                /* of this thread's time */
};

/* The server's on_request and on_gone; ctx is the api. */
void api_on_request(void *api, const struct request *r);
void api_on_gone(void *api, uint64_t request_id);
/* The server's origin_may_read. */
bool api_origin_may_read(void *api, const struct request *r);
/* jobs' on_done and on_late; ctx is the api. */
void api_on_done(void *api, struct job *job);
void api_on_late(void *api, uint64_t request_id, const char *origin);

/* --- for the handlers --- */

/* Sends the call to a worker; the caller has filled in the job's own fields. */
void api_submit(struct call *c, struct job *job, struct view lane);
/* The answer gets an ETag, and is 304 without a body when the caller has it already. For what callers read
 * again and again while it stays the same. Not the figures and the catching up, which move with the clock and
 * the log's head: there a tag would cost a digest a call and never fit. */
void api_tag(struct call *c, struct job *job);
/* A parameter of the query; *out is "" when it is not given or empty. INVALID: it does not fit, or is no
 * UTF-8. Parameters that nobody asks for are ignored. */
bool api_query(struct call *c, const char *name, char *out, size_t size, struct err *err) MUSTCHECK;
/* ?limit=, from 1 to most; the fallback where it is not given. INVALID. */
bool api_read_limit(struct call *c, size_t fallback, size_t most, size_t *out, struct err *err) MUSTCHECK;
/* The caller's Idempotency-Key into the job; false: it breaks the rule, and was answered. */
bool api_take_key(struct call *c, struct job *job);
void api_fail(struct call *c, const struct err *err);
void api_answer(struct call *c, int status, const char *content_type, struct view body);

#endif
