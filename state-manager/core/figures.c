#include "state-manager/core/figures.h"
#include "shared/clock.h"
#include "shared/json.h"
#include <stdio.h>

enum { DAY_MS = 86400000 };

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
}

void figures_write(const struct figures *f, struct buf *out)
{
    struct json_writer w;
    jw_init(&w, out);
    jw_begin(&w, '{');
#define X(key, field) jw_key_i64(&w, key, f->field);
    FIGURE_FIELDS(X)
#undef X
    jw_end(&w, '}');
}

void figures_roll(struct figures *f, int64_t now_wall_ms)
{
    int64_t day = now_wall_ms / DAY_MS;
    if (f->day == day)
        return;
    f->day = day;
    f->messages_today = f->answers = f->answer_ms = 0;
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
