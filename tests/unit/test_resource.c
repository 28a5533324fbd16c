/* Writes and reads on a profile's resources, rule by rule, on a real store of either kind. */
#include "shared/json.h"
#include "tests/unit/resource_stage.h"
#include "tests/unit/suites.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define T "2026-09-12T08:00:00.000Z" /* STAGE_NOW_S */

/* --- bodies --- */

static const struct {
    const char *body, *why;
} bad_bodies[] = {
    {"{}", "title is required"},
    {"{'title':null}", "title is required"},
    {"{'title':''}", "title is required, and must not be empty"},
    {"[]", "the body must be a JSON object"},
    {"'x'", "the body must be a JSON object"},
    {"{'title':'abc','colour':1}", "there is no field colour"},
    {"{'title':'abc','level':'high'}", "there is no field level"},
    {"{'title':'abc','itemId':'x'}", "there is no field itemId"},
    {"{'title':'abc','userId':'bob'}", "there is no field userId"},
    {"{'title':'abc','b\\u0000d':1}", "there is no field of that name"},
    {"{'title':5}", "title must be a string"},
    {"{'title':'a'}", "title must have at least 2 characters"},
    {"{'title':'abcdefghijk'}", "title must have at most 10 characters"},
    {"{'title':'a\\u0000b'}", "title must be a string, without U+0000"},
    {"{'title':'a\\ud800'}", "lone surrogates"},
    {"{'title':'abc','count':'1'}", "count must be an integer"},
    {"{'title':'abc','count':1.5}", "count must be an integer"},
    {"{'title':'abc','count':6}", "count must be at most 5"},
    {"{'title':'abc','count':-1}", "count must be at least 0"},
    {"{'title':'abc','price':'1'}", "price must be a number"},
    {"{'title':'abc','price':0.4}", "price must be at least 0.5"},
    {"{'title':'abc','ok':1}", "ok must be true or false"},
    {"{'title':'abc','extra':[]}", "extra must be an object"},
    {"{'title':'abc','lines':{}}", "lines must be an array"},
    {"{'title':'abc','lines':[]}", "lines must have at least 1 elements"},
    {"{'title':'abc','lines':[{'sku':'a'},{'sku':'a'},{'sku':'a'}]}", "lines must have at most 2 elements"},
    {"{'title':'abc','lines':[5]}", "lines.0 must be an object"},
    {"{'title':'abc','lines':[{'sku':'a'},{}]}", "lines.1.sku is required"},
    {"{'title':'abc','lines':[{'sku':'abcd'}]}", "lines.0.sku must have at most 3 characters"},
    {"{'title':'abc','lines':[{'sku':'a','n':0}]}", "lines.0.n must be at least 1"},
    {"{'title':'abc','lines':[{'sku':'a','m':0}]}", "there is no field lines.0.m"},
    {"{'title':'abc','status':'old'}", "status must be one of new, done"},
    {"{'title':'abc','version':'1'}", "version must be a number"},
};

START_TEST(a_body_is_refused_with_the_name_of_what_is_wrong)
{
    lab_must_not("items.create", USER, "{}", bad_bodies[_i].body, ERR_INVALID, bad_bodies[_i].why);
}
END_TEST

/* Everything but the ids. */
static const struct {
    const char *body, *document;
} good_bodies[] = {
    {"{'title':'abc'}",
     "'title':'abc','level':'low','userId':'ann','madeAt':'" T "','said':null,'version':1}"},
    {"{'status':'new','title':'\\u0061bc','count':null,'version':7}",
     "'title':'\\u0061bc','status':'new','level':'low','userId':'ann','madeAt':'" T
     "','said':null,'version':1}"},
    {"{'lines':[{'n':1,'sku':'abc'}],'note':[1e400,{}],'extra':{'a':{}},'ok':false,'price':1e3,'count':5,"
     "'title':'\xc3\xa4\xc3\xb6','whisper':'pst'}",
     "'title':'\xc3\xa4\xc3\xb6','count':5,'price':1e3,'ok':false,'extra':{'a':{}},'note':[1e400,{}],"
     "'lines':[{'n':1,'sku':'abc'}],'level':'low','userId':'ann','madeAt':'" T "','said':'pst','version':1}"},
};

