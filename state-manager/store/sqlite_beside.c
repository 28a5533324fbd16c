#include "state-manager/store/sqlite_beside.h"
#include "shared/crypto.h"

enum { DIGEST_SIZE = 32, REASON_SIZE = 64 };

/* --- channels --------------------------------------------------------------------------------------------
 */

#define CHANNEL "phone_number_id, tenant, display, token"

static void read_channel(sqlite3_stmt *st, struct channel *out)
{
    sqlite_copy(st, 0, out->phone_number_id, sizeof out->phone_number_id);
    sqlite_copy(st, 1, out->tenant_id, sizeof out->tenant_id);
    sqlite_copy(st, 2, out->display_phone_number, sizeof out->display_phone_number);
    sqlite_copy(st, 3, out->access_token, sizeof out->access_token);
}

bool sqlite_channel_get(struct store *s, struct view channel_id, struct channel *out, bool *found,
                        struct err *err)
{
    struct sqlite_link *l = sqlite_link_of(s);
    sqlite3_stmt *st =
        sqlite_statement(l, "SELECT " CHANNEL " FROM channels WHERE phone_number_id = ?1", err);
    int step;
    *found = false;
    if (!st)
        return false;
    sqlite_bind_view(st, 1, channel_id);
    *found = sqlite_next(st, &step);
    if (*found)
        read_channel(st, out);
    return sqlite_end_rows(l, st, step, "read a channel", err);
}

bool sqlite_channel_put(struct store *s, const struct channel *channel, struct err *err)
{
    struct sqlite_link *l = sqlite_link_of(s);
    if (!sqlite_begin(l, err))
        return false;
    sqlite3_stmt *st =
        sqlite_statement(l,
                         "INSERT INTO channels(" CHANNEL ") VALUES(?1, ?2, ?3, ?4) "
                         "ON CONFLICT(phone_number_id) DO UPDATE SET tenant = ?2, display = ?3, token = ?4",
                         err);
    if (st) {
        sqlite_bind_view(st, 1, view_of(channel->phone_number_id));
        sqlite_bind_view(st, 2, view_of(channel->tenant_id));
        sqlite_bind_view(st, 3, view_of(channel->display_phone_number));
        sqlite_bind_view(st, 4, view_of(channel->access_token));
    }
    return sqlite_end(l, st && sqlite_finish(l, st, "write a channel", err), err);
}

bool sqlite_channel_delete(struct store *s, struct view channel_id, bool *found, struct err *err)
{
    struct sqlite_link *l = sqlite_link_of(s);
    size_t removed = 0;
    if (!sqlite_begin(l, err))
        return false;
    sqlite3_stmt *st = sqlite_statement(l, "DELETE FROM channels WHERE phone_number_id = ?1", err);
    if (st)
        sqlite_bind_view(st, 1, channel_id);
    bool ok = sqlite_end(l, st && sqlite_finish_counted(l, st, "delete a channel", &removed, err), err);
    *found = ok && removed > 0;
    return ok;
}

bool sqlite_channels(struct store *s, struct view after, size_t limit, store_channel_fn fn, void *ctx,
                     struct err *err)
{
    struct sqlite_link *l = sqlite_link_of(s);
    sqlite3_stmt *st = sqlite_statement(
        l, "SELECT " CHANNEL " FROM channels WHERE phone_number_id > ?1 ORDER BY phone_number_id LIMIT ?2",
        err);
    int step;
    bool more = true;
    if (!st)
        return false;
    sqlite_bind_view(st, 1, after);
    sqlite_bind_u64(st, 2, limit);
    while (more && sqlite_next(st, &step)) {
        struct channel channel;
        read_channel(st, &channel);
        more = fn(ctx, &channel);
    }
    return sqlite_end_rows(l, st, step, "walk channels", err);
}

/* --- the quarantine --------------------------------------------------------------------------------------
 */

static bool quarantine_one(struct sqlite_link *l, const struct quarantined *row, struct err *err)
{
    char digest[DIGEST_SIZE];
    crypto_name_id("q_", row->bytes, digest);
    sqlite3_stmt *st = sqlite_statement(
        l, "INSERT OR IGNORE INTO quarantine(digest, at, reason, channel, bytes) VALUES(?1, ?2, ?3, ?4, ?5)",
        err);
    if (!st)
        return false;
    sqlite_bind_view(st, 1, view_of(digest));
    sqlite3_bind_int64(st, 2, row->at_wall_ms);
    sqlite_bind_view(st, 3, view_of(row->reason));
    sqlite_bind_view(st, 4, row->channel_id);
    sqlite3_bind_blob64(st, 5, row->bytes.n ? row->bytes.p : "", row->bytes.n, SQLITE_STATIC);
    return sqlite_finish(l, st, "write to the quarantine", err);
}

