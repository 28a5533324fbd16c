/*
 * How a profile's text becomes its structs, inside shared/profile*.c: tables of members say what an object
 * may have, who reads it and where it goes. Faults are written down one by one and reading goes on, so that
 * whoever writes a profile sees all of them at once.
 *
 * profile_read.c has the readers of single values, profile_form.c the tables, profile_refer.c finds what
 * names refer to, profile_check.c and profile_speak.c hold the rest against each other. Thread: any (one
 * reading, one owner).
 */
#ifndef SHARED_PROFILE_READ_H
#define SHARED_PROFILE_READ_H

#include "shared/json_at.h"
#include "shared/profile.h"

/* A name that stands for something that may be read later. */
struct reference {
    enum { REFER_RESOURCE, REFER_OPERATION, REFER_FIELD } kind;
    struct json_at at;
    const char *name;
    const struct resource *among; /* REFER_FIELD: whose */
    void *target;                 /* where the pointer goes */
};

struct reading {
    struct profile *profile;
    const char *file; /* for faults */
    struct buf *faults;
    size_t fault_count;
    struct json_at at;
    struct reference *references;
    size_t reference_count;
    const struct resource *resource; /* whose operation is read */
};

void fault(struct reading *r, const char *format, ...) PRINTF_LIKE(2, 3);
void fault_at(struct reading *r, const struct json_at *at, const char *format, ...) PRINTF_LIKE(3, 4);
/* Zeroed, of the profile; freed with it. */
void *keep(struct reading *r, size_t count, size_t size);
char *keep_text(struct reading *r, struct view text);
void refer(struct reading *r, int kind, const char *name, const struct resource *among, void *target);
/* Finds what all of them refer to. */
void refer_all(struct reading *r);

/* --- tables --- */

struct member {
    const char *name;
    bool required;
    void (*read)(struct reading *r, struct view value, void *parent, const struct member *m);
    size_t offset;       /* of the field in the parent */
    size_t count_offset; /* of its count, where it has one */
    const void *more;    /* the reader's own: struct items, choices */
    unsigned variants;   /* of the object that may have it, as bits; 0: all */
};

struct form {         /* of an object */
    const char *what; /* for faults: "a field" */
    const struct member *members;
    size_t count;
};

struct items { /* of an array, or members with names of their own */
    size_t size, most;
    /* Of members: the name goes to the item's first field, a char *. */
    bool (*name_fits)(struct view name);
    const char *name_rule;
    void (*read)(struct reading *r, struct view value, void *item);
};

/* False: no object, said. */
bool read_form(struct reading *r, struct view value, void *into, const struct form *form, unsigned variant);
bool is_profile_name(struct view text); /* [A-Za-z_][A-Za-z0-9_-]*, PROFILE_NAME_MAX */

/* Readers; what they make of the value says their name. */
#define READER(name) void name(struct reading *r, struct view value, void *parent, const struct member *m)
READER(read_bool);
READER(read_name);           /* char *: a profile's name */
READER(read_text);           /* char * */
READER(read_choice);         /* enum as int; more: const char *const [], NULL at the end */
READER(read_json);           /* struct view: any value */
READER(read_string);         /* struct view: a string, as it stands */
READER(read_object);         /* struct view: an object */
READER(read_names);          /* struct names; more: struct items for most, name_fits */
READER(read_strings);        /* struct view *, count: array of strings; more: struct items for most */
READER(read_array);          /* item *, count; more: struct items */
READER(read_map);            /* likewise, of an object's members */
READER(read_checks);         /* struct check_rule *, count: an object's members */
READER(read_resource_name);  /* const struct resource *, by name */
READER(read_operation_name); /* const struct operation *, by "resource.operation" */
READER(read_part);           /* an object into the parent at offset; more: struct form; count_offset: as with
                                read_number */
READER(read_number);         /* double; count_offset: bool that says that it is there */

/* The whole. */
void read_profile(struct reading *r, struct view value);
/* Of profile_path.c. */
READER(read_path);
/* Whether two operations could both be meant by a request. */
bool operations_collide(const struct operation *a, const struct operation *b);
bool operation_has_param(const struct operation *o, struct view name);
/* Of profile_resource.c. */
extern const struct items resource_items;

/* After reading: everything that one table does not see. */
void check_profile(struct reading *r);

#endif
