/* Profiles: what is refused, with the words for it; the ones that come with Portalcast; what is asked of
 * them. */
#include "shared/json.h"
#include "shared/profile.h"
#include "tests/unit/suites.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GOLDEN "tests/golden/profiles/"

enum { FAULTS_MAX = 1 << 20 };

static void read_golden(const char *name, struct buf *out)
{
    char path[128], piece[4096];
    size_t n;
    snprintf(path, sizeof path, GOLDEN "%s", name);
    FILE *file = fopen(path, "re");
    ck_assert_msg(file != NULL, "%s", path);
    buf_init(out, 4 << 20);
    while ((n = fread(piece, 1, sizeof piece, file)) > 0)
        buf_add(out, piece, n);
    fclose(file);
}

static struct view checked(struct view text)
{
    struct view json;
    struct err err;
    ck_assert_msg(json_check(text, JSON_STRICT, &json, &err), "%s", err.text);
    return json;
}

/* --- faults.json: base.json with one change each --- */

static bool is_step(struct view key, bool is_object, size_t index, struct view step)
{
    char text[32];
    if (is_object)
        return key.n == step.n + 2 && !memcmp(key.p + 1, step.p, step.n);
    snprintf(text, sizeof text, "%zu", index);
    return view_is(step, text);
}

/* Writes json with the value at path ("/a/0/b") replaced, added, or left out (to.n == 0). */
static void put_changed(struct buf *out, struct view json, struct view path, struct view to)
{
    struct view rest = {path.p + 1, path.n - 1}, step, key = {NULL, 0}, value;
    bool is_object = json_type(json) == JSON_OBJECT, found = false;
    const char *comma = "";
    view_split(&rest, '/', &step);
    buf_add_char(out, is_object ? '{' : '[');
    struct json_iter it = json_iter(json);
    for (size_t i = 0; is_object ? json_next_member(&it, &key, &value) : json_next_element(&it, &value);
         i++) {
        bool here = is_step(key, is_object, i, step);
        found |= here;
        if (here && !rest.p && !to.n)
            continue;
        buf_addf(out, "%s%.*s%s", comma, VIEW_ARG(key), is_object ? ":" : "");
        comma = ",";
        if (here && rest.p)
            put_changed(out, value, (struct view){rest.p - 1, rest.n + 1}, to);
        else
            buf_add_view(out, here ? to : value);
    }
    if (!found)
        buf_addf(out, "%s\"%.*s\":%.*s", comma, VIEW_ARG(step), VIEW_ARG(to));
    buf_add_char(out, is_object ? '}' : ']');
}

/* Whether the faults are the expected lines, each behind "file: ". */
static void check_faults(struct view row, struct view expected, struct view faults)
{
    struct view line = {NULL, 0}, text;
    char plain[512], whole[600];
    for (struct json_iter it = json_iter(expected); json_next_element(&it, &text);) {
        ck_assert(json_copy_string(text, plain, sizeof plain));
        snprintf(whole, sizeof whole, "x.json: %s", plain);
        ck_assert_msg(view_split(&faults, '\n', &line) && view_is(line, whole), "%.*s\nsaid: %.*s\nfor:  %s",
                      VIEW_ARG(row), VIEW_ARG(line), whole);
    }
    ck_assert_msg(!faults.n, "%.*s\nsaid more: %.*s", VIEW_ARG(row), VIEW_ARG(faults));
}

static void check_row(struct view base, struct view row)
{
    struct buf text, faults;
    char path[200];
    struct view expected = json_get(row, "faults"), none;
    struct json_iter it = json_iter(expected);
    buf_init(&text, PROFILE_BYTES_MAX);
    buf_init(&faults, FAULTS_MAX);
    ck_assert(json_copy_string(json_get(row, "at"), path, sizeof path));
    put_changed(&text, base, view_of(path), json_get(row, "to"));
    struct profile *p = profile_read("x.json", buf_view(&text), &faults);
    ck_assert_msg(!p == json_next_element(&it, &none), "%.*s: %s", VIEW_ARG(row), p ? "taken" : "refused");
    check_faults(row, expected, buf_view(&faults));
    profile_free(p);
    buf_free(&text);
    buf_free(&faults);
}

