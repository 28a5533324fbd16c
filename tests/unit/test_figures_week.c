/*
 * Weeks of a tenant's life, in zones with and without a change of the clocks: random messages, closings and
 * repeats, decided by two state-managers whose clocks differ and which get in each other's way, with the
 * store closed and opened now and then. After every entry the figures are what a recount of the whole history
 * says, which knows neither the zone library nor the document.
 */
#include "shared/clock.h"
#include "shared/json.h"
#include "state-manager/core/batch.h"
#include "state-manager/core/command.h"
#include "state-manager/core/model.h"
#include "tests/contract/store_fixture.h"
#include "tests/unit/dice.h"
#include "tests/unit/suites.h"
#include <stdio.h>
#include <string.h>

enum {
    MINUTE_MS = 60000,
    DAY_MS = 86400000,
    CONTACTS = 12,
    HAPPENED_MAX = 6000,
    STEPS_MAX = 4,
    BEHIND_MS = 3000 /* the second state-manager's clock */
};

/* The offset of the zone's clock, in minutes, before and after a moment of that week. */
static const struct week {
    const char *zone, *start, *change;
    int before, after;
} weeks[] = {
    {"UTC", "2024-02-26T09:00:00.000Z", "2024-02-26T09:00:00.000Z", 0, 0}, /* February 29th */
    {"Europe/Berlin", "2024-10-24T09:00:00.000Z", "2024-10-27T01:00:00.000Z", 120, 60},
    {"America/New_York", "2024-03-07T09:00:00.000Z", "2024-03-10T07:00:00.000Z", -300, -240},
    {"America/Havana", "2024-10-31T09:00:00.000Z", "2024-11-03T05:00:00.000Z", -240, -300}, /* at midnight */
    {"Asia/Beirut", "2024-03-28T09:00:00.000Z", "2024-03-30T22:00:00.000Z", 120, 180},      /* at midnight */
    {"Asia/Kathmandu", "2024-12-28T09:00:00.000Z", "2024-12-28T09:00:00.000Z", 345, 345},   /* New Year */
    {"Australia/Lord_Howe", "2024-04-03T09:00:00.000Z", "2024-04-06T15:00:00.000Z", 660, 630},
    {"Pacific/Chatham", "2024-09-26T09:00:00.000Z", "2024-09-28T14:00:00.000Z", 765, 825},
    {"Pacific/Kiritimati", "2024-06-01T09:00:00.000Z", "2024-06-01T09:00:00.000Z", 840, 840},
    {"America/Los_Angeles", "2024-06-01T09:00:00.000Z", "2024-06-01T09:00:00.000Z", -420, -420},
};

enum what { INBOUND, PORTAL, PHONE, CLOSE, REOPEN };

/* What is to be decided; `wamid` names messages that come by webhook. */
struct step {
    enum what what;
    int contact, wamid;
    int64_t sent; /* by the sender's clock */
};

/* What was accepted. */
struct happening {
    struct step step;
    int64_t at, day;  /* acceptance; the tenant's day then */
    int64_t answered; /* ms that the customer had waited for this answer, -1: it is none */
};

static struct store_fixture store;
static const struct week *week;
static struct happening happened[HAPPENED_MAX];
static size_t happened_n;
static int wamids;
static int64_t start_ms, change_ms;

/* --- the recount -----------------------------------------------------------------------------------------
 */

static int64_t day_of(int64_t at)
{
    return (at + (int64_t)(at < change_ms ? week->before : week->after) * MINUTE_MS) / DAY_MS;
}

/* A day that has begun does not come back: the clocks differ. */
static int64_t today(int64_t now)
{
    int64_t day = day_of(now);
    for (size_t i = 0; i < happened_n; i++)
        day = happened[i].day > day ? happened[i].day : day;
    return day;
}

static bool is_message(const struct happening *h)
{
    return h->step.what <= PHONE;
}

/* Whether it was the newest message of its conversation by its sender's clock when it came. */
static bool in_place(size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (is_message(&happened[i]) && happened[i].step.contact == happened[n].step.contact &&
            happened[i].step.sent > happened[n].step.sent)
            return false;
    return true;
}

