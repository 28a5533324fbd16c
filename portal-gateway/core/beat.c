#include "portal-gateway/core/beat.h"
#include "shared/json.h"
#include <inttypes.h>
#include <string.h>

enum { SIGNED_MAX = 512 };

static const char *const state_names[] = {
#define X(id, name) name,
    BEAT_STATES(X)
#undef X
};

/* What the signature is over. */
static void add_signed(struct buf *out, const struct beat *beat, int64_t wall_ms)
{
    buf_addf(out, "beat 1\n%s\n%s\n%s\n%d\n%" PRId64 "\n%s", beat->gateway, beat->tag, beat->address,
             beat->port, wall_ms, state_names[beat->state]);
}

void beat_write(struct buf *out, const struct beat *beat, const struct peer_keys *keys, int64_t wall_ms)
{
    struct json_writer w;
    struct buf text;
    char signature[PEER_SIGNATURE_SIZE];
    buf_init(&text, SIGNED_MAX);
    add_signed(&text, beat, wall_ms);
    peer_sign(keys, buf_view(&text), signature);
    buf_free(&text);
    jw_init(&w, out);
    jw_begin(&w, '{');
    jw_key_i64(&w, "v", 1);
    jw_key_text(&w, "gateway", beat->gateway);
    jw_key_text(&w, "tag", beat->tag);
    jw_key_text(&w, "address", beat->address);
    jw_key_i64(&w, "port", beat->port);
    jw_key_i64(&w, "at", wall_ms);
    jw_key_text(&w, "state", state_names[beat->state]);
    jw_key_text(&w, "signature", signature);
    jw_end(&w, '}');
}

static bool read_state(struct view value, enum beat_state *out)
{
    for (size_t i = 0; i < countof(state_names); i++)
        if (json_string_is(value, state_names[i])) {
            *out = (enum beat_state)i;
            return true;
        }
    return false;
}

static bool read_fields(struct view object, struct beat *beat, int64_t *at)
{
    int64_t port = 0;
    bool fine = json_copy_string(json_get(object, "gateway"), beat->gateway, sizeof beat->gateway) &&
                json_copy_string(json_get(object, "tag"), beat->tag, sizeof beat->tag) &&
                json_copy_string(json_get(object, "address"), beat->address, sizeof beat->address) &&
                json_i64(json_get(object, "port"), &port) && json_i64(json_get(object, "at"), at) &&
                read_state(json_get(object, "state"), &beat->state);
    beat->port = port > 0 && port <= 65535 ? (int)port : 0;
    return fine && beat->port && strlen(beat->tag) == GATEWAY_TAG_CHARS;
}

bool beat_read(struct view body, const struct peer_keys *keys, int64_t wall_ms, struct beat *beat,
               struct err *err)
{
    struct view object, signature;
    struct buf text;
    int64_t at;
    *beat = (struct beat){0};
    if (!json_check(body, JSON_STRICT, &object, err))
        return false;
    if (!read_fields(object, beat, &at) || !json_plain_string(json_get(object, "signature"), &signature))
        return err_set(err, ERR_INVALID, "no heartbeat of a gateway");
    buf_init(&text, SIGNED_MAX);
    add_signed(&text, beat, at);
    bool is_ours = peer_verify(keys, buf_view(&text), signature);
    buf_free(&text);
    if (!is_ours)
        return err_set(err, ERR_UNAUTHENTICATED, "not signed with our secret");
    if (at > wall_ms + PEER_WINDOW_MS || at < wall_ms - PEER_WINDOW_MS)
        return err_set(err, ERR_UNAUTHENTICATED, "%" PRId64 " ms old: too late, or the clocks differ",
                       wall_ms - at);
    return true;
}
