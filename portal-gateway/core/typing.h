/*
 * Who is typing where: `typing` {conversationId, userId, isTyping}, to the conversation's room, never to the
 * socket that says so; in the systems of profiles the same about what their typing rules name. Ephemeral:
 * passes through the exchange, is never stored, and ends by itself TYPING_MS after it was last said - at
 * whoever hears it, so that the death of the sender's gateway ends it too.
 *
 * Owner: its tenant. Thread: the loop's.
 */
#ifndef PORTAL_GATEWAY_CORE_TYPING_H
#define PORTAL_GATEWAY_CORE_TYPING_H

#include "portal-gateway/core/record.h"
#include <stdbool.h>
#include <stdint.h>

struct policy;
struct session;
struct tenant;
struct typing;

enum { TYPING_MS = 8000, TYPING_ID_MAX = 128 /* bytes */ };

/* Where somebody types, and the room that hears of it. */
struct typing_spot {
    const char *argument; /* what names it: "conversationId"; a literal, or a profile's */
    char id[TYPING_ID_MAX + 1];
    char room[EVENT_ROOM_BYTES_MAX + 1];
};

/* The one that an argument, {conversationId, ...}, names; the one of a room. False: nobody types there. */
bool typing_spot_named(const struct policy *policy, struct view argument, struct typing_spot *out);
bool typing_spot_of(const struct policy *policy, struct view room, struct typing_spot *out);

struct typing *typing_create(struct tenant *t);
void typing_destroy(struct typing *ty); /* NULL-safe */
/* The client of a session says so; the caller has checked that it may. */
void typing_say(struct typing *ty, struct session *s, const struct typing_spot *spot, bool is_typing);
/* The session goes: whatever it was typing has ended. */
void typing_forget(struct typing *ty, struct session *s);
/* A `typing` event has come from the exchange, and will be delivered. */
void typing_hear(struct typing *ty, const struct record *r, int64_t now_ms);
/* About once a second. */
void typing_tick(struct typing *ty, int64_t now_ms);

#endif
