#include "shared/metrics.h"
#include <inttypes.h>
#include <string.h>

/* The name without its labels. */
static struct view family(const struct metric *m)
{
    return (struct view){m->name, strcspn(m->name, "{")};
}

static void add_value(struct metric *m, struct buf *out)
{
    buf_add_text(out, m->name);
    buf_addf(out, " %" PRId64 "\n", metric_get(m));
}

void metrics_render(struct metric *rows, size_t count, struct buf *out)
{
    struct view before = {NULL, 0};
    for (size_t i = 0; i < count; i++) {
        struct view name = family(&rows[i]);
        if (!view_eq(name, before)) {
            buf_addf(out, "# HELP %.*s %s\n", VIEW_ARG(name), rows[i].help);
            buf_addf(out, "# TYPE %.*s %s\n", VIEW_ARG(name), rows[i].type);
        }
        before = name;
        add_value(&rows[i], out);
    }
}
