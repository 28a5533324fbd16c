#include "portal-gateway/core/letters.h"
#include "shared/mem.h"
#include <stdlib.h>
#include <string.h>

struct news *news_create(enum news_kind kind, const char *tenant_id)
{
    struct news *n = xcalloc(1, sizeof *n);
    n->kind = kind;
    if (tenant_id)
        memcpy(n->tenant_id, tenant_id, strnlen(tenant_id, TENANT_ID_MAX));
    return n;
}

void news_destroy(struct news *n)
{
    if (!n)
        return;
    record_destroy_chain(n->records);
    record_destroy_chain(n->replay.records);
    heads_destroy(n->heads);
    free(n->beat);
    free(n->text);
    free(n);
}

void news_discard(struct letter *letter)
{
    news_destroy(container_of(letter, struct news, letter));
}

struct heads *heads_create(size_t capacity)
{
    return xcalloc(1, sizeof(struct heads) + capacity * sizeof(struct head));
}

void heads_destroy(struct heads *heads)
{
    if (!heads)
        return;
    for (size_t i = 0; i < heads->count; i++) {
        record_destroy_chain(heads->items[i].latest);
        free(heads->items[i].revocations);
    }
    free(heads);
}
