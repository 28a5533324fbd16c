/* What names in a profile refer to, wherever in the file it stands. */
#include "shared/mem.h"
#include "shared/profile_read.h"
#include <string.h>

void refer(struct reading *r, int kind, const char *name, const struct resource *among, void *target)
{
    r->references = xrealloc(r->references, (r->reference_count + 1) * sizeof *r->references);
    struct reference *ref = &r->references[r->reference_count++];
    memset(ref, 0, sizeof *ref);
    ref->kind = kind;
    ref->at = r->at;
    ref->name = name;
    ref->among = among;
    ref->target = target;
}

static const struct resource *find_resource(const struct profile *p, struct view name)
{
    for (size_t i = 0; i < p->resource_count; i++)
        if (view_is(name, p->resources[i].name))
            return &p->resources[i];
    return NULL;
}

static const struct operation *find_operation(const struct profile *p, struct view full_name)
{
    struct view resource_name;
    if (!view_split(&full_name, '.', &resource_name))
        return NULL;
    const struct resource *resource = find_resource(p, resource_name);
    for (size_t i = 0; resource && i < resource->operation_count; i++)
        if (view_is(full_name, resource->operations[i].name))
            return &resource->operations[i];
    return NULL;
}

static const struct field *find_field(const struct resource *resource, const char *name)
{
    for (size_t i = 0; i < resource->field_count; i++)
        if (!strcmp(resource->fields[i].name, name))
            return &resource->fields[i];
    return NULL;
}

static const void *find(const struct profile *p, const struct reference *ref)
{
    switch (ref->kind) {
    case REFER_RESOURCE:
        return find_resource(p, view_of(ref->name));
    case REFER_OPERATION:
        return find_operation(p, view_of(ref->name));
    case REFER_FIELD:
        break;
    }
    return find_field(ref->among, ref->name);
}

static void refer_one(struct reading *r, const struct reference *ref)
{
    static const char *const kinds[] = {"resource", "operation", "field"};
    const void *found = find(r->profile, ref);
    memcpy(ref->target, &found, sizeof found);
    if (!found)
        fault_at(r, &ref->at, "there is no %s \"%s\"%s%s%s", kinds[ref->kind], ref->name,
                 ref->among ? " in \"" : "", ref->among ? ref->among->name : "", ref->among ? "\"" : "");
}

void refer_all(struct reading *r)
{
    for (size_t i = 0; i < r->reference_count; i++)
        refer_one(r, &r->references[i]);
}