START_TEST(profile_says_every_fault)
{
    struct buf base, rows;
    struct view row;
    size_t count = 0;
    read_golden("base.json", &base);
    read_golden("faults.json", &rows);
    struct view json = checked(buf_view(&base));
    for (struct json_iter it = json_iter(checked(buf_view(&rows))); json_next_element(&it, &row); count++)
        check_row(json, row);
    ck_assert_uint_gt(count, 200);
    buf_free(&base);
    buf_free(&rows);
}
END_TEST

/* --- what a change of base.json cannot show --- */

static void check_text(struct view text, const char *expected)
{
    struct buf faults;
    buf_init(&faults, FAULTS_MAX);
    struct profile *p = profile_read("x.json", text, &faults);
    ck_assert_ptr_null(p);
    ck_assert_str_eq(buf_view(&faults).p, expected);
    buf_free(&faults);
}

START_TEST(profile_must_be_one_object)
{
    static const struct {
        const char *text, *faults;
    } rows[] = {
        {"", "x.json: $: not JSON: unexpected end at byte 0\n"},
        {"{\"profile\": nobody}", "x.json: $: not JSON: unexpected character at byte 12\n"},
        {"[]", "x.json: $: must be an object (a profile)\n"},
        {"{\"profile\":\"a\",\"roles\":[\"b\"],\"profile\":\"c\"}", "x.json: $.profile: stands here twice\n"},
        {"{\"profile\":\"a\",\"builtin\":\"conformance\",\"prof\\u0069le\":\"c\"}",
         "x.json: $.profile: stands here twice\n"},
        {"{\"profile\":\"a\",\"roles\":[\"b\"],\"resources\":{\"r\":{\"operations\":{\"o\":{\"path\":\"/"
         "a\",\"path\":"
         "\"/a/b/c\",\"who\":[\"b\"],\"filters\":[\"x\"],\"filters\":[\"x\",\"y\"]}}}}}",
         "x.json: $.resources.r.operations.o.path: stands here twice\n"
         "x.json: $.resources.r.operations.o.filters: stands here twice\n"},
        {"{\"profile\":\"a\",\"roles\":[\"b\"],\"resources\":{\"r\":{\"operations\":{},\"operations\":{}}}}",
         "x.json: $.resources.r.operations: stands here twice\n"},
        {"{\"profile\":\"a\",\"builtin\":\"magic\"}",
         "x.json: $.builtin: must be one of: \"agent-portal\", \"conformance\"\n"},
        {"{\"profile\":\"a\\u0000b\",\"roles\":[\"b\"]}", "x.json: $.profile: must not hold U+0000\n"}};
    for (size_t i = 0; i < countof(rows); i++)
        check_text(view_of(rows[i].text), rows[i].faults);
    char *large = malloc(PROFILE_BYTES_MAX + 1);
    memset(large, ' ', PROFILE_BYTES_MAX + 1);
    check_text((struct view){large, PROFILE_BYTES_MAX + 1}, "x.json: $: is over 262144 bytes\n");
    free(large);
}
END_TEST

/* A list of that many items: the format with their numbers in place of '#'. */
static struct profile *read_many(const char *before, const char *format, size_t count, const char *after,
                                 struct buf *faults)
{
    struct buf text;
    buf_init(&text, PROFILE_BYTES_MAX);
    buf_add_text(&text, before);
    for (size_t i = 0; i < count; i++) {
        buf_add_text(&text, i ? "," : "");
        for (const char *c = format; *c; c++)
            if (*c == '#')
                buf_addf(&text, "%zu", i);
            else
                buf_add_char(&text, *c);
    }
    buf_add_text(&text, after);
    struct profile *p = profile_read("x.json", buf_view(&text), faults);
    buf_free(&text);
    return p;
}

