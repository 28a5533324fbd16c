#include "shared/loop.h"
#include "shared/compiler.h"
#include "shared/list.h"
#include "shared/log.h"
#include "shared/mem.h"
#include <assert.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>
#include <uv.h>

enum { SIGNALS = 3, CLOSING_TURNS = 5 };

struct loop_signal {
    uv_signal_t uv;
    struct loop *loop;
    int number; /* 0: not in use */
    void (*callback)(void *);
    void *ctx;
};

struct loop {
    uv_loop_t uv;
    uv_async_t keeper; /* keeps loop_run() waiting while nothing else is to be waited for */
    struct loop_signal signals[SIGNALS];
    bool stopped;
    bool asked_to_end;  /* by SIGINT or SIGTERM */
    struct list wanted; /* jobs */
    uv_idle_t jobs;     /* runs while there are some, before the sockets are looked at */
    uv_prepare_t turn;
    bool has_done; /* a piece, since they were */
    bool has_waited;
};

struct loop_job {
    struct list in_wanted;
    struct loop *loop;
    void (*callback)(void *);
    void *ctx;
};

struct loop_timer {
    uv_timer_t uv;
    uv_idle_t soon; /* libuv 1.44 calls a timer of no time again and again, as long as it starts itself */
    void (*callback)(void *);
    void *ctx;
};

struct loop_wake {
    uv_async_t uv;
    void (*callback)(void *);
    void *ctx;
};

struct loop_watch {
    uv_poll_t uv;
    void (*callback)(void *ctx, int events);
    void *ctx;
    int wanted;
};

/* Handles are embedded as first members, and libuv may call nobody while it starts one: a failure here means
 * that the process is out of file descriptors before it has begun. */
static void must(int result)
{
    if (result < 0)
        die("libuv: %s", uv_strerror(result));
}

static void on_turn(uv_prepare_t *handle)
{
    container_of(handle, struct loop, turn)->has_done = false;
}

static void on_keeper(uv_async_t *handle)
{
    (void)handle;
}

struct loop *loop_create(void)
{
    struct loop *loop = xcalloc(1, sizeof *loop);
    /* Sockets and pipes whose reader is gone report EPIPE. */
    signal(SIGPIPE, SIG_IGN);
    must(uv_loop_init(&loop->uv));
    must(uv_async_init(&loop->uv, &loop->keeper, on_keeper));
    must(uv_idle_init(&loop->uv, &loop->jobs));
    must(uv_prepare_init(&loop->uv, &loop->turn));
    must(uv_prepare_start(&loop->turn, on_turn));
    list_init(&loop->wanted);
    return loop;
}

void loop_destroy(struct loop *loop)
{
    if (!loop)
        return;
    for (size_t i = 0; i < SIGNALS; i++)
        if (loop->signals[i].number)
            uv_close((uv_handle_t *)&loop->signals[i].uv, NULL);
    uv_close((uv_handle_t *)&loop->keeper, NULL);
    uv_close((uv_handle_t *)&loop->jobs, NULL);
    uv_close((uv_handle_t *)&loop->turn, NULL);
    /* Turns for what is closing; never for what somebody has forgotten to close. */
    for (int turn = 0; turn < CLOSING_TURNS; turn++)
        uv_run(&loop->uv, UV_RUN_NOWAIT);
    int left = uv_loop_close(&loop->uv);
    assert(left == 0 && "a timer, wake or watch outlived its loop");
    (void)left;
    free(loop);
}

void loop_run(struct loop *loop)
{
    while (!loop->stopped)
        uv_run(&loop->uv, UV_RUN_DEFAULT);
    loop->stopped = false;
}

void loop_stop(struct loop *loop)
{
    loop->stopped = true;
    uv_stop(&loop->uv);
}

void loop_turn(struct loop *loop)
{
    uv_run(&loop->uv, UV_RUN_NOWAIT);
}

int64_t loop_now_ms(const struct loop *loop)
{
    return (int64_t)uv_now(&loop->uv);
}

void *loop_native(struct loop *loop)
{
    return &loop->uv;
}

void loop_silence_fd(struct loop *loop, int fd)
{
    /* libuv takes the same step when a watcher stops, and adds the fd again when one starts. */
    struct epoll_event ignored = {0};
    epoll_ctl(uv_backend_fd(&loop->uv), EPOLL_CTL_DEL, fd, &ignored);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct loop_signal *s = container_of(handle, struct loop_signal, uv);
    if (number == SIGINT || number == SIGTERM) {
        if (s->loop->asked_to_end)
            _exit(1);
        s->loop->asked_to_end = true;
    }
    s->callback(s->ctx);
}

void loop_on_signal(struct loop *loop, int signal_number, void (*callback)(void *), void *ctx)
{
    size_t i = 0;
    while (i < SIGNALS && loop->signals[i].number && loop->signals[i].number != signal_number)
        i++;
    assert(i < SIGNALS);
    struct loop_signal *s = &loop->signals[i];
    bool is_new = !s->number;
    s->loop = loop;
    s->number = signal_number;
    s->callback = callback;
    s->ctx = ctx;
    if (!is_new)
        return;
    must(uv_signal_init(&loop->uv, &s->uv));
    must(uv_signal_start(&s->uv, on_signal, signal_number));
}

static void free_timer(uv_handle_t *handle)
{
    free(container_of(handle, struct loop_timer, uv));
}

static void close_timer(uv_handle_t *handle)
{
    uv_close((uv_handle_t *)&container_of(handle, struct loop_timer, soon)->uv, free_timer);
}

