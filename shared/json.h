/*
 * JSON (RFC 8259) read in place and written as text; strict, without a tree.
 *
 * Why not a tree: customers' JSON must come out byte for byte as it went in (big numbers, lone surrogates,
 * \u0000), so that what we pass on are slices of the original. json_check() validates a text once; everything
 * below then walks slices of it, without copying. Duplicate keys: the last one wins, as in JavaScript.
 * Thread: any.
 */
#ifndef SHARED_JSON_H
#define SHARED_JSON_H

#include "shared/buf.h"
#include "shared/compiler.h"
#include "shared/err.h"
#include "shared/view.h"
#include <stdbool.h>
#include <stdint.h>

enum { JSON_MAX_DEPTH = 64, JSON_MAX_DEPTH_OURS = 80 };

enum json_type { JSON_NONE, JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

enum json_leniency {
    JSON_STRICT,
    JSON_ANY_BYTES_IN_STRINGS, /* UTF-8 is then the caller's to check */
    JSON_OURS /* strict, of a text that one of us has put around such of others: may be deeper */
};

/* Validates the whole text; *value is it without blanks around. Errors are MALFORMED, with the byte position.
 */
bool json_check(struct view text, enum json_leniency leniency, struct view *value, struct err *err) MUSTCHECK;

/* From here on: slices of checked text. A slice without a value (n == 0) has type JSON_NONE and gives "not
 * there". Text that is no JSON after all (a disk has changed it) gives some of its bytes or nothing, and an
 * end. */
enum json_type json_type(struct view value);

struct json_iter {
    struct view rest;
};

/* Over the members of an object or the elements of an array; anything else has none. */
struct json_iter json_iter(struct view value);
bool json_next_member(struct json_iter *it, struct view *key,
                      struct view *value); /* key: string slice, quoted */
bool json_next_element(struct json_iter *it, struct view *value);
/* Whether a string slice (quoted) says this plain ASCII text. */
bool json_string_is(struct view string, const char *text);

/* Member of an object; an empty slice when there is none or this is no object. */
struct view json_get(struct view object, const char *key);
/* Several at once, for objects that are read often: values[i] is the member keys[i]. */
void json_get_several(struct view object, const char *const keys[], struct view values[], size_t count);
/* Member of a member: "value.metadata.phone_number_id". */
struct view json_path(struct view object, const char *dotted);

/* A string slice decoded into out (lone surrogates become U+FFFD). False: not a string, or over the maximum.
 */
bool json_decode_string(struct view string, struct buf *out) MUSTCHECK;
/* As above into a fixed array with NUL; also false when it does not fit or holds U+0000. */
bool json_copy_string(struct view string, char *out, size_t size) MUSTCHECK;
/* Whether there is nothing to decode in a string slice; then *plain is the text between the quotes. */
bool json_plain_string(struct view string, struct view *plain);
/* An integer without fraction or exponent, in range. */
bool json_i64(struct view number, int64_t *out) MUSTCHECK;
bool json_is_true(struct view value);
/* Whether two JSON values say the same, whatever blanks and escapes they are written with. Members in another
 * order and numbers in another form are another value: to write such a one is harmless, not to write it is
 * not.
 */
bool json_same(struct view a, struct view b);
/* Two string slices; also when they are written differently. */
bool json_same_string(struct view a, struct view b);
/* How many containers are open at once. */
size_t json_depth(struct view value);

/* --- writing --- */

/* Appends a quoted string. The bytes must be UTF-8; control characters, quotes and backslashes are escaped.
 */
void json_put_string(struct buf *b, struct view text);

/* Writes members and elements with their commas. Errors show as b->overflow, at the end. */
struct json_writer {
    struct buf *b;
    bool comma; /* something stands before, at this level */
};

void jw_init(struct json_writer *w, struct buf *b);
void jw_begin(struct json_writer *w, char bracket); /* '{' or '[' */
void jw_end(struct json_writer *w, char bracket);   /* '}' or ']' */
void jw_key(struct json_writer *w, const char *key);
void jw_raw(struct json_writer *w, struct view json); /* a JSON text; an empty view writes null */
void jw_text(struct json_writer *w, struct view text);
void jw_i64(struct json_writer *w, int64_t number);
void jw_bool(struct json_writer *w, bool value);
/* key and value in one */
void jw_key_raw(struct json_writer *w, const char *key, struct view json);
void jw_key_text(struct json_writer *w, const char *key, const char *text); /* NULL writes null */
void jw_key_i64(struct json_writer *w, const char *key, int64_t number);
void jw_key_bool(struct json_writer *w, const char *key, bool value);

#endif