START_TEST(a_document_has_its_members_in_order)
{
    char wanted[1024];
    const char *id = lab_item(USER, good_bodies[_i].body);
    ck_assert_msg(strlen(id) == 8 && !strncmp(id, "IT", 2) && strspn(id + 2, "0123456789") == 6, "%s", id);
    snprintf(wanted, sizeof wanted, "{'itemId':'%s','_id':'%s',%s", id, id, good_bodies[_i].document);
    ck_assert_str_eq(reply.data, Q(wanted));
    ck_assert_str_eq(lab_stored("items", id), Q(wanted));
}
END_TEST

/* --- ids --- */

START_TEST(ids_are_drawn_until_one_is_free)
{
    static char form[] = "IT#";
    struct err err;
    char first[16], second[16];
    resource_stage_items()->id_form = form; /* files may not have so few */
    for (int i = 0; i < 2; i++) {
        ck_assert(lab_decide("items.create", USER, "{}", Q("{'title':'abc'}"), "", 77, &err));
        ck_assert(json_copy_string(json_get(buf_view(&reply), "itemId"), i ? second : first, sizeof first));
    }
    ck_assert_str_ne(first, second); /* the same draws: the first one is taken */
    stage_commit(&lab_events);
    lab_must("items.delete", BOSS, lab_id(first), "{}"); /* and stays taken */
    for (int i = 0; i < 8; i++)
        lab_item(USER, "{'title':'abc'}");
    lab_must_not("items.create", USER, "{}", "{'title':'abc'}", ERR_CONFLICT, "no id is free");
}
END_TEST

START_TEST(a_document_under_a_given_id_is_made_once)
{
    lab_must("orders.named", USER, "{'name':'A 1'}", "{}");
    ck_assert_str_eq(reply.data, Q("{'id':'A 1','version':1}"));
    lab_must_not("orders.named", USER, "{'name':'A 1'}", "{}", ERR_CONFLICT, "there is one already");
    lab_must("orders.create", USER, "{}", "{'what':'x'}");
    struct view id;
    ck_assert(json_plain_string(json_get(buf_view(&reply), "id"), &id));
    ck_assert_uint_eq(id.n, 24);
    ck_assert_uint_eq(strspn(id.p, "0123456789abcdef"), 24);
}
END_TEST

/* --- who may --- */

static const struct {
    const char *operation, *claims;
    enum err_code code;
} grants[] = {
    {"items.update", "{\"tenantId\":\"t1\",\"sub\":\"bo\",\"roles\":[\"user\",\"boss\"]}", ERR_NONE},
    {"items.update", USER, ERR_NONE},
    {"items.update", BOSS, ERR_NONE},
    {"items.update", STRANGER, ERR_NOT_FOUND},
    {"items.update", NOBODY, ERR_DENIED},
    {"items.update", SERVICE, ERR_DENIED},
    {"items.delete", STRANGER, ERR_NOT_FOUND},
    {"items.delete", USER, ERR_NONE},
    {"items.finish", USER, ERR_DENIED},
    {"items.finish", BOSS, ERR_NONE},
    {"items.say", STRANGER, ERR_NOT_FOUND},
};

START_TEST(what_a_role_may_do)
{
    const char *id = lab_item(USER, "{'title':'abc'}");
    const char *body = strstr(grants[_i].operation, "say") ? "{'whisper':'x'}" : "{}";
    if (grants[_i].code)
        lab_must_not(grants[_i].operation, grants[_i].claims, lab_id(id), body, grants[_i].code, "");
    else
        lab_must(grants[_i].operation, grants[_i].claims, lab_id(id), body);
    lab_must_not(grants[_i].operation, grants[_i].claims, "{'id':'IT'}", body,
                 grants[_i].code == ERR_DENIED ? ERR_DENIED : ERR_NOT_FOUND, "");
}
END_TEST

