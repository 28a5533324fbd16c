#include "tests/unit/resource_stage.h"
#include "shared/json.h"
#include "shared/mem.h"
#include "state-manager/core/record.h"
#include "state-manager/resources.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct profiles *lab;
struct buf lab_events;

static const char lab_text[] =
    "{'profile':'lab','roles':['user','boss'],'people':'people',"
    "'rooms':[{'room':'item-{itemId}','of':'items','owner':true,'roles':['boss']},"
    "{'room':'box-{boxId}','of':'boxes','owner':true},{'room':'hall','roles':['boss']},"
    "{'room':'me-{userId}','self':true}],"
    "'resources':{"
    "'people':{'people':true,'operations':{"
    "'list':{'do':'list','method':'GET','path':'/"
    "people','who':['*'],'only':{'role':'user'},'search':['name','id'],"
    "'item':{'id':'${document.id}','by':'${token.sub}'}}}},"
    "'items':{'id':{'names':['itemId','_id'],'form':'IT######'},'owner':'userId','state':'status','fields':{"
    "'title':{'type':'string','min':2,'max':10},'count':{'type':'integer','min':0,'max':5},"
    "'price':{'type':'number','min':0.5},'ok':{'type':'boolean'},'extra':{'type':'object'},'note':{'type':'"
    "any'},"
    "'lines':{'type':'array','min':1,'max':2,'items':{'sku':{'type':'string','required':true,'max':3},"
    "'n':{'type':'integer','min':1}}},"
    "'status':{'type':'string','enum':['new','done']},'level':{'type':'string','enum':['low','high'],"
    "'default':'low'},'whisper':{'type':'string','transient':true}},'operations':{"
    "'create':{'do':'create','method':'POST','path':'/items','who':['user','boss','service'],"
    "'fields':['title!','count','price','ok','extra','note','lines','whisper','status'],"
    "'set':{'userId':'${token.sub}','madeAt':'${now}','said':'${body.whisper}'},"
    "'joined':{'user':{'resource':'people','id':'${document.userId}'}},"
    "'emit':[{'event':'made','to':['item-${document.itemId}','hall'],'data':{'is':'${document}','by':"
    "'${joined.user.name}'}},{'event':'all','data':{'n':'${document.count}'}},"
    "{'event':'lost','to':['item-${document.extra}'],'data':1}]},"
    "'get':{'do':'get','method':'GET','path':'/items/{id}','who':['boss','user:own']},"
    "'list':{'do':'list','method':'GET','path':'/items','who':['boss','user:own'],"
    "'filters':['status','count','ok','userId'],'search':['title','note']},"
    "'update':{'do':'update','method':'PATCH','path':'/items/{id}','who':['boss','user:own'],"
    "'fields':['title','note','count','status'],'set':{'changedAt':'${now}'},"
    "'emit':[{'event':'changed','to':['hall'],'when':{'changed':['title','note']},'data':{'was':'${before."
    "title}',"
    "'is':'${document.title}'}},"
    "{'event':'moved','to':['hall'],'when':{'changed':['status'],'unchanged':['title']},'data':'${document."
    "status}'},"
    "{'event':'by_boss','to':['hall'],'when':{'is':{'token.role':'boss'}},'data':null}],"
    "'audit':{'who':'${token.sub}','before':'${before.title}','after':'${document.title}'}},"
    "'say':{'do':'update','method':'POST','path':'/items/{id}/words','status':201,'who':['boss','user:own'],"
    "'fields':['whisper!'],'append':{'words':{'by':'${token.role}','text':'${body.whisper}'}},"
    "'emit':[{'event':'word','to':['item-${document.itemId}'],'data':{'word':'${appended}','all':'${document."
    "words}'}}]},"
    "'finish':{'do':'update','method':['POST','PUT'],'path':'/items/{id}/finish','who':['boss'],"
    "'set':{'status':'done'},'emit':[{'event':'done','to':['hall'],'data':'${document.status}'}],"
    "'answer':{'now':'${document.status}','was':'${before.status}'}},"
    "'delete':{'do':'delete','method':'DELETE','path':'/items/{id}','who':['boss','user:own'],"
    "'audit':{'who':'${token.sub}'},'answer':{'gone':'${document.title}'},"
    "'emit':[{'event':'gone','to':['hall'],'data':'${document.itemId}'}],'disconnect':{'user':'${document."
    "userId}',"
    "'when':{'is':{'document.status':'done'}},'may_return':true}},"
    "'history':{'do':'audit','method':'GET','path':'/items/{id}/history','who':['boss','user:own']}}},"
    "'boxes':{'id':{'names':['userId']},'owner':'userId','fields':{'things':{'type':'array'}},'absent':{'"
    "things':[]},"
    "'operations':{'get':{'do':'get','method':'GET','path':'/box','who':['user'],'id':'${token.sub}',"
    "'answer':{'of':'${document.userId}','things':'${document.things}'}},"
    "'put':{'do':'replace','method':'PUT','path':'/"
    "box','who':['user'],'id':'${token.sub}','fields':['things!']},"
    "'touch':{'do':'update','method':'POST','path':'/"
    "box','who':['user'],'id':'${token.sub}','set':{'touched':true}},"
    "'take':{'do':'replace','method':'PUT','path':'/boxes/{id}','who':['user:own'],'fields':['things!']}}},"
    "'orders':{'fields':{'what':{'type':'string'}},'operations':{"
    "'create':{'do':'create','method':'POST','path':'/orders','who':['user'],'fields':['what!'],"
    "'set':{'userId':'${token.sub}'},'then':[{'resource':'boxes','id':'${token.sub}','set':{'things':[],'"
    "last':"
    "'${document.what}'}}]},"
    "'named':{'do':'create','method':'PUT','path':'/orders/{name}','who':['user'],'id':'${params.name}',"
    "'fields':['what']}}},"
    "'notes':{'within':'itemId','fields':{'itemId':{'type':'string'},'text':{'type':'string'}},'operations':{"
    "'list':{'do':'list','method':'GET','path':'/items/{itemId}/notes','who':['*'],'sort':'updated'},"
    "'create':{'do':'create','method':'POST','path':'/items/{itemId}/notes','who':['*'],'fields':['text!'],"
    "'joined':{'item':{'resource':'items','id':'${params.itemId}','required':true}},"
    "'set':{'itemId':'${params.itemId}','about':'${joined.item.title}'}},"
    "'update':{'do':'update','method':'PATCH','path':'/notes/{id}','who':['*'],'fields':['text']}}},"
    "'wishes':{'id':{'names':['userId']},'owner':'userId','fields':{'wishes':{'type':'object'}},'operations':"
    "{"
    "'put':{'do':'replace','method':'PUT','path':'/wishes','who':['user'],'id':'${token.sub}','body':'any',"
    "'set':{'wishes':'${body}','at':'${now}'},"
    "'audit':{'who':'${token.email|token.sub}','before':'${before.wishes}','after':'${document.wishes}'}}}}"
    "}}";