START_TEST(profile_counts_are_bounded)
{
    static const struct {
        const char *before, *format, *after;
        size_t most;
    } rows[] = {
        {"{\"profile\":\"a\",\"roles\":[", "\"r#\"", "]}", 16},
        {"{\"profile\":\"a\",\"roles\":[\"b\"],\"rooms\":[", "{\"room\":\"m#\",\"roles\":[\"b\"]}", "]}", 32},
        {"{\"profile\":\"a\",\"roles\":[\"b\"],\"events\":{", "\"e#\":{\"check\":{\"token.sub\":\"x\"}}",
         "}}", 64},
        {"{\"profile\":\"a\",\"roles\":[\"b\"],\"resources\":{", "\"r#\":{\"operations\":{}}", "}}", 32},
        {"{\"profile\":\"a\",\"roles\":[\"b\"],\"resources\":{\"r\":{\"operations\":{},\"fields\":{",
         "\"f#\":{\"type\":\"any\"}", "}}}}", 64},
        {"{\"profile\":\"a\",\"roles\":[\"b\"],\"resources\":{\"r\":{\"operations\":{",
         "\"o#\":{\"do\":\"list\",\"method\":\"GET\",\"path\":\"/o#\",\"who\":[\"*\"]}", "}}}}", 32},
    };
    for (size_t i = 0; i < countof(rows); i++)
        for (size_t more = 0; more < 2; more++) {
            struct buf faults;
            char expected[64];
            buf_init(&faults, FAULTS_MAX);
            struct profile *p =
                read_many(rows[i].before, rows[i].format, rows[i].most + more, rows[i].after, &faults);
            snprintf(expected, sizeof expected, "has %zu, the most is %zu", rows[i].most + 1, rows[i].most);
            ck_assert_msg((p == NULL) == (more == 1), "%s: %s", rows[i].before, buf_view(&faults).p);
            ck_assert(!more || strstr(buf_view(&faults).p, expected));
            profile_free(p);
            buf_free(&faults);
        }
}
END_TEST

/* --- reading --- */

static struct profile *read_base(void)
{
    struct buf text, faults;
    read_golden("base.json", &text);
    buf_init(&faults, FAULTS_MAX);
    struct profile *p = profile_read("base.json", buf_view(&text), &faults);
    ck_assert_msg(p != NULL, "%s", buf_view(&faults).p);
    buf_free(&text);
    buf_free(&faults);
    return p;
}

START_TEST(profile_is_read_as_it_stands)
{
    struct profile *p = read_base();
    ck_assert_str_eq(p->name, "workshop");
    ck_assert_str_eq(p->file, "base.json");
    ck_assert_int_eq(p->builtin, BUILTIN_NONE);
    ck_assert_uint_eq(p->roles.count, 2);
    ck_assert_str_eq(p->people->name, "staff");
    ck_assert(p->has_presence && p->presence_rooms.count == 2);
    const struct room_rule *room = &p->rooms[2];
    ck_assert(!strcmp(room->prefix, "bench-") && !strcmp(room->param, "userId") &&
              !strcmp(room->suffix, "-tools"));
    ck_assert(room->self && !room->owner && !room->of && p->rooms[1].of == &p->resources[1] &&
              p->rooms[1].owner);
    ck_assert_ptr_null(p->rooms[0].param);
    static const enum client_action actions[] = {ACTION_CHECK, ACTION_JOIN, ACTION_LEAVE, ACTION_EMIT,
                                                 ACTION_COMMAND};
    for (size_t i = 0; i < countof(actions); i++)
        ck_assert_int_eq(p->events[i].action, actions[i]);
    ck_assert(view_is(p->events[0].checks[0].expression, "token.role"));
    ck_assert(view_is(p->events[0].checks[0].value, "\"${args.role}\""));
    ck_assert(!strcmp(p->events[3].emit_event, "knocked") && p->events[3].room_count == 1);
    ck_assert_ptr_eq(p->events[4].operation, profile_operation(p, "jobs", "finish"));
    ck_assert(view_is(p->events[4].key, "\"${args.change.key}\""));
    ck_assert(!strcmp(p->typing[0].argument, "jobId") && !strcmp(p->typing[0].prefix, "job-") &&
              !*p->typing[0].suffix);
    profile_free(p);
}
END_TEST

