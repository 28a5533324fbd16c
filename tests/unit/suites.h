/* Every suite of the runner, by name; suite_<name>() stands in tests/unit/test_<name>.c (or tests/contract).
 */
#ifndef TESTS_UNIT_SUITES_H
#define TESTS_UNIT_SUITES_H

#include <check.h>

#define SUITES(X)                                                                                     \
    X(base)                                                                                           \
    X(json) X(crypto) X(token) X(token_keys) X(config) X(backoff) X(worker) X(metrics) X(http_client) \
        X(store) X(commands)

#define X(name) Suite *suite_##name(void);
SUITES(X)
#undef X

#endif
