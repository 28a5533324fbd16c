#include "tests/contract/random_commands.h"
#include "shared/json.h"
#include "tests/unit/dice.h"
#include <check.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define CHANNEL "100"
enum {
    CUSTOMERS = 5,
    NOW_S = 1789200000,
    REPEAT_IN = 4, /* one in so many webhooks was sent before */
    TWICE_IN = 10,
    KEYS = 8,
    BATCH_MAX = 5,
    CONFLICT_PAUSE_NS = 2000000
};

/* --- dealing ---------------------------------------------------------------------------------------------
 */

/* How many of each there are so far; one of them is asked for again now and then. */
static struct {
    int inbound, echoes, accounts, marks;
} dealt;

static int old_or_new(int *count)
{
    return *count && !dice(REPEAT_IN) ? dice(*count) : (*count)++;
}

static void set_conversation(struct wish *w)
{
    char name[16];
    snprintf(name, sizeof name, "w:4477%02d", dice(CUSTOMERS));
    conversation_id_for(VIEW(CHANNEL), view_of(name), w->conversation_id);
}

/* Some of a customer's messages are about an earlier one, which may be nobody's or come later. */
static void want_inbound(struct wish *w)
{
    int k = old_or_new(&dealt.inbound), about = k > CUSTOMERS ? k - CUSTOMERS : k;
    char more[160];
    switch (k % 9) {
    case 5:
        snprintf(more, sizeof more,
                 "\"type\":\"reaction\",\"reaction\":{\"message_id\":\"wamid.i%d\",\"emoji\":\"x\"}", about);
        break;
    case 6:
        snprintf(more, sizeof more,
                 "\"type\":\"edit\",\"edit\":{\"original_message_id\":\"wamid.i%d\",\"message\":{\"type\":"
                 "\"text\",\"text\":{\"body\":\"edited %d\"}}}",
                 about, k);
        break;
    case 7:
        snprintf(more, sizeof more, "\"type\":\"revoke\",\"revoke\":{\"original_message_id\":\"wamid.i%d\"}",
                 about);
        break;
    default:
        snprintf(more, sizeof more, "\"type\":\"text\",\"text\":{\"body\":\"in %d\"}", k);
    }
    snprintf(w->body, sizeof w->body, "{\"id\":\"wamid.i%d\",\"from\":\"4477%02d\",\"timestamp\":\"%d\",%s}",
             k, k % CUSTOMERS, NOW_S + k * 7 % 40, more);
    snprintf(w->identity, sizeof w->identity, "new_message|\"wamid.i%d\"", k);
}

static void want_echo(struct wish *w)
{
    int k = old_or_new(&dealt.echoes);
    snprintf(w->body, sizeof w->body,
             "{\"id\":\"wamid.e%d\",\"from\":\"1555\",\"to\":\"4477%02d\",\"timestamp\":\"%d\",\"type\":"
             "\"text\",\"text\":{\"body\":\"echo %d\"}}",
             k, k % CUSTOMERS, NOW_S + k * 11 % 40, k);
    snprintf(w->identity, sizeof w->identity, "text|\"echo %d\"", k);
}

/* Of a message that was sent, or will be, or never. */
static void want_receipt(struct wish *w)
{
    static const char *const statuses[] = {"sent", "delivered", "read", "failed"};
    const char *status = statuses[dice(countof(statuses))];
    int k = dice(dealt.echoes + 3);
    snprintf(w->body, sizeof w->body, "{\"id\":\"wamid.e%d\",\"status\":\"%s\",\"timestamp\":\"%d\"}", k,
             status, NOW_S + 50);
    snprintf(w->identity, sizeof w->identity, "receipt|\"wamid.e%d\"|\"%s\"", k, status);
}

static void want_account(struct wish *w)
{
    int k = old_or_new(&dealt.accounts);
    snprintf(w->body, sizeof w->body, "{\"mark\":\"a%d\"}", k);
    snprintf(w->identity, sizeof w->identity, "account_update|\"a%d\"", k);
}

