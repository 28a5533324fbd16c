#include "portalctl/feed.h"
#include "portalctl/feed_lines.h"
#include "shared/clock.h"
#include "shared/compiler.h"
#include "shared/crypto.h"
#include "shared/json.h"
#include "shared/mem.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    WAMID_SIZE = 64,
    PHONE_SIZE = 16,
    RECEIPTS_MAX = 32, /* outstanding */
    RECEIPTS_HIGH = 8, /* with more than these the next body is receipts */
    MEDIA_HASH_BYTES = 32
};

const char feed_display_number[] = "15550100200";

struct customer {
    const char *name;
    char phone[PHONE_SIZE];
    const struct line *next;   /* what is said next */
    char answered[WAMID_SIZE]; /* the agent's last message, "" before the first */
};

/* An agent's message whose receipts are not all out. */
struct receipt {
    char id[WAMID_SIZE], phone[PHONE_SIZE];
    size_t step; /* in receipt_steps */
};

struct feed {
    const char *number;
    struct customer *customers;
    size_t customer_count;
    struct receipt receipts[RECEIPTS_MAX];
    size_t receipt_count;
};

static const char *const receipt_steps[] = {"sent", "delivered", "read"};

static size_t random_below(size_t limit)
{
    uint32_t number;
    crypto_random(&number, sizeof number);
    return number % limit;
}

struct feed *feed_create(const char *number, size_t contacts)
{
    struct feed *feed = xcalloc(1, sizeof *feed);
    feed->number = number;
    feed->customers = xcalloc(contacts, sizeof *feed->customers);
    feed->customer_count = contacts;
    for (size_t i = 0; i < contacts; i++) {
        struct customer *c = &feed->customers[i];
        c->name = feed_names[i % feed_name_count];
        c->next = feed_talks[random_below(feed_talk_count)];
        /* 07700 900000 to 900999 belong to nobody (Ofcom's numbers for drama). */
        snprintf(c->phone, sizeof c->phone, "%" PRIu64, (uint64_t)447700900100 + i);
    }
    return feed;
}

void feed_destroy(struct feed *feed)
{
    free(feed->customers);
    free(feed);
}

/* --- pieces of a body --- */

static void begin(struct json_writer *w, const struct feed *feed)
{
    jw_begin(w, '{');
    jw_key_text(w, "object", "whatsapp_business_account");
    jw_key(w, "entry");
    jw_begin(w, '[');
    jw_begin(w, '{');
    jw_key_text(w, "id", "300000000000001");
    jw_key(w, "changes");
    jw_begin(w, '[');
    jw_begin(w, '{');
    jw_key(w, "value");
    jw_begin(w, '{');
    jw_key_text(w, "messaging_product", "whatsapp");
    jw_key(w, "metadata");
    jw_begin(w, '{');
    jw_key_text(w, "display_phone_number", feed_display_number);
    jw_key_text(w, "phone_number_id", feed->number);
    jw_end(w, '}');
}

static void end(struct json_writer *w, const char *field)
{
    jw_end(w, '}');
    jw_key_text(w, "field", field);
    jw_end(w, '}');
    jw_end(w, ']');
    jw_end(w, '}');
    jw_end(w, ']');
    jw_end(w, '}');
}

static void put_now(struct json_writer *w)
{
    char seconds[24];
    snprintf(seconds, sizeof seconds, "%" PRId64, clock_wall_ms() / 1000);
    jw_key_text(w, "timestamp", seconds);
}

static void put_contact(struct json_writer *w, const struct customer *c)
{
    jw_key(w, "contacts");
    jw_begin(w, '[');
    jw_begin(w, '{');
    jw_key(w, "profile");
    jw_begin(w, '{');
    jw_key_text(w, "name", c->name);
    jw_end(w, '}');
    jw_key_text(w, "wa_id", c->phone);
    jw_end(w, '}');
    jw_end(w, ']');
}

static void put_text(struct json_writer *w, const char *text)
{
    jw_key_text(w, "type", "text");
    jw_key(w, "text");
    jw_begin(w, '{');
    jw_key_text(w, "body", text);
    jw_end(w, '}');
}

