/*
 * To be preloaded: kills its process in front of the n-th call to the kernel (of those that move bytes) since
 * it has read a given word, whichever thread makes that call.
 *
 *     cc -shared -fPIC -O1 -o kill-point.so tests/lib/kill-point.c
 *     KILL_WORD=word KILL_AT=17 LD_PRELOAD=./kill-point.so program
 *
 * The last words on standard error are "kill-point 17 before NAME".
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_bool armed;
static atomic_int left;
static const char *word;

__attribute__((constructor)) static void begin(void)
{
    const char *at = getenv("KILL_AT");
    word = getenv("KILL_WORD");
    atomic_store(&left, at ? atoi(at) : 0);
}

static void step(const char *name)
{
    char line[80];
    if (!atomic_load(&armed) || atomic_fetch_sub(&left, 1) != 1)
        return;
    int n = snprintf(line, sizeof line, "kill-point %s before %s\n", getenv("KILL_AT"), name);
    syscall(SYS_write, STDERR_FILENO, line, (size_t)n);
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

static void look(const void *bytes, ssize_t n)
{
    if (word && n > 0 && !atomic_load(&armed) && memmem(bytes, (size_t)n, word, strlen(word)))
        atomic_store(&armed, 1);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* result, name, parameters, arguments */
#define STEPS(X)                                                                        \
    X(ssize_t, write, (int fd, const void *p, size_t n), (fd, p, n))                    \
    X(ssize_t, writev, (int fd, const struct iovec *v, int n), (fd, v, n))              \
    X(ssize_t, pwrite, (int fd, const void *p, size_t n, off_t at), (fd, p, n, at))     \
    X(ssize_t, pwrite64, (int fd, const void *p, size_t n, off64_t at), (fd, p, n, at)) \
    X(ssize_t, send, (int fd, const void *p, size_t n, int flags), (fd, p, n, flags))   \
    X(ssize_t, sendmsg, (int fd, const struct msghdr *m, int flags), (fd, m, flags))    \
    X(int, fsync, (int fd), (fd))                                                       \
    X(int, fdatasync, (int fd), (fd))                                                   \
    X(int, ftruncate, (int fd, off_t n), (fd, n))                                       \
    X(int, ftruncate64, (int fd, off64_t n), (fd, n))

#define X(result, name, parameters, arguments) \
    result name parameters                     \
    {                                          \
        static __typeof__(&name) real;         \
        if (!real)                             \
            real = REAL(name);                 \
        step(#name);                           \
        return real arguments;                 \
    }
STEPS(X)
#undef X

ssize_t recv(int fd, void *p, size_t n, int flags)
{
    static __typeof__(&recv) real;
    if (!real)
        real = REAL(recv);
    step("recv");
    ssize_t got = real(fd, p, n, flags);
    look(p, got);
    return got;
}

ssize_t read(int fd, void *p, size_t n)
{
    static __typeof__(&read) real;
    if (!real)
        real = REAL(read);
    step("read");
    ssize_t got = real(fd, p, n);
    look(p, got);
    return got;
}