static void on_soon(uv_idle_t *handle)
{
    struct loop_timer *timer = container_of(handle, struct loop_timer, soon);
    uv_idle_stop(handle);
    timer->callback(timer->ctx);
}

static void on_timer(uv_timer_t *handle)
{
    struct loop_timer *timer = container_of(handle, struct loop_timer, uv);
    timer->callback(timer->ctx);
}

struct loop_timer *loop_timer_create(struct loop *loop, void (*callback)(void *), void *ctx)
{
    struct loop_timer *timer = xcalloc(1, sizeof *timer);
    must(uv_timer_init(&loop->uv, &timer->uv));
    must(uv_idle_init(&loop->uv, &timer->soon));
    timer->callback = callback;
    timer->ctx = ctx;
    return timer;
}

void loop_timer_start(struct loop_timer *timer, int64_t delay_ms, int64_t repeat_ms)
{
    uint64_t delay = delay_ms > 0 ? (uint64_t)delay_ms : 0, repeat = repeat_ms > 0 ? (uint64_t)repeat_ms : 0;
    loop_timer_stop(timer);
    if (!delay && !repeat)
        must(uv_idle_start(&timer->soon, on_soon));
    else
        must(uv_timer_start(&timer->uv, on_timer, delay, repeat));
}

void loop_timer_stop(struct loop_timer *timer)
{
    uv_timer_stop(&timer->uv);
    uv_idle_stop(&timer->soon);
}

void loop_timer_destroy(struct loop_timer *timer)
{
    if (!timer)
        return;
    loop_timer_stop(timer);
    uv_close((uv_handle_t *)&timer->soon, close_timer);
}

/* What was done while sockets were looked after has made somebody wait already; but one turn is enough. */
static void on_jobs(uv_idle_t *handle)
{
    struct loop *loop = container_of(handle, struct loop, jobs);
    loop->has_waited = loop->has_done && !loop->has_waited;
    if (loop->has_waited)
        return;
    struct loop_job *job = container_of(loop->wanted.next, struct loop_job, in_wanted);
    loop_job_cancel(job);
    job->callback(job->ctx);
}

struct loop_job *loop_job_create(struct loop *loop, void (*callback)(void *), void *ctx)
{
    struct loop_job *job = xcalloc(1, sizeof *job);
    *job = (struct loop_job){.loop = loop, .callback = callback, .ctx = ctx};
    list_init(&job->in_wanted);
    return job;
}

void loop_job_want(struct loop_job *job)
{
    if (!list_empty(&job->in_wanted))
        return;
    list_append(&job->loop->wanted, &job->in_wanted);
    must(uv_idle_start(&job->loop->jobs, on_jobs));
}

void loop_job_cancel(struct loop_job *job)
{
    list_unlink(&job->in_wanted);
    if (list_empty(&job->loop->wanted))
        uv_idle_stop(&job->loop->jobs);
}

void loop_job_destroy(struct loop_job *job)
{
    if (job)
        loop_job_cancel(job);
    free(job);
}

bool loop_may_do(struct loop *loop)
{
    if (loop->has_done || !list_empty(&loop->wanted))
        return false;
    loop->has_done = true;
    return true;
}

void loop_has_done(struct loop *loop)
{
    loop->has_done = true;
}

static void free_wake(uv_handle_t *handle)
{
    free(container_of(handle, struct loop_wake, uv));
}

static void on_wake(uv_async_t *handle)
{
    struct loop_wake *wake = container_of(handle, struct loop_wake, uv);
    wake->callback(wake->ctx);
}

struct loop_wake *loop_wake_create(struct loop *loop, void (*callback)(void *), void *ctx)
{
    struct loop_wake *wake = xcalloc(1, sizeof *wake);
    must(uv_async_init(&loop->uv, &wake->uv, on_wake));
    wake->callback = callback;
    wake->ctx = ctx;
    return wake;
}

void loop_wake_signal(void *wake)
{
    must(uv_async_send(&((struct loop_wake *)wake)->uv));
}

void loop_wake_destroy(struct loop_wake *wake)
{
    if (wake)
        uv_close((uv_handle_t *)&wake->uv, free_wake);
}

static void free_watch(uv_handle_t *handle)
{
    free(container_of(handle, struct loop_watch, uv));
}

static void on_watch(uv_poll_t *handle, int status, int events)
{
    struct loop_watch *watch = container_of(handle, struct loop_watch, uv);
    int happened = 0;
    if (status < 0) {
        watch->wanted = 0; /* libuv has stopped it */
        happened = LOOP_READ | LOOP_WRITE;
    }
    if (events & UV_READABLE)
        happened |= LOOP_READ;
    if (events & UV_WRITABLE)
        happened |= LOOP_WRITE;
    watch->callback(watch->ctx, happened);
}

struct loop_watch *loop_watch_create(struct loop *loop, int fd, void (*callback)(void *, int), void *ctx)
{
    struct loop_watch *watch = xcalloc(1, sizeof *watch);
    must(uv_poll_init(&loop->uv, &watch->uv, fd));
    watch->callback = callback;
    watch->ctx = ctx;
    return watch;
}

void loop_watch_want(struct loop_watch *watch, int events)
{
    if (watch->wanted == events)
        return;
    watch->wanted = events;
    if (!events) {
        uv_poll_stop(&watch->uv);
        return;
    }
    int native = (events & LOOP_READ ? UV_READABLE : 0) | (events & LOOP_WRITE ? UV_WRITABLE : 0);
    must(uv_poll_start(&watch->uv, native, on_watch));
}

void loop_watch_destroy(struct loop_watch *watch)
{
    if (watch)
        uv_close((uv_handle_t *)&watch->uv, free_watch);
}
