/* Backups as somebody may hand them in: every record that is read is sound, and the end is only found behind
 * what was written so. */
#include "portalctl/backup_file.h"
#include "shared/event.h"
#include "shared/json.h"
#include "tests/fuzz/fuzz.h"
#include <stdio.h>
#include <string.h>

static void check_documents(const struct backup_record *r)
{
    struct view value;
    for (size_t i = 0; i < r->change_count; i++) {
        const struct change *c = &r->changes[i];
        MUST(c->kind < DOC_KIND_COUNT && c->key.n && c->key.n <= DOC_KEY_MAX && c->doc.n <= DOC_MAX);
        MUST(json_check(c->doc, JSON_OURS, &value, NULL));
    }
}

static void check(const struct backup_record *r)
{
    bool of_tenant = r->kind == BACKUP_TENANT || r->kind == BACKUP_HEAD;
    MUST(!of_tenant || tenant_id_valid(view_of(r->tenant_id)));
    MUST(r->kind != BACKUP_HEAD || (*r->head.epoch && r->head.n));
    MUST(r->kind != BACKUP_CHANNEL ||
         (*r->channel.phone_number_id && tenant_id_valid(view_of(r->channel.tenant_id))));
    MUST(r->kind != BACKUP_END || strlen(r->digest) == BACKUP_DIGEST_SIZE - 1);
    if (r->kind == BACKUP_DOCUMENTS)
        check_documents(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct backup_record record = {.kind = BACKUP_HEADER};
    struct err err = {0};
    size_t lines = 0;
    FILE *in = size ? fmemopen((void *)(uintptr_t)data, size, "r") : NULL;
    if (!in)
        return 0;
    struct backup_reader *r = backup_reader_create(in);
    while ((record.kind != BACKUP_END || !lines) && backup_read(r, &record, &err)) {
        check(&record);
        MUST(++lines <= size);
    }
    MUST(record.kind == BACKUP_END || err.code == ERR_INVALID || err.code == ERR_UNAVAILABLE);
    backup_reader_destroy(r);
    fclose(in);
    return 0;
}