static void read_lab(void)
{
    struct buf faults, json;
    buf_init(&faults, 1 << 16);
    buf_init(&json, 1 << 20);
    for (const char *p = lab_text; *p; p++)
        buf_add_char(&json, *p == '\'' ? '"' : *p);
    lab = xcalloc(1, sizeof *lab);
    lab->items[0] = profile_read("lab.json", buf_view(&json), &faults);
    lab->count = 1;
    ck_assert_msg(lab->items[0] != NULL, "%s", faults.data);
    buf_free(&faults);
    buf_free(&json);
}

void resource_stage_open(enum store_kind kind)
{
    stage_store.kind = kind;
    stage_open();
    buf_init(&lab_events, 8 << 20);
    read_lab();
}

void resource_stage_sqlite(void)
{
    resource_stage_open(STORE_SQLITE);
}

void resource_stage_mongo(void)
{
    resource_stage_open(STORE_MONGO);
}

void resource_stage_close(void)
{
    profile_free(lab->items[0]);
    free(lab);
    buf_free(&lab_events);
    stage_close();
    stage_store.kind = STORE_SQLITE;
}

struct resource *resource_stage_items(void)
{
    struct profile *p = lab->items[0];
    for (size_t i = 0; i < p->resource_count; i++)
        if (!strcmp(p->resources[i].name, "items"))
            return &p->resources[i];
    return NULL;
}

static const struct operation *find(const char *name)
{
    char full[80];
    snprintf(full, sizeof full, "lab.%s", name);
    const struct operation *o = profiles_operation(lab, view_of(full));
    ck_assert_msg(o != NULL, "%s", name);
    return o;
}

bool lab_decide(const char *operation, const char *claims, const char *params, const char *body,
                const char *key, unsigned seed, struct err *err)
{
    char sub[64] = "";
    ck_assert(json_copy_string(json_get(view_of(claims), "sub"), sub, sizeof sub));
    struct command c = {.type = COMMAND_WRITE,
                        .element = view_of(body),
                        .author = view_of(sub),
                        .idempotency_key = view_of(key),
                        .operation = find(operation),
                        .params = view_of(params),
                        .claims = view_of(claims),
                        .seed = {(unsigned char)seed, (unsigned char)(seed >> 8)},
                        .reply = &reply};
    buf_clear(&reply);
    *err = (struct err){0};
    return command_decide(batch, &c, err);
}

