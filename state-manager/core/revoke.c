/*
 * Tokens that are good no longer, of a user, a single one, or all of a tenant: those that were issued before
 * now. The gateways hear of it by an event, whoever comes later finds the document.
 */
#include "shared/clock.h"
#include "shared/json.h"
#include "state-manager/core/command.h"
#include "state-manager/core/revocation.h"
#include "state-manager/core/text.h"
#include <stdio.h>
#include <string.h>

/* Whose tokens: at most one of the two is given. */
struct target {
    char sub[TOKEN_NAME_MAX + 1], jti[TOKEN_NAME_MAX + 1];
};

static bool read_name(struct view body, const char *name, char out[static TOKEN_NAME_MAX + 1],
                      struct err *err)
{
    struct view value = json_get(body, name);
    out[0] = 0;
    if (json_type(value) == JSON_NONE || json_type(value) == JSON_NULL)
        return true;
    return (text_is_name(value, TOKEN_NAME_MAX) && json_copy_string(value, out, TOKEN_NAME_MAX + 1)) ||
           err_set(err, ERR_INVALID, "%s must be a string of 1 to %d bytes", name, TOKEN_NAME_MAX);
}

static bool read_target(struct view body, struct target *out, struct err *err)
{
    if (json_type(body) != JSON_OBJECT)
        return err_set(err, ERR_INVALID, "the body must be a JSON object");
    if (!read_name(body, "sub", out->sub, err) || !read_name(body, "jti", out->jti, err))
        return false;
    return !*out->sub || !*out->jti || err_set(err, ERR_INVALID, "sub or jti, not both");
}

static void write_target(struct json_writer *w, const struct target *target)
{
    if (*target->sub)
        jw_key_text(w, "sub", target->sub);
    if (*target->jti)
        jw_key_text(w, "jti", target->jti);
}

static struct view key_of(const struct target *target, char room[static REVOCATION_KEY_SIZE])
{
    if (*target->sub)
        return revocation_key(REVOCATION_SUB, target->sub, room);
    return *target->jti ? revocation_key(REVOCATION_JTI, target->jti, room) : VIEW(REVOCATION_TENANT);
}

void foresee_revoke(struct batch *b, const struct command *c)
{
    char room[REVOCATION_KEY_SIZE];
    struct target target;
    struct err ignored;
    if (read_target(c->element, &target, &ignored))
        batch_want(b, DOC_REVOCATION, key_of(&target, room));
}

static void answer(const struct batch *b, struct command *c, const struct target *target, int64_t before,
                   const char *offset)
{
    char at[CLOCK_ISO_SIZE];
    struct json_writer w;
    clock_iso(before, at);
    jw_init(&w, c->reply);
    jw_begin(&w, '{');
    jw_key_text(&w, "tenantId", batch_tenant(b));
    write_target(&w, target);
    jw_key_text(&w, "before", at);
    jw_key_text(&w, "offset", offset);
    jw_end(&w, '}');
}

/* Returns from when on they count no more. */
static int64_t put(struct batch *b, const struct target *target, bool may_return, struct emitted *out)
{
    char room[REVOCATION_KEY_SIZE];
    struct buf data;
    struct json_writer w;
    int64_t before = 0;
    struct view key = key_of(target, room), known = batch_get(b, DOC_REVOCATION, key);
    if (!json_i64(json_get(known, "before"), &before) || before < batch_now(b)) /* clocks differ */
        before = batch_now(b);
    buf_init(&data, DOC_MAX);
    jw_init(&w, &data);
    jw_begin(&w, '{');
    write_target(&w, target);
    jw_key_i64(&w, "before", before);
    if (may_return)
        jw_key_bool(&w, "mayReturn", true);
    jw_end(&w, '}');
    batch_emit(b, &(struct event_draft){.type = EVENT_INSIDE "revoked", .data = buf_view(&data)}, out);
    batch_put(b, DOC_REVOCATION, key, (struct doc_place){.rank = before}, buf_view(&data));
    buf_free(&data);
    return before;
}

bool decide_revoke(struct batch *b, struct command *c, struct err *err)
{
    struct target target;
    struct emitted e;
    if (!read_target(c->element, &target, err))
        return false;
    int64_t before = put(b, &target, false, &e);
    answer(b, c, &target, before, e.offset);
    return true;
}

void revocation_put(struct batch *b, const char *sub, bool may_return)
{
    struct target target = {.jti = ""};
    if (view_copy(view_of(sub), target.sub, sizeof target.sub))
        put(b, &target, may_return, NULL);
}