START_TEST(nobody_makes_what_is_somebody_elses)
{
    lab_must("boxes.take", USER, "{'id':'ann'}", "{'things':[1]}");
    lab_must_not("boxes.take", STRANGER, "{'id':'ann'}", "{'things':[2]}", ERR_NOT_FOUND, "");
    lab_must_not("boxes.take", STRANGER, "{'id':'new'}", "{'things':[2]}", ERR_DENIED, "somebody else's");
    ck_assert_str_eq(lab_stored("boxes", "ann"), Q("{'userId':'ann','things':[1],'version':1}"));
    ck_assert_str_eq(lab_stored("boxes", "new"), "-");
}
END_TEST

/* --- update --- */

static const struct {
    const char *operation, *body;
    enum err_code code;
    const char *heard, *title; /* title: as it is then */
} updates[] = {
    {"items.update", "{}", ERR_NONE, "", "'abc'"},
    {"items.update", "{'title':'abc','note':5}", ERR_NONE, "", "'abc'"}, /* it is */
    {"items.update", "{'title':'\\u0061bc'}", ERR_NONE, "", "'abc'"},
    {"items.update", "{'count':null}", ERR_NONE, "", "'abc'"}, /* there is none */
    {"items.update", "{'title':'xyz'}", ERR_NONE, "changed by_boss ", "'xyz'"},
    {"items.update", "{'note':null}", ERR_NONE, "changed by_boss ", "'abc'"},
    {"items.update", "{'note':[5]}", ERR_NONE, "changed by_boss ", "'abc'"},
    {"items.update", "{'status':'new'}", ERR_NONE, "moved by_boss ", "'abc'"},
    {"items.update", "{'status':'new','title':'xy'}", ERR_NONE, "changed by_boss ", "'xy'"},
    {"items.update", "{'title':null}", ERR_NONE, "changed by_boss ", ""},
    {"items.update", "{'count':1,'version':1}", ERR_NONE, "by_boss ", "'abc'"},
    {"items.update", "{'count':1,'version':2}", ERR_CONFLICT, "", "'abc'"},
    {"items.update", "{'count':1,'version':0}", ERR_CONFLICT, "", "'abc'"},
    {"items.update", "{'version':2}", ERR_CONFLICT, "", "'abc'"},
    {"items.update", "{'whisper':'x'}", ERR_INVALID, "", "'abc'"},
    {"items.say", "{}", ERR_INVALID, "", "'abc'"},
    {"items.finish", "{}", ERR_NONE, "done ", "'abc'"},
    {"items.finish", "", ERR_NONE, "done ", "'abc'"},
    {"items.finish", "{'status':'done'}", ERR_INVALID, "", "'abc'"},
};

START_TEST(an_update_changes_what_it_says_and_no_more)
{
    const char *id = lab_item(USER, "{'title':'abc','note':5}");
    char before[1024];
    snprintf(before, sizeof before, "%s", lab_stored("items", id));
    now_ms += 1000;
    batch_destroy(batch);
    stage_begin();
    if (updates[_i].code)
        lab_must_not(updates[_i].operation, BOSS, lab_id(id), updates[_i].body, updates[_i].code,
                     updates[_i].code == ERR_CONFLICT ? "version 1 by now" : "");
    else
        lab_must(updates[_i].operation, BOSS, lab_id(id), updates[_i].body);
    ck_assert_str_eq(lab_heard(), updates[_i].heard);
    struct view after = view_of(lab_stored("items", id));
    ck_assert_msg(view_is(json_get(after, "title"), Q(updates[_i].title)), "%s", after.p);
    ck_assert_msg(view_is(json_get(after, "version"), *updates[_i].heard ? "2" : "1"), "%s", after.p);
    ck_assert_msg(*updates[_i].heard || view_is(after, before), "%s", after.p);
    ck_assert_msg(updates[_i].code || strstr(updates[_i].operation, "finish") || view_is(after, reply.data),
                  "%s", reply.data);
}
END_TEST

