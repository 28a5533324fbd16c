#include "portal-gateway/core/sio_namespace.h"

static const struct sio_namespace *find(const struct sio_namespace *rows, size_t count, struct view name)
{
    for (size_t i = 0; i < count; i++)
        if (view_is(name, rows[i].name))
            return &rows[i];
    return NULL;
}

const struct sio_namespace *sio_namespace_find(bool conformance, struct view name)
{
    if (conformance)
        return find(sio_mirrors, sio_mirror_count, name);
    return find(&sio_stream, 1, name);
}
