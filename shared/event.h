/*
 * The message that both services agree on: one event of one tenant, as it stands in the log, on the exchange
 * and in an answer to `replay`. The bytes are written once, by the state-manager, and read once, by a
 * gateway's feed.
 *
 * {"v":1,"id","type","tenantId","epoch","seq","class","key"?,"rev"?,"rooms"?,"except"?,"at","data"}
 *
 * Thread: any (plain values).
 */
#ifndef SHARED_EVENT_H
#define SHARED_EVENT_H

#include "shared/buf.h"
#include "shared/compiler.h"
#include "shared/err.h"
#include "shared/token.h"
#include "shared/view.h"
#include <stdbool.h>
#include <stdint.h>

enum {
    EVENT_TYPE_MAX = 64,
    EVENT_ROOMS_MAX = 32,
    EVENT_ROOM_BYTES_MAX = 160,
    EVENT_ID_MAX = 64,
    EVENT_KEY_MAX = 128,
    EPOCH_MAX = 16,
    OFFSET_SIZE = EPOCH_MAX + 1 + 20 + 1, /* "<epoch>-<seq>" and NUL */
    EVENT_BODY_MAX = 1 << 20              /* bytes of a whole body */
};

enum event_class { EVENT_DURABLE, EVENT_LATEST, EVENT_EPHEMERAL };

/* A decoded event; the views point into the body. */
struct event {
    char tenant_id[TENANT_ID_MAX + 1];
    char type[EVENT_TYPE_MAX + 1];
    char id[EVENT_ID_MAX + 1];       /* "" where a foreign producer gave none */
    char epoch[EPOCH_MAX + 1];       /* "" without seq */
    char key[EVENT_KEY_MAX + 1];     /* of a latest event */
    char except[TOKEN_NAME_MAX + 1]; /* socket or user who must not hear it */
    uint64_t seq;                    /* from 1; 0: none */
    uint64_t rev;                    /* of a latest event; higher is newer */
    enum event_class class;
    bool inside;       /* one of ours (EVENT_INSIDE): for the services, never shown to a client */
    struct view rooms; /* array of strings, checked; empty: the whole tenant */
    struct view data;  /* any JSON; null where there is none */
    struct view at;    /* string slice */
};

/* Reads and checks a body. A body without seq is ephemeral unless it says latest (and has a key). MALFORMED:
 * no JSON; INVALID: breaks a rule of the contract. */
bool event_decode(struct view body, struct event *out, struct err *err) MUSTCHECK;

/* What the writer knows before the commit gives epoch and seq. Borrowed views. */
struct event_draft {
    const char *type;
    enum event_class class;
    struct view key;    /* latest */
    uint64_t rev;       /* latest */
    struct view rooms;  /* JSON array or empty */
    const char *except; /* NULL: nobody */
    struct view data;   /* JSON */
};

/* Appends the body. seq 0: without epoch and seq. */
void event_encode(struct buf *out, const struct event_draft *draft, const char *tenant_id, const char *id,
                  const char *epoch, uint64_t seq, int64_t at_wall_ms);

const char *event_class_name(enum event_class class);
bool tenant_id_valid(struct view v);
/* What somebody may publish: [A-Za-z0-9_.:-]{1,64}; neither one of Socket.IO's reserved names nor one of
 * ours. */
bool event_type_valid(struct view v);
/* Types of ours begin with this: events of the services among themselves. They travel like all others. */
#define EVENT_INSIDE "portalcast:"
bool event_type_is_inside(struct view v);
/* 1 to EVENT_ROOMS_MAX strings of 1 to EVENT_ROOM_BYTES_MAX bytes. */
bool event_rooms_valid(struct view rooms_json);
/* `tenant.<tenantId>.<type>`: the routing key on the exchange. out holds 8 + both. */
enum { EVENT_ROUTING_KEY_SIZE = 8 + TENANT_ID_MAX + EVENT_TYPE_MAX + 1 };
void event_routing_key(const char *tenant_id, const char *type, char out[static EVENT_ROUTING_KEY_SIZE]);

/* Client-visible position: "<epoch>-<seq>". Opaque to clients. */
void offset_format(const char *epoch, uint64_t seq, char out[static OFFSET_SIZE]);
bool offset_parse(struct view text, char epoch[static EPOCH_MAX + 1], uint64_t *seq) MUSTCHECK;

#endif
