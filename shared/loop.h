/*
 * The event loop of a service: timers, signals and wakes from other threads (libuv underneath, in loop.c
 * only).
 *
 * Thread: everything belongs to the thread that calls loop_run(), except loop_wake_signal(), which any thread
 * may call. Lifetime: timers, wakes and watches are destroyed before the loop; their callbacks never run
 * after their destroy.
 */
#ifndef SHARED_LOOP_H
#define SHARED_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct loop;
struct loop_timer;
struct loop_wake;
struct loop_watch;
struct loop_job;

struct loop *loop_create(void);
void loop_destroy(struct loop *loop);
/* Runs until loop_stop(). */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);
/* One turn without waiting; not from a callback. For teardown and tests. */
void loop_turn(struct loop *loop);
/* Monotonic milliseconds, as of the start of this turn of the loop. */
int64_t loop_now_ms(const struct loop *loop);
/* The uv_loop_t, for the one other file that must share it (server.c). */
void *loop_native(struct loop *loop);
/* The kernel stops reporting fd to this loop until its watcher is started anew. For server.c, whose library
 * cannot be told to wait for neither input nor output. */
void loop_silence_fd(struct loop *loop, int fd);

/* SIGINT, SIGTERM, SIGHUP as loop events. A second SIGINT or SIGTERM exits the process at once, with 1. */
void loop_on_signal(struct loop *loop, int signal_number, void (*callback)(void *), void *ctx);

struct loop_timer *loop_timer_create(struct loop *loop, void (*callback)(void *), void *ctx);
/* Fires once after delay_ms, then every repeat_ms when that is not 0. Starting a started timer moves it. With
 * neither it fires in the next turn of the loop, also when its own callback starts it. */
void loop_timer_start(struct loop_timer *timer, int64_t delay_ms, int64_t repeat_ms);
void loop_timer_stop(struct loop_timer *timer);
void loop_timer_destroy(struct loop_timer *timer); /* NULL-safe; may be called from its own callback */

/* Pieces of work that many may cause at once, such as coming and going, and that can wait: of all jobs that
 * are wanted the loop does one in a turn, each in its turn, and looks after its sockets in between. */
struct loop_job *loop_job_create(struct loop *loop, void (*callback)(void *ctx), void *ctx);
/* Once; behind the others. A callback that has more to do wants itself again. */
void loop_job_want(struct loop_job *job);
void loop_job_cancel(struct loop_job *job);
void loop_job_destroy(struct loop_job *job); /* NULL-safe; may be called from its own callback */
/* Whether such a piece may be done now without a job: none was in this turn, and none waits. Then it counts.
 */
bool loop_may_do(struct loop *loop);
/* One was done all the same: the next job waits for another turn. */
void loop_has_done(struct loop *loop);

/* Runs callback on the loop soon after one or more signals. */
struct loop_wake *loop_wake_create(struct loop *loop, void (*callback)(void *), void *ctx);
void loop_wake_signal(void *wake); /* any thread; void * so that it fits mailbox_create() */
void loop_wake_destroy(struct loop_wake *wake);

/* Tells when a socket can be read or written. An error shows as both: the next call on the socket says which.
 */
enum { LOOP_READ = 1, LOOP_WRITE = 2 };
struct loop_watch *loop_watch_create(struct loop *loop, int fd, void (*callback)(void *ctx, int events),
                                     void *ctx);
/* What to wait for from now on; 0: nothing. */
void loop_watch_want(struct loop_watch *watch, int events);
/* NULL-safe; may be called from its own callback. The fd stays the caller's, who may close it at once. */
void loop_watch_destroy(struct loop_watch *watch);

#endif
