/* neighbour: tenants that behave well, and how long things take for them.
 *
 * Each tenant has one browser on /ws that stays, and calls at a steady --rate a second:
 *   hook     a signed webhook, until the browser hears its message
 *   rest     POST /api/v1/events, until the browser hears it
 *   command  send_message by the browser, until it is acknowledged
 *   join     join of a conversation's room by the browser, until it is acknowledged; then it leaves
 *   echo     an event that nobody knows by the browser, until it is refused
 *   arrive   another browser that comes (--arrivals a second), until it is told `ready`
 * Calls begin when they are due, whatever became of those before; times count from then on. They are spread evenly, so that they
 * hardly meet each other, or (--random) come at random times, as those of people who do not know each other do.
 *
 * stdin: a line with a word begins a window of that name. stdout: READY, then at the end of each window, LINGER_MS later so
 * that late ones are in it, one line of JSON {"window":..., kind:[[due, us], ...]} (due by CLOCK_MONOTONIC, in us); what has not come
 * by then counts as that long.
 *
 * Tokens come from a file: for each tenant a line "agent service conversation number".
 *
 *   cc -O2 -o neighbour neighbour.c -lcrypto -lm
 */
#define _GNU_SOURCE
#include "frames.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <netinet/tcp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum { KINDS = 6, HTTP_CONNS = 4, CALLS_MAX = 1 << 15, TENANTS_MAX = 64, LINGER_MS = 1500, IN_SIZE = 1 << 16 };
enum kind { HOOK, REST, COMMAND, JOIN, ECHO, ARRIVE };
enum role { CALLER, BROWSER, VISITOR };
static const char *const kind_names[KINDS] = {"hook", "rest", "command", "join", "echo", "arrive"};

struct tenant {
    char agent[1200], service[1200], conversation[80], number[40];
    struct conn *browser, *callers[HTTP_CONNS];
};
struct conn {
    int fd, tenant;
    enum role role;
    int is_open; /* of a browser: told ready */
    int busy;    /* of a caller: waits for an answer */
    uint32_t call;
    char in[IN_SIZE];
    size_t got;
    int is_upgraded;
    char out[8192];
    size_t out_n, out_at;
};
/* A call, by its number. */
struct call {
    enum kind kind;
    int tenant, is_sent, is_done, is_refused;
    uint64_t due_us, took_us;
};
struct window {
    char name[32];
    uint32_t from, to;
    uint64_t ended_us;
};

static struct { const char *secret, *tokens; int api, gateway, random; double rate, arrivals; } o = {"", "", 3010, 3015, 0, 25, 10};
static struct tenant tenants[TENANTS_MAX];
static int tenant_count, ep;
static struct call *calls;
static uint32_t call_count, first_unsent;
static struct window window = {"", 0, 0, 0}, closing = {"", 0, 0, 0};
static uint64_t run;

static uint64_t now_us(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec * 1000000ull + t.tv_nsec / 1000; }
static void die(const char *why) { perror(why); exit(1); }

static void done(uint32_t n)
{
    struct call *c = &calls[n % CALLS_MAX];
    if (n >= call_count || c->is_done) return;
    c->is_done = 1;
    c->took_us = now_us() - c->due_us;
}
static void refuse(uint32_t n) { if (n < call_count) calls[n % CALLS_MAX].is_refused = 1; }
static void want(struct conn *c, uint32_t events, int op) { struct epoll_event e = {.events = events, .data.ptr = c}; epoll_ctl(ep, op, c->fd, &e); }
static struct conn *dial(int port, enum role role, int tenant, struct conn *c)
{
    if (!c) c = calloc(1, sizeof *c);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    c->role = role; c->tenant = tenant; c->got = c->out_n = c->out_at = 0; c->is_open = c->busy = c->is_upgraded = 0;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(c->fd, (void *)&a, sizeof a) && errno != EINPROGRESS) die("connect");
    want(c, EPOLLIN | EPOLLOUT, EPOLL_CTL_ADD);
    return c;
}
static void flush(struct conn *c)
{
    while (c->out_at < c->out_n) {
        ssize_t n = send(c->fd, c->out + c->out_at, c->out_n - c->out_at, MSG_NOSIGNAL);
        if (n < 0) break;
        c->out_at += (size_t)n;
    }
    if (c->out_at == c->out_n) c->out_at = c->out_n = 0;
    want(c, c->out_n ? EPOLLIN | EPOLLOUT : EPOLLIN, EPOLL_CTL_MOD);
}
static void put(struct conn *c, const void *bytes, size_t n)
{
    if (c->out_n + n > sizeof c->out) { fprintf(stderr, "neighbour: too much waits\n"); exit(1); }
    memcpy(c->out + c->out_n, bytes, n);
    c->out_n += n;
}
static void say(struct conn *c, const char *text)
{
    unsigned char h[8]; size_t n = strlen(text), k = 0;
    h[k++] = 0x81;
    if (n < 126) h[k++] = 0x80 | (unsigned char)n; else { h[k++] = 0xfe; h[k++] = (unsigned char)(n >> 8); h[k++] = (unsigned char)n; }
    memset(h + k, 0, 4); /* the mask */
    put(c, h, k + 4); put(c, text, n); flush(c);
}
static void ask_upgrade(struct conn *c)
{
    char head[2048];
    int n = snprintf(head, sizeof head, "GET /ws?token=%s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n", tenants[c->tenant].agent);
    put(c, head, (size_t)n); flush(c);
}
static void lost(struct conn *c)
{
    close(c->fd);
    if (c->role == VISITOR) { free(c); return; }
    if (c->role == BROWSER || c->busy) fprintf(stderr, "neighbour: lost %s\n", c->role == BROWSER ? "a browser" : "a call");
    dial(c->role == BROWSER ? o.gateway : o.api, c->role, c->tenant, c);
}

