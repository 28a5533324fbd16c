/* Every suite of the runner, by name; suite_<name>() stands in tests/unit/test_<name>.c (or tests/contract).
 */
#ifndef TESTS_UNIT_SUITES_H
#define TESTS_UNIT_SUITES_H

#include <check.h>

#define SUITES(X) \
    X(view)       \
    X(buf)        \
    X(map)        \
    X(mailbox)

#define X(name) Suite *suite_##name(void);
SUITES(X)
#undef X

#endif
