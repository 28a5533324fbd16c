#include "state-manager/store/sqlite_log.h"
#include "shared/mem.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_SIZE = 4096, FILE_HEAD = 32, PAGE_HEAD = 24, PAGE_SIZE_MAX = 65536 };

/* Checksums read words of the byte order that the first word names. */
struct sum {
    bool big_endian;
    uint32_t a, b;
};

static uint32_t big_endian(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint32_t word(const struct sum *s, const unsigned char *p)
{
    uint32_t value = big_endian(p);
    return s->big_endian ? value : __builtin_bswap32(value);
}

static void add(struct sum *s, const unsigned char *p, size_t n)
{
    for (size_t i = 0; i < n; i += 8) {
        s->a += word(s, p + i) + s->b;
        s->b += word(s, p + i + 4) + s->a;
    }
}

static bool holds(const struct sum *s, const unsigned char *p)
{
    return s->a == big_endian(p) && s->b == big_endian(p + 4);
}

struct frame {
    bool same_log, commit, whole;
};

static bool read_frame(FILE *in, unsigned char *frame, size_t page_size, const unsigned char *head,
                       struct sum *sum, struct frame *out)
{
    if (fread(frame, 1, PAGE_HEAD + page_size, in) != PAGE_HEAD + page_size)
        return false;
    *out = (struct frame){.same_log = !memcmp(frame + 8, head + 16, 8), .commit = big_endian(frame + 4) > 0};
    add(sum, frame, 8);
    add(sum, frame + PAGE_HEAD, page_size);
    out->whole = out->same_log && holds(sum, frame + 16);
    return true;
}

static void walk(FILE *in, const unsigned char *head, size_t page_size, struct sum *sum,
                 struct sqlite_log *out)
{
    unsigned char *page = xcalloc(1, PAGE_HEAD + page_size);
    struct frame frame;
    uint64_t good = 0;
    bool all_good = true;
    while (read_frame(in, page, page_size, head, sum, &frame)) {
        all_good = all_good && frame.whole;
        good += all_good;
        if (all_good && frame.commit)
            out->pages = good;
        else if (!all_good && frame.same_log)
            out->dropped_pages++;
        out->dropped_commits += !all_good && frame.same_log && frame.commit;
    }
    out->dropped_pages += good - out->pages;
    free(page);
}

static void look(FILE *in, struct sqlite_log *out)
{
    unsigned char head[FILE_HEAD];
    struct stat st;
    if (fstat(fileno(in), &st) == 0)
        out->bytes = (uint64_t)st.st_size;
    if (fread(head, 1, sizeof head, in) != sizeof head) /* which is synced before anything follows it */
        return;
    struct sum sum = {.big_endian = head[3] & 1};
    size_t page_size = big_endian(head + 8);
    add(&sum, head, PAGE_HEAD);
    out->unreadable = !holds(&sum, head + PAGE_HEAD) || page_size < 512 || page_size > PAGE_SIZE_MAX;
    if (!out->unreadable)
        walk(in, head, page_size, &sum, out);
}

bool sqlite_log_look(const char *path, struct sqlite_log *out, struct err *err)
{
    char name[PATH_SIZE];
    *out = (struct sqlite_log){0};
    snprintf(name, sizeof name, "%s-wal", path);
    FILE *in = fopen(name, "re");
    if (!in)
        return errno == ENOENT || err_set(err, ERR_UNAVAILABLE, "%s: %s", name, strerror(errno));
    look(in, out);
    bool ok = !ferror(in) || err_set(err, ERR_UNAVAILABLE, "%s: %s", name, strerror(errno));
    fclose(in);
    return ok;
}
