/* Reads on a profile's resources: whose, narrowed, within others; on a real store of either kind. */
#include "shared/json.h"
#include "tests/unit/resource_stage.h"
#include "tests/unit/suites.h"
#include <stdio.h>
#include <string.h>

static const struct {
    const char *claims, *filters, *q, *titles;
} lists[] = {
    {BOSS, "{}", "", "t5 t4 t3 t2 t1 "},
    {USER, "{}", "", "t4 t2 t1 "},
    {STRANGER, "{}", "", "t5 t3 "},
    {NOBODY, "{}", "", "DENIED"},
    {BOSS, "{'status':'new'}", "", "t2 t1 "},
    {BOSS, "{'status':'done'}", "", "t3 "},
    {BOSS, "{'status':'other'}", "", ""},
    {BOSS, "{'status':'a state that is longer than states are'}", "", ""},
    {BOSS, "{'userId':'bob'}", "", "t5 t3 "},
    {BOSS, "{'userId':'bob','status':'new'}", "", ""},
    {BOSS, "{'userId':'bob','status':'done'}", "", "t3 "},
    {USER, "{'userId':'bob'}", "", ""},
    {USER, "{'status':'new'}", "", "t2 t1 "},
    {BOSS, "{'count':'2'}", "", "t3 t2 "},
    {BOSS, "{'count':'2','status':'new'}", "", "t2 "},
    {BOSS, "{'ok':'true'}", "", "t5 "},
    {BOSS, "{'count':'02'}", "", ""},
    {BOSS, "{}", "T3", "t3 "},
    {BOSS, "{}", "07700", "t5 "},
    {BOSS, "{}", "apple", "t4 t1 "},
    {USER, "{}", "apple pie", "t4 "},
    {BOSS, "{'status':'new'}", "apple", "t1 "},
    {STRANGER, "{}", "apple", ""},
};

START_TEST(lists_are_narrowed)
{
    char titles[64] = "";
    lab_item(USER, "{'title':'t1','status':'new','note':'an \xc3\x84pple'}"); /* with its points */
    lab_item(USER, "{'title':'t2','status':'new','count':2}");
    lab_item(STRANGER, "{'title':'t3','status':'done','count':2}");
    lab_item(USER, "{'title':'t4','note':['Apple','pie',5]}");
    lab_item(STRANGER, "{'title':'t5','ok':true,'note':'+44 (0) 7700'}");
    const char *shown = lab_read("items.list", lists[_i].claims, "{}", Q(lists[_i].filters), lists[_i].q);
    struct view one, title;
    if (*shown != '{')
        snprintf(titles, sizeof titles, "%s", shown);
    for (struct json_iter it = json_iter(json_get(view_of(shown), "items")); json_next_element(&it, &one);) {
        ck_assert(json_plain_string(json_get(one, "title"), &title));
        snprintf(titles + strlen(titles), sizeof titles - strlen(titles), "%.*s ", VIEW_ARG(title));
    }
    ck_assert_str_eq(titles, lists[_i].titles);
}
END_TEST

static bool count_row(void *ctx, const struct listed *row)
{
    (void)row;
    ++*(size_t *)ctx;
    return true;
}

static size_t filed_under(const char *state)
{
    struct page page = {.parent = VIEW("lab.items"), .limit = 10, .states = {view_of(state)}};
    size_t count = 0;
    CK_STORE(stage_store.reader, list, "t1", DOC_RECORD, &page, count_row, &count);
    return count;
}

static struct field *status_field(void)
{
    struct resource *items = resource_stage_items();
    size_t i = 0;
    while (strcmp(items->fields[i].name, "status") != 0)
        i++;
    return &items->fields[i];
}

static void check_found_alone(const char *title, const char *filters)
{
    const char *shown = lab_read("items.list", BOSS, "{}", Q(filters), "");
    struct view items = json_get(view_of(shown), "items"), one;
    struct json_iter it = json_iter(items);
    ck_assert(json_next_element(&it, &one) && json_string_is(json_get(one, "title"), title));
    ck_assert(!json_next_element(&it, &one));
}

