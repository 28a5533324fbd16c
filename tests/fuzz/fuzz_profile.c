/* Profiles: whatever the text, it is refused with a reason or can be used and explained without a further
 * look. */
#include "portalctl/profile_explain.h"
#include "shared/json.h"
#include "tests/fuzz/fuzz.h"
#include <stdio.h>
#include <string.h>

static void ask_operation(const struct profiles *all, const struct operation *o)
{
    struct path_params params;
    unsigned allowed;
    for (int method = 0; method < PM_COUNT; method++)
        if (o->methods & 1u << method) {
            /* {a} is good as a value of itself. */
            const struct operation *found =
                profiles_route(all, (enum profile_method)method, view_of(o->path), &params, &allowed);
            MUST(found && allowed & 1u << method && params.count <= PROFILE_PARAMS_MAX);
        }
    MUST(o->methods && o->grant_count && o->part_count && o->status >= 200);
    for (size_t i = 0; i < o->field_count; i++)
        MUST(o->fields[i].field);
    for (size_t i = 0; i < o->emit_count; i++)
        MUST(o->emit[i].event && o->emit[i].data.n);
    for (size_t i = 0; i < o->joined_count; i++)
        MUST(o->joined[i].resource && o->joined[i].id.n);
    for (size_t i = 0; i < o->then_count; i++)
        MUST(o->then[i].resource && o->then[i].id.n);
}

static void ask(struct profile *p)
{
    struct profiles all = {.items = {p}, .count = 1};
    struct view param;
    for (size_t i = 0; i < p->resource_count; i++) {
        MUST(p->resources[i].id_names.count && *p->resources[i].collection);
        for (size_t k = 0; k < p->resources[i].operation_count; k++)
            ask_operation(&all, &p->resources[i].operations[k]);
    }
    for (size_t i = 0; i < p->event_count; i++)
        MUST(p->events[i].action != ACTION_COMMAND || p->events[i].operation);
    for (size_t i = 0; i < p->room_count; i++) {
        char room[256];
        const struct room_rule *rule = &p->rooms[i];
        snprintf(room, sizeof room, "%s%s%s", rule->prefix, rule->param ? "x" : "", rule->suffix);
        MUST(profiles_room(&all, view_of(room), &param));
    }
    MUST(p->name && (p->builtin != BUILTIN_NONE || p->roles.count));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static FILE *nowhere;
    if (!nowhere)
        MUST((nowhere = fopen("/dev/null", "we")));
    struct buf faults;
    buf_init(&faults, 1 << 20);
    struct profile *p = profile_read("f", fuzz_input(data, size), &faults);
    MUST(!p == (faults.len != 0 || faults.overflow));
    if (p) {
        ask(p);
        profile_explain(p, nowhere);
    }
    profile_free(p);
    buf_free(&faults);
    return 0;
}
