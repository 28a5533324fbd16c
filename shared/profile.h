/*
 * Profiles: files that say what a system on these services is - its roles, rooms, client events and
 * resources. Both services and portalctl read them with this; docs/profiles.md describes the language,
 * docs/profiles.schema.json its form.
 *
 * A profile is read and checked once, at start: every template, every name that refers to another. Whoever
 * uses one afterwards meets no broken one.
 *
 * Thread: read-only after profiles_load(); any thread then. Lifetime: everything in it lives until
 * profiles_free(); views are slices of the file's text.
 */
#ifndef SHARED_PROFILE_H
#define SHARED_PROFILE_H

#include "shared/buf.h"
#include "shared/compiler.h"
#include "shared/err.h"
#include "shared/view.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PROFILE_BYTES_MAX = 256 << 10, /* of a file */
    PROFILES_MAX = 8,              /* loaded together */
    PROFILE_NAME_MAX =
        32, /* of profiles, resources, operations, fields, parameters: [A-Za-z][A-Za-z0-9_-]* */
    PROFILE_PARAMS_MAX = 4,      /* of one path */
    PROFILE_ARGUMENTS_MAX = 8,   /* of one client event */
    PROFILE_EVENT_ROOMS_MAX = 4, /* that one client event joins, leaves or tells */
    PROFILE_COLLECTION_MAX = 2 * PROFILE_NAME_MAX + 1
};

/* What is not data but code. */
enum profile_builtin { BUILTIN_NONE, BUILTIN_AGENT_PORTAL, BUILTIN_CONFORMANCE };

struct names {
    size_t count;
    char **items;
};

/* --- rooms --- */

/* A room and who may join it: whoever has one of the roles; `self`: whom the parameter names (his sub);
 * `owner`: whose the document is that the parameter names. With `of` that document must exist, for everybody.
 */
struct room_rule {
    char *prefix, *param, *suffix; /* "ticket-{ticketId}"; param NULL: the whole name is the prefix */
    const struct resource *of;     /* NULL: none */
    struct names roles;
    bool self, owner;
};

/* --- client events --- */

enum client_action { ACTION_CHECK, ACTION_JOIN, ACTION_LEAVE, ACTION_EMIT, ACTION_COMMAND };

struct check_rule {
    struct view expression; /* token.sub, or token.role: one of the token's roles */
    struct view value;      /* template over args */
};

struct client_rule {
    char *name;
    enum client_action action;
    struct names arguments; /* args.<name> of each, by position */
    struct check_rule *checks;
    size_t check_count;
    struct view *rooms; /* join, leave, emit: templates over args and token, strings */
    size_t room_count;
    char *emit_event; /* emit: what the rooms hear, all but the sender; ephemeral */
    struct view emit_data;
    const struct operation *operation; /* command */
    struct view params, body, key;     /* command: templates; empty: none */
};

/* Who shows that he is typing where: {<argument>, isTyping} is said to the room, and heard in it. */
struct typing_rule {
    char *argument;        /* "ticketId" */
    char *prefix, *suffix; /* of the room */
};

/* --- resources --- */

enum field_type {
    FIELD_ANY,
    FIELD_STRING,
    FIELD_NUMBER,
    FIELD_INTEGER,
    FIELD_BOOLEAN,
    FIELD_OBJECT,
    FIELD_ARRAY
};

struct field {
    char *name;
    enum field_type type;
    bool is_transient; /* sent, and at hand for templates, but not stored */
    bool required;     /* of an array's items only; operations say it of their own fields */
    bool has_min, has_max;
    double min, max;      /* a number's value, a string's characters, an array's elements */
    struct names choices; /* enum; none: any */
    struct view fallback; /* JSON literal for what is not sent on create; empty: none */
    struct field *items;  /* of an array's elements, which are objects then; */
    size_t item_count;    /* 0: elements are anything */
};

enum operation_kind { DO_LIST, DO_GET, DO_CREATE, DO_REPLACE, DO_UPDATE, DO_DELETE, DO_AUDIT };

struct grant {
    char *role; /* NULL: every role of the profile */
    bool own;   /* only what is the caller's own, by the resource's owner field */
};

/* All that is given must hold. */
struct condition {
    struct names changed;   /* one of these fields at least is another than before */
    struct names unchanged; /* none of these is */
    struct check_rule *is;  /* expression: value (a template); token.role: has that role */
    size_t is_count;
};

struct setting {
    char *name;
    struct view value; /* template */
    bool only_clock;   /* uses ${now}: a write that would change nothing else changes nothing */
};

struct emission {
    char *event;
    struct view *rooms; /* string templates; none: all that have a role of the profile */
    size_t room_count;
    struct view data;
    struct condition when;
};

struct joined_rule {
    char *name;
    const struct resource *resource;
    struct view id; /* string template */
    bool required;  /* NOT_FOUND without it */
};

struct follow_up { /* replaces these fields of a document, which is made when there is none */
    const struct resource *resource;
    struct view id;
    struct setting *set;
    size_t set_count;
};

