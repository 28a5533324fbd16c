/*
 * Another token on a live connection. It must be the same user's; what it gives counts from now on, and what
 * the client asked for is asked of the state-manager again. A token that is refused changes nothing: the one
 * before holds until its end.
 */
#include "portal-gateway/core/admission.h"
#include "portal-gateway/core/call.h"
#include "portal-gateway/core/hello.h"
#include "portal-gateway/core/hub.h"
#include "portal-gateway/core/session.h"
#include "portal-gateway/core/tenant.h"
#include "shared/clock.h"
#include "shared/log.h"
#include "shared/mem.h"
#include <stdlib.h>
#include <string.h>

enum { REQUEST_BYTES_MAX = 64 << 10 };

static const char event[] = "refresh_token";

static struct view name_of(const struct membership *in)
{
    return (struct view){in->room->name, in->room->name_bytes};
}

static void accept_token(struct session *s, const struct receipt *receipt)
{
    struct acceptance r;
    char at[CLOCK_ISO_SIZE];
    clock_iso(s->expires_wall_ms, at);
    accept_begin(&r);
    jw_key_text(&r.w, "expiresAt", at);
    hello_write_rooms(&r.w, s);
    accept_send(s, receipt, &r);
}

static void lose(struct session *s, struct view room)
{
    static const struct receipt nobody;
    log_warn("room_lost", "session=%s tenant=%s user=\"%s\" room=\"%.*s\"", s->id, tenant_id(s->tenant),
             s->sub, VIEW_ARG(room));
    client_leave(s, room, &nobody);
}

/* Rooms that nobody could say anything about stay: the client was in them by right. */
static void on_rights(struct call *c, const struct answer *a)
{
    struct session *s = c->s;
    for (unsigned i = s->member.count; a->ok && i > 0; i--) {
        const struct membership *in = &s->member.rooms[i - 1];
        struct view room = name_of(in), right = rights_read(a->body, room);
        if (in->asked_for && right.n && !admission_opens(s, room, right))
            lose(s, room);
    }
    if (!a->ok)
        log_warn("rights_unknown", "session=%s tenant=%s code=%s why=\"%s\"", s->id, tenant_id(s->tenant),
                 a->code, a->text);
    accept_token(s, &c->receipt);
}

static bool has_asked_for_rooms(const struct session *s)
{
    for (unsigned i = 0; i < s->member.count; i++)
        if (s->member.rooms[i].asked_for)
            return true;
    return false;
}

/* Leaves those that the new token closes; `out` are those that depend on more. */
static size_t sort_rooms(struct session *s, struct view out[static RIGHTS_PER_REQUEST])
{
    size_t count = 0;
    bool by_token;
    for (unsigned i = s->member.count; i > 0; i--) { /* the last one takes the place of one that is left */
        const struct membership *in = &s->member.rooms[i - 1];
        enum admission admission =
            in->asked_for ? admission_of(s, name_of(in), &by_token) : ADMISSION_GRANTED;
        if (admission == ADMISSION_DEPENDS && count < RIGHTS_PER_REQUEST)
            out[count++] = name_of(in);
        if (admission == ADMISSION_DENIED)
            lose(s, name_of(in));
    }
    return count;
}

static void ask_rights(struct call *c, const struct view *rooms, size_t count)
{
    struct buf b;
    struct json_writer w;
    buf_init(&b, REQUEST_BYTES_MAX);
    ask_begin(&w, &b, tenant_id(c->s->tenant), "rights");
    rights_write_rooms(&w, rooms, count);
    jw_end(&w, '}');
    call_ask(c, buf_view(&b));
    buf_free(&b);
}

static void check_rooms(struct call *c)
{
    struct view rooms[RIGHTS_PER_REQUEST];
    size_t count = sort_rooms(c->s, rooms);
    if (count) {
        ask_rights(c, rooms, count);
        return;
    }
    accept_token(c->s, &c->receipt);
    call_drop(c);
}

/* The claims of a token that may stand in for the one before; the caller's. */
static struct claims *verify(struct session *s, struct view token, enum refusal *why)
{
    struct claims *claims = session_verify(s, token, why);
    bool foreign =
        claims && (strcmp(claims->tenant_id, tenant_id(s->tenant)) != 0 || strcmp(claims->sub, s->sub) != 0);
    if (!claims ||
        (!foreign && !revoked_has(&s->tenant->revoked, claims->sub, claims->jti, claims->issued_at_s * 1000)))
        return claims;
    *why = foreign ? REFUSAL_TOKEN_FOREIGN : REFUSAL_TOKEN_REVOKED;
    claims_release(claims);
    free(claims);
    return NULL;
}

static void take(struct session *s, const struct claims *claims)
{
    session_take_token(s, claims);
    session_set_due(s, DUE_TOKEN_WARNING, s->due[DUE_TOKEN_EXPIRY] - s->hub->policy->token_warning_ms);
    session_change_token_rooms(s, claims);
    log_info("token_refreshed", "session=%s tenant=%s user=\"%s\"", s->id, tenant_id(s->tenant), s->sub);
}

void client_refresh(struct session *s, struct view token, const struct receipt *receipt)
{
    enum refusal why = REFUSAL_TOKEN_INVALID;
    struct claims *claims = verify(s, token, &why);
    if (!claims) {
        refuse_client(s, event, receipt, refusal_code(why), refusal_text(why));
        return;
    }
    bool asks = has_asked_for_rooms(s);
    struct call *c = asks ? call_begin(s, event, receipt, 0, on_rights) : NULL;
    if (c || !asks)
        take(s, claims);
    claims_release(claims);
    free(claims);
    if (c)
        check_rooms(c);
    else if (!asks)
        accept_token(s, receipt);
}
