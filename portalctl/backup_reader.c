#include "portalctl/backup_file.h"
#include "shared/json.h"
#include "shared/mem.h"
#include "state-manager/store/changes.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_BYTES = 65536, REASON_MAX = 64 };

struct backup_reader {
    FILE *in;
    struct backup_line line;
    char chunk[CHUNK_BYTES];
    size_t chunk_at, chunk_n;
    enum backup_record_kind last;
    bool begun;
    char tenant_id[TENANT_ID_MAX + 1]; /* whose documents these are */
    uint64_t documents, of_tenant;
    /* what the last record points to */
    struct buf text; /* decoded changes, or bytes of the quarantine */
    struct change *changes;
    size_t change_count;
    char reason[REASON_MAX + 1], channel_id[CHANNEL_ID_SIZE];
};

#define AFTER(kind) (1u << BACKUP_##kind)
static const unsigned follows[BACKUP_RECORD_KINDS] = {
    [BACKUP_HEADER] = 0,
    [BACKUP_QUARANTINED] = AFTER(HEADER) | AFTER(QUARANTINED),
    [BACKUP_TENANT] = AFTER(HEADER) | AFTER(QUARANTINED) | AFTER(HEAD),
    [BACKUP_DOCUMENTS] = AFTER(TENANT) | AFTER(DOCUMENTS),
    [BACKUP_HEAD] = AFTER(TENANT) | AFTER(DOCUMENTS),
    [BACKUP_CHANNEL] = AFTER(HEADER) | AFTER(QUARANTINED) | AFTER(HEAD) | AFTER(CHANNEL),
    [BACKUP_END] = AFTER(HEADER) | AFTER(QUARANTINED) | AFTER(HEAD) | AFTER(CHANNEL),
};
#undef AFTER

struct backup_reader *backup_reader_create(FILE *in)
{
    struct backup_reader *r = xcalloc(1, sizeof *r);
    r->in = in;
    backup_line_init(&r->line);
    buf_init(&r->text, BACKUP_LINE_MAX);
    return r;
}

static void forget_record(struct backup_reader *r)
{
    changes_free(r->changes, r->change_count);
    r->changes = NULL;
    r->change_count = 0;
    buf_clear(&r->text);
}

void backup_reader_destroy(struct backup_reader *r)
{
    if (!r)
        return;
    forget_record(r);
    buf_free(&r->text);
    backup_line_finish(&r->line);
    free(r);
}

/* --- lines -----------------------------------------------------------------------------------------------
 */

static bool refuse(const struct backup_reader *r, struct err *err, const char *what)
{
    return err_set(err, ERR_INVALID, "line %" PRIu64 " of the backup: %s", r->line.count + 1, what);
}

static bool fill(struct backup_reader *r)
{
    r->chunk_at = 0;
    r->chunk_n = fread(r->chunk, 1, sizeof r->chunk, r->in);
    return r->chunk_n > 0;
}

static bool read_line(struct backup_reader *r, struct err *err)
{
    while (r->chunk_at < r->chunk_n || fill(r)) {
        const char *from = r->chunk + r->chunk_at;
        size_t left = r->chunk_n - r->chunk_at;
        const char *end = memchr(from, '\n', left);
        size_t n = end ? (size_t)(end - from) : left;
        if (!buf_add(&r->line.bytes, from, n))
            return refuse(r, err, "too long");
        r->chunk_at += n + (end != NULL);
        if (end)
            return true;
    }
    if (ferror(r->in))
        return err_set(err, ERR_UNAVAILABLE, "read the backup: %s", strerror(errno));
    return refuse(r, err, "the file ends here, it was cut off");
}

/* --- records ---------------------------------------------------------------------------------------------
 */

static bool read_count(struct view number, uint64_t *out)
{
    int64_t value;
    bool ok = json_i64(number, &value) && value >= 0;
    *out = ok ? (uint64_t)value : 0;
    return ok;
}

static bool read_tenant_id(struct view string, char out[static TENANT_ID_MAX + 1])
{
    return json_copy_string(string, out, TENANT_ID_MAX + 1) && tenant_id_valid(view_of(out));
}