bool lab_write(const char *operation, const char *claims, const char *params, const char *body,
               struct err *err)
{
    static unsigned seed;
    bool ok = lab_decide(operation, claims, params, body, "", ++seed, err);
    stage_commit(&lab_events);
    return ok;
}

const char *lab_heard(void)
{
    static char types[512];
    struct view one;
    size_t n = 0;
    types[0] = 0;
    for (struct json_iter it = json_iter(buf_view(&lab_events)); json_next_element(&it, &one);) {
        struct view type = {NULL, 0};
        ck_assert(json_plain_string(json_get(one, "type"), &type));
        n += (size_t)snprintf(types + n, sizeof types - n, "%.*s ", VIEW_ARG(type));
        ck_assert_uint_lt(n, sizeof types);
    }
    return types;
}

const char *lab_event(size_t n)
{
    static char shown[2048];
    struct view one;
    snprintf(shown, sizeof shown, "-");
    for (struct json_iter it = json_iter(buf_view(&lab_events)); json_next_element(&it, &one);)
        if (!n--) {
            struct view rooms = json_get(one, "rooms"), data = json_get(one, "data");
            snprintf(shown, sizeof shown, "%.*s %.*s", VIEW_ARG(rooms), VIEW_ARG(data));
        }
    return shown;
}

const char *lab_stored(const char *resource, const char *id)
{
    static char shown[2048];
    char key[DOC_KEY_MAX];
    struct record record;
    snprintf(key, sizeof key, "lab.%s/%s", resource, id);
    struct view doc = batch_get(batch, DOC_RECORD, view_of(key));
    record_read(doc, &record);
    snprintf(shown, sizeof shown, "%.*s", VIEW_ARG(record.document));
    return record.document.n ? shown : doc.n ? "deleted" : "-";
}

const char *lab_read(const char *operation, const char *claims, const char *params, const char *filters,
                     const char *q)
{
    static char shown[4096];
    struct job *job = job_create(JOB_RESOURCE, 1);
    memcpy(job->tenant_id, "t1", 3);
    job->operation = find(operation);
    job->params = xstrdup(params);
    job->claims = xstrdup(claims);
    job->body = xstrdup(filters);
    job->body_n = strlen(filters);
    job->page.limit = 10;
    job->filter = xcalloc(1, sizeof *job->filter);
    snprintf(job->filter->text, sizeof job->filter->text, "%s", q);
    bool ok = resources_answer(stage_store.reader, job);
    snprintf(shown, sizeof shown, "%s", ok ? job->reply.data : err_code_name(job->err.code));
    job_destroy(job);
    return shown;
}

/* Written with ' for ". */
const char *lab_quote(const char *text)
{
    static char rooms[4][2048];
    static size_t next;
    char *room = rooms[next++ % 4];
    snprintf(room, sizeof rooms[0], "%s", text);
    for (char *p = room; *p; p++)
        if (*p == '\'')
            *p = '"';
    return room;
}

void lab_must(const char *operation, const char *claims, const char *params, const char *body)
{
    struct err err;
    ck_assert_msg(lab_write(operation, claims, Q(params), Q(body), &err), "%s: %s", operation, err.text);
}

void lab_must_not(const char *operation, const char *claims, const char *params, const char *body,
                  enum err_code code, const char *why)
{
    struct err err;
    ck_assert_msg(!lab_write(operation, claims, Q(params), Q(body), &err), "%s %s: %s", operation, body,
                  reply.data);
    ck_assert_msg(err.code == code && strstr(err.text, why), "%s %s: %s %s", operation, body,
                  err_code_name(err.code), err.text);
    ck_assert_str_eq(lab_heard(), "");
}

/* Makes an item and returns its id. */
const char *lab_item(const char *claims, const char *body)
{
    static char ids[8][16];
    static size_t next;
    char *id = ids[next++ % 8];
    lab_must("items.create", claims, "{}", body);
    ck_assert(json_copy_string(json_get(buf_view(&reply), "itemId"), id, sizeof ids[0]));
    return id;
}

const char *lab_id(const char *id)
{
    static char params[64];
    snprintf(params, sizeof params, "{\"id\":\"%s\"}", id);
    return params;
}