START_TEST(what_is_no_short_state_is_looked_through)
{
    static char longer[] = "waiting for the clerk";
    lab_item(USER, "{'title':'t1','status':'new'}");
    ck_assert_uint_eq(filed_under("new"), 1);
    status_field()->choices.items[1] = longer;
    lab_item(USER, "{'title':'t2','status':'waiting for the clerk'}");
    check_found_alone("t2", "{'status':'waiting for the clerk'}");
    status_field()->choices.count = 0; /* any will do */
    lab_item(USER, "{'title':'t3','status':'on loan'}");
    ck_assert_uint_eq(filed_under("on loan"), 0);
    check_found_alone("t3", "{'status':'on loan'}");
}
END_TEST

START_TEST(own_documents_are_read_by_their_owners)
{
    const char *id = lab_item(USER, "{'title':'abc'}");
    char document[1024];
    snprintf(document, sizeof document, "%s", reply.data);
    ck_assert_str_eq(lab_read("items.get", USER, lab_id(id), "", ""), document);
    ck_assert_str_eq(lab_read("items.get", BOSS, lab_id(id), "", ""), document);
    ck_assert_str_eq(lab_read("items.get", STRANGER, lab_id(id), "", ""), "NOT_FOUND");
    ck_assert_str_eq(lab_read("items.get", NOBODY, lab_id(id), "", ""), "DENIED");
    ck_assert_str_eq(lab_read("items.get", BOSS, lab_id("IT"), "", ""), "NOT_FOUND");
    ck_assert_str_eq(lab_read("items.history", STRANGER, lab_id(id), "", ""), "NOT_FOUND");
}
END_TEST

START_TEST(lists_within_a_document_are_its_own_by_newest_change)
{
    const char *a = lab_item(USER, "{'title':'abc'}"), *b = lab_item(USER, "{'title':'abc'}");
    char of_a[64], of_b[64], first[32], shown[4096];
    snprintf(of_a, sizeof of_a, "{\"itemId\":\"%s\"}", a);
    snprintf(of_b, sizeof of_b, "{\"itemId\":\"%s\"}", b);
    lab_must("notes.create", USER, of_a, "{'text':'one'}");
    ck_assert(json_copy_string(json_get(buf_view(&reply), "id"), first, sizeof first));
    lab_must("notes.create", USER, of_a, "{'text':'two'}");
    lab_must("notes.create", USER, of_b, "{'text':'elsewhere'}");
    lab_must("notes.update", USER, lab_id(first), "{'text':'changed'}");
    snprintf(shown, sizeof shown, "%s", lab_read("notes.list", USER, of_a, "{}", ""));
    ck_assert(strstr(shown, "changed") < strstr(shown, "two"));
    ck_assert_ptr_null(strstr(shown, "elsewhere"));
    ck_assert_ptr_nonnull(strstr(lab_read("notes.list", USER, of_b, "{}", ""), "elsewhere"));
}
END_TEST

static void add_all(TCase *t)
{
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, lists_are_narrowed, 0, (int)countof(lists));
    tcase_add_test(t, what_is_no_short_state_is_looked_through);
    tcase_add_test(t, own_documents_are_read_by_their_owners);
    tcase_add_test(t, lists_within_a_document_are_its_own_by_newest_change);
}

Suite *suite_record_reads(void)
{
    Suite *s = suite_create("record_reads");
    TCase *sqlite = tcase_create("sqlite"), *mongo = tcase_create("mongo");
    tcase_add_checked_fixture(sqlite, resource_stage_sqlite, resource_stage_close);
    tcase_add_checked_fixture(mongo, resource_stage_mongo, resource_stage_close);
    add_all(sqlite);
    add_all(mongo);
    suite_add_tcase(s, sqlite);
    suite_add_tcase(s, mongo);
    return s;
}
