/* The changes of an entry as the log and backups keep them: what is read is written again as what was read.
 */
#include "shared/json.h"
#include "state-manager/store/changes.h"
#include "tests/fuzz/fuzz.h"

static void check_same(const struct change *a, const struct change *b)
{
    MUST(a->kind == b->kind && view_eq(a->key, b->key) && view_eq(a->doc, b->doc));
    MUST(view_eq(a->place.parent, b->place.parent) && view_eq(a->place.state, b->place.state));
    MUST(view_eq(a->place.owner, b->place.owner));
    MUST(a->place.rank == b->place.rank && a->place.ord == b->place.ord);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view text = fuzz_input(data, size);
    struct change *changes, *again;
    size_t count, same;
    struct err err = {0};
    struct buf out;
    if (!changes_read(text, &changes, &count, &err)) {
        MUST(err.code == ERR_INTERNAL && !changes && !count);
        return 0;
    }
    buf_init(&out, size * 8 + 256);
    changes_write(changes, count, &out);
    MUST(!out.overflow && changes_read(buf_view(&out), &again, &same, &err) && same == count);
    for (size_t i = 0; i < count; i++)
        check_same(&changes[i], &again[i]);
    changes_free(again, same);
    changes_free(changes, count);
    buf_free(&out);
    return 0;
}
