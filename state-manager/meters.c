#include "state-manager/meters.h"

struct metric meters[METER_COUNT] = {
#define X(id, name, type, help) {name, type, help, 0},
    METERS(X)
#undef X
};
