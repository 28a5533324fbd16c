#include "state-manager/core/command.h"
#include "shared/crypto.h"
#include "shared/json.h"
#include <stdio.h>

static const struct {
    bool (*decide)(struct batch *b, struct command *c, struct err *err);
    void (*foresee)(struct batch *b, const struct command *c);
    const char *name;
} commands[] = {
#define X(type, decide, foresee, name) {decide, foresee, name},
    COMMANDS(X)
#undef X
};

/* --- Idempotency-Key: the same call again is answered as it was, another call under the same key is refused
 * --- */

enum { PRINT_SIZE = 2 + 20 + 1 };

/* What the call asks for, whoever sends it. */
static void fingerprint(const struct command *c, char out[static PRINT_SIZE])
{
    struct buf text;
    buf_init(&text, DOC_MAX);
    buf_addf(&text, "%s\n%.*s\n", commands[c->type].name, VIEW_ARG(c->conversation_id));
    if (c->operation)
        buf_addf(&text, "%s.%s\n%.*s\n", c->operation->resource->collection, c->operation->name,
                 VIEW_ARG(c->params));
    buf_add_view(&text, c->element);
    crypto_name_id("p_", buf_view(&text), out);
    buf_free(&text);
}

/* Keys are the caller's own: two users may choose the same. */
static struct view reply_key(const struct command *c, char *room, size_t size)
{
    int n = snprintf(room, size, "%.*s|%.*s", VIEW_ARG(c->author), VIEW_ARG(c->idempotency_key));
    return (struct view){room, (size_t)n};
}

/* True when the key was used before: then the call is settled, well (*ok) or badly. */
static bool answer_again(struct batch *b, struct command *c, bool *ok, struct err *err)
{
    char room[DOC_KEY_MAX], print[PRINT_SIZE];
    struct view known = batch_get(b, DOC_REPLY, reply_key(c, room, sizeof room));
    int64_t at = 0;
    bool recent = json_i64(json_get(known, "at"), &at) && batch_now(b) - at < KEY_GUESS_MS;
    if (!known.n || c->key_use == KEY_GUESSED || (c->key_use == KEY_GUESSED_REPEAT && !recent))
        return false;
    fingerprint(c, print);
    *ok = json_string_is(json_get(known, "print"), print) ||
          err_set(err, ERR_INVALID, "this Idempotency-Key was used for another call");
    if (*ok)
        buf_add_view(c->reply, json_get(known, "reply"));
    c->duplicate = *ok;
    return true;
}

static void remember_answer(struct batch *b, const struct command *c)
{
    char room[DOC_KEY_MAX], print[PRINT_SIZE];
    struct buf doc;
    struct json_writer w;
    fingerprint(c, print);
    buf_init(&doc, DOC_MAX);
    jw_init(&w, &doc);
    jw_begin(&w, '{');
    jw_key_text(&w, "print", print);
    jw_key_i64(&w, "at", batch_now(b));
    jw_key_raw(&w, "reply", buf_view(c->reply));
    jw_end(&w, '}');
    batch_put(b, DOC_REPLY, reply_key(c, room, sizeof room), (struct doc_place){.rank = batch_now(b)},
              buf_view(&doc));
    buf_free(&doc);
}

bool command_decide(struct batch *b, struct command *c, struct err *err)
{
    bool ok, keyed = c->idempotency_key.n > 0;
    batch_count_command(b);
    if (c->channel_id.n && c->element.n > ELEMENT_BYTES_MAX)
        return err_set(err, ERR_INVALID, "an element of %zu bytes", c->element.n);
    if (!keyed || !answer_again(b, c, &ok, err)) {
        ok = commands[c->type].decide(b, c, err);
        if (ok && keyed)
            remember_answer(b, c);
    }
    return !batch_failed(b, err) && ok;
}

void command_foresee(struct batch *b, const struct command *c)
{
    char room[DOC_KEY_MAX];
    batch_want(b, DOC_FIGURES, VIEW("all"));
    if (c->idempotency_key.n)
        batch_want(b, DOC_REPLY, reply_key(c, room, sizeof room));
    if (commands[c->type].foresee)
        commands[c->type].foresee(b, c);
}

const char *command_name(enum command_type type)
{
    return commands[type].name;
}
