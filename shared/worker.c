#include "shared/worker.h"
#include "shared/log.h"
#include "shared/mem.h"
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct worker {
    pthread_t thread;
    atomic_bool stopping;
    void (*run)(struct worker *worker, void *ctx);
    void *ctx;
};

static void *thread_main(void *arg)
{
    struct worker *worker = arg;
    worker->run(worker, worker->ctx);
    return NULL;
}

struct worker *worker_start(const char *name, void (*run)(struct worker *worker, void *ctx), void *ctx)
{
    struct worker *worker = xcalloc(1, sizeof *worker);
    worker->run = run;
    worker->ctx = ctx;
    /* The new thread inherits the mask: there is no moment in which a signal could reach it. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&worker->thread, NULL, thread_main, worker);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed)
        die("cannot start thread %s: %s", name, strerror(failed));
    pthread_setname_np(worker->thread, name);
    return worker;
}

bool worker_stopping(const struct worker *worker)
{
    return atomic_load(&worker->stopping);
}

void worker_stop(struct worker *worker)
{
    atomic_store(&worker->stopping, true);
}

void worker_destroy(struct worker *worker)
{
    if (!worker)
        return;
    worker_stop(worker);
    pthread_join(worker->thread, NULL);
    free(worker);
}
