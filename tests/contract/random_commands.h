/* Random commands for several writers of one tenant, all at odds with each other: the same webhook from both,
 * a receipt before its message, an Idempotency-Key used twice, for other things, too. A row of numbers gives
 * the same commands everywhere. And whether everything that was answered is in the log.
 *
 * Outcomes live in memory that processes share, so that one of them may die. Thread: each row of outcomes has
 * one writer; dealing and checking are the test's own. */
#ifndef TESTS_CONTRACT_RANDOM_COMMANDS_H
#define TESTS_CONTRACT_RANDOM_COMMANDS_H

#include "state-manager/core/command.h"
#include "state-manager/core/model.h"
#include "tests/contract/log_audit.h"
#include <stdatomic.h>

enum { DEAL_WRITERS = 2, DEAL_COMMANDS_MAX = 512, DEAL_BODY_SIZE = 400, DEAL_REPLY_SIZE = 512 };

struct wish {
    enum command_type type;
    char conversation_id[MODEL_ID_SIZE];
    char key[16]; /* Idempotency-Key, "": none */
    char body[DEAL_BODY_SIZE];
    char identity[128]; /* what the log must hold once when it was answered; "": nothing of its own */
    int64_t version;    /* that the caller has seen; 0: does not say */
    bool closes_batch;
};

struct outcome {
    atomic_int tries; /* of the sender */
    atomic_bool answered;
    bool ok, duplicate;
    int64_t version;
    char reply[DEAL_REPLY_SIZE];
};

struct deal {
    size_t count; /* of each writer */
    struct wish wishes[DEAL_WRITERS][DEAL_COMMANDS_MAX];
    struct outcome outcomes[DEAL_WRITERS][DEAL_COMMANDS_MAX];
};

struct deal *deal_create(int seed, size_t count);
void deal_destroy(struct deal *deal);

/* The first command of a writer's that is not answered; count: all are. */
size_t deal_next(const struct deal *deal, int writer);
/* Gives a writer's commands from there on to the store, to the end of their batch, until they are in it or
 * refused; another writer may be first any number of times. False: the store failed. */
bool deal_commit(struct deal *deal, int writer, size_t from, struct store *store, struct err *err) MUSTCHECK;

/* Everything that was answered well is in the log, once. Ends the test when something is not. */
void deal_check(const struct deal *deal, const struct audit *audit);

#endif