/* The oldest inbound message with no answer before this one. */
static int64_t waited(size_t n)
{
    int64_t since = 0;
    if (happened[n].step.what == INBOUND || !is_message(&happened[n]) || !in_place(n))
        return -1;
    for (size_t i = n; i-- > 0;) {
        if (happened[i].step.contact != happened[n].step.contact || !is_message(&happened[i]) || !in_place(i))
            continue;
        if (happened[i].step.what != INBOUND)
            break;
        since = happened[i].at;
    }
    if (!since)
        return -1;
    return happened[n].at > since ? happened[n].at - since : 0;
}

/* The newest message of a conversation; NULL: there is none. */
static const struct happening *last_of(int contact)
{
    const struct happening *last = NULL;
    for (size_t i = 0; i < happened_n; i++)
        if (is_message(&happened[i]) && happened[i].step.contact == contact &&
            (!last || happened[i].step.sent >= last->step.sent))
            last = &happened[i];
    return last;
}

static bool is_closed(int contact)
{
    bool closed = false;
    for (size_t i = 0; i < happened_n; i++)
        if (happened[i].step.contact == contact)
            closed = happened[i].step.what == CLOSE ||
                     (closed && happened[i].step.what != INBOUND && happened[i].step.what != REOPEN);
    return closed;
}

/* The figures as GET .../stats would show them, without the time. */
static void recount(int64_t now, char *out, size_t size)
{
    int active = 0, waiting = 0, messages = 0, answers = 0;
    int64_t waited_ms = 0, day = today(now);
    for (int contact = 0; contact < CONTACTS; contact++) {
        const struct happening *last = last_of(contact);
        active += last && !is_closed(contact);
        waiting += last && !is_closed(contact) && last->step.what == INBOUND;
    }
    for (size_t i = 0; i < happened_n; i++)
        if (happened[i].day == day && is_message(&happened[i])) {
            messages++;
            answers += happened[i].answered >= 0;
            waited_ms += happened[i].answered >= 0 ? happened[i].answered : 0;
        }
    int64_t tenths = answers ? waited_ms / (100 * answers) : 0;
    snprintf(out, size,
             "{\"activeConversations\":%d,\"waitingConversations\":%d,\"totalMessagesToday\":%d,"
             "\"avgResponseTime\":%lld.%lld,",
             active, waiting, messages, (long long)tenths / 10, (long long)tenths % 10);
}

/* Whether a dashboard would show what is over. */
static bool is_stale(int64_t now)
{
    int64_t latest = 0;
    bool counted = false;
    for (size_t i = 0; i < happened_n; i++)
        latest = happened[i].day > latest ? happened[i].day : latest;
    for (size_t i = 0; i < happened_n; i++)
        counted |= happened[i].day == latest && is_message(&happened[i]);
    return counted && today(now) != latest;
}

static void compare(int64_t now)
{
    struct buf doc, shown;
    struct figures figures;
    char expected[240];
    bool found;
    buf_init(&doc, DOC_MAX);
    buf_init(&shown, DOC_MAX);
    ck_assert(store.reader->ops->get(store.reader, "t1", DOC_FIGURES, VIEW("all"), &doc, &found, NULL) &&
              found);
    figures_read(buf_view(&doc), &figures);
    figures_show(&figures, now, &shown);
    recount(now, expected, sizeof expected);
    ck_assert_msg(view_starts(buf_view(&shown), expected), "%s, %zu things happened\n%s\n%s", week->zone,
                  happened_n, shown.data, expected);
    ck_assert_msg(figures_is_stale(&figures, now) == is_stale(now), "%s: %s", week->zone, shown.data);
    buf_free(&doc);
    buf_free(&shown);
}

/* --- the life --------------------------------------------------------------------------------------------
 */

static const enum command_type command_types[] = {[INBOUND] = COMMAND_INBOUND,
                                                  [PORTAL] = COMMAND_OUTBOUND,
                                                  [PHONE] = COMMAND_ECHO,
                                                  [CLOSE] = COMMAND_PATCH,
                                                  [REOPEN] = COMMAND_PATCH};