START_TEST(what_is_appended_is_always_a_change)
{
    const char *id = lab_item(USER, "{'title':'abc'}");
    lab_must("items.say", USER, lab_id(id), "{'whisper':'hey'}");
    lab_must("items.say", BOSS, lab_id(id), "{'whisper':'hey'}");
    ck_assert_msg(view_is(json_get(buf_view(&reply), "words"),
                          Q("[{'by':'user','text':'hey'},{'by':'agent','text':'hey'}]")),
                  "%s", reply.data);
    ck_assert(view_is(json_get(buf_view(&reply), "version"), "3"));
    char wanted[256];
    snprintf(wanted, sizeof wanted,
             "['item-%s'] {'word':{'by':'agent','text':'hey'},'all':[{'by':'user','text':'hey'},"
             "{'by':'agent','text':'hey'}]}",
             id);
    ck_assert_str_eq(lab_event(0), Q(wanted));
}
END_TEST

/* --- what follows --- */

START_TEST(events_go_to_their_rooms_in_the_order_of_the_file)
{
    char wanted[512];
    const char *id = lab_item(USER, "{'title':'abc','count':3}");
    ck_assert_str_eq(lab_heard(), "made all ");
    snprintf(wanted, sizeof wanted, "['item-%s','hall'] {'is':%s,'by':'Ann'}", id, reply.data);
    ck_assert_str_eq(lab_event(0), Q(wanted));
    ck_assert_str_eq(lab_event(1), Q("['role:user','role:boss'] {'n':3}"));
}
END_TEST

START_TEST(answers_are_made_as_the_file_says)
{
    const char *id = lab_item(USER, "{'title':'abc'}");
    lab_must("items.finish", BOSS, lab_id(id), "{}");
    ck_assert_str_eq(reply.data, Q("{'now':'done','was':null}"));
    lab_must("items.finish", BOSS, lab_id(id), "{}"); /* nothing to do */
    ck_assert_str_eq(reply.data, Q("{'now':'done','was':'done'}"));
    ck_assert_str_eq(lab_heard(), "");
}
END_TEST

START_TEST(a_write_is_followed_by_others)
{
    lab_must("boxes.put", USER, "{}", "{'things':[1,2]}");
    lab_must("orders.create", USER, "{}", "{'what':'cake'}");
    ck_assert_str_eq(lab_stored("boxes", "ann"), Q("{'userId':'ann','things':[],'last':'cake','version':2}"));
    lab_must("orders.create", USER, "{}", "{'what':'cake'}"); /* the same again is no change */
    ck_assert_str_eq(lab_stored("boxes", "ann"), Q("{'userId':'ann','things':[],'last':'cake','version':2}"));
    lab_must("orders.create", STRANGER, "{}", "{'what':'pie'}");
    ck_assert_str_eq(lab_stored("boxes", "bob"), Q("{'userId':'bob','things':[],'last':'pie','version':1}"));
}
END_TEST

START_TEST(another_document_may_have_to_be_there)
{
    lab_must_not("notes.create", USER, "{'itemId':'IT9'}", "{'text':'x'}", ERR_NOT_FOUND, "no such item");
    const char *id = lab_item(USER, "{'title':'abc'}");
    char params[64];
    snprintf(params, sizeof params, "{'itemId':'%s'}", id);
    lab_must("notes.create", USER, params, "{'text':'x'}");
    ck_assert(json_string_is(json_get(buf_view(&reply), "about"), "abc"));
    lab_must("items.delete", BOSS, lab_id(id), "");
    lab_must_not("notes.create", USER, params, "{'text':'x'}", ERR_NOT_FOUND, "no such item");
}
END_TEST

START_TEST(what_was_deleted_is_gone_and_stays_known)
{
    const char *id = lab_item(USER, "{'title':'abc'}");
    lab_must("items.update", USER, lab_id(id), "{'title':'xyz'}");
    ck_assert_str_eq(lab_heard(), "changed "); /* not by a boss */
    lab_must_not("items.delete", USER, lab_id(id), "{'version':1}", ERR_CONFLICT, "version 2");
    lab_must("items.delete", USER, lab_id(id), "{'version':2}");
    ck_assert_str_eq(reply.data, Q("{'gone':'xyz'}"));
    ck_assert_str_eq(lab_heard(), "gone ");
    ck_assert_str_eq(lab_stored("items", id), "deleted");
    lab_must_not("items.delete", USER, lab_id(id), "", ERR_NOT_FOUND, "items");
    lab_must_not("items.update", USER, lab_id(id), "{}", ERR_NOT_FOUND, "items");
    ck_assert_str_eq(lab_read("items.get", USER, lab_id(id), "", ""), "NOT_FOUND");
    ck_assert_str_eq(lab_read("items.list", BOSS, "{}", "{}", ""), Q("{'items':[],'nextCursor':null}"));
    ck_assert_str_eq(lab_read("items.history", BOSS, lab_id(id), "", ""),
                     Q("{'items':[{'at':'" T "','who':'ann'},{'at':'" T
                       "','who':'ann','before':'abc','after':'xyz'}],'nextCursor':null}"));
    ck_assert_str_eq(lab_read("items.history", USER, lab_id(id), "", ""), "NOT_FOUND"); /* nobody's now */
    ck_assert_str_eq(lab_read("items.history", BOSS, "{\"id\":\"IT\"}", "", ""), "NOT_FOUND");
}
END_TEST