START_TEST(profile_resources_are_read)
{
    struct profile *p = read_base();
    const struct resource *jobs = &p->resources[1];
    ck_assert_str_eq(jobs->collection, "workshop.jobs");
    ck_assert(jobs->profile == p && jobs->index == 1 && jobs->id_names.count == 2 && jobs->field_count == 9);
    ck_assert(!strcmp(jobs->id_form, "J######") && !strcmp(jobs->owner, "smith") &&
              !strcmp(jobs->state, "state"));
    ck_assert(jobs->fields[0].has_min && jobs->fields[0].has_max && jobs->fields[0].min == 1 &&
              jobs->fields[0].max == 80);
    ck_assert(jobs->fields[1].is_transient && !jobs->fields[0].is_transient);
    ck_assert(view_is(jobs->fields[2].fallback, "1") && jobs->fields[2].type == FIELD_NUMBER);
    ck_assert(jobs->fields[8].type == FIELD_ARRAY && jobs->fields[8].item_count == 1 &&
              jobs->fields[8].items[0].required);
    ck_assert(p->resources[0].people && p->resources[0].field_count == 4);
    profile_free(p);
}
END_TEST

START_TEST(profile_operations_are_read)
{
    struct profile *p = read_base();
    const struct resource *jobs = &p->resources[1];
    const struct operation *create = profile_operation(p, "jobs", "create"),
                           *finish = profile_operation(p, "jobs", "finish");
    ck_assert(create->status == 201 && finish->status == 202 &&
              profile_operation(p, "jobs", "get")->status == 200);
    ck_assert(create->methods == 1u << PM_POST && finish->methods == (1u << PM_POST | 1u << PM_PATCH));
    ck_assert(create->fields[0].required && create->fields[0].field == &jobs->fields[0] &&
              !create->fields[1].required);
    ck_assert(!create->set[1].only_clock && create->set[3].only_clock);
    ck_assert(create->grants[1].role && !strcmp(create->grants[1].role, "service") && !create->grants[1].own);
    profile_free(p);
}
END_TEST

START_TEST(profile_consequences_are_read)
{
    struct profile *p = read_base();
    const struct operation *create = profile_operation(p, "jobs", "create"),
                           *finish = profile_operation(p, "jobs", "finish");
    ck_assert(!finish->grants[0].role && finish->grants[0].own);
    ck_assert(create->joined[0].resource == p->people && create->joined[0].required);
    ck_assert(create->then[0].resource == &p->resources[2] && create->emit[0].room_count == 0);
    ck_assert(finish->disconnect.given && finish->disconnect.may_return && !create->disconnect.given);
    ck_assert(finish->emit[0].when.changed.count == 1 && finish->emit[0].when.is_count == 1 &&
              finish->append_count == 1);
    ck_assert(profile_operation(p, "days", "replace")->any_body &&
              profile_operation(p, "jobs", "list")->by_update);
    ck_assert_ptr_null(profile_operation(p, "jobs", "nothing"));
    profile_free(p);
}
END_TEST

Suite *suite_profile(void)
{
    Suite *suite = suite_create("profile");
    TCase *tests = tcase_create("profile");
    tcase_add_test(tests, profile_says_every_fault);
    tcase_add_test(tests, profile_must_be_one_object);
    tcase_add_test(tests, profile_counts_are_bounded);
    tcase_add_test(tests, profile_is_read_as_it_stands);
    tcase_add_test(tests, profile_resources_are_read);
    tcase_add_test(tests, profile_operations_are_read);
    tcase_add_test(tests, profile_consequences_are_read);
    suite_add_tcase(suite, tests);
    return suite;
}
