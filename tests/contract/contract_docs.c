/* Documents, for every kind of store: reads of many, lists and their narrower forms, walks, what ages. */
#include "state-manager/store/changes.h"
#include "tests/contract/store_fixture.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool on_listed(void *ctx, const struct listed *row)
{
    return seen_add(ctx, "%.*s ", VIEW_ARG(row->key));
}

static const char *list(const char *tenant_id, enum doc_kind kind, struct page page)
{
    static struct seen seen;
    seen = (struct seen){0};
    CK_STORE(stores.reader, list, tenant_id, kind, &page, on_listed, &seen);
    return seen.text;
}

START_TEST(lists_are_newest_first_and_page_on)
{
    static const enum doc_kind kinds[] = {DOC_MESSAGE, DOC_AUDIT};
    enum doc_kind kind = kinds[_i];
    static const char *const keys[] = {"a", "b", "c", "d"};
    static const int64_t ranks[] = {10, 30, 20, 20}, ords[] = {1, 2, 3, 4};
    struct change changes[4];
    for (size_t i = 0; i < 4; i++)
        changes[i] = (struct change){
            kind, view_of(keys[i]), {.parent = VIEW("c1"), .rank = ranks[i], .ord = ords[i]}, VIEW("{}")};
    store_put("t1", changes, 4);
    static const struct {
        struct page page;
        const char *text;
    } rows[] = {{{.parent = VIEW("c1"), .limit = 10}, "b d c a "},
                {{.parent = VIEW("c1"), .limit = 2}, "b d "},
                {{.parent = VIEW("c1"), .limit = 0}, ""},
                {{.parent = VIEW("c1"), .limit = 2, .has_cursor = true, .rank = 20, .ord = 4}, "c a "},
                {{.parent = VIEW("c2"), .limit = 10}, ""}};
    for (size_t i = 0; i < countof(rows); i++)
        ck_assert_str_eq(list("t1", kind, rows[i].page), rows[i].text);
    ck_assert_str_eq(list("t2", kind, rows[0].page), "");
    ck_assert_str_eq(list("t1", kinds[!_i], rows[0].page), "");
    ck_assert_str_eq(list("t1", DOC_RAW, rows[0].page), "");
}
END_TEST

/* --- filed lists -----------------------------------------------------------------------------------------
 */

/* The kinds that are, and which is under test. */
static const enum doc_kind filed_kinds[] = {DOC_CONVERSATION, DOC_RECORD};
static enum doc_kind filed_kind = DOC_CONVERSATION;

static struct change filed(const char *key, int64_t rank, int64_t ord, const char *state, const char *owner)
{
    return (struct change){
        filed_kind,
        view_of(key),
        {.parent = VIEW("p"), .rank = rank, .ord = ord, .state = view_of(state), .owner = view_of(owner)},
        VIEW("{}")};
}

/* States and owners that could be taken for one another's, or for a list's own name. */
static void put_filed(void)
{
    struct change changes[] = {
        filed("a", 10, 1, "waiting", "@ann"),  filed("b", 20, 2, "answered", "@ann"),
        filed("c", 20, 3, "waiting", "@bob"),  filed("d", 30, 4, "closed", "@ann"),
        filed("e", 40, 5, "waiting", "-"),     filed("f", 50, 6, "answered", "@bob"),
        filed("g", 60, 7, "wait", "ing@ann"),  filed("h", 70, 8, "", ""),
        filed("i", 80, 9, "x/7:4/", "@an/np"),
    };
    store_put("t1", changes, countof(changes));
    struct change other[] = {filed("z", 99, 1, "waiting", "@ann")};
    store_put("t2", other, 1);
}

#define OF_P      .parent = VIEW("p"), .limit = 10
#define PAGE(...) ((struct page){OF_P, __VA_ARGS__})