START_TEST(what_comes_back_goes_on_counting)
{
    static const char *const gone[] = {"lab.orders/A", "lab.boxes/ann"};
    for (size_t i = 0; i < countof(gone); i++)
        batch_put(batch, DOC_RECORD, view_of(gone[i]), (struct doc_place){.parent = {"", 0}},
                  view_of(Q("{'deleted':true,'version':4}")));
    stage_commit(&lab_events);
    lab_must("orders.named", USER, "{'name':'A'}", "{}");
    ck_assert_str_eq(reply.data, Q("{'id':'A','version':5}"));
    lab_must_not("boxes.put", USER, "{}", "{'things':[],'version':4}", ERR_CONFLICT, "version 0");
    lab_must("boxes.put", USER, "{}", "{'things':[],'version':0}"); /* as it is shown */
    ck_assert_str_eq(reply.data, Q("{'userId':'ann','things':[],'version':5}"));
}
END_TEST

START_TEST(a_users_tokens_end_with_what_he_was)
{
    const char *first = lab_item(USER, "{'title':'abc'}"), *second = lab_item(USER, "{'title':'abc'}");
    lab_must("items.delete", BOSS, lab_id(first), "");
    ck_assert_str_eq(lab_heard(), "gone "); /* it was not done */
    lab_must("items.finish", BOSS, lab_id(second), "");
    lab_must("items.delete", BOSS, lab_id(second), "");
    ck_assert_str_eq(lab_heard(), "gone portalcast:revoked ");
    ck_assert_str_eq(lab_event(1), Q(" {'sub':'ann','before':1789200000000,'mayReturn':true}"));
    ck_assert(
        view_is(json_get(batch_get(batch, DOC_REVOCATION, VIEW("sub:ann")), "before"), "1789200000000"));
}
END_TEST

/* --- what nobody has written yet --- */

START_TEST(an_absent_document_is_what_the_file_says)
{
    struct err err;
    ck_assert_str_eq(lab_read("boxes.get", USER, "{}", "", ""), Q("{'of':'ann','things':[]}"));
    ck_assert_str_eq(lab_stored("boxes", "ann"), "-");
    lab_must_not("boxes.put", USER, "{}", "{'things':[1],'version':1}", ERR_CONFLICT, "version 0");
    lab_must("boxes.put", USER, "{}", "{'things':[1],'version':0}");
    ck_assert_str_eq(reply.data, Q("{'userId':'ann','things':[1],'version':1}"));
    lab_must("boxes.touch", STRANGER, "{}", "");
    ck_assert_str_eq(reply.data, Q("{'userId':'bob','things':[],'touched':true,'version':1}"));
    lab_must("boxes.put", STRANGER, "{}", "{'things':[]}"); /* nothing of the old one stays */
    ck_assert_str_eq(reply.data, Q("{'userId':'bob','things':[],'version':2}"));
    ck_assert(!lab_write("boxes.put", BOSS, "{}", Q("{'things':[]}"), &err) && err.code == ERR_DENIED);
}
END_TEST

