/* People are written when they are first seen, and when their token says something else of them. */
#include "state-manager/core/people.h"
#include "shared/json.h"
#include "state-manager/core/grant.h"
#include "state-manager/core/members.h"
#include "state-manager/core/writing.h"

bool people_includes(const struct profile *p, struct view claims, char id[static RECORD_TEXT_SIZE])
{
    static const char *const others[] = {"service", "platform-admin"};
    bool is_one = false;
    for (size_t i = 0; p->people && i < p->roles.count; i++)
        is_one = is_one || claims_name_role(claims, p->roles.items[i]);
    for (size_t i = 0; i < countof(others); i++)
        is_one = is_one && !claims_name_role(claims, others[i]);
    return is_one && json_copy_string(json_get(claims, "sub"), id, RECORD_TEXT_SIZE) &&
           record_id_valid(view_of(id));
}

/* The first of his roles that the profile knows. */
static struct view role_of(const struct profile *p, struct view claims)
{
    struct view one;
    char role[TOKEN_NAME_MAX + 1];
    for (struct json_iter it = json_iter(json_get(claims, "roles")); json_next_element(&it, &one);)
        if (json_copy_string(one, role, sizeof role) && names_has(&p->roles, view_of(role)))
            return one;
    return (struct view){NULL, 0};
}

static const char *const taken[] = {"name", "email", "phone", "role"};

static struct view claimed(const struct profile *p, struct view claims, size_t i)
{
    bool is_role = i == countof(taken) - 1;
    struct view value = is_role ? role_of(p, claims) : json_get(claims, taken[i]);
    return json_type(value) == JSON_STRING ? value : (struct view){NULL, 0};
}

bool people_is_current(const struct profile *p, struct view claims, const struct record *kept)
{
    bool same = kept->document.n > 0;
    for (size_t i = 0; i < countof(taken); i++)
        same = same && json_same(claimed(p, claims, i), json_get(kept->document, taken[i]));
    return same;
}

void people_write(const struct profile *p, struct view claims, const char *id, const struct record *kept,
                  struct buf *out)
{
    struct members m;
    members_init(&m);
    members_take(&m, kept->document);
    for (size_t i = 0; i < countof(taken); i++) {
        struct view value = claimed(p, claims, i);
        if (value.n)
            members_set(&m, taken[i], value);
        else
            members_remove(&m, taken[i]);
    }
    members_write(&m, p->people, id, kept->version + 1, out);
    members_free(&m);
}

bool people_stage(struct writing *w, struct err *err)
{
    const struct profile *p = w->o->resource->profile;
    struct record kept;
    struct buf doc;
    char id[RECORD_TEXT_SIZE];
    if (!people_includes(p, w->c->claims, id))
        return true;
    writing_find(w, p->people, id, &kept);
    if (people_is_current(p, w->c->claims, &kept))
        return true;
    buf_init(&doc, RECORD_BYTES_MAX);
    people_write(p, w->c->claims, id, &kept, &doc);
    return writing_stage(w, p->people, id, &kept, writing_keep(w, &doc), err);
}
