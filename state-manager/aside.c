#include "state-manager/aside.h"
#include "shared/clock.h"
#include "shared/mem.h"
#include "state-manager/core/whatsapp.h"
#include <stdlib.h>

static void add(struct aside *a, const struct quarantined *row, char *owned)
{
    if (a->count == a->cap) {
        a->cap = a->cap ? a->cap * 2 : 8;
        a->rows = xrealloc(a->rows, a->cap * sizeof *a->rows);
        a->bodies = xrealloc(a->bodies, a->cap * sizeof *a->bodies);
    }
    a->bodies[a->count] = owned;
    a->rows[a->count++] = *row;
}

void aside_add(struct aside *a, const char *reason, struct view channel_id, struct view bytes)
{
    add(a, &(struct quarantined){reason, channel_id, bytes, clock_wall_ms()}, NULL);
}

void aside_add_waiting(struct aside *a, const struct command *command)
{
    struct buf body;
    size_t n;
    buf_init(&body, DOC_MAX * 2);
    whatsapp_wrap(command, &body);
    char *owned = buf_detach(&body, &n);
    struct quarantined row = {QUARANTINE_NO_TENANT, command->channel_id, (struct view){owned, n},
                              clock_wall_ms()};
    add(a, &row, owned);
}

void aside_clear(struct aside *a)
{
    for (size_t i = 0; i < a->count; i++)
        free(a->bodies[i]);
    a->count = 0;
}

void aside_finish(struct aside *a)
{
    aside_clear(a);
    free(a->rows);
    free(a->bodies);
}