static void put_picture(struct json_writer *w, const char *caption)
{
    unsigned char hash[MEDIA_HASH_BYTES];
    char text[2 * MEDIA_HASH_BYTES], id[24];
    crypto_random(hash, sizeof hash);
    crypto_base64url(hash, sizeof hash, text);
    snprintf(id, sizeof id, "91%013zu", random_below(1000000000));
    jw_key_text(w, "type", "image");
    jw_key(w, "image");
    jw_begin(w, '{');
    jw_key_text(w, "caption", caption);
    jw_key_text(w, "mime_type", "image/jpeg");
    jw_key_text(w, "sha256", text);
    jw_key_text(w, "id", id);
    jw_end(w, '}');
}

/* --- bodies --- */

static void say(struct feed *feed, struct customer *c, struct json_writer *w)
{
    char id[WAMID_SIZE];
    crypto_random_id("wamid.HBgMNDQ3NzAw", id);
    begin(w, feed);
    put_contact(w, c);
    jw_key(w, "messages");
    jw_begin(w, '[');
    jw_begin(w, '{');
    jw_key_text(w, "from", c->phone);
    jw_key_text(w, "id", id);
    put_now(w);
    if (*c->answered && random_below(4) == 0) { /* a quoting reply */
        jw_key(w, "context");
        jw_begin(w, '{');
        jw_key_text(w, "from", feed_display_number);
        jw_key_text(w, "id", c->answered);
        jw_end(w, '}');
    }
    if (c->next->kind == LINE_PICTURE)
        put_picture(w, c->next->text);
    else
        put_text(w, c->next->text);
    jw_end(w, '}');
    jw_end(w, ']');
    end(w, "messages");
}

static void await_receipts(struct feed *feed, const struct customer *c)
{
    if (feed->receipt_count == RECEIPTS_MAX)
        return;
    struct receipt *r = &feed->receipts[feed->receipt_count++];
    *r = (struct receipt){.step = 0};
    snprintf(r->id, sizeof r->id, "%s", c->answered);
    snprintf(r->phone, sizeof r->phone, "%s", c->phone);
}

static void answer(struct feed *feed, struct customer *c, struct json_writer *w)
{
    crypto_random_id("wamid.HBgMNDQ3NzAwERgS", c->answered);
    begin(w, feed);
    jw_key(w, "message_echoes");
    jw_begin(w, '[');
    jw_begin(w, '{');
    jw_key_text(w, "from", feed_display_number);
    jw_key_text(w, "to", c->phone);
    jw_key_text(w, "id", c->answered);
    put_now(w);
    put_text(w, c->next->text);
    jw_end(w, '}');
    jw_end(w, ']');
    end(w, "smb_message_echoes");
    await_receipts(feed, c);
}

static void put_receipt(struct json_writer *w, const struct receipt *r)
{
    jw_begin(w, '{');
    jw_key_text(w, "id", r->id);
    jw_key_text(w, "status", receipt_steps[r->step]);
    put_now(w);
    jw_key_text(w, "recipient_id", r->phone);
    jw_end(w, '}');
}

/* The next receipt of the message that has waited longest. */
static void acknowledge(struct feed *feed, struct json_writer *w)
{
    struct receipt first = feed->receipts[0];
    begin(w, feed);
    jw_key(w, "statuses");
    jw_begin(w, '[');
    put_receipt(w, &first);
    jw_end(w, ']');
    end(w, "messages");
    /* To the end of the line, or out of it. */
    feed->receipt_count--;
    memmove(feed->receipts, feed->receipts + 1, feed->receipt_count * sizeof *feed->receipts);
    if (++first.step < countof(receipt_steps))
        feed->receipts[feed->receipt_count++] = first;
}

static void go_on(struct customer *c)
{
    c->next++;
    if (c->next->kind == LINE_END)
        c->next = feed_talks[random_below(feed_talk_count)];
}

void feed_next(struct feed *feed, struct buf *body)
{
    struct json_writer w;
    jw_init(&w, body);
    bool receipts_due = feed->receipt_count && random_below(2) == 0;
    if (receipts_due || feed->receipt_count > RECEIPTS_HIGH) {
        acknowledge(feed, &w);
        return;
    }
    struct customer *c = &feed->customers[random_below(feed->customer_count)];
    if (c->next->kind == LINE_AGENT)
        answer(feed, c, &w);
    else
        say(feed, c, &w);
    go_on(c);
}
