/*
 * /socket.io/ and /engine.io/: which requests become sessions or reach one. Order of checks, statuses and
 * bodies as the reference server has them (wire spec of Engine.IO v4, error codes 0 to 5).
 */
#include "portal-gateway/core/meters.h"
#include "portal-gateway/core/probe.h"
#include "portal-gateway/http/endpoint_parts.h"
#include "portal-gateway/http/handshake.h"
#include "portal-gateway/http/relay.h"
#include "portal-gateway/http/ws_link.h"
#include <stdio.h>

static void refuse(struct endpoint *e, const struct request *r, enum eio_error why)
{
    char body[96];
    int n = snprintf(body, sizeof body, "{\"code\":%d,\"message\":\"%s\"}", (int)why, eio_error_message(why));
    if (why == EIO_UNSUPPORTED_VERSION)
        meter_add(OLD_PROTOCOL, 1);
    answer(e, r, why == EIO_FORBIDDEN ? 403 : 400, "application/json", (struct view){body, (size_t)n});
}

/* To a WebSocket client: the bare message. */
static bool refuse_upgrade(struct endpoint *e, const struct request *r, enum eio_error why)
{
    if (why == EIO_UNSUPPORTED_VERSION)
        meter_add(OLD_PROTOCOL, 1);
    answer(e, r, 400, "text/html", view_of(eio_error_message(why)));
    return false;
}

/* Raw Engine.IO sessions are for protocol suites only. NULL: not here. */
static const struct protocol *protocol_of(const struct endpoint *e, const struct request *r)
{
    if (!view_starts(r->path, "/engine.io"))
        return &protocol_sio;
    return e->options.hub->policy->conformance ? &protocol_eio : NULL;
}

static struct session *find(const struct endpoint *e, const struct request *r, const struct eio_query *q)
{
    struct session *s = hub_find(e->options.hub, view_of(q->sid));
    return s && s->protocol == protocol_of(e, r) ? s : NULL;
}

static struct session *create_session(struct endpoint *e, const struct request *r)
{
    char token[TOKEN_MAX_BYTES + 1];
    token_of(r, token);
    return session_open(e, r, protocol_of(e, r), token);
}

/* --- polling --- */

static void open_session(struct endpoint *e, const struct request *r, const struct eio_query *q)
{
    char origin[ORIGIN_SIZE];
    enum eio_error why = eio_check_handshake(q, r->method);
    if (why != EIO_FINE) {
        refuse(e, r, why);
    } else if (origin_is_refused(e, r)) { /* it could not read the answer, but would cost a session */
        refuse(e, r, EIO_FORBIDDEN);
    } else if (!q->is_v4) {
        refuse(e, r, EIO_UNSUPPORTED_VERSION);
    } else if (session_may_open(e, r)) {
        origin_of(e, r, origin);
        poll_open(e->polls, create_session(e, r), r->id, origin);
    }
}

/* The session that the request is for; NULL: answered. */
static struct session *polled_session(struct endpoint *e, const struct request *r, const struct eio_query *q)
{
    char origin[ORIGIN_SIZE];
    struct session *s = find(e, r, q);
    origin_of(e, r, origin);
    if (s && session_polls(s) && q->transport == EIO_POLLING && q->is_v4)
        return s;
    if (s)
        refuse(e, r, EIO_BAD_REQUEST);
    else if (!polls_last_words(e->polls, view_of(q->sid), r->method == HTTP_GET, r->id, origin))
        refuse(e, r, EIO_UNKNOWN_SID);
    return NULL;
}

/* Octets are a habit of the protocol before. */
static bool are_octets(const struct request *r)
{
    return view_is_nocase(request_header(r, "content-type"), "application/octet-stream");
}

static bool is_small_enough(struct endpoint *e, const struct request *r, uint64_t body_bytes)
{
    if (body_bytes <= e->options.hub->policy->max_payload)
        return true;
    answer(e, r, 413, NULL, VIEW("")); /* the session stays, as it does in the reference */
    return false;
}

static bool may_post(struct endpoint *e, const struct request *r, struct session *s, uint64_t body_bytes)
{
    if (are_octets(r)) {
        session_close(s, CLOSE_TRANSPORT);
        answer(e, r, 400, NULL, VIEW(""));
        return false;
    }
    return is_small_enough(e, r, body_bytes);
}

bool socketio_head(struct endpoint *e, const struct request *r, uint64_t body_bytes)
{
    struct eio_query q;
    char origin[ORIGIN_SIZE];
    eio_query_read(r->query, &q);
    if (!relay_admits(e, r, q.sid))
        return false;
    if (r->method == HTTP_GET) {
        refuse(e, r, EIO_BAD_REQUEST);
        return false;
    }
    if (!protocol_of(e, r) || r->method != HTTP_POST || !q.has_sid ||
        eio_check(&q, request_header(r, "origin")) != EIO_FINE) {
        socketio_request(e, r); /* will be refused, without its body */
        return false;
    }
    if (relay_wants(e, r, q.sid))
        return is_small_enough(e, r, body_bytes);
    struct session *s = polled_session(e, r, &q);
    if (!s || !may_post(e, r, s, body_bytes))
        return false;
    origin_of(e, r, origin);
    return poll_post_begins(s, r->id, origin);
}

