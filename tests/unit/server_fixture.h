/*
 * A server on a free port with a handler that does what paths and messages say, and clients on plain sockets,
 * all in one thread: whoever waits for bytes turns the loop meanwhile.
 *
 * Paths: /hold keeps the request, /big answers BIG_BYTES, /lasting what `lasting` says, /close closes after
 * the reply, /echo/... tells what it got, everything else is "ok". Messages: "close", "close0", "abort" do
 * that, "flood" sends until the socket takes no more, everything else is echoed. Upgrades are refused at
 * /forbidden.
 */
#ifndef TESTS_UNIT_SERVER_FIXTURE_H
#define TESTS_UNIT_SERVER_FIXTURE_H

#include "shared/loop.h"
#include "shared/server.h"
#include "shared/view.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BIG_BYTES = 6 << 20, HELD_MAX = 600, MAX_BODY = 4000, MAX_MESSAGE = 2000, FLOOD_BYTES = 100000 };

struct fixture {
    struct loop *loop;
    struct server *server;
    size_t other_files; /* that somebody else has open */
    uint64_t held[HELD_MAX];
    size_t held_count, gone, heads, requests, opened, closed, messages, writables;
    uint64_t head; /* the last one asked about */
    /* Set before fixture_start(). */
    bool asks_heads;        /* bodies over MAX_BODY are refused by on_head */
    size_t max_connections; /* 0: HELD_MAX */
    struct server_handler handler;
    struct view lasting; /* what /lasting answers, without a copy */
    size_t flooded;      /* bytes that ws_write() took */
    bool is_flooding;
    struct ws *ws;       /* the last one opened */
    char protocol[2000]; /* what the last upgrade offered */
    /* What the last fixture_read() saw. */
    char *bytes;
    size_t count, capacity;
    bool eof;
};

void fixture_start(struct fixture *f);
void fixture_stop(struct fixture *f);
/* Turns the loop for so long, sleeping in between. */
void fixture_turn(struct fixture *f, int ms);
int fixture_dial(struct fixture *f);
void fixture_send(struct fixture *f, int fd, struct view bytes);
/* Reads until the end, or until nothing has come for quiet_ms. Valid until the next call. */
struct view fixture_read(struct fixture *f, int fd, int quiet_ms);
/* Sends, reads, closes. */
struct view fixture_ask(struct fixture *f, const char *request);
void fixture_answer_held(struct fixture *f);
/* Opens a WebSocket, with these headers besides the usual ones. */
int fixture_upgrade(struct fixture *f, const char *headers);
/* How often the text occurs in what was read. */
size_t fixture_seen(const struct fixture *f, const char *text);

#endif
