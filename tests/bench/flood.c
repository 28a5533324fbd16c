/* flood: a tenant, or somebody without one, that does one thing as fast as it is let.
 *
 *   ask    --request FILE: the request over and over on each of --conns keep-alive connections
 *   knock  --request FILE: connects, sends it, waits for --until in the answer (or the end), closes, and again
 *   hang   --request FILE: sends it, a byte every --drip ms if given, and stays; comes again when it is cut
 *   talk   signs in at /ws, then sends the lines of --say in turn, --depth without an answer (0: all that the socket takes);
 *          comes back when it is cut
 *   sio    the same by Socket.IO
 *   storm  signs in at /ws and listens; every --every ms all connections are cut at once, and come back by their offset
 *   stall  signs in at /ws and stops reading; comes back when it is cut
 *   awake  takes what nobody else wants of a processor (run it so), that none falls asleep: waking up takes longer than a call
 *   sink   listens on --port itself and answers whatever comes: what the others cost where nothing is done
 *
 * In what is sent %T is the connection's token (line of --tokens), %n a number that grows, %i the connection's number.
 * It says READY when all connections were tried, begins with SIGUSR1 (storm, stall, talk: what is above the connections;
 * the others: everything), ends with SIGTERM, and prints one line of JSON.
 *
 *   cc -O2 -o flood flood.c
 */
#define _GNU_SOURCE
#include "frames.h"
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum state { CLOSED, CONNECTING, WAITING, OPEN };
enum { IN_SIZE = 16384, OUT_SIZE = 65536, LINES_MAX = 64, SOURCES = 250 };

struct conn {
    int fd, index, waits; /* waits: answers outstanding */
    enum state state;
    char in[IN_SIZE + 1], *out, offset[64];
    size_t got, out_n, out_at, dripped;
    uint64_t again_us;
    int is_paused, was_open;
};

static struct { const char *mode, *request, *until, *tokens, *say; int port, conns, depth, drip, every, pause, sources; } o = {.mode = "", .until = "", .port = 3015, .conns = 64, .every = 2000, .pause = 10, .sources = 1};
static volatile sig_atomic_t stop, go;
static int ep, token_count, line_count, is_ws, is_sio;
static char **tokens, *lines[LINES_MAX], *request;
static struct conn *conns;
static uint64_t number, said, answered, refused, opened, cut, failed, recovered, not_recovered, t_ready_us, worst_ready_us;

static uint64_t now_us(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec * 1000000ull + t.tv_nsec / 1000; }
static int is(const char *mode) { return !strcmp(o.mode, mode); }