/* --- calls --- */

static void send_hook(struct conn *c, uint32_t n)
{
    char body[1200], hex[65]; unsigned char mac[32]; unsigned m = 32; const struct tenant *t = &tenants[c->tenant];
    int k = snprintf(body, sizeof body, "{\"object\":\"whatsapp_business_account\",\"entry\":[{\"id\":\"1\",\"changes\":[{\"field\":\"messages\",\"value\":{\"messaging_product\":\"whatsapp\",\"metadata\":{\"display_phone_number\":\"15550100200\",\"phone_number_id\":\"%s\"},\"contacts\":[{\"profile\":{\"name\":\"Ann\"},\"wa_id\":\"4477009%05u\"}],\"messages\":[{\"from\":\"4477009%05u\",\"id\":\"wamid.N%" PRIx64 ".%u\",\"timestamp\":\"%ld\",\"type\":\"text\",\"text\":{\"body\":\"@%u@\"}}]}}]}]}", t->number, n % 50, n % 50, run, n, (long)time(0), n);
    HMAC(EVP_sha256(), o.secret, (int)strlen(o.secret), (unsigned char *)body, (size_t)k, mac, &m);
    for (int i = 0; i < 32; i++) sprintf(hex + 2 * i, "%02x", mac[i]);
    char head[400];
    int h = snprintf(head, sizeof head, "POST /webhooks/whatsapp HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nX-Hub-Signature-256: sha256=%s\r\nContent-Length: %d\r\n\r\n", hex, k);
    put(c, head, (size_t)h); put(c, body, (size_t)k); flush(c);
}
static void send_rest(struct conn *c, uint32_t n)
{
    char body[200], head[1600];
    int k = snprintf(body, sizeof body, "{\"event\":\"probe\",\"data\":{\"text\":\"@%u@\"}}", n);
    int h = snprintf(head, sizeof head, "POST /api/v1/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n", tenants[c->tenant].service, k);
    put(c, head, (size_t)h); put(c, body, (size_t)k); flush(c);
}
/* Sends what is due, as far as there is a connection that is free. */
static int send_call(uint32_t n)
{
    struct call *call = &calls[n % CALLS_MAX]; struct tenant *t = &tenants[call->tenant]; char text[400];
    switch (call->kind) {
    case HOOK: case REST:
        for (int i = 0; i < HTTP_CONNS; i++) {
            struct conn *c = t->callers[i];
            if (!c->is_open || c->busy) continue;
            c->busy = 1; c->call = n;
            if (call->kind == HOOK) send_hook(c, n); else send_rest(c, n);
            return 1;
        }
        return 0;
    case COMMAND:
        if (!t->browser->is_open) return 0;
        snprintf(text, sizeof text, "{\"type\":\"emit\",\"event\":\"send_message\",\"id\":\"@%u@\",\"data\":{\"conversationId\":\"%s\",\"text\":\"probe\"}}", n, t->conversation);
        say(t->browser, text);
        return 1;
    case JOIN:
        if (!t->browser->is_open) return 0;
        snprintf(text, sizeof text, "{\"type\":\"join\",\"id\":\"@%u@\",\"room\":\"conversation:%s\"}", n, t->conversation);
        say(t->browser, text);
        return 1;
    case ECHO: /* pongs carry no id; an unknown event is refused with it, by the gateway alone */
        if (!t->browser->is_open) return 0;
        snprintf(text, sizeof text, "{\"type\":\"emit\",\"event\":\"nothing\",\"id\":\"@%u@\"}", n);
        say(t->browser, text);
        return 1;
    case ARRIVE:
        dial(o.gateway, VISITOR, call->tenant, 0)->call = n;
        return 1;
    }
    return 0;
}
static void make_call(enum kind kind, int tenant)
{
    if (call_count - first_unsent >= CALLS_MAX / 2) { fprintf(stderr, "neighbour: nothing gets through\n"); exit(1); }
    calls[call_count % CALLS_MAX] = (struct call){kind, tenant, 0, 0, 0, now_us(), 0};
    call_count++;
}
static void send_due(void)
{
    for (uint32_t n = first_unsent; n < call_count; n++) {
        struct call *c = &calls[n % CALLS_MAX];
        if (!c->is_sent) c->is_sent = send_call(n);
        if (c->is_sent && n == first_unsent) first_unsent++;
    }
}

