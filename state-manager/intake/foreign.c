#include "state-manager/intake/foreign.h"
#include "shared/clock.h"
#include "shared/crypto.h"
#include "shared/event.h"
#include "shared/json.h"
#include "shared/mem.h"
#include <stdio.h>
#include <stdlib.h>

static bool is_there(struct view value)
{
    return json_type(value) != JSON_NONE && json_type(value) != JSON_NULL;
}

/* The call that another backend would have made over REST. */
static void write_call(struct view body, struct job *job)
{
    static const char *const names[][2] = {
        {"type", "event"}, {"data", "data"}, {"rooms", "rooms"}, {"class", "class"}, {"key", "key"}};
    struct buf call;
    struct json_writer w;
    buf_init(&call, EVENT_BODY_MAX * 2);
    jw_init(&w, &call);
    jw_begin(&w, '{');
    for (size_t i = 0; i < countof(names); i++)
        if (is_there(json_get(body, names[i][0])))
            jw_key_raw(&w, names[i][1], json_get(body, names[i][0]));
    jw_end(&w, '}');
    job->body = buf_detach(&call, &job->body_n);
}

/* A name of any length as a key: short ones as they are, others by digest. */
static void take_key(struct view name, const char *prefix, struct job *job)
{
    char digest[24];
    bool fits = name.n < IDEMPOTENCY_KEY_MAX - 8 && view_is_utf8(name);
    crypto_name_id("", name, digest);
    if (fits)
        snprintf(job->idempotency_key, sizeof job->idempotency_key, "%s%.*s", prefix, VIEW_ARG(name));
    else
        snprintf(job->idempotency_key, sizeof job->idempotency_key, "%s#%s", prefix, digest);
}

static void find_key(struct view body, struct view message_id, bool redelivered, struct job *job)
{
    char id[EVENT_ID_MAX + 1];
    snprintf(job->author, sizeof job->author, "intake"); /* keys of the queue are apart from those of users */
    if (message_id.n) {
        take_key(message_id, "m:", job);
    } else if (json_copy_string(json_get(body, "id"), id, sizeof id) && *id) {
        take_key(view_of(id), "i:", job);
    } else {
        job->key_use = redelivered ? KEY_GUESSED_REPEAT : KEY_GUESSED;
        char digest[24];
        crypto_name_id("h:", body, digest);
        take_key(view_of(digest), "", job);
    }
}

enum foreign_kind foreign_read(struct view text, struct view message_id, bool redelivered, struct job *job,
                               struct err *err)
{
    struct view body;
    if (text.n > EVENT_BODY_MAX) {
        err_set(err, ERR_TOO_LARGE, "a body of %zu bytes", text.n);
        return FOREIGN_POISON;
    }
    if (!json_check(text, JSON_STRICT, &body, err))
        return FOREIGN_POISON;
    if (is_there(json_get(body, "epoch")) && is_there(json_get(body, "seq")))
        return FOREIGN_OWN;
    if (!json_copy_string(json_get(body, "tenantId"), job->tenant_id, sizeof job->tenant_id) ||
        !tenant_id_valid(view_of(job->tenant_id))) {
        err_set(err, ERR_INVALID, "tenantId is missing or breaks its rule");
        return FOREIGN_POISON;
    }
    job->command = COMMAND_EVENTS;
    write_call(body, job);
    find_key(body, message_id, redelivered, job);
    return FOREIGN_EVENT;
}

void foreign_dead_letter(struct view body, const char *reason, const char *queue, int64_t now_wall_ms,
                         struct buf *out)
{
    char at[CLOCK_ISO_SIZE];
    struct json_writer w;
    clock_iso(now_wall_ms, at);
    jw_init(&w, out);
    jw_begin(&w, '{');
    jw_key_i64(&w, "v", 1);
    jw_key_text(&w, "reason", reason);
    jw_key_text(&w, "queue", queue);
    jw_key_text(&w, "at", at);
    if (view_is_utf8(body)) {
        jw_key(&w, "body");
        jw_text(&w, body);
    } else {
        char *encoded = xcalloc(body.n * 4 / 3 + 4, 1);
        crypto_base64url((const unsigned char *)body.p, body.n, encoded);
        jw_key_text(&w, "bodyBase64url", encoded);
        free(encoded);
    }
    jw_end(&w, '}');
}