struct disconnect_rule { /* tokens of a user do not count any more, his sockets are closed */
    bool given;
    struct view user; /* string template: sub */
    bool may_return;  /* the transport is closed, so that the client comes back (with a new token) */
    struct condition when;
};

struct operation_field {
    const struct field *field;
    bool required;
};

struct path_part { /* between slashes */
    char *text;    /* literal; or the name of a parameter */
    bool is_param;
};

struct operation {
    char *name;
    const struct resource *resource;
    enum operation_kind kind;
    unsigned methods; /* bits 1 << enum profile_method */
    char *path;
    struct path_part *parts;
    size_t part_count;
    struct grant *grants;
    size_t grant_count;
    int status;                     /* of success: 201 for create, else 200, unless the file says */
    struct view id;                 /* string template; empty: params.id, or a new one for create */
    bool any_body;                  /* the body is any object */
    struct operation_field *fields; /* of the body */
    size_t field_count;
    struct setting *set, *append;
    size_t set_count, append_count;
    struct joined_rule *joined;
    size_t joined_count;
    struct follow_up *then;
    size_t then_count;
    struct emission *emit;
    size_t emit_count;
    struct view audit; /* template of {who, before, after...}; empty: none is kept */
    struct disconnect_rule disconnect;
    struct view answer; /* template over document, before; empty: the document */
    /* lists */
    struct names filters, search; /* fields */
    struct setting *only;         /* field -> template over token and params: always filtered */
    size_t only_count;
    struct view item; /* template of one item; empty: the document */
    bool by_update;   /* newest change first instead of newest first */
};

enum profile_method { PM_GET, PM_POST, PM_PUT, PM_PATCH, PM_DELETE, PM_COUNT };

struct resource {
    char *name;
    char collection[PROFILE_COLLECTION_MAX + 1]; /* "<profile>.<resource>": where its documents are */
    const struct profile *profile;
    bool people;           /* kept from the claims of tokens: {id, name, email, phone, role} */
    struct names id_names; /* fields that hold the id; at least one */
    char *id_form;         /* '#': a digit; NULL: 24 hexadecimal digits */
    char *owner;           /* field; NULL: nobody's */
    char *state;           /* field that lists are filed by; NULL: none */
    char *within;          /* field; NULL: one list. Else lists are of one value of it */
    struct view absent;    /* object: what a document is that nobody has written yet; empty: NOT_FOUND */
    struct field *fields;
    size_t field_count;
    struct operation *operations;
    size_t operation_count;
    size_t index; /* unique over all that are loaded */
};

struct profile {
    char *name, *file, *text; /* file: path; NULL for a builtin that has none */
    char *description;        /* NULL: none */
    enum profile_builtin builtin;
    struct names roles;
    const struct resource *people; /* NULL: users are not kept */
    bool has_presence;
    struct names presence_rooms; /* none: all that have a role of the profile */
    struct room_rule *rooms;
    size_t room_count;
    struct client_rule *events;
    size_t event_count;
    struct typing_rule *typing;
    size_t typing_count;
    struct resource *resources;
    size_t resource_count;
    void **blocks; /* all that this points to, for profile_free() */
    size_t block_count;
};

struct profiles {
    struct profile *items[PROFILES_MAX];
    size_t count;
};

/* `list`: names or paths, commas between. A name is looked for beside the binary (../../deploy/profiles,
 * ../../../deploy/profiles, ../share/portalcast/profiles). NULL: `faults` has a line for each fault, with
 * file, JSON path and reason; faults between profiles, too: two of one name, one path twice, one event, one
 * room. */
struct profiles *profiles_load(const char *list, struct buf *faults);
void profiles_free(struct profiles *p); /* NULL-safe */
/* One from its text, for tests and tools. */
struct profile *profile_read(const char *file, struct view text, struct buf *faults);
void profile_free(struct profile *p);

bool profiles_has_builtin(const struct profiles *p, enum profile_builtin builtin);

/* --- asking --- */

struct path_params {
    size_t count;
    const char *names[PROFILE_PARAMS_MAX];
    char values[PROFILE_PARAMS_MAX][129]; /* percent-decoded, 1 to 128 bytes of UTF-8 without controls */
};

/* The operation of a request; NULL: none, then *allowed has the methods of the path (0: no such path). A
 * literal part is preferred to a parameter. HEAD is GET. */
const struct operation *profiles_route(const struct profiles *p, enum profile_method method, struct view path,
                                       struct path_params *params, unsigned *allowed);
const struct client_rule *profiles_client_event(const struct profiles *p, struct view name_string);
const struct typing_rule *profiles_typing(const struct profiles *p, struct view argument_object);
/* The rule of a room; *param is the part of the name that stands for the parameter (1 to 128 bytes). NULL:
 * none. */
const struct room_rule *profiles_room(const struct profiles *p, struct view room, struct view *param);
const struct operation *profile_operation(const struct profile *p, const char *resource,
                                          const char *operation);
const struct operation *profiles_operation(const struct profiles *p,
                                           struct view full_name); /* profile.resource.operation */
bool names_has(const struct names *names, struct view name);

#endif
