/* Events: other backends publish them for their own tenant; whoever missed some catches up. */
#include "shared/json.h"
#include "shared/mem.h"
#include "state-manager/http/handlers.h"
#include <stdio.h>
#include <string.h>

enum { EVENTS_LIMIT_DEFAULT = 100, EVENTS_LIMIT_MAX = 1000 };

void events_post(struct call *c)
{
    struct job *job = job_create(JOB_COMMAND, c->request->id);
    memcpy(job->tenant_id, c->claims.tenant_id, sizeof job->tenant_id);
    job->command = COMMAND_EVENTS;
    job->status = 202;
    job->body = xstrndup(c->body.p, c->body.n);
    job->body_n = c->body.n;
    memcpy(job->author, c->claims.sub, sizeof job->author);
    if (api_take_key(c, job))
        api_submit(c, job, view_of(job->tenant_id));
    else
        job_destroy(job);
}

static void put_room(struct json_writer *w, const char *prefix, const char *name)
{
    char room[TOKEN_NAME_MAX + 16];
    int n = snprintf(room, sizeof room, "%s%s", prefix, name);
    jw_text(w, (struct view){room, (size_t)n});
}

/* The rooms that the token gives, as the gateway has them. */
static void write_rooms(const struct claims *claims, struct buf *out)
{
    struct json_writer w;
    jw_init(&w, out);
    jw_begin(&w, '[');
    put_room(&w, "user:", claims->sub);
    for (size_t i = 0; i < claims->roles.count; i++)
        put_room(&w, "role:", claims->roles.items[i]);
    for (size_t i = 0; i < claims->teams.count; i++)
        put_room(&w, "team:", claims->teams.items[i]);
    for (size_t i = 0; i < claims->rooms.count; i++)
        put_room(&w, "", claims->rooms.items[i]);
    jw_end(&w, ']');
}

void events_list(struct call *c)
{
    struct err err = {0};
    struct buf rooms, claims;
    size_t n;
    char after[OFFSET_SIZE];
    struct job *job = job_create(JOB_LIST_EVENTS, c->request->id);
    memcpy(job->tenant_id, c->claims.tenant_id, sizeof job->tenant_id);
    bool ok = api_read_limit(c, EVENTS_LIMIT_DEFAULT, EVENTS_LIMIT_MAX, &job->page.limit, &err) &&
              api_query(c, "after", after, sizeof after, &err);
    job->after.given = ok && *after;
    if (ok && job->after.given && !offset_parse(view_of(after), job->after.epoch, &job->after.seq))
        ok = err_set(&err, ERR_INVALID, "after is not an offset that was given out");
    if (!ok) {
        api_fail(c, &err);
        job_destroy(job);
        return;
    }
    buf_init(&rooms, 64 << 10);
    write_rooms(&c->claims, &rooms);
    job->body = buf_detach(&rooms, &job->body_n);
    buf_init(&claims, 64 << 10);
    claims_write(&c->claims, &claims);
    job->claims = buf_detach(&claims, &n);
    job->profiles = c->api->settings->profiles;
    memcpy(job->author, c->claims.sub, sizeof job->author);
    api_submit(c, job, view_of(job->tenant_id));
}
