#include "portal-gateway/core/sio_packet.h"
#include "shared/json.h"

static const uint64_t id_max = (1ull << 53) - 1;

static bool malformed(struct err *err, const char *what)
{
    return err_set(err, ERR_MALFORMED, "%s", what);
}

/* Takes the digits at the front of *rest. */
static struct view take_digits(struct view *rest)
{
    struct view digits = {rest->p, 0};
    while (digits.n < rest->n && digits.p[digits.n] >= '0' && digits.p[digits.n] <= '9')
        digits.n++;
    rest->p += digits.n;
    rest->n -= digits.n;
    return digits;
}

static bool take_attachments(struct view *rest, struct sio_packet *out, struct err *err)
{
    uint64_t count;
    if (!view_u64(take_digits(rest), SIO_ATTACHMENTS_MAX, &count) || !count || !rest->n || rest->p[0] != '-')
        return malformed(err, "a binary packet starts with 1 to 10 attachments and '-'");
    rest->p++;
    rest->n--;
    out->attachments = (unsigned)count;
    return true;
}

/* The namespace runs to the first comma, or to the end. */
static void take_namespace(struct view *rest, struct sio_packet *out)
{
    out->nsp = VIEW("/");
    if (!rest->n || rest->p[0] != '/')
        return;
    struct view after = *rest;
    view_split(&after, ',', &out->nsp);
    *rest = after.p ? after : (struct view){rest->p + rest->n, 0};
}

static bool take_id(struct view *rest, struct sio_packet *out, struct err *err)
{
    struct view digits = take_digits(rest);
    if (!digits.n)
        return true;
    out->has_id = true;
    return view_u64(digits, id_max, &out->id) || malformed(err, "an id over 2^53 - 1");
}

/* An array whose first element names the event: a string that is not reserved, or a number. */
static bool is_event(struct view payload)
{
    static const char *const reserved[] = {"connect",       "connect_error", "disconnect",
                                           "disconnecting", "newListener",   "removeListener"};
    struct view name;
    struct json_iter it = json_iter(payload);
    if (json_type(payload) != JSON_ARRAY || !json_next_element(&it, &name))
        return false;
    for (size_t i = 0; i < countof(reserved); i++)
        if (json_type(name) == JSON_STRING && json_string_is(name, reserved[i]))
            return false;
    return json_type(name) == JSON_STRING || json_type(name) == JSON_NUMBER;
}

static bool payload_fits(const struct sio_packet *p)
{
    bool none = !p->payload.n;
    switch (p->type) {
    case SIO_CONNECT:
        return none || json_type(p->payload) == JSON_OBJECT;
    case SIO_DISCONNECT:
        return none;
    case SIO_EVENT:
        return none || is_event(p->payload);
    case SIO_ACK:
        return none || json_type(p->payload) == JSON_ARRAY;
    case SIO_CONNECT_ERROR:
        return false;
    case SIO_BINARY_EVENT:
        return is_event(p->payload);
    case SIO_BINARY_ACK:
        return json_type(p->payload) == JSON_ARRAY;
    }
    return false;
}

static bool placeholder_fits(struct view object, unsigned attachments)
{
    int64_t num;
    return !json_is_true(json_get(object, "_placeholder")) ||
           (json_i64(json_get(object, "num"), &num) && num >= 0 && num < (int64_t)attachments);
}

/* The depth was bounded by json_check(). */
bool sio_placeholders_fit(struct view payload, unsigned attachments)
{
    struct view name, value;
    struct json_iter it = json_iter(payload);
    if (json_type(payload) == JSON_ARRAY) {
        while (json_next_element(&it, &value))
            if (!sio_placeholders_fit(value, attachments))
                return false;
    } else if (json_type(payload) == JSON_OBJECT) {
        if (!placeholder_fits(payload, attachments))
            return false;
        while (json_next_member(&it, &name, &value))
            if (!sio_placeholders_fit(value, attachments))
                return false;
    }
    return true;
}

bool sio_parse(struct view text, struct sio_packet *out, struct err *err)
{
    *out = (struct sio_packet){0};
    if (!text.n || text.p[0] < '0' || text.p[0] > '6')
        return malformed(err, "no packet type from 0 to 6");
    out->type = (enum sio_type)(text.p[0] - '0');
    struct view rest = {text.p + 1, text.n - 1};
    bool binary = out->type == SIO_BINARY_EVENT || out->type == SIO_BINARY_ACK;
    if (binary && !take_attachments(&rest, out, err))
        return false;
    take_namespace(&rest, out);
    if (!take_id(&rest, out, err))
        return false;
    if (rest.n && !json_check(rest, JSON_STRICT, &out->payload, err))
        return false;
    if (!payload_fits(out))
        return malformed(err, "the payload does not fit the packet type");
    return !binary || sio_placeholders_fit(out->payload, out->attachments) ||
           malformed(err, "a placeholder without its binary value");
}

void eio_write_open(struct buf *out, const struct eio_open *open)
{
    struct json_writer w;
    buf_add_char(out, EIO_OPEN);
    jw_init(&w, out);
    jw_begin(&w, '{');
    jw_key_text(&w, "sid", open->sid);
    jw_key_raw(&w, "upgrades", open->upgrades ? VIEW("[\"websocket\"]") : VIEW("[]"));
    jw_key_i64(&w, "pingInterval", open->ping_interval_ms);
    jw_key_i64(&w, "pingTimeout", open->ping_timeout_ms);
    jw_key_i64(&w, "maxPayload", (int64_t)open->max_payload);
    jw_end(&w, '}');
}

static void write_head(struct buf *out, enum sio_type type, struct view nsp, unsigned attachments)
{
    buf_add_char(out, EIO_MESSAGE);
    buf_add_char(out, (char)('0' + type));
    if (type == SIO_BINARY_EVENT || type == SIO_BINARY_ACK)
        buf_addf(out, "%u-", attachments);
    if (!view_is(nsp, "/")) {
        buf_add_view(out, nsp);
        buf_add_char(out, ',');
    }
}

void sio_write_packet(struct buf *out, enum sio_type type, struct view nsp, const uint64_t *id,
                      struct view array, unsigned attachments)
{
    write_head(out, type, nsp, attachments);
    if (id)
        buf_addf(out, "%llu", (unsigned long long)*id);
    buf_add_view(out, array);
}

void sio_write_connect(struct buf *out, struct view nsp, const char *sid, const char *pid)
{
    struct json_writer w;
    write_head(out, SIO_CONNECT, nsp, 0);
    jw_init(&w, out);
    jw_begin(&w, '{');
    jw_key_text(&w, "sid", sid);
    if (pid)
        jw_key_text(&w, "pid", pid);
    jw_end(&w, '}');
}

void sio_write_connect_error(struct buf *out, struct view nsp, const char *message, const char *code)
{
    struct json_writer w;
    write_head(out, SIO_CONNECT_ERROR, nsp, 0);
    jw_init(&w, out);
    jw_begin(&w, '{');
    jw_key_text(&w, "message", message);
    if (code) {
        jw_key(&w, "data");
        jw_begin(&w, '{');
        jw_key_text(&w, "code", code);
        jw_end(&w, '}');
    }
    jw_end(&w, '}');
}