START_TEST(a_body_of_any_form_is_the_callers_own)
{
    lab_must_not("wishes.put", USER, "{}", "[]", ERR_INVALID, "object");
    lab_must_not("wishes.put", USER, "{}", "{'version':true}", ERR_INVALID, "version");
    lab_must("wishes.put", USER, "{}", "{'b':{'version':9},'version':0,'a':1.0}");
    ck_assert_str_eq(reply.data,
                     Q("{'userId':'ann','wishes':{'b':{'version':9},'a':1.0},'at':'" T "','version':1}"));
    lab_must("wishes.put", USER, "{}", "{'b':{'version':9},'a':1.0}"); /* a replacement always is one */
    ck_assert(view_is(json_get(buf_view(&reply), "version"), "2"));
    ck_assert(
        view_is(batch_get(batch, DOC_AUDIT, VIEW("lab.wishes/ann/1")),
                Q("{'at':'" T "','who':'ann@x.example','before':null,'after':{'b':{'version':9},'a':1.0}}")));
    ck_assert(batch_get(batch, DOC_AUDIT, VIEW("lab.wishes/ann/2")).n > 0);
}
END_TEST

/* --- people --- */

START_TEST(people_are_kept_as_their_tokens_say)
{
    static const struct {
        const char *claims, *id, *person;
    } rows[] = {
        {USER, "ann", "{'id':'ann','name':'Ann','email':'ann@x.example','role':'user','version':1}"},
        {USER, "ann", "{'id':'ann','name':'Ann','email':'ann@x.example','role':'user','version':1}"},
        {"{'tenantId':'t1','sub':'ann','roles':['user'],'name':'Anna'}", "ann",
         "{'id':'ann','name':'Anna','role':'user','version':2}"},
        {BOSS, "boss-1", "{'id':'boss-1','phone':'+44 7700','role':'boss','version':1}"},
        {SERVICE, "shop", "-"},
        {"{'tenantId':'t1','sub':'both','roles':['user','service']}", "both", "-"},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        lab_item(Q(rows[i].claims), "{'title':'abc'}");
        ck_assert_str_eq(lab_stored("people", rows[i].id), Q(rows[i].person));
    }
    lab_must_not("items.create", STRANGER, "{}", "{}", ERR_INVALID, "title");
    ck_assert_str_eq(lab_stored("people", "bob"), "-");
}
END_TEST

START_TEST(somebody_who_only_reads_is_kept_too)
{
    struct err err = {0};
    struct command c = {.type = COMMAND_KNOW,
                        .operation = profiles_operation(lab, VIEW("lab.items.get")),
                        .params = VIEW("{}"),
                        .claims = VIEW(STRANGER),
                        .author = VIEW("bob"),
                        .reply = &reply};
    ck_assert(command_decide(batch, &c, &err));
    stage_commit(&lab_events);
    ck_assert_str_eq(lab_heard(), "");
    ck_assert_str_eq(lab_stored("people", "bob"), Q("{'id':'bob','role':'user','version':1}"));
    ck_assert_str_eq(lab_read("people.list", USER, "{}", "{}", "BOB"),
                     Q("{'items':[{'id':'bob','by':'ann'}],'nextCursor':null}"));
    c.claims = VIEW(BOSS);
    ck_assert(command_decide(batch, &c, &err));
    stage_commit(&lab_events);
    ck_assert_str_eq(lab_read("people.list", USER, "{}", "{}", ""), /* only users */
                     Q("{'items':[{'id':'bob','by':'ann'}],'nextCursor':null}"));
}
END_TEST

/* --- the machinery of all commands --- */

START_TEST(a_key_stands_for_the_call_whoever_the_caller_says_he_is)
{
    struct err err;
    char first[1024];
    const char *renamed = Q("{'tenantId':'t1','sub':'ann','roles':['user'],'name':'Annie'}");
    ck_assert(lab_decide("items.create", USER, "{}", Q("{'title':'abc'}"), "k", 1, &err));
    snprintf(first, sizeof first, "%s", reply.data);
    stage_commit(&lab_events);
    ck_assert(lab_decide("items.create", renamed, "{}", Q("{'title':'abc'}"), "k", 2, &err));
    ck_assert_str_eq(reply.data, first);
    stage_commit(&lab_events);
    ck_assert_str_eq(lab_heard(), "");
    ck_assert(!lab_decide("items.create", USER, "{}", Q("{'title':'xyz'}"), "k", 3, &err));
    ck_assert(err.code == ERR_INVALID && strstr(err.text, "Idempotency-Key"));
    ck_assert(!lab_decide("orders.create", USER, "{}", Q("{'title':'abc'}"), "k", 3, &err));
    ck_assert(strstr(err.text, "Idempotency-Key"));
    ck_assert(!lab_decide("items.create", USER, Q("{'id':'x'}"), Q("{'title':'abc'}"), "k", 3, &err));
    ck_assert(strstr(err.text, "Idempotency-Key"));
}
END_TEST

