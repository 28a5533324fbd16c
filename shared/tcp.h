/*
 * A TCP connection of one's own on the loop: one that is made, or a socket that is connected already. What is
 * written leaves at once; what the kernel does not take is kept and sent as there is room. There is no bound
 * on what is kept: who goes on writing before on_drained has one of his own.
 *
 * Thread: the loop's. Owner: the caller, who ends it with tcp_destroy(), from any callback too.
 */
#ifndef SHARED_TCP_H
#define SHARED_TCP_H

#include "shared/compiler.h"
#include "shared/err.h"
#include "shared/loop.h"
#include "shared/view.h"
#include <stddef.h>

struct tcp;

struct tcp_handler {
    void (*on_open)(void *ctx); /* connected; NULL: not wanted */
    /* The view is valid during the call. */
    void (*on_bytes)(void *ctx, struct view bytes);
    /* All that was kept has been sent. NULL: not wanted */
    void (*on_drained)(void *ctx);
    /* The other side has ended it, or it cannot be reached: nothing more comes. */
    void (*on_closed)(void *ctx, const char *why);
};

/* `address`: an IP in text form. Bytes may be written right away. NULL and err: it cannot even be tried. The
 * handler must outlive it. */
struct tcp *tcp_connect(struct loop *loop, const char *address, int port, const struct tcp_handler *handler,
                        void *ctx, struct err *err) MUSTCHECK;
/* Takes the fd. */
struct tcp *tcp_adopt(struct loop *loop, int fd, const struct tcp_handler *handler, void *ctx);
void tcp_destroy(struct tcp *t); /* NULL-safe; what is kept is lost */

/* Returns how many bytes are kept now; when it is not 0 on_drained follows. What to do about a side that
 * takes nothing is the caller's business. */
size_t tcp_write(struct tcp *t, struct view bytes);
/* After what is kept, the other side is told that no more will come. */
void tcp_finish(struct tcp *t);
/* No on_bytes and no on_closed until tcp_resume(). */
void tcp_pause(struct tcp *t);
void tcp_resume(struct tcp *t);

#endif