static size_t expand(const char *in, size_t n, char *out, struct conn *c)
{
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        if (in[i] == '%' && i + 1 < n && strchr("Tni", in[i + 1])) {
            i++;
            if (in[i] == 'T') k += (size_t)sprintf(out + k, "%s", token_count ? tokens[c->index % token_count] : "");
            else k += (size_t)sprintf(out + k, "%" PRIu64, in[i] == 'n' ? ++number : (uint64_t)c->index);
        } else out[k++] = in[i];
    }
    return k;
}
static void want(struct conn *c, uint32_t events, int op) { struct epoll_event e = {.events = events, .data.ptr = c}; epoll_ctl(ep, op, c->fd, &e); }
static void dial(struct conn *c)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)o.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000002u + (uint32_t)(c->index % o.sources))};
    int one = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    c->state = CONNECTING; c->got = c->out_n = c->out_at = c->dripped = 0; c->waits = c->is_paused = 0;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (o.sources) { setsockopt(c->fd, IPPROTO_IP, 24 /* IP_BIND_ADDRESS_NO_PORT */, &one, sizeof one); bind(c->fd, (void *)&from, sizeof from); }
    if (connect(c->fd, (void *)&a, sizeof a) && errno != EINPROGRESS) { close(c->fd); c->fd = -1; c->state = CLOSED; failed++; c->again_us = now_us() + 20000; return; }
    want(c, EPOLLIN | EPOLLOUT, EPOLL_CTL_ADD);
}
static void hang_up(struct conn *c, int hard)
{
    struct linger l = {1, 0};
    if (hard) setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
    close(c->fd);
    c->fd = -1; c->state = CLOSED; c->again_us = now_us();
}
static void lost(struct conn *c)
{
    if (c->state == OPEN) cut++; else failed++;
    hang_up(c, 0);
    c->again_us += (uint64_t)o.pause * 1000;
}
static void flush(struct conn *c)
{
    while (c->out_at < c->out_n) {
        ssize_t n = send(c->fd, c->out + c->out_at, c->out_n - c->out_at, MSG_NOSIGNAL);
        if (n < 0) { if (errno != EAGAIN) return; break; }
        c->out_at += (size_t)n;
    }
    if (c->out_at == c->out_n) c->out_at = c->out_n = 0;
    want(c, (c->is_paused ? 0u : EPOLLIN) | (c->out_n ? EPOLLOUT : 0u), EPOLL_CTL_MOD);
}
static void put_text(struct conn *c, const char *text, size_t n)
{
    if (c->out_n + n + 8 > OUT_SIZE) return;
    unsigned char *h = (unsigned char *)c->out + c->out_n; size_t k = 0;
    h[k++] = 0x81;
    if (n < 126) h[k++] = 0x80 | (unsigned char)n; else { h[k++] = 0xfe; h[k++] = (unsigned char)(n >> 8); h[k++] = (unsigned char)n; }
    memset(h + k, 0, 4); /* the mask */
    memcpy(h + k + 4, text, n);
    c->out_n += k + 4 + n;
}
static void send_request(struct conn *c)
{
    if (is("hang") && o.drip) return;
    c->out_n = expand(request, strlen(request), c->out, c); c->out_at = 0;
    said++; flush(c);
}
static void talk(struct conn *c)
{
    char text[4096];
    for (int turns = 0; turns < 32 && go && line_count && c->state == OPEN && (o.depth ? c->waits < o.depth : !c->out_n) && c->out_n < OUT_SIZE / 2; turns++) {
        for (int i = 0; i < (o.depth ? 1 : 16); i++) {
            const char *line = lines[said++ % (unsigned)line_count];
            put_text(c, text, expand(line, strlen(line), text, c));
            c->waits++;
        }
        flush(c);
    }
    if (go && line_count && !o.depth && c->state == OPEN) want(c, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD); /* others have their turn */
}
static void pause_reading(struct conn *c) { c->is_paused = 1; want(c, 0, EPOLL_CTL_MOD); }
static void sign_in(struct conn *c)
{
    static const char begin[] = "{\"type\":\"auth\",\"token\":\"%T\"", sio[] = "40{\"token\":\"%T\"}";
    char text[4096];
    if (is_sio) { put_text(c, text, expand(sio, sizeof sio - 1, text, c)); flush(c); return; }
    char *where = text + expand(begin, sizeof begin - 1, text, c);
    sprintf(where, *c->offset ? ",\"offset\":\"%s\"}" : "}", c->offset);
    put_text(c, text, strlen(text)); flush(c);
}
static void hear_sio(struct conn *c, char *text, size_t n)
{
    if (n == 1 && *text == '2') { put_text(c, "3", 1); flush(c); }
    if (c->state == WAITING && n > 2 && !memcmp(text, "40", 2)) { c->state = OPEN; c->was_open = 1; opened++; talk(c); }
    if (c->state != OPEN || n < 2 || memcmp(text, "43", 2)) return;
    if (memmem(text, n, "\"ok\":false", 10)) refused++; else answered++;
    c->waits--;
}
static void hear(struct conn *c, char *text, size_t n)
{
    if (is_sio) { hear_sio(c, text, n); return; }
    char *at = memmem(text, n, "\"offset\":\"", 10);
    if (at && is("storm")) { size_t k = 0; for (at += 10; *at != '"' && k < 63; k++) c->offset[k] = *at++; c->offset[k] = 0; }
    if (c->state == WAITING && memmem(text, n, "\"type\":\"ready\"", 14)) {
        c->state = OPEN; c->was_open = 1; opened++;
        if (memmem(text, n, "\"recovered\":true", 16)) recovered++; else not_recovered++;
        uint64_t took = now_us() - t_ready_us;
        if (t_ready_us && took > worst_ready_us) worst_ready_us = took;
        if (is("stall") && go) pause_reading(c);
        talk(c);
        return;
    }
    if (c->state != OPEN) return;
    if (memmem(text, n, "\"type\":\"error\"", 14)) { refused++; c->waits--; }
    else if (memmem(text, n, "\"type\":\"ack\"", 12) || memmem(text, n, "\"type\":\"pong\"", 13)) { answered++; c->waits--; }
}
static int take_frames(struct conn *c)
{
    size_t at = 0;
    struct frame f;
    int there;
    for (; (there = frame_read(c->in + at, c->got - at, IN_SIZE, &f)) > 0; at += f.whole) {
        if (f.opcode == FRAME_CLOSE) return -1;
        if (f.opcode == FRAME_PING && c->out_n + PONG_MAX < OUT_SIZE) { c->out_n += frame_pong(&f, c->out + c->out_n); flush(c); }
        if (f.opcode == FRAME_TEXT) hear(c, f.data, f.n);
    }
    if (there < 0) return -1;
    memmove(c->in, c->in + at, c->got - at); c->got -= at;
    talk(c);
    return 0;
}
/* 1: a whole answer was in; -1: not one that can be understood. */
static int take_answer(struct conn *c)
{
    c->in[c->got] = 0;
    char *end = strstr(c->in, "\r\n\r\n");
    if (!end) return c->got == IN_SIZE ? -1 : 0;
    char *length = strcasestr(c->in, "content-length:");
    size_t whole = (size_t)(end + 4 - c->in) + (length && length < end ? strtoul(length + 15, 0, 10) : 0);
    if (c->got < whole && whole <= IN_SIZE) return 0;
    if (c->in[9] == '2') answered++; else if (!refused++) fprintf(stderr, "flood: %.*s\n", (int)(end - c->in), c->in);
    c->got = 0;
    return 1;
}
static int take(struct conn *c)
{
    if (is("ask")) { int r = take_answer(c); if (r > 0) { c->state = OPEN; if (go) send_request(c); } return r < 0 ? -1 : 0; }
    if (is("hang")) { c->got = 0; c->state = OPEN; return 0; }
    if (is("knock")) {
        c->in[c->got] = 0;
        if (!memmem(c->in, c->got, o.until, strlen(o.until)) && c->got < IN_SIZE) return 0;
        answered++; hang_up(c, 1);
        return 0;
    }
    if (c->state == CONNECTING) { /* the head of the answer */
        char *end = memmem(c->in, c->got, "\r\n\r\n", 4);
        if (!end) return 0;
        if (memcmp(c->in, "HTTP/1.1 101", 12)) return -1;
        size_t h = (size_t)(end + 4 - c->in);
        memmove(c->in, c->in + h, c->got - h); c->got -= h;
        c->state = WAITING; sign_in(c);
    }
    return take_frames(c);
}
static void readable(struct conn *c)
{
    while (c->fd >= 0 && !c->is_paused) {
        ssize_t n = recv(c->fd, c->in + c->got, IN_SIZE - c->got, 0);
        if (n < 0 && errno == EAGAIN) return;
        if (n <= 0) { if (is("knock")) { answered++; hang_up(c, 1); } else lost(c); return; }
        c->got += (size_t)n;
        if (take(c) < 0) { lost(c); return; }
    }
}
static void writable(struct conn *c)
{
    static const char upgrade[] = "GET %s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    if (c->state == CONNECTING && !c->out_n && !c->got && is_ws) { c->out_n = (size_t)sprintf(c->out, upgrade, is_sio ? "/socket.io/?EIO=4&transport=websocket" : "/ws"); flush(c); }
    else if (c->state == CONNECTING && !is_ws) { c->state = WAITING; opened++; if (go || is("hang")) send_request(c); else want(c, EPOLLIN, EPOLL_CTL_MOD); }
    else { flush(c); talk(c); }
    if (c->state == WAITING && is("hang") && o.drip) want(c, EPOLLIN, EPOLL_CTL_MOD);
}
static void drip(struct conn *c)
{
    size_t n = strlen(request);
    if (c->fd >= 0 && c->state >= WAITING && c->dripped < n) { if (send(c->fd, request + c->dripped, 1, MSG_NOSIGNAL) == 1) { c->dripped++; said++; } }
}
static void on_signal(int s) { if (s == SIGUSR1) go = 1; else stop = 1; }
static void begin(void)
{
    for (int i = 0; i < o.conns; i++) {
        struct conn *c = &conns[i];
        if (c->fd < 0) continue;
        if (is("ask")) send_request(c);
        if (is_ws) talk(c);
        if (is("stall") && c->state == OPEN) pause_reading(c);
    }
}
static char *slurp(const char *path)
{
    FILE *f = fopen(path, "r"); if (!f) { perror(path); exit(1); }
    char *text = calloc(1, 1 << 22); size_t n = fread(text, 1, (1 << 22) - 1, f); text[n] = 0; fclose(f);
    return text;
}
static char **split(char *text, int *count, int max)
{
    char **out = calloc((size_t)max, sizeof *out);
    for (char *line = strtok(text, "\n"); line && *count < max; line = strtok(0, "\n")) out[(*count)++] = line;
    return out;
}
static int sink(void)
{
    static const char answer[] = "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n";
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)o.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0); char in[65536];
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (void *)&a, sizeof a) || listen(fd, 1024)) { perror("sink"); return 1; }
    struct epoll_event e = {.events = EPOLLIN, .data.fd = fd}, ev[256];
    epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
    while (!stop) {
        int n = epoll_wait(ep, ev, 256, 50);
        for (int i = 0; i < n; i++) {
            if (ev[i].data.fd == fd) { while ((e.data.fd = accept4(fd, 0, 0, SOCK_NONBLOCK)) >= 0) epoll_ctl(ep, EPOLL_CTL_ADD, e.data.fd, &e); continue; }
            if (recv(ev[i].data.fd, in, sizeof in, 0) <= 0 || send(ev[i].data.fd, answer, sizeof answer - 1, MSG_NOSIGNAL) < 0) close(ev[i].data.fd);
        }
    }
    return 0;
}
static void storm(void) { t_ready_us = now_us(); for (int i = 0; i < o.conns; i++) if (conns[i].fd >= 0) hang_up(&conns[i], 1); }

