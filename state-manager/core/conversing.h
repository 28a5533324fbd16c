/*
 * What the message commands share: finding the conversation of a customer, putting a message into it,
 * announcing. Thread: the committer's, within a batch.
 */
#ifndef STATE_MANAGER_CORE_CONVERSING_H
#define STATE_MANAGER_CORE_CONVERSING_H

#include "state-manager/core/command.h"
#include "state-manager/core/model.h"

/* Who the customer is; raw slices, empty where unknown. Key: group, else user id, else wa_id (facts page, 3).
 */
struct party {
    struct view group_id, user_id, wa_id, name, username;
};

/* A conversation in work: as it was and as it will be. */
struct talk {
    struct conversation before, now;
    bool is_new;
    char summary[80]; /* what now.last_message may point to */
};

/* Finds the conversation of a party under any name that it has had, or starts one; learns new names. False:
 * the party has no usable name (INVALID). */
bool talk_open(struct batch *b, struct view channel_id, const struct party *party, struct talk *out,
               struct err *err) MUSTCHECK;
/* Foretells what talk_open() reads. */
void party_want(struct batch *b, struct view channel_id, const struct party *party);
/* Opens one by its id. NOT_FOUND. */
bool talk_load(struct batch *b, struct view conversation_id, struct talk *out, struct err *err) MUSTCHECK;
/* The message becomes part of the conversation: last message, unread, waiting, figures. Writes both
 * documents. */
void talk_add(struct batch *b, struct talk *t, const struct message *m);
/* The customer of an open conversation has these names, too, from now on; they show in it. */
void talk_rename(struct batch *b, struct view channel_id, const struct talk *t, const struct party *party);
/* Something about the conversation itself changed: new version, figures, announced. */
void talk_change(struct batch *b, struct talk *t);
void talk_announce(struct batch *b, const struct talk *t); /* conversation_update */

/* Puts a message's document in its place. */
void message_put(struct batch *b, const struct message *m);
/* The message with this wamid on this channel, under whichever id. False: there is none. */
bool message_find(struct batch *b, struct view channel_id, struct view wamid, struct message *out) MUSTCHECK;
/* Foretells what message_find() and receipts_unpark() read. */
void message_want(struct batch *b, struct view channel_id, struct view wamid);
/* Does what an edit, a revoke or a system message says; the message itself is in the conversation already.
 * amend.c. */
void message_amend(struct batch *b, struct command *c, const struct talk *t, const struct message *m);
/* Applies a receipt (raw status element); true when it was new. Announces when it moved the message's status.
 */
bool receipt_apply(struct batch *b, struct message *m, struct view receipt);
/* Where receipts wait for their message. */
struct view parked_key(struct view channel_id, struct view wamid, char *room, size_t size);
/* Applies what came before its message. */
void receipts_unpark(struct batch *b, struct view channel_id, struct view wamid, struct message *m);

/* The content of a message element of WhatsApp's: type, text or caption, media, reply, errors, raw. `media`
 * collects what has to be built; the message's slices point into it. */
void content_read(struct view element, struct message *m, struct buf *media);
/* Unix seconds, as string or number, as wall ms; otherwise `fallback`. */
int64_t unix_seconds(struct view value, int64_t fallback);
/* A quoted JSON string of plain name characters. */
struct view quoted(struct view plain, char *room, size_t size);

#endif