/* --- what comes --- */

static void hear(struct conn *c, const char *text, size_t n)
{
    if (!c->is_open && memmem(text, n, "\"type\":\"ready\"", 14)) {
        c->is_open = 1;
        if (c->role == VISITOR) { done(c->call); shutdown(c->fd, SHUT_RDWR); }
        return;
    }
    const char *at = c->role == BROWSER ? memchr(text, '@', n) : 0;
    if (!at) return;
    uint32_t number = (uint32_t)strtoul(at + 1, 0, 10);
    if (memmem(text, n, "\"type\":\"error\"", 14) && !memmem(text, n, "UNKNOWN_EVENT", 13)) { refuse(number); return; }
    done(number);
    if (calls[number % CALLS_MAX].kind != JOIN) return;
    char leave[200];
    snprintf(leave, sizeof leave, "{\"type\":\"leave\",\"room\":\"conversation:%s\"}", tenants[c->tenant].conversation);
    say(c, leave);
}
static int take_frames(struct conn *c)
{
    size_t at = 0;
    struct frame f;
    int there;
    for (; (there = frame_read(c->in + at, c->got - at, IN_SIZE, &f)) > 0; at += f.whole) {
        char pong[PONG_MAX];
        if (f.opcode == FRAME_CLOSE) return -1;
        if (f.opcode == FRAME_PING) { put(c, pong, frame_pong(&f, pong)); flush(c); }
        if (f.opcode == FRAME_TEXT) hear(c, f.data, f.n);
    }
    if (there < 0) return -1;
    memmove(c->in, c->in + at, c->got - at);
    c->got -= at;
    return 0;
}
static int take_answer(struct conn *c)
{
    c->in[c->got] = 0;
    char *end = strstr(c->in, "\r\n\r\n");
    if (!end) return 0;
    char *length = strcasestr(c->in, "content-length:");
    size_t whole = (size_t)(end + 4 - c->in) + (length && length < end ? strtoul(length + 15, 0, 10) : 0);
    if (c->got < whole) return 0;
    if (memcmp(c->in, "HTTP/1.1 20", 11)) refuse(c->call);
    c->got = 0; c->busy = 0;
    return 0;
}
static void take(struct conn *c)
{
    for (;;) {
        ssize_t n = recv(c->fd, c->in + c->got, IN_SIZE - 1 - c->got, 0);
        if (n < 0 && errno == EAGAIN) return;
        if (n <= 0) { lost(c); return; }
        c->got += (size_t)n;
        int bad = 0;
        if (c->role == CALLER) bad = take_answer(c);
        else {
            if (!c->is_upgraded) { /* the head of the answer */
                c->in[c->got] = 0;
                char *end = memmem(c->in, c->got, "\r\n\r\n", 4);
                if (!end) continue;
                if (memcmp(c->in, "HTTP/1.1 101", 12)) { if (c->role == BROWSER) fprintf(stderr, "neighbour: %.12s\n", c->in); lost(c); return; }
                c->is_upgraded = 1;
                size_t h = (size_t)(end + 4 - c->in);
                memmove(c->in, c->in + h, c->got - h); c->got -= h;
            }
            bad = take_frames(c);
        }
        if (bad) { lost(c); return; }
    }
}
static void on_event(struct conn *c, uint32_t events)
{
    if (events & EPOLLOUT) {
        if (c->role == CALLER) c->is_open = 1;
        else if (!c->is_open && !c->is_upgraded && !c->out_n && !c->got) ask_upgrade(c);
        flush(c);
    }
    if (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) take(c);
}

/* --- windows --- */

