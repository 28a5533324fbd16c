/* Runs every unit and contract suite. CK_RUN_SUITE selects one by name; CK_FORK=no for debuggers. --list:
 * says their names instead. */
#include "shared/compiler.h"
#include "shared/log.h"
#include "tests/unit/suites.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static Suite *(*const suites[])(void) = {
#define X(name) suite_##name,
    SUITES(X)
#undef X
};

#define X(name) #name "\n"
static const char names[] = SUITES(X);
#undef X

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "--list"))
        return fputs(names, stdout) < 0;
    log_init(LOG_ERROR);
    const char *only = getenv("CK_RUN_SUITE");
    if (only && !*only)
        unsetenv("CK_RUN_SUITE");
    SRunner *runner = srunner_create(NULL);
    for (size_t i = 0; i < countof(suites); i++)
        srunner_add_suite(runner, suites[i]());
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
