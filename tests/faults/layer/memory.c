/*
 * Stands between a program and the C library (LD_PRELOAD): while memory.h's switch is on, every allocation
 * fails once for each place that it is asked from (the last calls on the stack), and is granted from then on.
 */
#include "tests/faults/layer/memory.h"
#include "tests/faults/layer/real.h"
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MODULES = 256, MAPS_SIZE = 1 << 17, OWN_FRAMES = 3 }; /* of this file, on top of the stack */

/* The C library's own, under names that dlsym(), which allocates, is not needed for. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

struct module {
    uintptr_t from, to;
    uint64_t name; /* a hash: where it is loaded differs from start to start */
};

static struct memory_control *control;                   /* NULL: all is granted */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards the modules */
static struct module modules[MODULES];
static size_t module_count;
static __thread bool inside __attribute__((tls_model("initial-exec")));

static uint64_t mixed(uint64_t hash, uint64_t value)
{
    return (hash ^ value) * 0x9e3779b97f4a7c15u ^ (hash >> 29);
}

static uint64_t text_hash(const char *text)
{
    uint64_t hash = 1;
    for (; *text && *text != '\n'; text++)
        hash = mixed(hash, (unsigned char)*text);
    return hash;
}

/* --- where an address lies, whatever the start ------------------------------------------------------------
 */

static void add_module(const char *line)
{
    unsigned long from, to, offset;
    int name_at = 0;
    if (sscanf(line, "%lx-%lx %*s %lx %*s %*s %n", &from, &to, &offset, &name_at) != 3 ||
        line[name_at] != '/')
        return;
    uint64_t name = text_hash(line + name_at);
    struct module *last = module_count ? &modules[module_count - 1] : NULL;
    if (last && last->name == name)
        last->to = to;
    else if (module_count < MODULES)
        modules[module_count++] = (struct module){from, to, name};
}

/* The first of them is the program itself. With the lock held. */
static void read_modules(void)
{
    static char maps[MAPS_SIZE];
    int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    size_t n = 0;
    ssize_t more;
    while (fd >= 0 && n < sizeof maps - 1 && (more = read(fd, maps + n, sizeof maps - 1 - n)) > 0)
        n += (size_t)more;
    if (fd >= 0)
        close(fd);
    maps[n] = 0;
    module_count = 0;
    for (const char *line = maps; *line; line = strchr(line, '\n') + 1) {
        add_module(line);
        if (!strchr(line, '\n'))
            break;
    }
}

static const struct module *find_module(uintptr_t address)
{
    for (size_t i = 0; i < module_count; i++)
        if (address >= modules[i].from && address < modules[i].to)
            return &modules[i];
    return NULL;
}

static const struct module *module_of(uintptr_t address)
{
    const struct module *found = find_module(address);
    if (!found) {
        read_modules();
        found = find_module(address);
    }
    return found;
}

/* The place of this allocation; *own: the program itself asks, not a library. Never 0. */
static uint64_t __attribute__((noinline)) place_of_call(bool *own)
{
    void *frames[MEMORY_DEPTH_MAX + OWN_FRAMES];
    int count = backtrace(frames, MEMORY_DEPTH_MAX + OWN_FRAMES);
    uint64_t hash = 7, depth = atomic_load(&control->depth);
    *own = false;
    pthread_mutex_lock(&lock);
    for (int i = OWN_FRAMES; i < count && (uint64_t)(i - OWN_FRAMES) < depth; i++) {
        uintptr_t address = (uintptr_t)frames[i];
        const struct module *m = module_of(address);
        hash = mixed(hash, m ? mixed(m->name, address - m->from) : 1);
        if (i == OWN_FRAMES)
            *own = m == modules;
    }
    pthread_mutex_unlock(&lock);
    return hash | 1;
}

/* --- which fail -------------------------------------------------------------------------------------------
 */

/* The calls that led to the last failure, for who wonders why the program ended: FAULT_MEMORY with .last
 * behind. */
static void write_last(void)
{
    char path[512];
    void *frames[2 * MEMORY_DEPTH_MAX];
    snprintf(path, sizeof path, "%s.last", getenv("FAULT_MEMORY"));
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return;
    backtrace_symbols_fd(frames, backtrace(frames, 2 * MEMORY_DEPTH_MAX), fd);
    close(fd);
}

/* True for who comes first. */
static bool take_place(uint64_t place)
{
    for (uint64_t i = 0; i < MEMORY_PLACES; i++) {
        uint64_t there = 0;
        _Atomic uint64_t *slot = &control->places[(place + i) % MEMORY_PLACES];
        if (atomic_compare_exchange_strong(slot, &there, place))
            return true;
        if (there == place)
            return false;
    }
    return false;
}

static bool is_chosen(uint64_t place)
{
    uint64_t every = atomic_load(&control->own_every);
    return every && (place >> 7) % every == atomic_load(&control->seed) % every;
}

/* Whether this allocation fails. */
static bool __attribute__((noinline)) fails(void)
{
    if (!control || !atomic_load(&control->on) || inside)
        return false;
    inside = true;
    bool own, failed = false;
    uint64_t place = place_of_call(&own);
    if ((!own || is_chosen(place)) && take_place(place)) {
        atomic_fetch_add(own ? &control->own_failed : &control->failed, 1);
        write_last();
        failed = true;
    } else {
        atomic_fetch_add(&control->passed, 1);
    }
    inside = false;
    if (failed)
        errno = ENOMEM;
    return failed;
}

void *malloc(size_t size)
{
    return fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return fails() ? NULL : __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
    return size && fails() ? NULL : __libc_realloc(old, size);
}

int posix_memalign(void **out, size_t alignment, size_t size)
{
    void *memory = fails() ? NULL : __libc_memalign(alignment, size);
    if (!memory)
        return ENOMEM;
    *out = memory;
    return 0;
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return fails() ? NULL : __libc_memalign(alignment, size);
}

/* backtrace() loads a library at its first call. */
static void __attribute__((constructor)) begin(void)
{
    const char *path = getenv("FAULT_MEMORY");
    void *frames[4];
    inside = true;
    backtrace(frames, 4);
    read_modules();
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd >= 0) {
        void *at = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        close(fd);
        if (at != MAP_FAILED)
            control = at;
    }
    inside = false;
}
