/* Profiles that are loaded together: the ones that come with Portalcast, what two must not both have, what is
 * asked. */
#include "shared/json.h"
#include "shared/profile.h"
#include "tests/unit/suites.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define GOLDEN "tests/golden/profiles/"

enum { FAULTS_MAX = 1 << 20 };

/* --- loading --- */

static struct profiles *load(const char *list)
{
    struct buf faults;
    buf_init(&faults, FAULTS_MAX);
    struct profiles *p = profiles_load(list, &faults);
    ck_assert_msg(p != NULL, "%s", buf_view(&faults).p);
    buf_free(&faults);
    return p;
}

START_TEST(profiles_that_come_with_us_are_good)
{
    static const char *const names[] = {"agent-portal", "bakery",       "conformance",
                                        "preferences",  "service-desk", "tickets"};
    for (size_t i = 0; i < countof(names); i++)
        for (int by_path = 0; by_path < 2; by_path++) {
            struct buf faults;
            char name[64];
            buf_init(&faults, FAULTS_MAX);
            snprintf(name, sizeof name, by_path ? "deploy/profiles/%s.json" : "%s", names[i]);
            struct profiles *p = profiles_load(name, &faults);
            ck_assert_msg(p != NULL, "%s", buf_view(&faults).p);
            ck_assert_uint_eq(p->count, 1);
            ck_assert_str_eq(p->items[0]->name, names[i]);
            ck_assert(profiles_has_builtin(p, BUILTIN_AGENT_PORTAL) == !strcmp(names[i], "agent-portal"));
            ck_assert(profiles_has_builtin(p, BUILTIN_CONFORMANCE) == !strcmp(names[i], "conformance"));
            profiles_free(p);
            buf_free(&faults);
        }
}
END_TEST

START_TEST(profiles_are_held_against_each_other)
{
    static const struct {
        const char *list, *fault; /* NULL: none */
    } rows[] = {
        {"agent-portal,tickets", NULL},
        {" bakery , agent-portal", NULL},
        {"service-desk," GOLDEN "base.json", NULL},
        {"", "PROFILE: \"\" is neither"},
        {"bakery,", "PROFILE: \"\" is neither"},
        {"../bakery", "../bakery: cannot be read"},
        {"bakerei", "PROFILE: there is no profile \"bakerei\""},
        {"a b", "PROFILE: \"a b\" is neither"},
        {"deploy/profiles", "deploy/profiles: cannot be read"},
        {"deploy/profiles/none.json", "deploy/profiles/none.json: cannot be read"},
        {"bakery,deploy/profiles/bakery.json", "$.profile: \"bakery\" is loaded already"},
        {"bakery,tickets", "tickets.json: $.rooms[2]: the profile \"bakery\" has this room, too"},
        {"tickets,preferences", "$.events.notify: the profile \"tickets\" has this client event, too"},
        {"service-desk,bakery", "$.resources.users.operations.list.path: the profile \"service-desk\" has"},
        {"agent-portal,conformance", "PROFILE: \"conformance\" is to be alone"},
        {"a,b,c,d,e,f,g,h,i", "PROFILE: there is no profile \"i\""},
        {"agent-portal,agent-portal,agent-portal,agent-portal,agent-portal,agent-portal,agent-portal,"
         "agent-portal,agent-portal",
         "PROFILE: over 8 profiles"}};
    for (size_t i = 0; i < countof(rows); i++) {
        struct buf faults;
        buf_init(&faults, FAULTS_MAX);
        struct profiles *p = profiles_load(rows[i].list, &faults);
        const char *said = buf_view(&faults).p;
        ck_assert_msg(!p == (rows[i].fault != NULL) &&
                          (rows[i].fault ? strstr(said, rows[i].fault) != NULL : !*said),
                      "%s: %s", rows[i].list, said);
        profiles_free(p);
        buf_free(&faults);
    }
}
END_TEST

START_TEST(resources_are_numbered_through)
{
    struct buf faults;
    buf_init(&faults, FAULTS_MAX);
    struct profiles *p = profiles_load("agent-portal,tickets," GOLDEN "base.json", &faults);
    ck_assert_msg(p != NULL, "%s", buf_view(&faults).p);
    size_t next = 0;
    for (size_t i = 0; i < p->count; i++)
        for (size_t k = 0; k < p->items[i]->resource_count; k++)
            ck_assert_uint_eq(p->items[i]->resources[k].index, next++);
    ck_assert_uint_eq(next, 6);
    ck_assert_ptr_eq(profiles_operation(p, VIEW("workshop.jobs.finish")),
                     profile_operation(p->items[2], "jobs", "finish"));
    ck_assert_ptr_nonnull(profiles_operation(p, VIEW("workshop.jobs.finish")));
    static const char *const unknown[] = {
        "workshop.jobs.stop",    "workshop.job.finish", "shop.jobs.finish", "jobs.finish", "workshop", "",
        "workshop.jobs.finish.x"};
    for (size_t i = 0; i < countof(unknown); i++)
        ck_assert_ptr_null(profiles_operation(p, view_of(unknown[i])));
    profiles_free(p);
    buf_free(&faults);
}
END_TEST

