#include "portal-gateway/core/pace.h"
#include "portal-gateway/core/hub.h"
#include "portal-gateway/core/meters.h"
#include "portal-gateway/core/session.h"
#include "portal-gateway/core/tenant.h"
#include "shared/clock.h"

enum {
    SECOND_US = 1000000,
    BURST_US = 5000,     /* of the loop, beyond the share */
    CHARGE_MAX_US = 500, /* for one message: whatever took longer was not its doing */
    ARRIVALS_AT_ONCE = 50,
    TICK_MS = 2,
    RESUMED_PER_TICK = 4
};

static void on_tick(void *ctx);

void paces_init(struct paces *p, struct hub *h)
{
    p->hub = h;
    list_init(&p->slowed);
    list_init(&p->crowded);
    p->timer = loop_timer_create(h->loop, on_tick, p);
}

void paces_finish(struct paces *p)
{
    loop_timer_destroy(p->timer);
}

static void watch(struct paces *p)
{
    if (!p->is_running)
        loop_timer_start(p->timer, TICK_MS, TICK_MS);
    p->is_running = true;
}

/* Tenants that linger count: they were there a moment ago. */
static bool is_alone(const struct tenant *t)
{
    return t->hub->tenants.count < 2 || !t->hub->policy->tenant_share;
}

static void use(int64_t *even_at_us, int64_t price_us, int64_t now)
{
    *even_at_us = (*even_at_us > now ? *even_at_us : now) + price_us;
}

static bool is_even(const struct tenant *t, int64_t now)
{
    return is_alone(t) || t->pace.even_at_us - now <= BURST_US * 100 / t->hub->policy->tenant_share;
}

void pace_charge(struct session *s, int64_t used_us)
{
    struct tenant *t = s->tenant;
    if (!t || !s->ops || !s->ops->slow || s->state == SESSION_CLOSING)
        return;
    int64_t now = clock_mono_us(), used = used_us < CHARGE_MAX_US ? used_us : CHARGE_MAX_US;
    if (is_alone(t)) {
        t->pace.even_at_us = now;
        return;
    }
    use(&t->pace.even_at_us, used * 100 / t->hub->policy->tenant_share, now);
    if (is_even(t, now) || !list_empty(&s->in_slowed))
        return;
    meter_add(SLOWED, 1);
    list_append(&s->hub->paces.slowed, &s->in_slowed);
    s->ops->slow(s->link, true);
    watch(&s->hub->paces);
}

void pace_forget(struct session *s)
{
    list_unlink(&s->in_slowed);
}

static void resume_some(struct paces *p, int64_t now)
{
    int left = RESUMED_PER_TICK;
    list_foreach(node, &p->slowed)
    {
        struct session *s = container_of(node, struct session, in_slowed);
        if (!left)
            return;
        if (s->tenant && !is_even(s->tenant, now))
            continue;
        left--;
        list_unlink(&s->in_slowed);
        if (s->ops && s->ops->slow && s->state != SESSION_CLOSING)
            s->ops->slow(s->link, false);
    }
}

bool pace_admits(struct session *s)
{
    struct tenant *t = s->tenant;
    int64_t rate = t->hub->policy->arrival_rate, now = clock_mono_us();
    if (!rate || s->is_admitted)
        return true;
    if (!is_alone(t) && t->pace.arrivals_at_us - now > ARRIVALS_AT_ONCE * SECOND_US / rate) {
        if (list_empty(&t->pace.crowded))
            list_append(&t->hub->paces.crowded, &t->pace.crowded);
        watch(&t->hub->paces);
        return false;
    }
    use(&t->pace.arrivals_at_us, SECOND_US / rate, now);
    s->is_admitted = true;
    return true;
}

static void on_tick(void *ctx)
{
    struct paces *p = ctx;
    resume_some(p, clock_mono_us());
    list_foreach(node, &p->crowded)
    {
        struct tenant *t = container_of(node, struct tenant, pace.crowded);
        list_unlink(&t->pace.crowded);
        tenant_open(t); /* which puts it back while somebody has to wait on */
    }
    if (!list_empty(&p->slowed) || !list_empty(&p->crowded))
        return;
    loop_timer_stop(p->timer);
    p->is_running = false;
}