/* A name for what the call brings about: of its own, or of its key and which of two bodies goes with that. */
static void name_effect(struct wish *w, char prefix, char *mark, size_t size)
{
    if (dice(2)) {
        snprintf(mark, size, "%c%d", prefix, dealt.marks++);
    } else {
        snprintf(w->key, sizeof w->key, "%c-key-%d", prefix, dice(KEYS));
        snprintf(mark, size, "%s %d", w->key, !dice(4));
    }
}

static void want_outbound(struct wish *w)
{
    char mark[32];
    set_conversation(w);
    name_effect(w, 'o', mark, sizeof mark);
    if (*w->key) /* the same call has the same path */
        conversation_id_for(VIEW(CHANNEL), VIEW("w:447700"), w->conversation_id);
    bool is_good = *w->key || dice(8);
    snprintf(w->body, sizeof w->body, is_good ? "{\"text\":\"%s\"}" : "{\"no\":\"%s\"}", mark);
    snprintf(w->identity, sizeof w->identity, "text|\"%s\"", mark);
}

static void want_events(struct wish *w)
{
    static const char *const classes[] = {"durable", "durable", "ephemeral"};
    char mark[32];
    name_effect(w, 'e', mark, sizeof mark);
    bool is_array = !*w->key && dice(2);
    snprintf(w->body, sizeof w->body,
             "%s{\"event\":\"at_random\",\"class\":\"%s\",\"data\":{\"mark\":\"%s\"}}%s",
             is_array ? "[{\"event\":\"at_random\",\"class\":\"latest\",\"key\":\"k\"}," : "",
             *w->key ? "durable" : classes[dice(countof(classes))], mark, is_array ? "]" : "");
    snprintf(w->identity, sizeof w->identity, "at_random|\"%s\"", mark);
}

static void want_patch(struct wish *w)
{
    static const char *const changes[] = {"\"status\":\"closed\"", "\"status\":\"open\"",
                                          "\"assignee\":\"anna\"", "\"assignee\":null"};
    char version[32] = "";
    set_conversation(w);
    if (dice(2)) {
        w->version = 1 + dice(25);
        snprintf(version, sizeof version, ",\"version\":%d", (int)w->version);
    }
    snprintf(w->body, sizeof w->body, "{%s,\"tags\":[\"p%d\"]%s}", changes[dice(countof(changes))],
             dealt.marks++, version);
}

static void want_read(struct wish *w)
{
    set_conversation(w);
    snprintf(w->body, sizeof w->body, "{}");
}

static void want_correlate(struct wish *w)
{
    set_conversation(w);
    snprintf(w->body, sizeof w->body, "{\"correlationId\":\"C%d\",\"system\":\"crm\"}", dealt.marks++);
}

static void want_refresh(struct wish *w)
{
    snprintf(w->body, sizeof w->body, "{}");
}

static const struct {
    enum command_type type;
    int weight;
    void (*want)(struct wish *w);
} kinds[] = {
    {COMMAND_INBOUND, 10, want_inbound},    {COMMAND_ECHO, 4, want_echo},
    {COMMAND_RECEIPT, 6, want_receipt},     {COMMAND_ACCOUNT, 1, want_account},
    {COMMAND_OUTBOUND, 5, want_outbound},   {COMMAND_EVENTS, 4, want_events},
    {COMMAND_PATCH, 5, want_patch},         {COMMAND_READ, 2, want_read},
    {COMMAND_CORRELATE, 1, want_correlate}, {COMMAND_REFRESH, 1, want_refresh},
};

static void deal_one(struct wish *w)
{
    int total = 0, at;
    size_t kind = 0;
    for (size_t i = 0; i < countof(kinds); i++)
        total += kinds[i].weight;
    for (at = dice(total); at >= kinds[kind].weight; kind++)
        at -= kinds[kind].weight;
    w->type = kinds[kind].type;
    kinds[kind].want(w);
}

static bool is_call_without_key(const struct wish *w)
{
    return (w->type == COMMAND_OUTBOUND || w->type == COMMAND_EVENTS) && !*w->key;
}