bool sqlite_quarantine(struct store *s, const struct quarantined *rows, size_t count, struct err *err)
{
    struct sqlite_link *l = sqlite_link_of(s);
    if (!sqlite_begin(l, err))
        return false;
    bool ok = true;
    for (size_t i = 0; ok && i < count; i++)
        ok = quarantine_one(l, &rows[i], err);
    return sqlite_end(l, ok, err);
}

bool sqlite_waiting_channel(struct store *s, struct view after, char out[static CHANNEL_ID_SIZE], bool *found,
                            struct err *err)
{
    struct sqlite_link *l = sqlite_link_of(s);
    sqlite3_stmt *st = sqlite_statement(l,
                                        "SELECT channel FROM quarantine WHERE reason = '" QUARANTINE_NO_TENANT
                                        "' AND channel > ?1 ORDER BY channel LIMIT 1",
                                        err);
    int step;
    *found = false;
    if (!st)
        return false;
    sqlite_bind_view(st, 1, after);
    *found = sqlite_next(st, &step);
    if (*found)
        sqlite_copy(st, 0, out, CHANNEL_ID_SIZE);
    return sqlite_end_rows(l, st, step, "look for what waits", err);
}

static bool each_quarantined(struct sqlite_link *l, sqlite3_stmt *st, struct view first, size_t limit,
                             store_quarantined_fn fn, void *ctx, struct err *err)
{
    int step;
    bool more = true;
    sqlite_bind_view(st, 1, first);
    sqlite_bind_u64(st, 2, limit);
    while (more && sqlite_next(st, &step)) {
        char digest[DIGEST_SIZE], reason[REASON_SIZE];
        sqlite_copy(st, 0, digest, sizeof digest);
        sqlite_copy(st, 2, reason, sizeof reason);
        struct quarantined row = {.reason = reason,
                                  .channel_id = sqlite_view(st, 3),
                                  .bytes = sqlite_view(st, 4),
                                  .at_wall_ms = sqlite3_column_int64(st, 1)};
        more = fn(ctx, digest, &row);
    }
    return sqlite_end_rows(l, st, step, "read the quarantine", err);
}

#define QUARANTINED "SELECT digest, at, reason, channel, bytes FROM quarantine WHERE "

bool sqlite_waiting(struct store *s, struct view channel_id, size_t limit, store_quarantined_fn fn, void *ctx,
                    struct err *err)
{
    struct sqlite_link *l = sqlite_link_of(s);
    sqlite3_stmt *st = sqlite_statement(
        l, QUARANTINED "reason = '" QUARANTINE_NO_TENANT "' AND channel = ?1 ORDER BY at, digest LIMIT ?2",
        err);
    return st && each_quarantined(l, st, channel_id, limit, fn, ctx, err);
}

bool sqlite_quarantine_scan(struct store *s, struct view after, size_t limit, store_quarantined_fn fn,
                            void *ctx, struct err *err)
{
    struct sqlite_link *l = sqlite_link_of(s);
    sqlite3_stmt *st = sqlite_statement(l, QUARANTINED "digest > ?1 ORDER BY digest LIMIT ?2", err);
    return st && each_quarantined(l, st, after, limit, fn, ctx, err);
}

bool sqlite_quarantine_drop(struct store *s, const char *const *digests, size_t count, struct err *err)
{
    struct sqlite_link *l = sqlite_link_of(s);
    bool ok = true;
    if (!sqlite_begin_light(l, err))
        return false;
    for (size_t i = 0; ok && i < count; i++) {
        sqlite3_stmt *st = sqlite_statement(l, "DELETE FROM quarantine WHERE digest = ?1", err);
        if (st)
            sqlite_bind_view(st, 1, view_of(digests[i]));
        ok = st && sqlite_finish(l, st, "empty the quarantine", err);
    }
    return sqlite_end(l, ok, err);
}

bool sqlite_quarantine_expire(struct store *s, int64_t before_wall_ms, size_t limit, size_t *removed,
                              struct err *err)
{
    struct sqlite_link *l = sqlite_link_of(s);
    *removed = 0;
    if (!sqlite_begin_light(l, err))
        return false;
    sqlite3_stmt *st = sqlite_statement(l,
                                        "DELETE FROM quarantine WHERE rowid IN (SELECT rowid FROM quarantine "
                                        "WHERE at < ?1 ORDER BY at LIMIT ?2)",
                                        err);
    if (st) {
        sqlite3_bind_int64(st, 1, before_wall_ms);
        sqlite_bind_u64(st, 2, limit);
    }
    return sqlite_end(l, st && sqlite_finish_counted(l, st, "drop old bodies", removed, err), err);
}