START_TEST(filed_lists_narrow_to_states_and_owners)
{
    filed_kind = filed_kinds[_i];
    put_filed();
    static const struct {
        struct page page;
        const char *text;
    } rows[] = {
        {{OF_P}, "i h g f e d c b a "},
        {{OF_P, .states = {VIEW("waiting")}}, "e c a "},
        {{OF_P, .states = {VIEW("waiting"), VIEW("answered")}}, "f e c b a "},
        {{OF_P, .states = {VIEW("answered"), VIEW("waiting")}}, "f e c b a "},
        {{OF_P, .states = {VIEW("waiting"), VIEW("nothing")}}, "e c a "},
        {{OF_P, .owner = VIEW("@ann")}, "d b a "},
        {{OF_P, .owner = VIEW("@ann"), .states = {VIEW("waiting")}}, "a "},
        {{OF_P, .owner = VIEW("@ann"), .states = {VIEW("closed"), VIEW("waiting")}}, "d a "},
        {{OF_P, .owner = VIEW("-")}, "e "},
        {{OF_P, .owner = VIEW("ing@ann")}, "g "},
        {{OF_P, .owner = VIEW("ing@ann"), .states = {VIEW("wait")}}, "g "},
        {{OF_P, .owner = VIEW("@an/np")}, "i "},
        {{OF_P, .owner = VIEW("nobody")}, ""},
        {{OF_P, .states = {VIEW("waitin")}}, ""},
    };
    for (size_t i = 0; i < countof(rows); i++)
        ck_assert_msg(!strcmp(list("t1", filed_kind, rows[i].page), rows[i].text), "row %zu: %s", i,
                      list("t1", filed_kind, rows[i].page));
}
END_TEST

START_TEST(a_document_that_changes_moves_between_lists)
{
    filed_kind = filed_kinds[_i];
    put_filed();
    struct change moved[] = {filed("a", 90, 10, "closed", "@bob")}, freed[] = {filed("e", 40, 5, "", "")};
    store_put("t1", moved, 1);
    store_put("t1", freed, 1);
    ck_assert_str_eq(list("t1", filed_kind, PAGE(.states = {VIEW("waiting")})), "c ");
    ck_assert_str_eq(list("t1", filed_kind, PAGE(.states = {VIEW("closed")})), "a d ");
    ck_assert_str_eq(list("t1", filed_kind, PAGE(.owner = VIEW("@ann"))), "d b ");
    ck_assert_str_eq(list("t1", filed_kind, PAGE(.owner = VIEW("@bob"))), "a f c ");
    ck_assert_str_eq(list("t1", filed_kind, PAGE(.owner = VIEW("-"))), "");
    ck_assert_str_eq(list("t1", filed_kind, ((struct page){OF_P})), "a i h g f e d c b ");
}
END_TEST

/* What a page ended with: where the next one goes on. */
struct paging {
    struct seen seen;
    int64_t rank, ord;
};

static bool on_paged(void *ctx, const struct listed *row)
{
    struct paging *paging = ctx;
    paging->rank = row->rank;
    paging->ord = row->ord;
    return seen_add(&paging->seen, "%.*s ", VIEW_ARG(row->key));
}

/* Between any two pages rows arrive that stand before, equal in rank to, and outside of what is read. */
static void page_through(struct page page, const char *wanted)
{
    struct paging paging = {0};
    size_t before;
    put_filed();
    page.limit = 1;
    do {
        before = paging.seen.count;
        ck_assert_msg(before < 10, "pages without an end: %s", paging.seen.text);
        CK_STORE(stores.reader, list, "t1", filed_kind, &page, on_paged, &paging);
        page.has_cursor = true;
        page.rank = paging.rank;
        page.ord = paging.ord;
        char newer[16], same[16];
        snprintf(newer, sizeof newer, "n%zu", before);
        snprintf(same, sizeof same, "s%zu", before);
        struct change arriving[] = {
            filed(newer, 1000 + (int64_t)before, 100 + (int64_t)before, "waiting", "@ann"),
            filed(same, paging.rank, 200 + (int64_t)before, "answered", "@ann")};
        store_put("t1", arriving, 2);
    } while (paging.seen.count > before);
    ck_assert_str_eq(paging.seen.text, wanted);
}

static const struct {
    struct page page;
    const char *text;
} paged[] = {{{OF_P}, "i h g f e d c b a "},
             {{OF_P, .states = {VIEW("waiting")}}, "e c a "},
             {{OF_P, .states = {VIEW("waiting"), VIEW("answered")}}, "f e c b a "},
             {{OF_P, .owner = VIEW("@ann")}, "d b a "},
             {{OF_P, .owner = VIEW("@ann"), .states = {VIEW("waiting"), VIEW("answered")}}, "b a "}};

