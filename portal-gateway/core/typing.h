/*
 * Who is typing in which conversation: `typing` {conversationId, userId, isTyping}, to the conversation's
 * room, never to the socket that says so. Ephemeral: passes through the exchange, is never stored, and ends
 * by itself TYPING_MS after it was last said - at whoever hears it, so that the death of the sender's gateway
 * ends it too.
 *
 * Owner: its tenant. Thread: the loop's.
 */
#ifndef PORTAL_GATEWAY_CORE_TYPING_H
#define PORTAL_GATEWAY_CORE_TYPING_H

#include "portal-gateway/core/record.h"
#include <stdbool.h>
#include <stdint.h>

struct session;
struct tenant;
struct typing;

enum { TYPING_MS = 8000 };

struct typing *typing_create(struct tenant *t);
void typing_destroy(struct typing *ty); /* NULL-safe */
/* The client of a session says so; the caller has checked that it may. */
void typing_say(struct typing *ty, struct session *s, const char *conversation_id, bool is_typing);
/* The session goes: whatever it was typing has ended. */
void typing_forget(struct typing *ty, struct session *s);
/* A `typing` event has come from the exchange, and will be delivered. */
void typing_hear(struct typing *ty, const struct record *r, int64_t now_ms);
/* About once a second. */
void typing_tick(struct typing *ty, int64_t now_ms);

#endif