static bool knows_kind(struct view name)
{
    for (int kind = 0; kind < DOC_KIND_COUNT; kind++)
        if (json_string_is(name, doc_kind_name((enum doc_kind)kind)))
            return true;
    return false;
}

static bool read_header(struct backup_reader *r, struct view line, struct backup_record *out, struct err *err)
{
    int64_t format = 0;
    struct view name;
    (void)out;
    if (!json_string_is(json_get(line, "portalcast"), "backup") ||
        !json_i64(json_get(line, "format"), &format))
        return refuse(r, err, "this is no backup of Portalcast");
    bool known = format == BACKUP_FORMAT;
    for (struct json_iter it = json_iter(json_get(line, "kinds")); known && json_next_element(&it, &name);)
        known = knows_kind(name);
    return known || refuse(r, err, "written by a newer version of portalctl: use that one");
}

static bool read_quarantined(struct backup_reader *r, struct view line, struct backup_record *out,
                             struct err *err)
{
    struct view row = json_get(line, "quarantined"), encoded;
    struct quarantined *q = &out->quarantined;
    if (!json_copy_string(json_get(row, "reason"), r->reason, sizeof r->reason) ||
        !json_copy_string(json_get(row, "channel"), r->channel_id, sizeof r->channel_id) ||
        !json_i64(json_get(row, "at"), &q->at_wall_ms) ||
        !json_plain_string(json_get(row, "bytes"), &encoded))
        return refuse(r, err, "a quarantined body that cannot be read");
    char *bytes = xcalloc(1, encoded.n * 3 / 4 + 1);
    size_t n;
    bool ok = crypto_unbase64url(encoded, (unsigned char *)bytes, &n);
    if (ok)
        buf_add(&r->text, bytes, n);
    free(bytes);
    q->reason = r->reason;
    q->channel_id = view_of(r->channel_id);
    q->bytes = buf_view(&r->text);
    return ok || refuse(r, err, "the bytes of a quarantined body cannot be read");
}

static bool read_tenant(struct backup_reader *r, struct view line, struct backup_record *out, struct err *err)
{
    if (!read_tenant_id(json_get(line, "tenant"), r->tenant_id))
        return refuse(r, err, "a tenant id breaks its rule");
    memcpy(out->tenant_id, r->tenant_id, sizeof out->tenant_id);
    r->of_tenant = 0;
    return true;
}

static bool is_sound(const struct change *c)
{
    return c->key.n && c->key.n <= DOC_KEY_MAX && c->doc.n <= DOC_MAX && c->place.state.n <= DOC_STATE_MAX;
}

static bool read_documents(struct backup_reader *r, struct view line, struct backup_record *out,
                           struct err *err)
{
    struct view text = line, value;
    if (line.p[0] == '"') {
        if (!json_check(line, JSON_OURS, &value, err) || !json_decode_string(value, &r->text))
            return refuse(r, err, "documents that cannot be read");
        text = buf_view(&r->text);
    }
    bool ok = changes_read(text, &r->changes, &r->change_count, err);
    for (size_t i = 0; ok && i < r->change_count; i++)
        ok = is_sound(&r->changes[i]);
    out->changes = r->changes;
    out->change_count = r->change_count;
    r->of_tenant += r->change_count;
    r->documents += r->change_count;
    return ok || refuse(r, err, "documents that cannot be read");
}

static bool read_head(struct backup_reader *r, struct view line, struct backup_record *out, struct err *err)
{
    struct view row = json_get(line, "head");
    struct head *h = &out->head;
    bool ok = read_tenant_id(json_get(row, "tenant"), out->tenant_id) &&
              json_copy_string(json_get(row, "epoch"), h->epoch, sizeof h->epoch) && *h->epoch &&
              read_count(json_get(row, "n"), &h->n) && h->n && read_count(json_get(row, "seq"), &h->seq) &&
              read_count(json_get(row, "figuresRev"), &h->figures_rev) &&
              read_count(json_get(row, "documents"), &out->documents);
    if (!ok)
        return refuse(r, err, "a position that cannot be read");
    if (strcmp(out->tenant_id, r->tenant_id) != 0 || out->documents != r->of_tenant)
        return refuse(r, err, "the position is not that of the documents before it");
    return true;
}

