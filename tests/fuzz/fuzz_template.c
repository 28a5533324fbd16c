/* Templates: a first line with the template, then an object with the roots. What passes the check makes JSON,
 * or says that it is too large. */
#include "shared/json.h"
#include "shared/template.h"
#include "tests/fuzz/fuzz.h"
#include <string.h>

static const char *const names[] = {
#define X(root, name) name,
    TEMPLATE_ROOTS(X)
#undef X
};

static void write_all(struct view json, const struct template_scope *scope)
{
    struct buf out;
    struct err err = {.code = ERR_NONE};
    struct view made;
    char text[64];
    buf_init(&out, 2 * TEMPLATE_OUT_MAX);
    if (template_write(json, scope, &out, &err))
        MUST(json_check(buf_view(&out), JSON_STRICT, &made, &err) && made.n == out.len);
    else
        MUST(err.code == ERR_TOO_LARGE);
    MUST(out.len <= TEMPLATE_OUT_MAX);
    if (template_text(json, scope, text, sizeof text, &err))
        MUST(json_type(json) == JSON_STRING && *text && strlen(text) < sizeof text);
    else
        MUST(err.code == ERR_INVALID);
    buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view rest = fuzz_input(data, size), line, json, roots = {NULL, 0};
    struct template_scope scope = {0};
    struct err err = {.code = ERR_NONE};
    unsigned used = 0;
    if (!size || !view_split(&rest, '\n', &line) || !json_check(line, JSON_STRICT, &json, &err))
        return 0;
    if (rest.p && json_check(rest, JSON_STRICT, &roots, &err))
        for (int i = 0; i < TEMPLATE_ROOT_COUNT; i++)
            scope.roots[i] = json_get(roots, names[i]);
    for (int i = 0; i < TEMPLATE_ROOT_COUNT; i++)
        used |= template_uses(json, (enum template_root)i) ? 1u << i : 0;
    bool fine = template_check(json, ~0u, "$", &err);
    MUST(fine || (err.code == ERR_INVALID && *err.text == '$'));
    MUST(template_check(json, used, "$", NULL) == fine);
    for (int i = 0; fine && i < TEMPLATE_ROOT_COUNT; i++)
        MUST(!(used & 1u << i) || !template_check(json, used & ~(1u << i), "$", NULL));
    if (fine)
        write_all(json, &scope);
    return 0;
}
