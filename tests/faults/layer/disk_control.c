#include "tests/faults/layer/disk_control.h"
#include "tests/faults/layer/real.h"
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { CONTROL_SIZE = 1024, SUFFIX_SIZE = 64 };

struct setting {
    bool on;
    long number;
    char suffix[SUFFIX_SIZE];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards what follows */
static char text[CONTROL_SIZE];                          /* as it was read last */
static struct setting settings[DISK_FAULT_COUNT];
static size_t grown; /* bytes, since that text came */
static long steps;   /* since then, too */

static const char *const kinds[DISK_FAULT_COUNT] = {
#define X(name, word) [FAULT_##name] = word,
    DISK_FAULTS(X)
#undef X
};

static void take_line(const char *from)
{
    char line[CONTROL_SIZE], kind[SUFFIX_SIZE] = "", suffix[SUFFIX_SIZE] = "";
    long number = 0;
    snprintf(line, sizeof line, "%.*s", (int)strcspn(from, "\n"), from);
    if (sscanf(line, "%63s %ld %63s", kind, &number, suffix) < 2)
        return;
    for (size_t i = 0; i < DISK_FAULT_COUNT; i++)
        if (!strcmp(kind, kinds[i])) {
            settings[i] = (struct setting){.on = true, .number = number};
            memcpy(settings[i].suffix, suffix, sizeof suffix);
        }
}

/* With the lock held. */
static void read_control(void)
{
    char now[CONTROL_SIZE] = "";
    const char *path = getenv("FAULT_DISK_CONTROL");
    int fd = path ? REAL(open)(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        ssize_t n = REAL(read)(fd, now, sizeof now - 1);
        now[n > 0 ? n : 0] = 0;
        REAL(close)(fd);
    }
    if (!strcmp(now, text))
        return;
    memcpy(text, now, sizeof text);
    memset(settings, 0, sizeof settings);
    grown = 0;
    steps = 0;
    for (const char *line = text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
        take_line(line);
}

static bool is_for(const struct setting *s, const char *name)
{
    size_t n = strlen(name), m = strlen(s->suffix);
    return s->on && n >= m && !strcmp(name + n - m, s->suffix);
}

/* What the fault asks for, -1 when it is off. */
static long asked(enum disk_fault fault, const char *name)
{
    pthread_mutex_lock(&lock);
    read_control();
    long number = is_for(&settings[fault], name) ? settings[fault].number : -1;
    pthread_mutex_unlock(&lock);
    return number;
}

bool disk_fault_on(enum disk_fault fault, const char *name)
{
    return asked(fault, name) >= 0;
}

void disk_fault_wait(enum disk_fault fault, const char *name)
{
    long ms = asked(fault, name);
    struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    if (ms > 0)
        nanosleep(&pause, NULL);
}

size_t disk_room(const char *name, size_t wanted)
{
    size_t room = wanted;
    pthread_mutex_lock(&lock);
    read_control();
    const struct setting *full = &settings[FAULT_FULL];
    if (is_for(full, name)) {
        size_t left = (size_t)full->number > grown ? (size_t)full->number - grown : 0;
        room = wanted < left ? wanted : left;
        grown += room;
    }
    pthread_mutex_unlock(&lock);
    return room;
}

void disk_step(const char *name)
{
    pthread_mutex_lock(&lock);
    read_control();
    if (is_for(&settings[FAULT_KILL], name) && ++steps >= settings[FAULT_KILL].number)
        raise(SIGKILL);
    pthread_mutex_unlock(&lock);
}
