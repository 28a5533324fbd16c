#include "portalctl/resend.h"
#include "shared/broker.h"
#include "shared/clock.h"
#include "shared/event.h"
#include "shared/json.h"
#include "shared/mem.h"
#include <stdlib.h>

enum { CONFIRM_MS = 30000, LOOK_MS = 200 };

struct broker *resend_open(const char *amqp_url, const char *name, const char *exchange, struct err *err)
{
    struct broker *broker = broker_create(amqp_url, name, err);
    if (broker && broker_open(broker, true, err) && broker_declare_exchange(broker, exchange, "topic", err))
        return broker;
    broker_destroy(broker);
    return NULL;
}

/* Those that were sent and are not confirmed yet. */
struct flight {
    uint64_t *tags; /* 0: confirmed */
    size_t count, open;
};

static void confirm(struct flight *f, uint64_t tag, bool multiple)
{
    for (size_t i = 0; i < f->count; i++)
        if (f->tags[i] && (f->tags[i] == tag || (multiple && f->tags[i] < tag))) {
            f->tags[i] = 0;
            f->open--;
        }
}

static bool await_confirms(struct broker *broker, struct flight *f, struct err *err)
{
    struct broker_event event;
    int64_t deadline = clock_mono_ms() + CONFIRM_MS;
    while (f->open) {
        enum broker_happening what = broker_next(broker, LOOK_MS, -1, &event, err);
        if (what == BROKER_ACK)
            confirm(f, event.tag, event.multiple);
        else if (what == BROKER_NACK)
            return err_set(err, ERR_UNAVAILABLE, "the broker refused a message");
        else if (what == BROKER_CLOSED)
            return false;
        if (f->open && clock_mono_ms() >= deadline)
            return err_set(err, ERR_TIMEOUT,
                           "the broker has not confirmed for %d s (is it blocked by an alarm?)",
                           CONFIRM_MS / 1000);
    }
    return true;
}

static bool send_one(struct broker *broker, const char *exchange, const char *tenant_id, struct view body,
                     uint64_t *tag, struct err *err)
{
    char type[EVENT_TYPE_MAX + 1], id[EVENT_ID_MAX + 1], key[EVENT_ROUTING_KEY_SIZE];
    if (!json_copy_string(json_get(body, "type"), type, sizeof type) ||
        !json_copy_string(json_get(body, "id"), id, sizeof id))
        return err_set(err, ERR_INTERNAL, "a body in the log has no type or no id");
    event_routing_key(tenant_id, type, key);
    struct broker_message message = {.exchange = view_of(exchange),
                                     .routing_key = view_of(key),
                                     .message_id = view_of(id),
                                     .body = body,
                                     .persistent = true};
    return broker_publish(broker, &message, tag, err);
}

bool resend(struct broker *broker, const char *exchange, const char *tenant_id, const struct view *bodies,
            size_t count, struct err *err)
{
    struct flight f = {.tags = xcalloc(count, sizeof *f.tags)};
    bool ok = true;
    while (ok && f.count < count) {
        ok = send_one(broker, exchange, tenant_id, bodies[f.count], &f.tags[f.count], err);
        f.count += ok;
    }
    f.open = f.count;
    ok = ok && await_confirms(broker, &f, err);
    free(f.tags);
    return ok;
}