START_TEST(pages_stay_right_while_rows_arrive)
{
    filed_kind = filed_kinds[(size_t)_i / countof(paged)];
    page_through(paged[(size_t)_i % countof(paged)].page, paged[(size_t)_i % countof(paged)].text);
}
END_TEST

/* --- reads of many ---------------------------------------------------------------------------------------
 */

struct got {
    size_t count, by_index[8];
    char docs[8][32];
};

static void on_found(void *ctx, size_t index, struct view doc)
{
    struct got *got = ctx;
    ck_assert_uint_lt(index, 8);
    got->count++;
    got->by_index[index]++;
    snprintf(got->docs[index], sizeof got->docs[index], "%.*s", VIEW_ARG(doc));
}

START_TEST(many_are_read_at_once)
{
    struct change changes[] = {{DOC_MESSAGE, VIEW("k"), {.parent = VIEW("c")}, VIEW("{\"m\":1}")},
                               {DOC_ALIAS, VIEW("k"), {.rank = 0}, VIEW("\"k\"")},
                               {DOC_CONVERSATION, VIEW("a/b"), {.rank = 0}, VIEW("{\"c\":1}")}},
                  other[] = {{DOC_RAW, VIEW("k"), {.rank = 0}, VIEW("{\"t2\":1}")}};
    const struct wanted wanted[] = {{DOC_MESSAGE, VIEW("k")},        {DOC_RAW, VIEW("k")},
                                    {DOC_CONVERSATION, VIEW("a/b")}, {DOC_ALIAS, VIEW("k")},
                                    {DOC_MESSAGE, VIEW("nothing")},  {DOC_MESSAGE, VIEW("k")},
                                    {DOC_CONVERSATION, VIEW("a")},   {DOC_MESSAGE, VIEW("k")}};
    static const char *const docs[] = {"{\"m\":1}", "",          "{\"c\":1}", "\"k\"",
                                       "",          "{\"m\":1}", "",          "{\"m\":1}"};
    struct got got = {0};
    store_put("t1", changes, countof(changes));
    store_put("t2", other, 1);
    CK_STORE(stores.writer, get_many, "t1", wanted, countof(wanted), on_found, &got);
    ck_assert_uint_eq(got.count, 5);
    for (size_t i = 0; i < countof(wanted); i++) {
        ck_assert_uint_eq(got.by_index[i], *docs[i] != 0);
        ck_assert_str_eq(got.docs[i], docs[i]);
    }
    CK_STORE(stores.writer, get_many, "t1", wanted, 0, on_found, &got);
    ck_assert_uint_eq(got.count, 5);
}
END_TEST

enum { CROWD = 1100, PIECE = 275 }; /* more than any store asks for at a time */

static void on_crowd(void *ctx, size_t index, struct view doc)
{
    unsigned char *times = ctx;
    char wanted[24];
    snprintf(wanted, sizeof wanted, "%zu", index % CROWD);
    ck_assert(view_is(doc, wanted));
    times[index]++;
}

START_TEST(a_crowd_is_read_whole)
{
    struct change *changes = calloc(CROWD, sizeof *changes);
    struct wanted *wanted = calloc((size_t)2 * CROWD, sizeof *wanted);
    char(*texts)[24] = calloc(CROWD, sizeof *texts);
    unsigned char *times = calloc((size_t)2 * CROWD, 1);
    ck_assert(changes && wanted && texts && times);
    for (size_t i = 0; i < CROWD; i++) {
        snprintf(texts[i], sizeof texts[i], "%zu", i);
        changes[i] = (struct change){DOC_MESSAGE, view_of(texts[i]), {.rank = 0}, view_of(texts[i])};
        wanted[i] = wanted[i + CROWD] = (struct wanted){DOC_MESSAGE, changes[i].key};
    }
    for (size_t i = 0; i < CROWD; i += PIECE)
        store_put("t1", changes + i, PIECE);
    CK_STORE(stores.reader, get_many, "t1", wanted, (size_t)2 * CROWD, on_crowd, times);
    for (size_t i = 0; i < (size_t)2 * CROWD; i++)
        ck_assert_uint_eq(times[i], 1);
    free(changes);
    free(wanted);
    free(texts);
    free(times);
}
END_TEST

/* --- walks -----------------------------------------------------------------------------------------------
 */