static void to_session(struct endpoint *e, const struct request *r, struct session *s)
{
    static const struct reply_header allow[] = {{"Allow", "GET, POST, OPTIONS"}};
    char origin[ORIGIN_SIZE];
    origin_of(e, r, origin);
    if (r->method == HTTP_GET)
        poll_get(s, r->id, origin);
    else if (r->method != HTTP_POST)
        answer_with(e, r, 405, NULL, VIEW(""), allow, countof(allow));
    else if (may_post(e, r, s, r->body.n))
        poll_post(s, r->id, origin, r->body);
}

/* A file of the client bundle, if that is what is asked for; whatever the query says. */
static bool serve_file(struct endpoint *e, const struct request *r)
{
    const struct asset *a = bundle_find(e->options.bundle, r->path);
    if (!a || (r->method != HTTP_GET && r->method != HTTP_HEAD))
        return false;
    const struct reply_header extra[] = {{"Cache-Control", "public, max-age=0"}, {"ETag", a->etag}};
    answer_asset(e, r, a, extra, countof(extra));
    return true;
}

void socketio_request(struct endpoint *e, const struct request *r)
{
    struct eio_query q;
    if (serve_file(e, r))
        return;
    if (!protocol_of(e, r)) {
        answer_error(e, r, 404, "NOT_FOUND", "no such path");
        return;
    }
    eio_query_read(r->query, &q);
    if (!relay_admits(e, r, q.sid))
        return;
    enum eio_error why = eio_check(&q, request_header(r, "origin"));
    if (why != EIO_FINE) {
        refuse(e, r, why);
    } else if (!q.has_sid) {
        open_session(e, r, &q);
    } else if (relay_wants(e, r, q.sid)) {
        relay_request(e, r, q.sid);
    } else {
        struct session *s = polled_session(e, r, &q);
        if (s)
            to_session(e, r, s);
    }
}

/* --- WebSocket --- */

/* The first that is offered, as the reference does: browsers give up when none is taken. "" when there is
 * none.
 */
static void pick_subprotocol(const struct request *r, char out[static SUBPROTOCOL_SIZE])
{
    struct view first, rest = request_header(r, "sec-websocket-protocol");
    if (!view_split(&rest, ',', &first) ||
        !view_is_name(view_trim(first), SUBPROTOCOL_SIZE - 1, "!#$%&'*+-.^_`|~") ||
        !view_copy(view_trim(first), out, SUBPROTOCOL_SIZE))
        out[0] = 0;
}

/* A WebSocket for a session that there is. */
static bool join_session(struct endpoint *e, const struct request *r, const struct eio_query *q,
                         struct upgrade *up)
{
    struct session *s = find(e, r, q);
    if (relay_wants(e, r, q->sid)) {
        relay_upgrade(e, r, q->sid);
        return false;
    }
    if (!s)
        return refuse_upgrade(e, r, EIO_UNKNOWN_SID);
    /* One that began on WebSocket has nothing to take over: whoever asks is somebody else. */
    if (q->transport != EIO_WEBSOCKET || !q->is_v4 || !s->began_polling)
        return refuse_upgrade(e, r, EIO_BAD_REQUEST);
    if (!origin_may_connect(e, r))
        return false;
    pick_subprotocol(r, up->subprotocol);
    up->kind = VISITOR_SURPLUS;
    if (session_polls(s) && !poll_probe(s)) {
        up->kind = VISITOR_PROBE;
        up->user = probe_create(s, q->b64 ? &ws_link_base64_ops : &ws_link_ops);
    }
    return true;
}

bool socketio_upgrade(struct endpoint *e, const struct request *r, struct upgrade *up)
{
    struct eio_query q;
    if (!protocol_of(e, r)) {
        answer_error(e, r, 404, "NOT_FOUND", "no WebSocket here");
        return false;
    }
    eio_query_read(r->query, &q);
    if (!relay_admits(e, r, q.sid))
        return false;
    enum eio_error why = eio_check(&q, request_header(r, "origin"));
    if (why != EIO_FINE)
        return refuse_upgrade(e, r, why);
    if (q.has_sid)
        return join_session(e, r, &q, up);
    if (q.transport != EIO_WEBSOCKET)
        return refuse_upgrade(e, r, EIO_BAD_REQUEST);
    if (!origin_may_connect(e, r))
        return false;
    if (!q.is_v4)
        return refuse_upgrade(e, r, EIO_UNSUPPORTED_VERSION);
    if (!session_may_open(e, r))
        return false;
    pick_subprotocol(r, up->subprotocol);
    up->kind = q.b64 ? VISITOR_SESSION_BASE64 : VISITOR_SESSION;
    up->user = create_session(e, r);
    return true;
}
