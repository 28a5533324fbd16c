/* WebSocket frames as a server sends them (RFC 6455, section 5.2), out of what a client has read so far. */
#ifndef BENCH_FRAMES_H
#define BENCH_FRAMES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { FRAME_TEXT = 1, FRAME_CLOSE = 8, FRAME_PING = 9, PONG_MAX = 6 + 125 };

struct frame { int opcode; char *data; size_t n, whole; };

/* 1: the frame that begins there; 0: it is not all there yet; -1: it never will be, in so much room. */
static inline int frame_read(char *in, size_t got, size_t room, struct frame *f)
{
    unsigned char *b = (unsigned char *)in;
    if (got < 2) return 0;
    size_t n = b[1] & 127, head = 2;
    if (n == 127) return -1;
    if (n == 126) { if (got < 4) return 0; n = (size_t)b[2] << 8 | b[3]; head = 4; }
    if (head + n > room) return -1;
    *f = (struct frame){b[0] & 15, in + head, n, head + n};
    return got >= head + n;
}
/* What answers a ping: a pong with the same in it, masked with zeroes. Returns its length. */
static inline size_t frame_pong(const struct frame *ping, char out[static PONG_MAX])
{
    size_t n = ping->n > 125 ? 125 : ping->n;
    memcpy(out, (char[]){(char)0x8a, (char)(0x80 | n), 0, 0, 0, 0}, 6);
    memcpy(out + 6, ping->data, n);
    return 6 + n;
}

#endif
