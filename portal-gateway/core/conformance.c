/*
 * The profile of protocol suites: namespaces that answer like a mirror, without tokens, tenants or a broker,
 * and a raw Engine.IO session that does the same (/engine.io/).
 *
 *   on CONNECT          the event `auth` with the payload of CONNECT ({} when there was none)
 *   message             the event `message-back` with the same arguments
 *   message-with-ack    an answer with the same arguments
 *   message-with-call   the event `message-call` with the same arguments, which wants an answer; the event
 *                       `message-called` with the arguments of that
 */
#include "portal-gateway/core/hub.h"
#include "portal-gateway/core/sio_session.h"
#include "shared/crypto.h"
#include "shared/json.h"

static unsigned bit_of(const struct sio_namespace *nsp)
{
    return 1u << (nsp - sio_mirrors);
}

static enum sio_presence presence(const struct session *s, const struct sio_namespace *nsp)
{
    return s->sio && s->sio->mirrors & bit_of(nsp) ? SIO_IN : SIO_OUT;
}

/* Sends [name, ...arguments behind the first]; `skip`: also without the first of the given ones. */
static void rename_event(struct view array, const char *name, bool has_name, struct buf *out)
{
    struct view one;
    struct json_writer w;
    jw_init(&w, out);
    jw_begin(&w, '[');
    if (name)
        jw_text(&w, view_of(name));
    struct json_iter it = json_iter(array);
    if (has_name && !json_next_element(&it, &one))
        array.n = 0;
    while (json_next_element(&it, &one))
        jw_raw(&w, one);
    jw_end(&w, ']');
}

static void connect(struct session *s, const struct sio_namespace *nsp, struct view auth)
{
    char sid[SESSION_ID_SIZE];
    struct buf b;
    buf_init(&b, auth.n + 256);
    crypto_random_id("", sid);
    sio_session_of(s)->mirrors |= bit_of(nsp);
    session_set_due(s, DUE_CONNECT, 0);
    sio_write_connect(&b, view_of(nsp->name), sid, NULL);
    session_send(s, frame_create(WS_TEXT, buf_view(&b)));
    buf_clear(&b);
    buf_addf(&b, "[\"auth\",%.*s]", auth.n ? (int)auth.n : 2, auth.n ? auth.p : "{}");
    sio_send_event(s, nsp, &(struct sio_args){.array = buf_view(&b)});
    buf_free(&b);
}

static void disconnect(struct session *s, const struct sio_namespace *nsp)
{
    s->sio->mirrors &= ~bit_of(nsp);
}

static void send_as(struct session *s, const struct sio_namespace *nsp, const char *name, bool has_name,
                    const struct sio_args *args, sio_answer_fn on_answer)
{
    struct buf b;
    struct sio_args renamed = *args;
    buf_init(&b, args->array.n + 64);
    rename_event(args->array, name, has_name, &b);
    renamed.array = buf_view(&b);
    if (on_answer)
        sio_call(s, nsp, &renamed, on_answer);
    else
        sio_send_event(s, nsp, &renamed);
    buf_free(&b);
}

static void on_answer(struct session *s, const struct sio_namespace *nsp, const struct sio_args *args)
{
    send_as(s, nsp, "message-called", false, args, NULL);
}

static void event(struct session *s, const struct sio_namespace *nsp, const struct sio_args *args,
                  const uint64_t *ack)
{
    struct view name;
    struct json_iter it = json_iter(args->array);
    if (!json_next_element(&it, &name) || json_type(name) != JSON_STRING)
        return;
    if (json_string_is(name, "message")) {
        send_as(s, nsp, "message-back", true, args, NULL);
    } else if (json_string_is(name, "message-with-call")) {
        send_as(s, nsp, "message-call", true, args, on_answer);
    } else if (json_string_is(name, "message-with-ack") && ack) {
        struct buf b;
        struct sio_args answer = *args;
        buf_init(&b, args->array.n + 64);
        rename_event(args->array, NULL, true, &b);
        answer.array = buf_view(&b);
        sio_send_ack(s, nsp, *ack, &answer);
        buf_free(&b);
    }
}

const struct sio_namespace sio_mirrors[] = {
    {"/", presence, connect, disconnect, event},
    {"/custom", presence, connect, disconnect, event},
};
const size_t sio_mirror_count = countof(sio_mirrors);

/* --- raw Engine.IO -------------------------------------------------------------------------------------- */

static void raw_open(struct session *s)
{
    session_set_due(s, DUE_CONNECT, 0); /* there is nothing to connect to */
    protocol_sio.on_open(s);
}

static void raw_message(struct session *s, struct view message, bool is_text)
{
    if (!is_text || (message.n && message.p[0] == EIO_MESSAGE))
        session_send(s, frame_create(is_text ? WS_TEXT : WS_BINARY, message));
    else
        protocol_sio.on_message(s, message, true);
}

static void no_greeting(struct session *s, bool recovered)
{
    (void)recovered;
    (void)s; /* never live: there is no tenant */
}

static void ping(struct session *s)
{
    protocol_sio.ping(s);
}

const struct protocol protocol_eio = {
    .name = "engineio",
    .on_open = raw_open,
    .on_message = raw_message,
    .greet = no_greeting,
    .ping = ping,
};