static void decide_step(struct batch *b, const struct step *s)
{
    char element[240], name[24], id[MODEL_ID_SIZE];
    struct err err = {0};
    struct buf reply;
    snprintf(name, sizeof name, "w:4477009%05d", s->contact);
    conversation_id_for(VIEW("100"), view_of(name), id);
    bool call = s->what != INBOUND && s->what != PHONE;
    if (call)
        snprintf(element, sizeof element, "%s",
                 s->what == PORTAL  ? "{\"text\":\"hello\"}"
                 : s->what == CLOSE ? "{\"status\":\"closed\"}"
                                    : "{\"status\":\"open\"}");
    else
        snprintf(element, sizeof element,
                 "{\"%s\":\"%s\",\"id\":\"wamid.%d\",\"timestamp\":\"%lld\",\"type\":\"text\","
                 "\"text\":{\"body\":\"hi\"}}",
                 s->what == INBOUND ? "from" : "to", name + 2, s->wamid, (long long)s->sent / 1000);
    buf_init(&reply, DOC_MAX);
    struct command c = {.type = command_types[s->what],
                        .element = view_of(element),
                        .channel_id = call ? (struct view){NULL, 0} : VIEW("100"),
                        .conversation_id = call ? view_of(id) : (struct view){NULL, 0},
                        .author = VIEW("agent-1"),
                        .reply = &reply};
    ck_assert_msg(command_decide(b, &c, &err), "%s: %s", element, err.text);
    buf_free(&reply);
}

/* Writes down a step that was accepted; a message that was there already is none. */
static void write_down(const struct step *step, int64_t now)
{
    const struct happening *last = last_of(step->contact);
    for (size_t i = 0; i < happened_n; i++)
        if (step->wamid && happened[i].step.wamid == step->wamid)
            return;
    ck_assert_uint_lt(happened_n, HAPPENED_MAX);
    struct happening *h = &happened[happened_n];
    *h = (struct happening){.step = *step, .at = now, .day = today(now)};
    if (step->what == PORTAL) /* nobody answers what he has not read */
        h->step.sent = last->step.sent > now ? last->step.sent : now;
    h->answered = waited(happened_n);
    happened_n++;
}

/* The batch of a state-manager, with all steps decided. */
static struct batch *prepare(const struct step *steps, int n, int64_t now)
{
    struct err err = {0};
    struct batch *b = batch_create(store.writer, "t1", now, &err);
    ck_assert_msg(b != NULL, "%s", err.text);
    for (int i = 0; i < n; i++)
        decide_step(b, &steps[i]);
    return b;
}

static enum commit_result commit(struct batch *b)
{
    struct err err = {0};
    enum commit_result result = COMMIT_DONE;
    struct entry *e = batch_seal(b, &err);
    ck_assert_msg(!err.code, "%s", err.text);
    if (e) {
        ck_assert_msg(store.writer->ops->commit(store.writer, &e, 1, &err), "%s", err.text);
        result = e->result;
    }
    batch_destroy(b);
    return result;
}

static enum what choose_what(int contact)
{
    int chance = dice(100);
    if (chance < 50 || !last_of(contact))
        return INBOUND;
    if (chance < 75)
        return PORTAL;
    if (chance < 85)
        return PHONE;
    return is_closed(contact) ? REOPEN : CLOSE;
}

static struct step choose_step(int64_t now)
{
    struct step s = {.contact = dice(CONTACTS), .sent = now / 1000 * 1000};
    if (happened_n && !dice(3)) /* the next word in the same conversation */
        s.contact = happened[happened_n - 1].step.contact;
    if (!dice(20)) /* the last webhook again; its message is there */
        for (size_t i = happened_n; i-- > 0;)
            if (happened[i].step.wamid)
                return happened[i].step;
    s.what = choose_what(s.contact);
    if (s.what == INBOUND || s.what == PHONE) {
        s.wamid = ++wamids;
        if (!dice(6)) /* it was long on its way */
            s.sent -= (int64_t)dice(6 * 3600) * 1000;
    }
    return s;
}

