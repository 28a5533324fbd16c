/* Query strings: as they come and put together anew they say the same; and what the list of conversations
 * does with its parameters. */
#include "shared/buf.h"
#include "shared/http_text.h"
#include "state-manager/core/cursor.h"
#include "state-manager/core/search.h"
#include "tests/fuzz/fuzz.h"
#include <stdio.h>
#include <string.h>

enum { VALUE_MAX = 2048 };

static const char doc[] =
    "{\"id\":\"c_1\",\"contact\":{\"waId\":\"447700900123\",\"name\":\"Zo\\u00eb \\ud83d M\xc3\xbcller\"},"
    "\"tags\":[\"VIP\",\"\\u0000\"],\"lastMessage\":\"Where is my order?\",\"assignee\":\"ann\"}";

static void try_cursor(const char *text)
{
    struct page page = {0}, again = {0};
    char written[CURSOR_SIZE];
    if (!cursor_read(view_of(text), &page)) {
        MUST(!page.has_cursor);
        return;
    }
    MUST(page.rank >= 0 && page.ord >= 0);
    cursor_write(page.rank, page.ord, written);
    MUST(cursor_read(view_of(written), &again) && again.rank == page.rank && again.ord == page.ord);
}

static void try_search(const char *text)
{
    struct search s;
    struct conversation c;
    struct buf twice;
    if (!search_valid(view_of(text)))
        return;
    MUST(conversation_read(VIEW(doc), &c));
    memset(&s, '9', sizeof s); /* what is not written shows */
    search_init(&s, view_of(text));
    MUST(!s.words.overflow && view_is_utf8(buf_view(&s.words)) && strlen(s.phone) < SEARCH_CHARS_MAX);
    bool found = search_finds(&s, &c);
    MUST(found || s.words.len);
    buf_init(&twice, s.words.len * 2 + 8);
    search_fold(buf_view(&s.words), &twice);
    MUST(view_eq(buf_view(&twice), buf_view(&s.words)));
    buf_free(&twice);
    search_finish(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"q", "cursor", "limit", "a b"};
    struct view query = fuzz_input(data, size), rest = query, pair;
    struct buf anew;
    char value[VALUE_MAX], again[VALUE_MAX];
    buf_init(&anew, size * 9 + 64);
    for (size_t i = 0; i < countof(names); i++) {
        if (!http_query_param(query, names[i], value, sizeof value))
            continue;
        MUST(strlen(value) < sizeof value);
        try_cursor(value);
        try_search(value);
        /* what the library has decoded is encoded again by us: nothing may get lost or appear */
        char parameter[VALUE_MAX + 8];
        int n = snprintf(parameter, sizeof parameter, "%s=%s", names[i], value);
        buf_clear(&anew);
        http_query_add(&anew, (struct view){parameter, (size_t)n});
        MUST(http_query_param(buf_view(&anew), names[i], again, sizeof again) && !strcmp(value, again));
    }
    buf_clear(&anew);
    while (view_split(&rest, '&', &pair))
        http_query_add(&anew, pair);
    MUST(!anew.overflow && !memchr(anew.len ? anew.data : "x", '&', anew.len));
    buf_free(&anew);
    return 0;
}
