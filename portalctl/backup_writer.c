#include "portalctl/backup_file.h"
#include "shared/clock.h"
#include "shared/json.h"
#include "shared/mem.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

void backup_line_init(struct backup_line *l)
{
    static const char zeros[SHA256_BYTES];
    buf_init(&l->bytes, BACKUP_LINE_MAX);
    buf_add(&l->bytes, zeros, sizeof zeros);
    l->count = 0;
}

void backup_line_finish(struct backup_line *l)
{
    buf_free(&l->bytes);
}

struct view backup_line_text(const struct backup_line *l)
{
    return (struct view){l->bytes.data + SHA256_BYTES, l->bytes.len - SHA256_BYTES};
}

void backup_line_next(struct backup_line *l)
{
    unsigned char digest[SHA256_BYTES];
    crypto_sha256(buf_view(&l->bytes), digest);
    buf_clear(&l->bytes);
    buf_add(&l->bytes, digest, sizeof digest);
    l->count++;
}

void backup_line_digest(const struct backup_line *l, char out[static BACKUP_DIGEST_SIZE])
{
    crypto_hex((const unsigned char *)l->bytes.data, SHA256_BYTES, out);
}

struct backup_writer {
    FILE *out;
    struct backup_line line;
    struct json_writer json;
    uint64_t documents, of_tenant;
};

/* Every line but those of documents is an object with one member. */
static struct json_writer *begin(struct backup_writer *w, const char *member)
{
    jw_init(&w->json, &w->line.bytes);
    jw_begin(&w->json, '{');
    if (member) {
        jw_key(&w->json, member);
        jw_begin(&w->json, '{');
    }
    return &w->json;
}

static bool put_line(struct backup_writer *w, struct err *err)
{
    struct view text = backup_line_text(&w->line);
    if (w->line.bytes.overflow)
        return err_set(err, ERR_INTERNAL, "a line over %d bytes", BACKUP_LINE_MAX);
    if (fwrite(text.p, 1, text.n, w->out) != text.n || putc('\n', w->out) == EOF)
        return err_set(err, ERR_UNAVAILABLE, "write the backup: %s", strerror(errno));
    backup_line_next(&w->line);
    return true;
}

static bool end(struct backup_writer *w, struct err *err)
{
    jw_end(&w->json, '}');
    jw_end(&w->json, '}');
    return put_line(w, err);
}

static void put_header(struct backup_writer *w, int64_t now_wall_ms)
{
    char at[CLOCK_ISO_SIZE];
    clock_iso(now_wall_ms, at);
    struct json_writer *json = begin(w, NULL);
    jw_key_text(json, "portalcast", "backup");
    jw_key_i64(json, "format", BACKUP_FORMAT);
    jw_key_text(json, "at", at);
    jw_key_text(json, "version", VERSION);
    jw_key(json, "kinds");
    jw_begin(json, '[');
    for (int kind = 0; kind < DOC_KIND_COUNT; kind++)
        jw_text(json, view_of(doc_kind_name((enum doc_kind)kind)));
    jw_end(json, ']');
    jw_end(json, '}');
}

struct backup_writer *backup_writer_create(FILE *out, int64_t now_wall_ms)
{
    struct backup_writer *w = xcalloc(1, sizeof *w);
    struct err ignored; /* a stream in error fails again at every call */
    w->out = out;
    backup_line_init(&w->line);
    put_header(w, now_wall_ms);
    if (!put_line(w, &ignored))
        backup_line_next(&w->line);
    return w;
}

void backup_writer_destroy(struct backup_writer *w)
{
    if (!w)
        return;
    backup_line_finish(&w->line);
    free(w);
}

bool backup_put_quarantined(struct backup_writer *w, const struct quarantined *row, struct err *err)
{
    char *bytes = xcalloc(1, (row->bytes.n * 4 + 2) / 3 + 1);
    size_t n = crypto_base64url((const unsigned char *)row->bytes.p, row->bytes.n, bytes);
    struct json_writer *json = begin(w, "quarantined");
    jw_key_text(json, "reason", row->reason);
    jw_key(json, "channel");
    jw_text(json, row->channel_id);
    jw_key_i64(json, "at", row->at_wall_ms);
    jw_key(json, "bytes");
    jw_text(json, (struct view){bytes, n});
    free(bytes);
    return end(w, err);
}

bool backup_put_tenant(struct backup_writer *w, const char *tenant_id, struct err *err)
{
    w->of_tenant = 0;
    struct json_writer *json = begin(w, NULL);
    jw_key_text(json, "tenant", tenant_id);
    jw_end(json, '}');
    return put_line(w, err);
}

bool backup_put_documents(struct backup_writer *w, struct view changes, size_t count, struct err *err)
{
    if (memchr(changes.p, '\n', changes.n))
        json_put_string(&w->line.bytes, changes);
    else
        buf_add_view(&w->line.bytes, changes);
    w->of_tenant += count;
    w->documents += count;
    return put_line(w, err);
}

bool backup_put_head(struct backup_writer *w, const char *tenant_id, const struct head *head, struct err *err)
{
    struct json_writer *json = begin(w, "head");
    jw_key_text(json, "tenant", tenant_id);
    jw_key_text(json, "epoch", head->epoch);
    jw_key_i64(json, "n", (int64_t)head->n);
    jw_key_i64(json, "seq", (int64_t)head->seq);
    jw_key_i64(json, "figuresRev", (int64_t)head->figures_rev);
    jw_key_i64(json, "documents", (int64_t)w->of_tenant);
    return end(w, err);
}

bool backup_put_channel(struct backup_writer *w, const struct channel *channel, struct err *err)
{
    struct json_writer *json = begin(w, "channel");
    jw_key_text(json, "phoneNumberId", channel->phone_number_id);
    jw_key_text(json, "tenantId", channel->tenant_id);
    jw_key_text(json, "displayPhoneNumber", channel->display_phone_number);
    jw_key_text(json, "accessToken", channel->access_token);
    return end(w, err);
}

bool backup_finish(struct backup_writer *w, struct err *err)
{
    char digest[BACKUP_DIGEST_SIZE];
    backup_line_digest(&w->line, digest);
    struct json_writer *json = begin(w, "end");
    jw_key_i64(json, "lines", (int64_t)w->line.count);
    jw_key_i64(json, "documents", (int64_t)w->documents);
    jw_key_text(json, "digest", digest);
    if (!end(w, err))
        return false;
    if (fflush(w->out) || ferror(w->out))
        return err_set(err, ERR_UNAVAILABLE, "write the backup: %s", strerror(errno));
    return true;
}

uint64_t backup_documents(const struct backup_writer *w)
{
    return w->of_tenant;
}
