/*
 * Clients of the cursor's property test: each does what a stock client does - it keeps its pid and the last
 * offset, and comes back with them -, and a naive model of what it must have heard is compared with what its
 * sockets got.
 */
#ifndef TESTS_UNIT_CURSOR_CLIENT_H
#define TESTS_UNIT_CURSOR_CLIENT_H

#include "portal-gateway/core/pid.h"
#include "tests/unit/cursor_stage.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CLIENTS = 6, HEARD_MOST = 2048, CHANGES_MOST = 256 };

/* Joined or left, at that place of the log. */
struct change {
    uint64_t seq;
    int room;
    bool in;
};

/* What a frame says. */
struct said {
    enum { SAID_NOTHING, SAID_EVENT, SAID_RESYNC, SAID_LATEST } what;
    uint64_t number;          /* seq or revision */
    char offset[OFFSET_SIZE]; /* "": none */
};

struct client {
    const struct protocol *protocol;
    int user;
    /* Its sockets. */
    struct door *door;
    struct sink *link, *old; /* NULL: none; the old one is forgotten, but not closed */
    size_t read;             /* of the link's text */
    bool connected;          /* it has been told so */
    uint64_t rev;            /* of the newest value over this link */
    struct said *early;      /* what came before it was told so */
    size_t early_count;
    /* What it keeps from link to link. */
    char pid[PID_SIZE], sid[SESSION_ID_SIZE], offset[OFFSET_SIZE];
    bool is_offset_older; /* than the pid: of the session before */
    bool asking[ROOMS];   /* to join or leave, and has no answer */
    struct door *ended;   /* where it has logged out */
    bool may_be_ended;    /* it has logged out under this pid */
    /* The model. */
    uint64_t from;  /* where the last recovery is to go on */
    bool must_fail; /* it must not be recovered */
    uint64_t start; /* all up to there has been checked */
    uint64_t *got;  /* seqs heard since */
    size_t got_count;
    struct change *changes;
    size_t change_count;
    uint64_t leaving_to[ROOMS]; /* up to there it may or may not hear the room: it was about to leave */
    /* Behind a jump of the stream over a join or leave that was not acknowledged: it may or may not be in. */
    uint64_t unsure_from[ROOMS], unsure_to[ROOMS];
    bool acked[ROOMS]; /* the last join, over this link */
    bool is_in[ROOMS]; /* /ws: as the gateway has it */
    size_t recovered, heard;
};

extern struct client clients[CLIENTS];

void clients_set_up(void);
void clients_tear_down(void);
/* With another link; the one it has is dropped, or left behind open. */
void client_connect(struct client *c, struct door *d, bool leave_open);
void client_disconnect(struct client *c);
/* The old link's end is noticed. */
void client_drop_old(struct client *c);
void client_drop_door(const struct door *d);
void client_change_room(struct client *c, int room);
void client_log_out(struct client *c);
/* Reads up to that many frames. */
void client_read(struct client *c, size_t frames);
/* The links that the gateways have closed are gone. */
void clients_sweep(void);
/* All has come to rest: everybody has heard exactly what was for him. */
void clients_check(void);

#endif