START_TEST(what_is_too_large_or_too_deep_is_refused)
{
    struct err err;
    struct buf body;
    const char *id = lab_item(USER, "{'title':'abc'}");
    buf_init(&body, 4 << 20);
    buf_addf(&body, "{\"whisper\":\"%0200000d\"}", 1);
    for (int i = 0; i < 2; i++)
        ck_assert(lab_write("items.say", USER, lab_id(id), body.data, &err));
    ck_assert(!lab_write("items.say", USER, lab_id(id), body.data, &err));
    ck_assert_msg(err.code == ERR_TOO_LARGE, "%s", err.text);
    ck_assert_str_eq(lab_heard(), "");
    buf_clear(&body);
    buf_addf(&body, "{\"title\":\"abc\",\"note\":%.*s%.*s}", 31, "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", 31,
             "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]");
    ck_assert_msg(lab_write("items.create", USER, "{}", body.data, &err), "%s", err.text);
    buf_clear(&body);
    buf_addf(&body, "{\"title\":\"abc\",\"note\":%.*s%.*s}", 32, "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", 32,
             "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]");
    ck_assert(!lab_write("items.create", USER, "{}", body.data, &err));
    ck_assert_msg(err.code == ERR_INVALID && strstr(err.text, "deep"), "%s", err.text);
    buf_free(&body);
}
END_TEST

static void add_all(TCase *t)
{
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, a_body_is_refused_with_the_name_of_what_is_wrong, 0, (int)countof(bad_bodies));
    tcase_add_loop_test(t, a_document_has_its_members_in_order, 0, (int)countof(good_bodies));
    tcase_add_test(t, ids_are_drawn_until_one_is_free);
    tcase_add_test(t, a_document_under_a_given_id_is_made_once);
    tcase_add_loop_test(t, what_a_role_may_do, 0, (int)countof(grants));
    tcase_add_test(t, nobody_makes_what_is_somebody_elses);
    tcase_add_loop_test(t, an_update_changes_what_it_says_and_no_more, 0, (int)countof(updates));
    tcase_add_test(t, what_is_appended_is_always_a_change);
    tcase_add_test(t, events_go_to_their_rooms_in_the_order_of_the_file);
    tcase_add_test(t, answers_are_made_as_the_file_says);
    tcase_add_test(t, a_write_is_followed_by_others);
    tcase_add_test(t, another_document_may_have_to_be_there);
    tcase_add_test(t, what_was_deleted_is_gone_and_stays_known);
    tcase_add_test(t, what_comes_back_goes_on_counting);
    tcase_add_test(t, a_users_tokens_end_with_what_he_was);
    tcase_add_test(t, an_absent_document_is_what_the_file_says);
    tcase_add_test(t, a_body_of_any_form_is_the_callers_own);
    tcase_add_test(t, people_are_kept_as_their_tokens_say);
    tcase_add_test(t, somebody_who_only_reads_is_kept_too);
    tcase_add_test(t, a_key_stands_for_the_call_whoever_the_caller_says_he_is);
    tcase_add_test(t, what_is_too_large_or_too_deep_is_refused);
}

Suite *suite_resource(void)
{
    Suite *s = suite_create("resource");
    TCase *sqlite = tcase_create("sqlite"), *mongo = tcase_create("mongo");
    tcase_add_checked_fixture(sqlite, resource_stage_sqlite, resource_stage_close);
    tcase_add_checked_fixture(mongo, resource_stage_mongo, resource_stage_close);
    add_all(sqlite);
    add_all(mongo);
    suite_add_tcase(s, sqlite);
    suite_add_tcase(s, mongo);
    return s;
}
