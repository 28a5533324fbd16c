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
    BRIEF_MS = 60000,         /* who has stayed for less */
    BRIEF_PART = 5,           /* of the rate, that such may come at for good */
    BRIEF_BURST_US = 5000000, /* before that: a second's arrivals at the whole rate */
    BRIEF_DEBT_US = 2000000,  /* and how long it is remembered beyond that, at most */
    TICK_MS = 1
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

void pace_init(struct pace *p)
{
    list_init(&p->slowed);
    list_init(&p->in_slowed);
    list_init(&p->crowded);
}

void pace_finish(struct pace *p)
{
    list_unlink(&p->in_slowed);
    list_unlink(&p->crowded);
}

static void watch(struct paces *p)
{
    if (!p->is_running)
        loop_timer_start(p->timer, TICK_MS, 0);
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
    list_append(&t->pace.slowed, &s->in_slowed);
    if (list_empty(&t->pace.in_slowed))
        list_append(&s->hub->paces.slowed, &t->pace.in_slowed);
    s->ops->slow(s->link, true);
    watch(&s->hub->paces);
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void count_brief(struct tenant *t)
{
    int64_t rate = t->hub->policy->arrival_rate, now = clock_mono_us();
    if (!rate)
        return;
    use(&t->pace.brief_at_us, BRIEF_PART * SECOND_US / rate, now);
    t->pace.brief_at_us = least(t->pace.brief_at_us, now + BRIEF_BURST_US + BRIEF_DEBT_US);
}

static void read_on(struct session *s)
{
    if (list_empty(&s->in_slowed))
        return;
    list_unlink(&s->in_slowed);
    if (s->ops && s->ops->slow && s->state != SESSION_CLOSING)
        s->ops->slow(s->link, false);
}

void pace_forget(struct session *s)
{
    read_on(s);
    if (s->admitted_ms && loop_now_ms(s->hub->loop) - s->admitted_ms < BRIEF_MS)
        count_brief(s->tenant);
    s->admitted_ms = 0;
}

/* One, since what it has said meanwhile is heard in the same turn. False: nobody's turn has come. */
static bool read_one(struct paces *p, int64_t now)
{
    list_foreach(node, &p->slowed)
    {
        struct tenant *t = container_of(node, struct tenant, pace.in_slowed);
        if (!is_even(t, now) && !list_empty(&t->pace.slowed))
            continue;
        list_unlink(&t->pace.in_slowed);
        if (list_empty(&t->pace.slowed))
            continue;
        read_on(container_of(t->pace.slowed.next, struct session, in_slowed));
        if (!list_empty(&t->pace.slowed)) /* behind the other tenants */
            list_append(&p->slowed, &t->pace.in_slowed);
        return true;
    }
    return false;
}

bool pace_admits(struct session *s)
{
    struct tenant *t = s->tenant;
    int64_t rate = t->hub->policy->arrival_rate, now = clock_mono_us();
    if (!rate || s->admitted_ms)
        return true;
    int64_t price = SECOND_US / rate, most = now + ARRIVALS_AT_ONCE * price;
    if (is_alone(t)) {
        t->pace.arrivals_at_us = least(t->pace.arrivals_at_us, most);
    } else if (t->pace.arrivals_at_us > most) {
        if (list_empty(&t->pace.crowded))
            list_append(&t->hub->paces.crowded, &t->pace.crowded);
        watch(&t->hub->paces);
        return false;
    }
    use(&t->pace.arrivals_at_us, t->pace.brief_at_us - now > BRIEF_BURST_US ? BRIEF_PART * price : price,
        now);
    s->admitted_ms = loop_now_ms(s->hub->loop);
    return true;
}

static void on_tick(void *ctx)
{
    struct paces *p = ctx;
    bool some = read_one(p, clock_mono_us());
    list_foreach(node, &p->crowded)
    {
        struct tenant *t = container_of(node, struct tenant, pace.crowded);
        list_unlink(&t->pace.crowded);
        tenant_open(t); /* which puts it back while somebody has to wait on */
    }
    p->is_running = !list_empty(&p->slowed) || !list_empty(&p->crowded);
    if (p->is_running)
        loop_timer_start(p->timer, some ? 0 : TICK_MS, 0); /* in the next turn, after others */
}