/* The same again, in the same batch. What has nothing to be known by would be done twice, and rightly. */
static void repeat(struct wish *w, const struct wish *earlier)
{
    bool closes_batch = w->closes_batch;
    if (is_call_without_key(earlier))
        return;
    *w = *earlier;
    w->closes_batch = closes_batch;
}

struct deal *deal_create(int seed, size_t count)
{
    struct deal *deal = mmap(NULL, sizeof *deal, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert(deal != MAP_FAILED && count <= DEAL_COMMANDS_MAX);
    memset(&dealt, 0, sizeof dealt);
    dice_seed(seed);
    deal->count = count;
    for (size_t i = 0; i < count; i++)
        for (int writer = 0; writer < DEAL_WRITERS; writer++) {
            struct wish *w = &deal->wishes[writer][i];
            deal_one(w);
            w->closes_batch = i + 1 == count || !dice(BATCH_MAX / 2 + 1);
            if (i && !deal->wishes[writer][i - 1].closes_batch && !dice(TWICE_IN))
                repeat(w, &deal->wishes[writer][i - 1]);
        }
    return deal;
}

void deal_destroy(struct deal *deal)
{
    munmap(deal, sizeof *deal);
}

/* --- committing ------------------------------------------------------------------------------------------
 */

size_t deal_next(const struct deal *deal, int writer)
{
    size_t i = 0;
    while (i < deal->count && atomic_load(&deal->outcomes[writer][i].answered))
        i++;
    return i;
}

static struct command command_of(const struct wish *w, struct buf *reply)
{
    return (struct command){.type = w->type,
                            .channel_id = VIEW(CHANNEL),
                            .element = view_of(w->body),
                            .field = VIEW("\"account_alerts\""),
                            .conversation_id = view_of(w->conversation_id),
                            .author = VIEW("anna"),
                            .idempotency_key = view_of(w->key),
                            .reply = reply};
}

static void note(struct outcome *o, bool ok, bool duplicate, struct view reply)
{
    o->ok = ok;
    o->duplicate = duplicate;
    if (!ok || !json_i64(json_get(reply, "version"), &o->version))
        o->version = 0;
    snprintf(o->reply, sizeof o->reply, "%.*s", VIEW_ARG(reply));
}

/* Decides commands on a batch; false: the store failed. */
static bool decide_all(struct deal *deal, int writer, size_t from, size_t to, struct batch *b,
                       struct err *err)
{
    struct buf reply;
    bool works = true;
    buf_init(&reply, DOC_MAX);
    for (size_t i = from; i < to; i++) {
        struct command c = command_of(&deal->wishes[writer][i], &reply);
        command_foresee(b, &c);
    }
    batch_fetch(b);
    for (size_t i = from; works && i < to; i++) {
        struct command c = command_of(&deal->wishes[writer][i], &reply);
        struct err refusal = {0};
        buf_clear(&reply);
        bool ok = command_decide(b, &c, &refusal);
        note(&deal->outcomes[writer][i], ok, c.duplicate, buf_view(&reply));
        works = ok || !batch_failed(b, err);
    }
    buf_free(&reply);
    return works;
}

enum attempt { ATTEMPT_DONE, ATTEMPT_LATE, ATTEMPT_FAILED };

static enum attempt try_once(struct deal *deal, int writer, size_t from, size_t to, struct store *store,
                             struct err *err)
{
    enum attempt result = ATTEMPT_FAILED;
    *err = (struct err){0};
    struct batch *b = batch_create(store, "t1", (int64_t)NOW_S * 1000, err);
    if (b && decide_all(deal, writer, from, to, b, err)) {
        struct entry *e = batch_seal(b, err);
        if (!err->code && !e)
            result = ATTEMPT_DONE;
        else if (e && store->ops->commit(store, &e, 1, err))
            result = e->result == COMMIT_DONE ? ATTEMPT_DONE : ATTEMPT_LATE;
    }
    batch_destroy(b);
    return result;
}

bool deal_commit(struct deal *deal, int writer, size_t from, struct store *store, struct err *err)
{
    enum attempt result;
    size_t to = from + 1;
    while (!deal->wishes[writer][to - 1].closes_batch)
        to++;
    for (size_t i = from; i < to; i++)
        atomic_fetch_add(&deal->outcomes[writer][i].tries, 1);
    while ((result = try_once(deal, writer, from, to, store, err)) == ATTEMPT_LATE)
        nanosleep(&(struct timespec){.tv_nsec = (writer + 1) * CONFLICT_PAUSE_NS}, NULL);
    for (size_t i = from; result == ATTEMPT_DONE && i < to; i++)
        atomic_store(&deal->outcomes[writer][i].answered, true);
    return result == ATTEMPT_DONE;
}

/* --- checking --------------------------------------------------------------------------------------------
 */

/* One effect; without a key or a name of its own, one more at the most for each time that it was sent again.
 */
static void check_effect(const struct wish *w, const struct outcome *o, const struct audit *a)
{
    size_t count = audit_count(a, w->identity), most = 1;
    if (is_call_without_key(w))
        most = (size_t)atomic_load(&o->tries);
    ck_assert_msg(count >= 1 && count <= most, "%s was answered (%s) and is in the log %zu times", w->body,
                  o->reply, count);
}

/* What the answer of a call names is there. */
static void check_reply(const struct wish *w, const struct outcome *o, const struct audit *a)
{
    char id[64], identity[96];
    struct view reply = view_of(o->reply), first;
    struct json_iter it = json_iter(reply);
    if (json_type(reply) == JSON_ARRAY && json_next_element(&it, &first))
        reply = first;
    if (w->type == COMMAND_OUTBOUND) {
        ck_assert(json_copy_string(json_get(reply, "id"), id, sizeof id));
        ck_assert_msg(audit_doc(a, DOC_MESSAGE, id).n > 0, "there is no message %s", id);
    }
    snprintf(identity, sizeof identity, "id|%.*s", VIEW_ARG(json_get(reply, "id")));
    if (w->type == COMMAND_EVENTS)
        ck_assert_msg(audit_count(a, identity) == 1, "%s is in the log %zu times", identity,
                      audit_count(a, identity));
    if (w->type == COMMAND_PATCH && w->version)
        ck_assert_int_eq(o->version, w->version + 1);
}

/* Two calls that were both answered. */
static void check_pair(const struct wish *w, const struct outcome *o, const struct wish *w2,
                       const struct outcome *o2)
{
    if (*w->key && !strcmp(w->key, w2->key)) {
        ck_assert_msg(!strcmp(w->body, w2->body), "%s for %s and for %s", w->key, w->body, w2->body);
        ck_assert_str_eq(o->reply, o2->reply);
    }
    if (w->type == COMMAND_PATCH && w2->type == COMMAND_PATCH && strcmp(w->body, w2->body) != 0 &&
        !strcmp(w->conversation_id, w2->conversation_id))
        ck_assert_msg(o->version != o2->version, "%s and %s both made version %d", w->body, w2->body,
                      (int)o->version);
}

void deal_check(const struct deal *deal, const struct audit *audit)
{
    size_t answered = 0, all = deal->count * DEAL_WRITERS;
    for (size_t i = 0; i < all; i++) {
        const struct wish *w = &deal->wishes[i % DEAL_WRITERS][i / DEAL_WRITERS];
        const struct outcome *o = &deal->outcomes[i % DEAL_WRITERS][i / DEAL_WRITERS];
        ck_assert(atomic_load(&o->answered));
        if (!o->ok)
            continue;
        answered++;
        if (*w->identity)
            check_effect(w, o, audit);
        check_reply(w, o, audit);
        for (size_t k = 0; k < i; k++) {
            const struct outcome *o2 = &deal->outcomes[k % DEAL_WRITERS][k / DEAL_WRITERS];
            if (o2->ok)
                check_pair(w, o, &deal->wishes[k % DEAL_WRITERS][k / DEAL_WRITERS], o2);
        }
    }
    ck_assert_msg(answered > all / 2, "only %zu of %zu commands were answered well", answered, all);
}