START_TEST(agent_portals_client_events_are_taken)
{
    static const char text[] = "{\"profile\":\"own\",\"roles\":[\"a\"],"
                               "\"events\":{\"mark_read\":{\"check\":{\"token.sub\":\"x\"}}}}";
    char path[64], list[96], expected[256];
    snprintf(path, sizeof path, "build/own-profile-%d.json", (int)getpid());
    snprintf(list, sizeof list, "%s,agent-portal", path);
    snprintf(expected, sizeof expected,
             "%s: $.events.mark_read: the profile \"agent-portal\" has this client event, too\n", path);
    FILE *file = fopen(path, "we");
    ck_assert(file && fputs(text, file) >= 0 && !fclose(file));
    struct buf faults;
    buf_init(&faults, FAULTS_MAX);
    struct profiles *alone = load(path), *both = profiles_load(list, &faults);
    ck_assert_ptr_null(both);
    ck_assert_str_eq(buf_view(&faults).p, expected);
    profiles_free(alone);
    buf_free(&faults);
    remove(path);
}
END_TEST

/* --- asking --- */

static const char routes[] =
    "{\"profile\":\"r\",\"roles\":[\"a\"],\"resources\":{\"things\":{\"fields\":{\"x\":{\"type\":\"any\"}},"
    "\"operations\":{"
    "\"list\":{\"do\":\"list\",\"method\":\"GET\",\"path\":\"/t\",\"who\":[\"*\"]},"
    "\"create\":{\"do\":\"create\",\"method\":\"POST\",\"path\":\"/t\",\"who\":[\"*\"]},"
    "\"newest\":{\"do\":\"get\",\"method\":\"GET\",\"path\":\"/t/newest\",\"who\":[\"*\"],\"id\":\"n\"},"
    "\"get\":{\"do\":\"get\",\"method\":\"GET\",\"path\":\"/t/{id}\",\"who\":[\"*\"]},"
    "\"delete\":{\"do\":\"delete\",\"method\":\"DELETE\",\"path\":\"/t/{id}\",\"who\":[\"*\"]},"
    "\"two\":{\"do\":\"get\",\"method\":\"GET\",\"path\":\"/t/{a}/of/{id}\",\"who\":[\"*\"]},"
    "\"second\":{\"do\":\"get\",\"method\":\"GET\",\"path\":\"/t/{id}/of/x\",\"who\":[\"*\"]},"
    "\"first\":{\"do\":\"get\",\"method\":\"GET\",\"path\":\"/t/x/of/{id}\",\"who\":[\"*\"]}}}}}";

enum { GET = 1 << PM_GET, POST = 1 << PM_POST, DELETE = 1 << PM_DELETE };

static const struct {
    enum profile_method method;
    const char *path, *operation; /* NULL: none */
    const char *params;           /* "name=value" with blanks between */
    unsigned allowed;
} asked[] = {
    {PM_GET, "/t", "list", "", GET | POST},
    {PM_POST, "/t", "create", "", GET | POST},
    {PM_PUT, "/t", NULL, "", GET | POST},
    {PM_GET, "/t/7", "get", "id=7", GET | DELETE},
    {PM_GET, "/t/newest", "newest", "", GET | DELETE},
    {PM_DELETE, "/t/newest", "delete", "id=newest", GET | DELETE},
    {PM_GET, "/t/a%2Fb%20c", "get", "id=a/b c", GET | DELETE},
    {PM_GET, "/t/%C3%A9", "get", "id=\xc3\xa9", GET | DELETE},
    {PM_GET, "/t/%c3%a9", "get", "id=\xc3\xa9", GET | DELETE},
    {PM_GET, "/t/y/of/z", "two", "a=y id=z", GET},
    {PM_GET, "/t/y/of/x", "second", "id=y", GET},
    {PM_GET, "/t/x/of/x", "first", "id=x", GET},
    {PM_GET, "/t/", NULL, "", 0},
    {PM_GET, "/t/7/", NULL, "", 0},
    {PM_GET, "//t", NULL, "", 0},
    {PM_GET, "/T", NULL, "", 0},
    {PM_GET, "", NULL, "", 0},
    {PM_GET, "/", NULL, "", 0},
    {PM_GET, "/%74", NULL, "", 0},
    {PM_GET, "/t/%", NULL, "", 0},
    {PM_GET, "/t/%4", NULL, "", 0},
    {PM_GET, "/t/%4g", NULL, "", 0},
    {PM_GET, "/t/%00", NULL, "", 0},
    {PM_GET, "/t/%0a", NULL, "", 0},
    {PM_GET, "/t/%ff", NULL, "", 0},
};