static bool on_change(void *ctx, const struct change *c)
{
    return seen_add(ctx, "%.*s:%.*s:%d:%d:%.*s:%.*s:%.*s ", VIEW_ARG(c->key), VIEW_ARG(c->place.parent),
                    (int)c->place.rank, (int)c->place.ord, VIEW_ARG(c->place.state), VIEW_ARG(c->place.owner),
                    VIEW_ARG(c->doc));
}

START_TEST(a_walk_gives_whole_documents_by_key)
{
    filed_kind = filed_kinds[_i];
    struct change changes[] = {filed("b", 1, 2, "open", "@ann"), filed("a/0", 3, 4, "", ""),
                               filed("a", 5, 6, "shut", ""), filed("~", -7, 8, "open", "")},
                  others[] = {{DOC_MESSAGE, VIEW("m"), {.parent = VIEW("b")}, VIEW("1")}},
                  second[] = {filed("c", 1, 1, "open", "")};
    static const struct {
        const char *after;
        size_t limit, stop_after;
        const char *text;
    } rows[] = {{"", 10, 0, "a:p:5:6:shut::{} a/0:p:3:4:::{} b:p:1:2:open:@ann:{} ~:p:-7:8:open::{} "},
                {"", 2, 0, "a:p:5:6:shut::{} a/0:p:3:4:::{} "},
                {"a/0", 2, 0, "b:p:1:2:open:@ann:{} ~:p:-7:8:open::{} "},
                {"a/0", 2, 1, "b:p:1:2:open:@ann:{} "},
                {"aa", 1, 0, "b:p:1:2:open:@ann:{} "},
                {"~", 10, 0, ""},
                {"", 0, 0, ""}};
    store_put("t1", changes, countof(changes));
    store_put("t1", others, 1);
    store_put("t10", second, 1);
    for (size_t i = 0; i < countof(rows); i++) {
        struct seen seen = {.stop_after = rows[i].stop_after};
        CK_STORE(stores.reader, scan, "t1", filed_kind, view_of(rows[i].after), rows[i].limit, on_change,
                 &seen);
        ck_assert_str_eq(seen.text, rows[i].text);
    }
}
END_TEST

/* --- what ages -------------------------------------------------------------------------------------------
 */

static struct change aging(enum doc_kind kind, const char *key, int64_t rank)
{
    return (struct change){kind, view_of(key), {.parent = VIEW("p"), .rank = rank, .ord = rank}, VIEW("1")};
}

static void expire(enum doc_kind kind, int64_t before, size_t limit, size_t wanted)
{
    size_t removed = 99;
    CK_STORE(stores.writer, expire, kind, before, limit, &removed);
    ck_assert_uint_eq(removed, wanted);
}

START_TEST(what_is_old_expires_oldest_first)
{
    struct change of_one[] = {aging(DOC_RAW, "r1", 10),  aging(DOC_RAW, "r2", 20),
                              aging(DOC_RAW, "r3", 30),  aging(DOC_REPLY, "y1", 10),
                              aging(DOC_PARKED, "q", 1), aging(DOC_MESSAGE, "m", 1)},
                  of_two[] = {aging(DOC_RAW, "r1", 15), aging(DOC_RAW, "r4", 40)};
    store_put("t1", of_one, countof(of_one));
    store_put("t2", of_two, countof(of_two));
    expire(DOC_RAW, 10, 10, 0); /* as old as that, not older */
    expire(DOC_RAW, 30, 0, 0);
    expire(DOC_RAW, 30, 2, 2); /* 10 and 15 */
    ck_assert_str_eq(store_doc(stores.reader, "t1", DOC_RAW, "r1"), "-");
    ck_assert_str_eq(store_doc(stores.reader, "t2", DOC_RAW, "r1"), "-");
    ck_assert_str_eq(store_doc(stores.reader, "t1", DOC_RAW, "r2"), "1");
    expire(DOC_RAW, 30, 2, 1);
    expire(DOC_RAW, 30, 2, 0);
    ck_assert_str_eq(list("t1", DOC_RAW, ((struct page){OF_P})), "r3 ");
    ck_assert_str_eq(list("t2", DOC_RAW, ((struct page){OF_P})), "r4 ");
    expire(DOC_PARKED, 100, 10, 1);
    ck_assert_str_eq(store_doc(stores.reader, "t1", DOC_REPLY, "y1"), "1");
    ck_assert_str_eq(store_doc(stores.reader, "t1", DOC_MESSAGE, "m"), "1");
}
END_TEST

