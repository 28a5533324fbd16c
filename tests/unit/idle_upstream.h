/*
 * Of a hub's upstream, what a test has no use for: functions that do nothing with what they are given. For
 * tests and fuzz targets that put together an upstream of their own.
 */
#ifndef TESTS_UNIT_IDLE_UPSTREAM_H
#define TESTS_UNIT_IDLE_UPSTREAM_H

#include "portal-gateway/core/hub.h"

static inline void ignore_tenant(void *ctx, const char *tenant_id)
{
    (void)ctx;
    (void)tenant_id;
}

static inline void ignore_all(void *ctx)
{
    (void)ctx;
}

static inline void drop_heads(void *ctx, struct heads *heads)
{
    (void)ctx;
    heads_destroy(heads);
}

static inline void ignore_place(void *ctx, const char *tenant_id, const struct position *after)
{
    (void)ctx;
    (void)tenant_id;
    (void)after;
}

static inline void ignore_beat(void *ctx, enum beat_state state)
{
    (void)ctx;
    (void)state;
}

#endif
