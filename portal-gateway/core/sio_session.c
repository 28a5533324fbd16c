#include "portal-gateway/core/sio_session.h"
#include "shared/mem.h"
#include <stdlib.h>
#include <string.h>

enum { HEAD_MAX = 512 /* bytes around the arguments of a packet */ };

struct sio_session *sio_session_of(struct session *s)
{
    if (!s->sio) {
        s->sio = xcalloc(1, sizeof *s->sio);
        s->sio->last_early = &s->sio->early;
    }
    return s->sio;
}

void sio_session_destroy(struct sio_session *sio)
{
    if (!sio)
        return;
    for (struct sio_parcel *p = sio->early, *next; p; p = next) {
        next = p->next;
        sio_parcel_destroy(p);
    }
    sio_parcel_destroy(sio->arriving);
    free(sio);
}

struct sio_parcel *sio_parcel_create(struct view text, unsigned due)
{
    struct sio_parcel *p = xcalloc(1, sizeof *p);
    p->text = xstrndup(text.p, text.n);
    p->text_n = p->bytes = text.n;
    p->due = due;
    return p;
}

bool sio_parcel_add(struct sio_parcel *p, struct view bytes, size_t bytes_max)
{
    if (p->bytes + bytes.n > bytes_max)
        return false;
    p->attachments[p->count++] = (struct view){xstrndup(bytes.p, bytes.n), bytes.n};
    p->bytes += bytes.n;
    return true;
}

void sio_parcel_destroy(struct sio_parcel *p)
{
    if (!p)
        return;
    for (unsigned i = 0; i < p->count; i++)
        free((char *)p->attachments[i].p);
    free(p->text);
    free(p);
}

/* The packet and its attachments right behind it: they stay together, since both are own frames. */
static void send_packet(struct session *s, enum sio_type type, const struct sio_namespace *nsp,
                        const uint64_t *id, const struct sio_args *args)
{
    struct buf text;
    buf_init(&text, args->array.n + HEAD_MAX);
    sio_write_packet(&text, type, view_of(nsp->name), id, args->array, args->attachment_count);
    session_send(s, frame_create(WS_TEXT, buf_view(&text)));
    for (unsigned i = 0; i < args->attachment_count; i++)
        session_send(s, frame_create(WS_BINARY, args->attachments[i]));
    buf_free(&text);
}

void sio_send_event(struct session *s, const struct sio_namespace *nsp, const struct sio_args *args)
{
    send_packet(s, args->attachment_count ? SIO_BINARY_EVENT : SIO_EVENT, nsp, NULL, args);
}

void sio_send_ack(struct session *s, const struct sio_namespace *nsp, uint64_t id,
                  const struct sio_args *args)
{
    send_packet(s, args->attachment_count ? SIO_BINARY_ACK : SIO_ACK, nsp, &id, args);
}

static void remove_call(struct sio_session *sio, size_t at)
{
    sio->call_count--;
    memmove(&sio->calls[at], &sio->calls[at + 1], (sio->call_count - at) * sizeof sio->calls[0]);
}

void sio_call(struct session *s, const struct sio_namespace *nsp, const struct sio_args *args,
              sio_answer_fn on_answer)
{
    struct sio_session *sio = sio_session_of(s);
    uint64_t id = sio->next_call++;
    if (sio->call_count == SIO_CALLS_MAX)
        remove_call(sio, 0);
    sio->calls[sio->call_count++] = (struct sio_call){nsp, id, on_answer};
    send_packet(s, args->attachment_count ? SIO_BINARY_EVENT : SIO_EVENT, nsp, &id, args);
}

void sio_on_answer(struct session *s, const struct sio_namespace *nsp, uint64_t id,
                   const struct sio_args *args)
{
    struct sio_session *sio = s->sio;
    for (size_t i = 0; sio && i < sio->call_count; i++)
        if (sio->calls[i].id == id && sio->calls[i].nsp == nsp) {
            sio_answer_fn on_answer = sio->calls[i].on_answer;
            remove_call(sio, i);
            on_answer(s, nsp, args);
            return;
        }
}

void sio_forget_calls(struct session *s, const struct sio_namespace *nsp)
{
    struct sio_session *sio = s->sio;
    for (size_t i = sio ? sio->call_count : 0; i > 0; i--)
        if (sio->calls[i - 1].nsp == nsp)
            remove_call(sio, i - 1);
}
