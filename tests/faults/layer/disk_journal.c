#include "tests/faults/layer/disk_journal.h"
#include "tests/faults/layer/real.h"
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

struct head {
    uint32_t mark, op;
    uint64_t inode, offset;
    uint32_t name_n, data_n;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t opened = PTHREAD_ONCE_INIT;
static int journal = -1;

static void open_journal(void)
{
    const char *path = getenv("FAULT_DISK_JOURNAL");
    if (!path || !*path)
        return;
    journal = REAL(open)(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (journal < 0) {
        perror(path);
        abort();
    }
}

void journal_begin(void)
{
    pthread_once(&opened, open_journal);
    if (journal >= 0)
        pthread_mutex_lock(&lock);
}

void journal_add(const struct journal_record *r)
{
    struct head head = {.mark = JOURNAL_MARK,
                        .op = r->op,
                        .inode = r->inode,
                        .offset = r->offset,
                        .name_n = (uint32_t)r->name_n,
                        .data_n = (uint32_t)r->data_n};
    struct iovec parts[] = {{&head, sizeof head},
                            {(void *)(uintptr_t)r->name, r->name_n},
                            {(void *)(uintptr_t)r->data, r->data_n}};
    ssize_t all = (ssize_t)(sizeof head + r->name_n + r->data_n);
    if (journal >= 0 && writev(journal, parts, 3) != all) {
        perror("the journal of the disk layer");
        abort(); /* a hole in it would be worse */
    }
}

void journal_end(void)
{
    if (journal >= 0)
        pthread_mutex_unlock(&lock);
}