static struct change own(enum doc_kind kind, const char *key, int64_t rank, int64_t ord)
{
    return (struct change){kind, view_of(key), {.rank = rank, .ord = ord}, VIEW("1")};
}

static void keep_newest(size_t keep, size_t limit, size_t wanted, const char *left)
{
    size_t removed = 99;
    CK_STORE(stores.writer, keep_newest, "t1", DOC_RAW, keep, limit, &removed);
    ck_assert_uint_eq(removed, wanted);
    ck_assert_str_eq(list("t1", DOC_RAW, ((struct page){.limit = 20})), left);
}

START_TEST(what_is_beyond_the_newest_goes_oldest_first)
{
    struct change of_one[] = {own(DOC_RAW, "a", 30, 1),    own(DOC_RAW, "b", 20, 9),
                              own(DOC_RAW, "c", 20, 2),    own(DOC_RAW, "d", 10, 5),
                              own(DOC_RAW, "e", -10, 6),   own(DOC_RAW, "f", 40, 0),
                              own(DOC_LATEST, "l1", 1, 1), aging(DOC_RAW, "p1", 1),
                              own(DOC_REPLY, "y", 1, 1)},
                  of_others[] = {own(DOC_RAW, "g", 1, 1), own(DOC_RAW, "h", 2, 2)};
    keep_newest(1, 10, 0, "");
    store_put("t1", of_one, countof(of_one));
    store_put("t", of_others, 2);
    store_put("t10", of_others, 2);
    keep_newest(7, 10, 0, "f a b c d e ");
    keep_newest(6, 10, 0, "f a b c d e ");
    keep_newest(2, 0, 0, "f a b c d e ");
    keep_newest(5, 1, 1, "f a b c d "); /* all that is due: the limit all the same */
    keep_newest(2, 2, 2, "f a b ");
    keep_newest(2, 2, 1, "f a ");
    keep_newest(2, 2, 0, "f a ");
    store_put("t1", &of_one[4], 1); /* old ones may come back */
    keep_newest(2, 9, 1, "f a ");
    keep_newest(0, 9, 2, "");
    ck_assert_str_eq(list("t1", DOC_RAW, ((struct page){OF_P})), "p1 ");
    ck_assert_str_eq(list("t", DOC_RAW, ((struct page){.limit = 20})), "h g ");
    ck_assert_str_eq(list("t10", DOC_RAW, ((struct page){.limit = 20})), "h g ");
    ck_assert_str_eq(list("t1", DOC_LATEST, ((struct page){.limit = 20})), "l1 ");
    ck_assert_str_eq(store_doc(stores.reader, "t1", DOC_REPLY, "y"), "1");
}
END_TEST

START_TEST(what_was_written_again_is_as_old_as_that)
{
    struct change first[] = {aging(DOC_REPLY, "y", 10)}, second[] = {aging(DOC_REPLY, "y", 50)};
    store_put("t1", first, 1);
    store_put("t1", second, 1);
    expire(DOC_REPLY, 50, 10, 0);
    expire(DOC_REPLY, 51, 10, 1);
    store_put("t1", first, 1); /* and it may come back */
    ck_assert_str_eq(store_doc(stores.reader, "t1", DOC_REPLY, "y"), "1");
}
END_TEST

void contract_docs_add(TCase *t)
{
    tcase_add_loop_test(t, lists_are_newest_first_and_page_on, 0, 2);
    tcase_add_loop_test(t, filed_lists_narrow_to_states_and_owners, 0, countof(filed_kinds));
    tcase_add_loop_test(t, a_document_that_changes_moves_between_lists, 0, countof(filed_kinds));
    tcase_add_loop_test(t, pages_stay_right_while_rows_arrive, 0, countof(filed_kinds) * countof(paged));
    tcase_add_test(t, many_are_read_at_once);
    tcase_add_test(t, a_crowd_is_read_whole);
    tcase_add_loop_test(t, a_walk_gives_whole_documents_by_key, 0, countof(filed_kinds));
    tcase_add_test(t, what_is_old_expires_oldest_first);
    tcase_add_test(t, what_is_beyond_the_newest_goes_oldest_first);
    tcase_add_test(t, what_was_written_again_is_as_old_as_that);
}
