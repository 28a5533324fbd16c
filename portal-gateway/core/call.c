#include "portal-gateway/core/call.h"
#include "portal-gateway/core/hub.h"
#include "portal-gateway/core/session.h"
#include "portal-gateway/core/tenant.h"
#include "shared/log.h"
#include "shared/mem.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* --- answers --- */

void accept_begin(struct acceptance *r)
{
    buf_init(&r->text, ANSWER_BYTES_MAX);
    jw_init(&r->w, &r->text);
    jw_begin(&r->w, '{');
    jw_key_bool(&r->w, "ok", true);
}

void accept_send(struct session *s, const struct receipt *receipt, struct acceptance *r)
{
    jw_end(&r->w, '}');
    if (receipt->wanted && s->state == SESSION_LIVE)
        s->protocol->acknowledge(s, receipt, buf_view(&r->text));
    buf_free(&r->text);
}

void accept_plain(struct session *s, const struct receipt *receipt)
{
    struct acceptance r;
    accept_begin(&r);
    accept_send(s, receipt, &r);
}

void refuse_quietly(struct session *s, const struct receipt *receipt, const char *code, const char *text)
{
    if (receipt->wanted && s->state == SESSION_LIVE)
        s->protocol->refuse(s, receipt, code, text);
}

void refuse_client(struct session *s, const char *event, const struct receipt *receipt, const char *code,
                   const char *text)
{
    log_info("client_event_refused", "session=%s tenant=%s user=\"%s\" said=%s code=%s why=\"%s\"", s->id,
             tenant_id(s->tenant), s->sub, event, code, text);
    refuse_quietly(s, receipt, code, text);
}

void refuse_because(struct session *s, const char *event, const struct receipt *receipt, enum err_code code,
                    const char *text)
{
    refuse_client(s, event, receipt, err_code_name(code), text);
}

/* --- calls --- */

static bool has_place(const struct session *s, size_t bytes)
{
    size_t count = 0;
    list_foreach(node, &s->calls)
    {
        bytes += container_of(node, struct call, in_calls)->bytes;
        count++;
    }
    return count < CALLS_MAX && bytes <= CALL_BYTES_MAX;
}

void call_drop(struct call *c)
{
    list_unlink(&c->in_calls);
    free(c->more);
    free(c);
}

static void settle(struct call *c, const struct answer *a)
{
    struct session *s = c->s;
    list_unlink(&c->in_calls);
    c->on_answer(c, a);
    call_drop(c);
    if (s->control_count && !s->blocked)
        session_pump(s);
}

static void on_ask_answered(struct ask *ask, const struct answer *a)
{
    settle(container_of(ask, struct call, ask), a);
}

static void on_right_answered(struct rights_wait *wait, const struct answer *a)
{
    settle(container_of(wait, struct call, wait), a);
}

struct call *call_begin(struct session *s, const char *event, const struct receipt *receipt, size_t bytes,
                        void (*on_answer)(struct call *c, const struct answer *a))
{
    if (!has_place(s, bytes)) {
        refuse_because(s, event, receipt, ERR_LIMITED, "too much is waiting for its answer");
        return NULL;
    }
    assert(receipt->id.n <= RECEIPT_ID_MAX);
    struct call *c = xcalloc(1, sizeof *c);
    c->s = s;
    c->event = event;
    c->receipt = *receipt;
    if (receipt->id.n)
        memcpy(c->id, receipt->id.p, receipt->id.n);
    c->receipt.id.p = c->id;
    c->on_answer = on_answer;
    c->ask.on_answer = on_ask_answered;
    c->bytes = bytes;
    rights_wait_init(&c->wait, on_right_answered);
    list_append(&s->calls, &c->in_calls);
    return c;
}

void call_ask(struct call *c, struct view request)
{
    asks_send(c->s->hub, &c->ask, tenant_id(c->s->tenant), request);
}

void call_ask_right(struct call *c, struct view room)
{
    rights_ask(c->s->tenant->rights, &c->wait, room, loop_now_ms(c->s->hub->loop));
}

void client_forget(struct session *s)
{
    list_foreach(node, &s->calls)
    {
        struct call *c = container_of(node, struct call, in_calls);
        asks_cancel(s->hub, &c->ask);
        rights_cancel(&c->wait);
        call_drop(c);
    }
}