static void tell(const struct window *w)
{
    printf("{\"window\":\"%s\"", w->name);
    for (int kind = 0; kind < KINDS; kind++) {
        int lost = 0, refused = 0, some = 0;
        printf(",\"%s\":[", kind_names[kind]);
        for (uint32_t n = w->from; n < w->to; n++) {
            const struct call *c = &calls[n % CALLS_MAX];
            if ((int)c->kind != kind) continue;
            lost += !c->is_done;
            refused += c->is_refused;
            printf("%s[%" PRIu64 ",%" PRIu64 "]", some++ ? "," : "", c->due_us, c->is_done ? c->took_us : now_us() - c->due_us);
        }
        printf("],\"%s_lost\":%d,\"%s_refused\":%d", kind_names[kind], lost, kind_names[kind], refused);
    }
    printf("}\n"); fflush(stdout);
}
static void begin_window(const char *name)
{
    if (*closing.name) tell(&closing);
    closing = window;
    closing.to = call_count; closing.ended_us = now_us();
    snprintf(window.name, sizeof window.name, "%s", name);
    window.from = call_count;
}
/* False: that was the end. */
static int read_words(void)
{
    static char line[32]; static size_t n;
    char c; ssize_t got;
    while ((got = read(0, &c, 1)) == 1) {
        if (c != '\n') { if (n < sizeof line - 1) line[n++] = c; continue; }
        line[n] = 0; n = 0;
        begin_window(!strcmp(line, "-") ? "" : line);
    }
    return got != 0;
}

static void read_tenants(void)
{
    FILE *f = fopen(o.tokens, "r");
    if (!f) die(o.tokens);
    while (tenant_count < TENANTS_MAX && fscanf(f, "%1199s %1199s %79s %39s", tenants[tenant_count].agent, tenants[tenant_count].service, tenants[tenant_count].conversation, tenants[tenant_count].number) == 4) tenant_count++;
    fclose(f);
}
int main(int argc, char **argv)
{
    static struct option L[] = {{"api", 1, 0, 'a'}, {"gateway", 1, 0, 'g'}, {"secret", 1, 0, 's'}, {"tokens", 1, 0, 't'}, {"rate", 1, 0, 'r'}, {"arrivals", 1, 0, 'v'}, {"random", 0, &o.random, 1}, {0}};
    for (int c; (c = getopt_long(argc, argv, "", L, 0)) != -1;) switch (c) {
        case 'a': o.api = atoi(optarg); break; case 'g': o.gateway = atoi(optarg); break; case 's': o.secret = optarg; break;
        case 't': o.tokens = optarg; break; case 'r': o.rate = atof(optarg); break; case 'v': o.arrivals = atof(optarg); break; case 0: break; default: return 2; }
    run = now_us() ^ (uint64_t)getpid() << 40;
    calls = calloc(CALLS_MAX, sizeof *calls);
    ep = epoll_create1(0);
    read_tenants();
    for (int t = 0; t < tenant_count; t++) {
        tenants[t].browser = dial(o.gateway, BROWSER, t, 0);
        for (int i = 0; i < HTTP_CONNS; i++) tenants[t].callers[i] = dial(o.api, CALLER, t, 0);
    }
    fcntl(0, F_SETFL, O_NONBLOCK);
    /* A tick is one kind of one tenant: calls are spread evenly. */
    double streams = tenant_count * ((KINDS - 1) * o.rate + o.arrivals);
    uint64_t is_ready = 0;
    double due = 0;
    double owed[TENANTS_MAX][KINDS] = {{0}};
    for (struct epoll_event ev[64];;) {
        uint64_t now = now_us();
        int all_open = 1;
        for (int t = 0; t < tenant_count; t++) all_open &= tenants[t].browser->is_open && tenants[t].callers[0]->is_open;
        if (all_open && !is_ready) { printf("READY\n"); fflush(stdout); is_ready = 1; due = (double)now; }
        for (; is_ready && due <= (double)now; due += (o.random ? -log(drand48() + 1e-12) : 1) * 1e6 / streams) {
            int best_t = 0, best_k = 0;
            for (int t = 0; t < tenant_count; t++) for (int k = 0; k < KINDS; k++) {
                owed[t][k] += (k == ARRIVE ? o.arrivals : o.rate) / streams;
                if (owed[t][k] > owed[best_t][best_k]) { best_t = t; best_k = k; }
            }
            owed[best_t][best_k] -= 1;
            make_call((enum kind)best_k, best_t);
        }
        send_due();
        if (*closing.name && now - closing.ended_us > LINGER_MS * 1000ull) { tell(&closing); *closing.name = 0; }
        if (!read_words()) return 0;
        double wait_us = is_ready ? due - (double)now_us() : 1000;
        struct timespec wait = {.tv_nsec = wait_us < 0 ? 0 : wait_us > 1000 ? 1000000 : (long)(wait_us * 1000)};
        int n = epoll_pwait2(ep, ev, 64, &wait, 0);
        for (int i = 0; i < n; i++) on_event(ev[i].data.ptr, ev[i].events);
    }
}
