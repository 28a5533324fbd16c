#include "portal-gateway/core/pid.h"
#include "shared/buf.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIGNED_MAX = 3 * TOKEN_LIST_MAX * (TOKEN_NAME_MAX + 1) + 1024 };

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* In whichever order the token has them. */
static void add_names(struct buf *b, const struct token_list *names)
{
    const char *sorted[TOKEN_LIST_MAX];
    for (size_t i = 0; i < names->count; i++)
        sorted[i] = names->items[i];
    qsort(sorted, names->count, sizeof *sorted, by_name);
    for (size_t i = 0; i < names->count; i++)
        buf_addf(b, "%zu:%s", strlen(sorted[i]), sorted[i]);
    buf_add_char(b, '\n');
}

/* What the signature is over: all lengths are given, so that no two callers have the same. */
static void put_signed(struct buf *b, const struct claims *c, struct view plain)
{
    buf_addf(b, "pid\n/\n%s\n%zu:%s\n", c->tenant_id, strlen(c->sub), c->sub);
    add_names(b, &c->roles);
    add_names(b, &c->teams);
    add_names(b, &c->rooms);
    buf_add_view(b, plain);
}

void pid_write(const struct peer_keys *keys, const struct claims *claims, const struct pid *pid,
               char out[static PID_SIZE])
{
    char offset[OFFSET_SIZE], signature[PEER_SIGNATURE_SIZE];
    struct buf b;
    offset_format(pid->base.epoch, pid->base.seq, offset);
    int n = snprintf(out, PID_SIZE, "%s.%s.%" PRId64, pid->id, offset, pid->issued_ms);
    buf_init(&b, SIGNED_MAX);
    put_signed(&b, claims, (struct view){out, (size_t)n});
    peer_sign(keys, buf_view(&b), signature);
    snprintf(out + n, PID_SIZE - (size_t)n, ".%s", signature);
    buf_free(&b);
}

static bool read_plain(struct view plain, struct pid *out)
{
    struct view id, offset;
    uint64_t issued;
    if (!view_split(&plain, '.', &id) || !view_split(&plain, '.', &offset) ||
        !view_copy(id, out->id, sizeof out->id) || id.n != SESSION_ID_SIZE - 1 ||
        !offset_parse(offset, out->base.epoch, &out->base.seq) || !view_u64(plain, INT64_MAX, &issued))
        return false;
    out->issued_ms = (int64_t)issued;
    return true;
}

bool pid_read(const struct peer_keys *keys, const struct claims *claims, struct view text, struct pid *out)
{
    const char *dot = text.n && text.n < PID_SIZE ? memrchr(text.p, '.', text.n) : NULL;
    struct buf b;
    if (!dot)
        return false;
    struct view plain = {text.p, (size_t)(dot - text.p)}, signature = {dot + 1, text.n - plain.n - 1};
    buf_init(&b, SIGNED_MAX);
    put_signed(&b, claims, plain);
    bool ours = !b.overflow && peer_verify(keys, buf_view(&b), signature);
    buf_free(&b);
    return ours && read_plain(plain, out);
}
