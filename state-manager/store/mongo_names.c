#include "state-manager/store/mongo_names.h"

static const int uses[DOC_KIND_COUNT] = {
#define X(kind, name, plural, use) [DOC_##kind] = (use),
    DOC_KINDS(X)
#undef X
};

bool mongo_is_filed(enum doc_kind kind)
{
    return (uses[kind] & DOC_FILED) != 0;
}

/* Tenants and kinds have no slash. */
void mongo_start_name(struct buf *name, const char *tenant_id, enum doc_kind kind)
{
    buf_clear(name);
    buf_addf(name, "%s/%s/", tenant_id, doc_kind_name(kind));
}

struct view mongo_name_doc(struct buf *name, const char *tenant_id, enum doc_kind kind, struct view key)
{
    mongo_start_name(name, tenant_id, kind);
    buf_add_view(name, key);
    return buf_view(name);
}

/* A narrower list gives the lengths of its state and owner: so none can pass for another. */
struct view mongo_name_list(struct buf *name, const char *tenant_id, enum doc_kind kind, struct view state,
                            struct view owner, struct view parent)
{
    if (!state.n && !owner.n)
        return mongo_name_doc(name, tenant_id, kind, parent);
    buf_clear(name);
    buf_addf(name, "%s/%s:%zu:%zu/", tenant_id, doc_kind_name(kind), state.n, owner.n);
    buf_add_view(name, state);
    buf_add_view(name, owner);
    buf_add_view(name, parent);
    return buf_view(name);
}

/* All documents of a DOC_AGES kind. No tenant's name is empty. */
struct view mongo_name_ages(struct buf *name, enum doc_kind kind)
{
    buf_clear(name);
    buf_addf(name, "/%s", doc_kind_name(kind));
    return buf_view(name);
}

static void put_element(bson_t *array, uint32_t *at, struct view text)
{
    char room[16];
    const char *place;
    bson_uint32_to_string((*at)++, &place, room, sizeof room);
    mongo_put_view(array, place, text);
}

/* A document in a single list has its name instead of an array; one in none has no field. */
void mongo_put_lists(bson_t *doc, struct buf *name, const char *tenant_id, const struct change *c)
{
    const struct doc_place *p = &c->place;
    const struct view any = {"", 0};
    bson_t lists = BSON_INITIALIZER;
    uint32_t n = 0;
    if (uses[c->kind] & DOC_LISTED)
        put_element(&lists, &n, mongo_name_list(name, tenant_id, c->kind, any, any, p->parent));
    if (uses[c->kind] & DOC_FILED) {
        if (p->state.n)
            put_element(&lists, &n, mongo_name_list(name, tenant_id, c->kind, p->state, any, p->parent));
        if (p->owner.n)
            put_element(&lists, &n, mongo_name_list(name, tenant_id, c->kind, any, p->owner, p->parent));
        if (p->state.n && p->owner.n)
            put_element(&lists, &n, mongo_name_list(name, tenant_id, c->kind, p->state, p->owner, p->parent));
    }
    if (uses[c->kind] & DOC_AGES)
        put_element(&lists, &n, mongo_name_ages(name, c->kind));
    if (n == 1)
        mongo_put_view(doc, "lists", mongo_text(&lists, "0"));
    else if (n)
        BSON_APPEND_ARRAY(doc, "lists", &lists);
    bson_destroy(&lists);
}
