/* Paths: what fits a pattern is that pattern with its parameter, and nothing else; headers that go with them.
 */
#include "shared/buf.h"
#include "shared/etag.h"
#include "shared/http_text.h"
#include "state-manager/http/path.h"
#include "tests/fuzz/fuzz.h"
#include <string.h>

static const char *const patterns[] = {"/healthz",
                                       "/webhooks/whatsapp",
                                       "/api/v1/conversations",
                                       "/api/v1/conversations/{}",
                                       "/api/v1/conversations/{}/messages",
                                       "/api/v1/admin/channels/{}"};

/* The pattern with the parameter in place of {}. */
static void put_together(const char *pattern, struct view param, struct buf *out)
{
    const char *hole = strstr(pattern, "{}");
    buf_add(out, pattern, hole ? (size_t)(hole - pattern) : strlen(pattern));
    if (hole) {
        buf_add_view(out, param);
        buf_add_text(out, hole + 2);
    }
}

static bool fits(const char *pattern, struct view path)
{
    struct view param = {"", 0};
    struct buf same;
    if (!path_fits(pattern, path, &param))
        return false;
    MUST(!strstr(pattern, "{}") || (param.n && !memchr(param.p, '/', param.n)));
    buf_init(&same, path.n + 64);
    put_together(pattern, param, &same);
    MUST(view_eq(buf_view(&same), path));
    buf_free(&same);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view path = fuzz_input(data, size);
    size_t count = 0;
    for (size_t i = 0; i < countof(patterns); i++)
        count += fits(patterns[i], path);
    MUST(count <= 1);
    for (size_t i = 0; i < countof(patterns) && path.n && !memchr(path.p, '/', path.n); i++) {
        struct buf whole; /* any segment is taken as a parameter */
        buf_init(&whole, path.n + 64);
        put_together(patterns[i], path, &whole);
        MUST(fits(patterns[i], buf_view(&whole)));
        buf_free(&whole);
    }
    if (etag_is_listed(path, VIEW("abc")))
        MUST(memchr(path.p, '*', path.n) || memmem(path.p, path.n, "\"abc\"", 5));
    return 0;
}