static bool read_channel(struct backup_reader *r, struct view line, struct backup_record *out,
                         struct err *err)
{
    struct view row = json_get(line, "channel");
    struct channel *c = &out->channel;
    bool ok =
        json_copy_string(json_get(row, "phoneNumberId"), c->phone_number_id, sizeof c->phone_number_id) &&
        *c->phone_number_id && read_tenant_id(json_get(row, "tenantId"), c->tenant_id) &&
        json_copy_string(json_get(row, "displayPhoneNumber"), c->display_phone_number,
                         sizeof c->display_phone_number) &&
        json_copy_string(json_get(row, "accessToken"), c->access_token, sizeof c->access_token);
    return ok || refuse(r, err, "a channel that cannot be read");
}

static bool read_end(struct backup_reader *r, struct view line, struct backup_record *out, struct err *err)
{
    struct view row = json_get(line, "end");
    uint64_t lines, documents;
    backup_line_digest(&r->line, out->digest);
    if (!read_count(json_get(row, "lines"), &lines) || !read_count(json_get(row, "documents"), &documents) ||
        lines != r->line.count || documents != r->documents ||
        !json_string_is(json_get(row, "digest"), out->digest))
        return refuse(r, err, "the sum of the file is not the one that was written: it was changed");
    if (r->chunk_at < r->chunk_n || fill(r))
        return refuse(r, err, "there is something behind the end");
    return true;
}

static const struct {
    const char *member;
    bool (*read)(struct backup_reader *r, struct view line, struct backup_record *out, struct err *err);
} kinds[BACKUP_RECORD_KINDS] = {
#define READ(kind, function) [BACKUP_##kind].read = function
    READ(HEADER, read_header), READ(QUARANTINED, read_quarantined),
    READ(TENANT, read_tenant), READ(DOCUMENTS, read_documents),
    READ(HEAD, read_head),     READ(CHANNEL, read_channel),
    READ(END, read_end),
#undef READ
#define X(kind, name) [BACKUP_##kind].member = name,
    BACKUP_RECORDS(X)
#undef X
};

/* What the line is; BACKUP_RECORD_KINDS: nothing that we know. *value is the line as checked JSON, but for
 * documents, which are checked where they are read. */
static enum backup_record_kind kind_of(struct view line, struct view *value)
{
    *value = line;
    if (line.n && (line.p[0] == '[' || line.p[0] == '"'))
        return BACKUP_DOCUMENTS;
    if (!json_check(line, JSON_OURS, value, NULL))
        return BACKUP_RECORD_KINDS;
    for (int i = 0; i < BACKUP_RECORD_KINDS; i++)
        if (kinds[i].member && json_get(*value, kinds[i].member).n)
            return (enum backup_record_kind)i;
    return BACKUP_RECORD_KINDS;
}

static bool may_follow(const struct backup_reader *r, enum backup_record_kind kind)
{
    return r->begun ? (follows[kind] >> r->last & 1) != 0 : kind == BACKUP_HEADER;
}

bool backup_read(struct backup_reader *r, struct backup_record *out, struct err *err)
{
    struct view value;
    *out = (struct backup_record){0};
    forget_record(r);
    if (!read_line(r, err))
        return false;
    out->kind = kind_of(backup_line_text(&r->line), &value);
    if (!r->begun && out->kind != BACKUP_HEADER)
        return refuse(r, err, "this is no backup of Portalcast");
    if (out->kind == BACKUP_RECORD_KINDS)
        return refuse(r, err, "nothing that a backup holds");
    if (!may_follow(r, out->kind))
        return refuse(r, err, "it stands in the wrong place");
    if (!kinds[out->kind].read(r, value, out, err))
        return false;
    r->begun = true;
    r->last = out->kind;
    backup_line_next(&r->line);
    return true;
}