START_TEST(routes_are_found)
{
    struct buf faults, params;
    struct path_params found;
    unsigned allowed = ~0u;
    buf_init(&faults, FAULTS_MAX);
    buf_init(&params, 1024);
    struct profiles all = {.count = 1, .items = {profile_read("r", VIEW(routes), &faults)}};
    ck_assert_msg(all.items[0] != NULL, "%s", buf_view(&faults).p);
    const struct operation *o =
        profiles_route(&all, asked[_i].method, view_of(asked[_i].path), &found, &allowed);
    ck_assert_msg(!o == !asked[_i].operation, "%s", asked[_i].path);
    if (o)
        ck_assert_str_eq(o->name, asked[_i].operation);
    for (size_t i = 0; o && i < found.count; i++)
        buf_addf(&params, "%s%s=%s", i ? " " : "", found.names[i], found.values[i]);
    ck_assert_str_eq(buf_view(&params).p, asked[_i].params);
    ck_assert_uint_eq(allowed, asked[_i].allowed);
    profile_free(all.items[0]);
    buf_free(&params);
    buf_free(&faults);
}
END_TEST

START_TEST(long_parameters_lead_nowhere)
{
    struct buf faults;
    struct path_params found;
    unsigned allowed;
    buf_init(&faults, FAULTS_MAX);
    struct profiles all = {.count = 1, .items = {profile_read("r", VIEW(routes), &faults)}};
    ck_assert_ptr_nonnull(all.items[0]);
    for (size_t length = 128; length <= 129; length++) {
        char path[160] = "/t/";
        memset(path + 3, 'x', length);
        const struct operation *o = profiles_route(&all, PM_GET, view_of(path), &found, &allowed);
        ck_assert(!o == (length == 129));
    }
    profile_free(all.items[0]);
    buf_free(&faults);
}
END_TEST

START_TEST(rooms_are_known_by_their_names)
{
    static const struct {
        const char *room;
        int rule; /* -1: none */
        const char *param;
    } rows[] = {{"yard", 0, ""},
                {"job-7", 1, "7"},
                {"job-a-b", 1, "a-b"},
                {"bench-ann-tools", 2, "ann"},
                {"bench--tools", -1, ""},
                {"bench-ann-tool", -1, ""},
                {"job-", -1, ""},
                {"yards", -1, ""},
                {"", -1, ""},
                {"job", -1, ""},
                {"user:ann", -1, ""}};
    struct profiles *all = load(GOLDEN "base.json");
    struct profile *p = all->items[0];
    for (size_t i = 0; i < countof(rows); i++) {
        struct view param;
        const struct room_rule *rule = profiles_room(all, view_of(rows[i].room), &param);
        ck_assert_msg(rule == (rows[i].rule < 0 ? NULL : &p->rooms[rows[i].rule]), "%s", rows[i].room);
        ck_assert(!rule || view_is(param, rows[i].param));
    }
    char room[160] = "job-";
    struct view param;
    memset(room + 4, 'x', 128);
    ck_assert_ptr_nonnull(profiles_room(all, view_of(room), &param));
    memset(room + 4, 'x', 129);
    ck_assert_ptr_null(profiles_room(all, view_of(room), &param));
    profiles_free(all);
}
END_TEST

START_TEST(client_events_and_typing_are_found)
{
    struct profiles *all = load(GOLDEN "base.json");
    struct profile *p = all->items[0];
    ck_assert_ptr_eq(profiles_client_event(all, VIEW("\"knock\"")), &p->events[3]);
    ck_assert_ptr_eq(profiles_client_event(all, VIEW("\"kn\\u006fck\"")), &p->events[3]);
    ck_assert_ptr_null(profiles_client_event(all, VIEW("\"knocked\"")));
    ck_assert_ptr_eq(profiles_typing(all, VIEW("{\"isTyping\":true,\"jobId\":\"7\"}")), &p->typing[0]);
    ck_assert_ptr_null(profiles_typing(all, VIEW("{\"conversationId\":\"7\"}")));
    ck_assert_ptr_null(profiles_typing(all, VIEW("7")));
    profiles_free(all);
}
END_TEST

Suite *suite_profiles(void)
{
    Suite *suite = suite_create("profiles");
    TCase *tests = tcase_create("profiles");
    tcase_add_test(tests, profiles_that_come_with_us_are_good);
    tcase_add_test(tests, profiles_are_held_against_each_other);
    tcase_add_test(tests, resources_are_numbered_through);
    tcase_add_test(tests, agent_portals_client_events_are_taken);
    tcase_add_loop_test(tests, routes_are_found, 0, countof(asked));
    tcase_add_test(tests, long_parameters_lead_nowhere);
    tcase_add_test(tests, rooms_are_known_by_their_names);
    tcase_add_test(tests, client_events_and_typing_are_found);
    suite_add_tcase(suite, tests);
    return suite;
}
