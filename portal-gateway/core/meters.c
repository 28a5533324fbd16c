#include "portal-gateway/core/meters.h"

struct metric gateway_meters[METER_COUNT] = {
#define X(id, name, type, help) {name, type, help, 0},
    METERS(X)
#undef X
};
