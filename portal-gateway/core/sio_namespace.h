/*
 * Socket.IO namespaces: what a session may do in each, a row of functions a namespace. Which ones there are
 * is decided by the profile. Thread: the loop's.
 */
#ifndef PORTAL_GATEWAY_CORE_SIO_NAMESPACE_H
#define PORTAL_GATEWAY_CORE_SIO_NAMESPACE_H

#include "portal-gateway/core/policy.h"
#include "shared/view.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct session;

/* What an event or an answer carries: a JSON array, and the binary values that its placeholders name. */
struct sio_args {
    struct view array;
    const struct view *attachments;
    unsigned attachment_count;
};

enum sio_presence { SIO_OUT, SIO_PENDING, SIO_IN };

struct sio_namespace {
    const char *name;
    enum sio_presence (*presence)(const struct session *s, const struct sio_namespace *nsp);
    /* Answers by CONNECT or CONNECT_ERROR, now or later. `auth`: a JSON object or empty. */
    void (*connect)(struct session *s, const struct sio_namespace *nsp, struct view auth);
    void (*disconnect)(struct session *s, const struct sio_namespace *nsp);
    /* The first argument is the event's name. `ack`: the id of the answer that is wanted, or NULL. An event
     * that nobody knows gets none. */
    void (*event)(struct session *s, const struct sio_namespace *nsp, const struct sio_args *args,
                  const uint64_t *ack);
};

/* The row of a namespace; NULL: there is none of that name. `conformance`: the mirrors' (policy.h). */
const struct sio_namespace *sio_namespace_find(bool conformance, struct view name);

/* The tenant's stream: protocol_sio.c. */
extern const struct sio_namespace sio_stream;
/* Those that answer like a mirror: conformance.c. */
extern const struct sio_namespace sio_mirrors[];
extern const size_t sio_mirror_count;

#endif
