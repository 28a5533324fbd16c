/*
 * A webhook body of WhatsApp's Cloud API taken apart into commands: every element of every entry and change,
 * in order (facts page, sections 3 to 8). Knows no tenants; the signed phone number id goes with each
 * command. Fields of the account come without a number: they go with the only number of their entry (an entry
 * is one business account), else with the account's id, which an administrator can give to a tenant like a
 * number. Thread: any (pure).
 */
#ifndef STATE_MANAGER_CORE_WHATSAPP_H
#define STATE_MANAGER_CORE_WHATSAPP_H

#include "shared/view.h"
#include "state-manager/core/command.h"

struct whatsapp_sink {
    /* One element. The command borrows from the body. */
    void (*on_command)(void *ctx, const struct command *command);
    /* Something that cannot become a command: why, whose it is (plain, may be empty), and its bytes. */
    void (*on_quarantine)(void *ctx, const char *reason, struct view channel_id, struct view bytes);
    void *ctx;
};

/* The body is signed, so that everything in it goes somewhere. */
void whatsapp_decode(struct view body, const struct whatsapp_sink *sink);
/* A command as a body of its own, from which it can be decoded again. */
void whatsapp_wrap(const struct command *command, struct buf *out);
/* The first phone number id in a body that was not parsed yet: for fairness only, never for rights. */
struct view whatsapp_peek_channel(struct view body);

#endif
