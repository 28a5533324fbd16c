#include "portal-gateway/core/rate.h"

enum { NS_PER_MS = 1000000, NS_PER_S = 1000000000 };

bool rate_take(const struct rate *rate, struct bucket *b, int64_t n, int64_t now_ms)
{
    int64_t now_ns = now_ms * NS_PER_MS;
    if (!rate->per_second)
        return true;
    if (b->empty_at_ns < now_ns)
        b->empty_at_ns = now_ns;
    b->empty_at_ns += n * NS_PER_S / rate->per_second;
    return b->empty_at_ns - now_ns <= rate->at_once * NS_PER_S / rate->per_second;
}
