#include "tests/faults/layer/files.h"
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FILES_MAX = 4096 };

static _Atomic(char *) names[FILES_MAX];

bool files_below(const char *path, char *out, size_t size)
{
    const char *root = getenv("FAULT_DISK_ROOT");
    char absolute[2 * PATH_MAX];
    if (!root || !*root)
        return false;
    if (*path == '/') {
        snprintf(absolute, sizeof absolute, "%s", path);
    } else {
        char here[PATH_MAX];
        if (!getcwd(here, sizeof here))
            return false;
        snprintf(absolute, sizeof absolute, "%s/%s", here, path);
    }
    size_t n = strlen(root);
    if (strncmp(absolute, root, n) != 0 || (absolute[n] && absolute[n] != '/'))
        return false;
    return snprintf(out, size, "%s", absolute[n] ? absolute + n + 1 : "") < (int)size;
}

void files_closed(int fd)
{
    if (fd >= 0 && fd < FILES_MAX)
        free(atomic_exchange(&names[fd], NULL));
}

void files_opened(int fd, const char *name)
{
    if (fd >= 0 && fd < FILES_MAX)
        free(atomic_exchange(&names[fd], strdup(name)));
}

const char *files_name(int fd)
{
    return fd >= 0 && fd < FILES_MAX ? atomic_load(&names[fd]) : NULL;
}
