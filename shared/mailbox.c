#include "shared/mailbox.h"
#include "shared/mem.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum { LANES = 64 };

struct lane {
    struct letter *first, *last;
    size_t count;
};

struct mailbox {
    pthread_mutex_t lock; /* guards all below; leaf lock, nothing is called while it is held */
    pthread_cond_t filled, drained;
    struct lane lanes[LANES];
    size_t count, capacity;
    size_t turn; /* the lane that the drain looks at next */
    bool closed;
    int fd; /* -1: nobody asked for it */
    void (*wake)(void *);
    void *wake_ctx;
};

struct mailbox *mailbox_create(size_t capacity, void (*wake)(void *), void *wake_ctx)
{
    struct mailbox *m = xcalloc(1, sizeof *m);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&m->lock, NULL);
    pthread_cond_init(&m->filled, &monotonic);
    pthread_cond_init(&m->drained, &monotonic);
    pthread_condattr_destroy(&monotonic);
    m->capacity = capacity;
    m->fd = -1;
    m->wake = wake;
    m->wake_ctx = wake_ctx;
    return m;
}

void mailbox_destroy(struct mailbox *m, void (*discard)(struct letter *))
{
    if (!m)
        return;
    for (struct letter *l = mailbox_drain(m, SIZE_MAX), *next; l; l = next) {
        next = l->next;
        discard(l);
    }
    if (m->fd >= 0)
        close(m->fd);
    pthread_cond_destroy(&m->filled);
    pthread_cond_destroy(&m->drained);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

static struct timespec deadline_in(int timeout_ms)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += timeout_ms / 1000;
    at.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000;
    }
    return at;
}

static bool has_room(const struct mailbox *m, const struct lane *lane)
{
    return m->count < m->capacity && lane->count < (m->capacity + 1) / 2;
}

bool mailbox_push(struct mailbox *m, uint64_t lane, struct letter *letter)
{
    return mailbox_push_wait(m, lane, letter, 0);
}

bool mailbox_push_wait(struct mailbox *m, uint64_t lane_hash, struct letter *letter, int timeout_ms)
{
    struct lane *lane = &m->lanes[lane_hash % LANES];
    struct timespec deadline = timeout_ms > 0 ? deadline_in(timeout_ms) : (struct timespec){0};
    pthread_mutex_lock(&m->lock);
    while (!m->closed && !has_room(m, lane) && timeout_ms > 0)
        if (pthread_cond_timedwait(&m->drained, &m->lock, &deadline) == ETIMEDOUT)
            break;
    bool taken = !m->closed && has_room(m, lane), was_empty = m->count == 0;
    if (taken) {
        letter->next = NULL;
        if (lane->last)
            lane->last->next = letter;
        else
            lane->first = letter;
        lane->last = letter;
        lane->count++;
        m->count++;
    }
    int fd = m->fd;
    if (taken && was_empty)
        pthread_cond_signal(&m->filled);
    pthread_mutex_unlock(&m->lock);
    if (taken && was_empty) {
        if (fd >= 0)
            eventfd_write(fd, 1);
        if (m->wake)
            m->wake(m->wake_ctx);
    }
    return taken;
}

struct letter *mailbox_drain(struct mailbox *m, size_t max)
{
    struct letter *first = NULL, **tail = &first;
    eventfd_t ignored;
    pthread_mutex_lock(&m->lock);
    bool was_full = m->count > 0;
    for (; m->count && max; m->turn = (m->turn + 1) % LANES) {
        struct lane *lane = &m->lanes[m->turn];
        struct letter *letter = lane->first;
        if (!letter)
            continue;
        lane->first = letter->next;
        if (!lane->first)
            lane->last = NULL;
        lane->count--;
        m->count--;
        max--;
        letter->next = NULL;
        *tail = letter;
        tail = &letter->next;
    }
    /* Under the lock: a push that comes after sees the empty mailbox and sets the eventfd again. */
    if (m->fd >= 0 && !m->count)
        eventfd_read(m->fd, &ignored);
    if (was_full)
        pthread_cond_broadcast(&m->drained);
    pthread_mutex_unlock(&m->lock);
    return first;
}

bool mailbox_wait(struct mailbox *m, int timeout_ms)
{
    struct timespec deadline = deadline_in(timeout_ms);
    pthread_mutex_lock(&m->lock);
    while (!m->count && !m->closed)
        if (pthread_cond_timedwait(&m->filled, &m->lock, &deadline) == ETIMEDOUT)
            break;
    bool something = m->count > 0;
    pthread_mutex_unlock(&m->lock);
    return something;
}

int mailbox_fd(struct mailbox *m)
{
    pthread_mutex_lock(&m->lock);
    if (m->fd < 0)
        m->fd = eventfd(m->count ? 1 : 0, EFD_NONBLOCK | EFD_CLOEXEC);
    int fd = m->fd;
    pthread_mutex_unlock(&m->lock);
    return fd;
}

size_t mailbox_count(struct mailbox *m)
{
    pthread_mutex_lock(&m->lock);
    size_t count = m->count;
    pthread_mutex_unlock(&m->lock);
    return count;
}

void mailbox_close(struct mailbox *m)
{
    pthread_mutex_lock(&m->lock);
    m->closed = true;
    int fd = m->fd;
    pthread_cond_broadcast(&m->filled);
    pthread_cond_broadcast(&m->drained);
    pthread_mutex_unlock(&m->lock);
    if (fd >= 0)
        eventfd_write(fd, 1);
}
