/*
 * Turns of those who have not signed in: what they say is a job of the loop's, which hears one message in a
 * turn at most.
 *
 * A token costs some fifty microseconds to verify, and a tenant whose clients all come back at once has
 * hundreds of them say theirs in the same moment. The loop would read all in one turn, and nobody else
 * meanwhile. What has to wait is copied, and its client not read until it is heard; who says more all the
 * same is heard at once. Thread: the loop's.
 */
#ifndef PORTAL_GATEWAY_CORE_STRANGERS_H
#define PORTAL_GATEWAY_CORE_STRANGERS_H

#include "shared/list.h"
#include "shared/loop.h"
#include "shared/view.h"
#include <stdbool.h>
#include <stddef.h>

struct session;

enum { STRANGERS_BYTES_MAX = 1 << 20 }; /* that wait, of all together; what is more is heard at once */

/* Of the hub. */
struct strangers {
    struct list waiting; /* of struct words, in the order in which they came */
    size_t bytes;        /* of those */
    struct loop *loop;
    struct loop_job *job;
};

void strangers_init(struct strangers *all, struct loop *loop);
void strangers_finish(struct strangers *all);
/* s says that. True: it is a stranger, and heard in a later turn (session_hear()); false: now is the time. */
bool strangers_put_off(struct session *s, struct view message, bool is_text);
/* Hears what was put off, if anything: it says more. */
void strangers_hear(struct session *s);
/* It is gone. */
void strangers_forget(struct session *s);

#endif
