/* fanpub: publish seed-shaped events to a RabbitMQ exchange at a fixed rate.
 *
 * Body: {"type":"new_message","tenantId":"t_<k>","data":{...,"t_ns":"<CLOCK_MONOTONIC ns>"}}
 * Routing key: --key with %t = tenant, %e = event type.
 *
 *   cc -O2 -o fanpub fanpub.c -lrabbitmq
 */
#define _GNU_SOURCE
#include <amqp.h>
#include <amqp_tcp_socket.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static uint64_t now_ns(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec * 1000000000ull + t.tv_nsec; }
static void ok(amqp_rpc_reply_t r, const char *w) { if (r.reply_type != AMQP_RESPONSE_NORMAL) { fprintf(stderr, "amqp: %s failed\n", w); exit(1); } }

int main(int argc, char **argv) {
    const char *ex = "waba.agent-portal.events", *key = "tenant.%t.%e", *prefix = "t_", *vhost = "/"; int port = 5672, tenants = 1, pad = 200; double rate = 100, secs = 5; int burst = 0, chunk = 1;
    static struct option L[] = { {"exchange",1,0,'x'},{"key",1,0,'k'},{"port",1,0,'p'},{"tenants",1,0,'t'},{"rate",1,0,'r'},{"seconds",1,0,'d'},{"pad",1,0,'P'},{"prefix",1,0,'f'},{"burst",1,0,'b'},{"chunk",1,0,'c'},{0} };
    for (int c; (c = getopt_long(argc, argv, "", L, 0)) != -1;) switch (c) {
        case 'x': ex = optarg; break; case 'k': key = optarg; break; case 'p': port = atoi(optarg); break; case 't': tenants = atoi(optarg); break;
        case 'r': rate = atof(optarg); break; case 'd': secs = atof(optarg); break; case 'P': pad = atoi(optarg); break; case 'f': prefix = optarg; break; case 'b': burst = atoi(optarg); break; case 'c': chunk = atoi(optarg); break; default: return 2; }
    amqp_connection_state_t c = amqp_new_connection();
    amqp_socket_t *s = amqp_tcp_socket_new(c);
    if (amqp_socket_open(s, "127.0.0.1", port)) { fprintf(stderr, "cannot reach the broker\n"); return 1; }
    ok(amqp_login(c, vhost, 0, 131072, 0, AMQP_SASL_METHOD_PLAIN, "guest", "guest"), "login");
    amqp_channel_open(c, 1); ok(amqp_get_rpc_reply(c), "channel");
    char *padding = malloc(pad + 1); memset(padding, 'x', pad); padding[pad] = 0;
    uint64_t t0 = now_ns(), sent = 0, total = burst ? (uint64_t)burst : (uint64_t)(rate * secs);
    if (chunk > 1) total -= total % (uint64_t)chunk;
    while (sent < total) {
        uint64_t due = burst ? total : (uint64_t)((now_ns() - t0) / 1e9 * rate) + 1;
        if (chunk > 1) due -= due % (uint64_t)chunk; /* --chunk N: N at a time, at the same mean rate */
        if (due > total) due = total;
        for (; sent < due; sent++) {
            char tn[64], rk[128], body[16384]; int k = 0;
            snprintf(tn, sizeof tn, "%s%d", prefix, (int)(sent % tenants));
            for (const char *q = key; *q; q++) { if (q[0] == '%' && q[1] == 't') { k += sprintf(rk + k, "%s", tn); q++; } else if (q[0] == '%' && q[1] == 'e') { k += sprintf(rk + k, "new_message"); q++; } else rk[k++] = *q; }
            rk[k] = 0;
            int n = snprintf(body, sizeof body, "{\"type\":\"new_message\",\"tenantId\":\"%s\",\"data\":{\"conversationId\":\"conv-%d\",\"messageId\":\"wamid.%llu\",\"from\":\"+1234567890\",\"from_name\":\"John Doe\",\"message\":\"%s\",\"media_url\":null,\"timestamp\":\"2026-11-21T00:00:00.000Z\",\"isNewConversation\":false,\"t_ns\":\"%llu\"}}", tn, (int)(sent % 50), (unsigned long long)sent, padding, (unsigned long long)now_ns());
            amqp_basic_properties_t p = { ._flags = AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_DELIVERY_MODE_FLAG, .content_type = amqp_cstring_bytes("application/json"), .delivery_mode = 1 };
            if (amqp_basic_publish(c, 1, amqp_cstring_bytes(ex), amqp_cstring_bytes(rk), 0, 0, &p, (amqp_bytes_t){ n, body })) { fprintf(stderr, "publish failed\n"); return 1; }
        }
        if (sent < total) { struct timespec z = { 0, 500000 }; nanosleep(&z, 0); }
    }
    double el = (now_ns() - t0) / 1e9;
    amqp_connection_close(c, AMQP_REPLY_SUCCESS);
    printf("{\"published\":%llu,\"seconds\":%.2f,\"per_s\":%.0f}\n", (unsigned long long)sent, el, sent / el);
    return 0;
}
