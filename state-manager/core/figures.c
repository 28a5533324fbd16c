#include "state-manager/core/figures.h"
#include "shared/clock.h"
#include "shared/json.h"
#include <stdio.h>
#include <string.h>

/* field of the document, member of the struct */
#define FIGURE_FIELDS(X)               \
    X("active", active)                \
    X("waiting", waiting)              \
    X("day", day)                      \
    X("messagesToday", messages_today) \
    X("answers", answers)              \
    X("answerMs", answer_ms)

void figures_read(struct view doc, struct figures *out)
{
    *out = (struct figures){0};
#define X(key, field)                               \
    if (!json_i64(json_get(doc, key), &out->field)) \
        out->field = 0;
    FIGURE_FIELDS(X)
#undef X
    struct view zone = json_get(doc, "timeZone");
    if (!json_copy_string(zone, out->time_zone, sizeof out->time_zone) || !*out->time_zone)
        memcpy(out->time_zone, ZONE_UTC, sizeof ZONE_UTC);
}

void figures_write(const struct figures *f, struct buf *out)
{
    struct json_writer w;
    jw_init(&w, out);
    jw_begin(&w, '{');
#define X(key, field) jw_key_i64(&w, key, f->field);
    FIGURE_FIELDS(X)
#undef X
    jw_key_text(&w, "timeZone", f->time_zone);
    jw_end(&w, '}');
}

static const struct zone *zone_of(const struct figures *f)
{
    const struct zone *zone = zone_find(f->time_zone);
    return zone ? zone : zone_find(ZONE_UTC);
}

void figures_roll(struct figures *f, int64_t now_wall_ms)
{
    const struct zone *zone = zone_of(f);
    int64_t day = zone_day(zone, now_wall_ms);
    bool is_behind = day < f->day && zone_day(zone, now_wall_ms + CLOCK_STEP_MAX_MS) >= f->day;
    if (day == f->day || is_behind)
        return;
    f->day = day;
    f->messages_today = f->answers = f->answer_ms = 0;
}

bool figures_is_stale(const struct figures *f, int64_t now_wall_ms)
{
    struct figures today = *f;
    figures_roll(&today, now_wall_ms);
    return today.day != f->day && f->messages_today;
}

bool figures_set_zone(struct figures *f, const char *time_zone, int64_t now_wall_ms)
{
    const struct zone *zone = zone_find(time_zone);
    if (!zone)
        return false;
    figures_roll(f, now_wall_ms);
    if (strcmp(f->time_zone, time_zone) != 0) {
        memset(f->time_zone, 0, sizeof f->time_zone); /* equal figures are equal bytes */
        memcpy(f->time_zone, time_zone, strlen(time_zone));
        f->day = zone_day(zone, now_wall_ms);
    }
    return true;
}

void figures_conversation(struct figures *f, const struct conversation *before,
                          const struct conversation *after)
{
    f->active += !after->closed - (before && !before->closed);
    f->waiting += conversation_is_waiting(after) - (before && conversation_is_waiting(before));
}

void figures_message(struct figures *f)
{
    f->messages_today++;
}

void figures_answer(struct figures *f, int64_t waited_ms)
{
    f->answers++;
    f->answer_ms += waited_ms > 0 ? waited_ms : 0;
}

void figures_show(const struct figures *f, int64_t now_wall_ms, struct buf *out)
{
    struct figures today = *f;
    figures_roll(&today, now_wall_ms);
    char now[CLOCK_ISO_SIZE];
    clock_iso(now_wall_ms, now);
    int64_t tenths = today.answers ? today.answer_ms / today.answers / 100 : 0;
    struct json_writer w;
    jw_init(&w, out);
    jw_begin(&w, '{');
    jw_key_i64(&w, "activeConversations", today.active);
    jw_key_i64(&w, "waitingConversations", today.waiting);
    jw_key_i64(&w, "totalMessagesToday", today.messages_today);
    char average[32];
    snprintf(average, sizeof average, "%lld.%lld", (long long)(tenths / 10), (long long)(tenths % 10));
    jw_key_raw(&w, "avgResponseTime", view_of(average));
    jw_key_text(&w, "timestamp", now);
    jw_end(&w, '}');
}
