/*
 * Counters and gauges in Prometheus' text format (version 0.0.4), as a table per service.
 *
 * A metric is a 64-bit atomic, so that any thread may count without a lock; the loop's thread renders.
 */
#ifndef SHARED_METRICS_H
#define SHARED_METRICS_H

#include "shared/buf.h"
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct metric {
    const char *name; /* with labels where there are some: name{kind="x"} */
    const char *type; /* counter or gauge */
    const char *help;
    _Atomic int64_t value;
};

static inline void metric_add(struct metric *m, int64_t n)
{
    atomic_fetch_add_explicit(&m->value, n, memory_order_relaxed);
}

static inline void metric_set(struct metric *m, int64_t value)
{
    atomic_store_explicit(&m->value, value, memory_order_relaxed);
}

static inline int64_t metric_get(struct metric *m)
{
    return atomic_load_explicit(&m->value, memory_order_relaxed);
}

/* HELP and TYPE are written once per name; rows of one name stand together in the table. */
void metrics_render(struct metric *rows, size_t count, struct buf *out);

#endif
