/*
 * What clients may say, for both protocols: a table of names of the agent portal, each with what it does and
 * answers, and the events of profiles (profile_event.h). Commands go to the state-manager and are answered
 * when they are durable.
 *
 * The answer is {"ok":true,...} or {"ok":false,"error":{"code","message"}} (on /ws an `error` message);
 * refusals are logged. Thread: the loop's.
 */
#ifndef PORTAL_GATEWAY_CORE_CLIENT_EVENT_H
#define PORTAL_GATEWAY_CORE_CLIENT_EVENT_H

#include "shared/event.h"
#include "shared/profile.h"
#include "shared/view.h"
#include <stdbool.h>
#include <stdint.h>

struct session;

enum {
    RECEIPT_ID_MAX = 128,    /* bytes of an id */
    CONVERSATION_ID_MAX = 64 /* [A-Za-z0-9_-] */
};

/* Names of rooms, to be joined or left together. */
struct room_list {
    size_t count;
    char names[PROFILE_EVENT_ROOMS_MAX][EVENT_ROOM_BYTES_MAX + 1];
};

/* How an answer finds its way: Socket.IO's ack id, or the id of a /ws message (a JSON string or number). */
struct receipt {
    bool wanted;
    uint64_t ack;
    struct view id; /* borrowed; copied by whoever keeps it */
};

/* What comes behind an event's name, as JSON; those over the maximum are ignored. */
struct arguments {
    struct view items[PROFILE_ARGUMENTS_MAX]; /* [0] is empty when there is none */
    size_t count;
};

/* An event of a live session's client (its name a JSON string). False: nobody knows the name, and nothing is
 * answered. */
bool client_event(struct session *s, struct view name, const struct arguments *args,
                  const struct receipt *receipt);
/* The same with binary values, which none of them takes. */
bool client_binary_event(struct session *s, struct view name, const struct receipt *receipt);
/* The messages of /ws that are no events. `room`: plain text. */
void client_join(struct session *s, struct view room, const struct receipt *receipt);
void client_leave(struct session *s, struct view room, const struct receipt *receipt);
/* Several rooms for one answer, all or none; for events of that name (a literal, or as long-lived). */
void client_join_all(struct session *s, const char *event, const struct room_list *rooms,
                     const struct receipt *receipt);
void client_leave_all(struct session *s, const char *event, const struct room_list *rooms,
                      const struct receipt *receipt);
void client_refresh(struct session *s, struct view token, const struct receipt *receipt);
/* The session is no longer who it was: nobody waits for its answers, and nothing it says lasts. */
void client_forget(struct session *s);

#endif