/* One state-manager commits an entry; another one that has prepared the same is refused. Steps of an entry
 * are about different conversations, so that what is chosen stays possible. */
static void one_entry(int64_t now)
{
    struct step steps[STEPS_MAX];
    int n = 0, wanted = 1 + dice(STEPS_MAX);
    int64_t times[] = {now, now - BEHIND_MS};
    int who = dice(2);
    while (n < wanted) {
        bool taken = false;
        struct step s = choose_step(times[who]);
        for (int i = 0; i < n; i++)
            taken |= steps[i].contact == s.contact;
        if (!taken)
            steps[n++] = s;
        else
            wanted--;
    }
    struct batch *late = !dice(8) ? prepare(steps, n, times[1 - who]) : NULL;
    ck_assert_int_eq(commit(prepare(steps, n, times[who])), COMMIT_DONE);
    size_t before = happened_n;
    for (int i = 0; i < n; i++)
        write_down(&steps[i], times[who]);
    if (late)
        ck_assert_int_eq(commit(late), happened_n > before ? COMMIT_CONFLICT : COMMIT_DONE);
    compare(times[dice(2)]);
}

/* How long nothing happens: crowded round midnight, at times within what the clocks differ, or a night. */
static int64_t pause_after(int64_t now)
{
    int64_t left =
        DAY_MS - (now + (int64_t)(now < change_ms ? week->before : week->after) * MINUTE_MS) % DAY_MS;
    if (left < 3 * BEHIND_MS || left > DAY_MS - 3 * BEHIND_MS)
        return 1 + dice(2 * BEHIND_MS / 3);
    if (left < 5 * MINUTE_MS || left > DAY_MS - 5 * MINUTE_MS)
        return 1 + dice(40000);
    if (!dice(4))
        return 1 + dice(2 * BEHIND_MS);
    if (!dice(40))
        return (int64_t)dice(9 * 60) * MINUTE_MS;
    int64_t pause = 1 + (int64_t)dice(60) * MINUTE_MS;
    return pause > left ? left - dice(20000) : pause;
}

static void set_zone(void)
{
    struct err err = {0};
    struct buf body, reply;
    buf_init(&body, DOC_MAX);
    buf_init(&reply, DOC_MAX);
    buf_addf(&body, "{\"timeZone\":\"%s\"}", week->zone);
    struct batch *b = batch_create(store.writer, "t1", start_ms, &err);
    struct command c = {.type = COMMAND_TENANT, .element = buf_view(&body), .reply = &reply};
    ck_assert_msg(b && command_decide(b, &c, &err), "%s", err.text);
    ck_assert_int_eq(commit(b), COMMIT_DONE);
    buf_free(&body);
    buf_free(&reply);
}

START_TEST(figures_are_what_a_recount_says)
{
    week = &weeks[_i];
    ck_assert(clock_parse_iso(week->start, &start_ms) && clock_parse_iso(week->change, &change_ms));
    happened_n = 0;
    wamids = 0;
    store = (struct store_fixture){.kind = STORE_SQLITE};
    store_fixture_open(&store);
    dice_seed(_i + 1);
    set_zone();
    int entries = 0;
    for (int64_t now = start_ms; now < start_ms + 7 * (int64_t)DAY_MS; now += pause_after(now)) {
        if (!dice(50))
            store_fixture_reopen(&store);
        one_entry(now);
        compare(now + (int64_t)dice(30 * 60) * MINUTE_MS); /* nobody writes, and the day passes */
        entries++;
    }
    ck_assert_int_gt(entries, 150);
    store_fixture_close(&store);
}
END_TEST

Suite *suite_figures_week(void)
{
    Suite *s = suite_create("figures_week");
    TCase *t = tcase_create("recount");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, figures_are_what_a_recount_says, 0, (int)countof(weeks));
    suite_add_tcase(s, t);
    return s;
}