int main(int argc, char **argv)
{
    static struct option L[] = {{"port", 1, 0, 'p'}, {"conns", 1, 0, 'n'}, {"request", 1, 0, 'r'}, {"until", 1, 0, 'u'}, {"tokens", 1, 0, 't'}, {"say", 1, 0, 's'}, {"depth", 1, 0, 'd'}, {"drip", 1, 0, 'D'}, {"every", 1, 0, 'e'}, {"pause", 1, 0, 'P'}, {"sources", 1, 0, 'S'}, {0}};
    if (argc < 2) return 2;
    o.mode = argv[1]; optind = 2;
    for (int c; (c = getopt_long(argc, argv, "", L, 0)) != -1;) switch (c) {
        case 'p': o.port = atoi(optarg); break; case 'n': o.conns = atoi(optarg); break; case 'r': request = slurp(optarg); break; case 'u': o.until = optarg; break;
        case 't': tokens = split(slurp(optarg), &token_count, 100000); break; case 's': { int n = 0; char **all = split(slurp(optarg), &n, LINES_MAX); for (line_count = 0; line_count < n; line_count++) lines[line_count] = all[line_count]; break; }
        case 'd': o.depth = atoi(optarg); break; case 'D': o.drip = atoi(optarg); break; case 'e': o.every = atoi(optarg); break; case 'P': o.pause = atoi(optarg); break; case 'S': o.sources = atoi(optarg); break; default: return 2; }
    struct sigaction act = {.sa_handler = on_signal};
    sigaction(SIGUSR1, &act, 0); sigaction(SIGTERM, &act, 0); sigaction(SIGINT, &act, 0); signal(SIGPIPE, SIG_IGN);
    struct rlimit rl; getrlimit(RLIMIT_NOFILE, &rl); rl.rlim_cur = rl.rlim_max; setrlimit(RLIMIT_NOFILE, &rl);
    if (is("awake")) { while (!stop) continue; return 0; }
    is_sio = is("sio"); is_ws = is_sio || is("talk") || is("storm") || is("stall");
    int at_once = is("knock") ? 0 : o.conns; /* connections before the start */
    ep = epoll_create1(0);
    if (is("sink")) return sink();
    conns = calloc((size_t)o.conns, sizeof *conns);
    for (int i = 0; i < o.conns; i++) { conns[i].index = i; conns[i].fd = -1; conns[i].out = malloc(OUT_SIZE + 4096); }
    int launched = 0, said_ready = 0, begun = 0;
    uint64_t dripped_us = 0, stormed_us = 0;
    if (!at_once) { printf("READY\n"); fflush(stdout); said_ready = 1; }
    for (struct epoll_event ev[512]; !stop;) {
        uint64_t now = now_us();
        if (!said_ready) { /* not more than some at a time */
            int pending = 0, up = 0;
            for (int i = 0; i < launched; i++) { up += is_ws ? conns[i].was_open : conns[i].state >= WAITING; pending += conns[i].fd >= 0 && (is_ws ? conns[i].state != OPEN : conns[i].state == CONNECTING); }
            while (launched < at_once && pending++ < 100) dial(&conns[launched++]);
            if (launched == at_once && (up == at_once || (!is_ws && !pending))) { printf("READY\n"); fflush(stdout); said_ready = 1; }
        }
        if (go && !begun) { begun = 1; begin(); }
        if (go && is("storm") && now - stormed_us > (uint64_t)o.every * 1000) { stormed_us = now; storm(); now = now_us(); }
        if ((said_ready && go) || is_ws) for (int i = 0; i < (said_ready ? o.conns : launched); i++) if (conns[i].fd < 0 && conns[i].again_us <= now) dial(&conns[i]);
        if (go && o.drip && now - dripped_us > (uint64_t)o.drip * 1000) { dripped_us = now; for (int i = 0; i < o.conns; i++) drip(&conns[i]); }
        int n = epoll_wait(ep, ev, 512, 5);
        for (int i = 0; i < n; i++) {
            struct conn *c = ev[i].data.ptr;
            if (c->fd < 0) continue;
            if (ev[i].events & (EPOLLERR | EPOLLHUP) && c->state == CONNECTING) { lost(c); continue; }
            if (ev[i].events & EPOLLOUT) writable(c);
            if (c->fd >= 0 && c->is_paused && ev[i].events & (EPOLLERR | EPOLLHUP)) { lost(c); continue; }
            if (c->fd >= 0 && ev[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP)) readable(c);
        }
    }
    int open = 0; for (int i = 0; i < o.conns; i++) open += conns[i].state == OPEN;
    struct rusage ru; getrusage(RUSAGE_SELF, &ru);
    printf("{\"said\":%" PRIu64 ",\"answered\":%" PRIu64 ",\"refused\":%" PRIu64 ",\"opened\":%" PRIu64 ",\"cut\":%" PRIu64 ",\"failed\":%" PRIu64 ",\"recovered\":%" PRIu64 ",\"not_recovered\":%" PRIu64 ",\"worst_ready_ms\":%.0f,\"open\":%d,\"cpu_s\":%.2f}\n",
        said, answered, refused, opened, cut, failed, recovered, not_recovered, worst_ready_us / 1e3, open, ru.ru_utime.tv_sec + ru.ru_stime.tv_sec + (ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e6);
    return 0;
}
