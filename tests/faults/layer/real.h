/*
 * The C library's own function behind one of the same name that stands in its place (LD_PRELOAD). Thread:
 * any; two that look for it at once find the same.
 */
#ifndef TESTS_FAULTS_LAYER_REAL_H
#define TESTS_FAULTS_LAYER_REAL_H

#include <dlfcn.h>
#include <stdatomic.h>

#define REAL(name)                                         \
    ({                                                     \
        static _Atomic(void *) found;                      \
        if (!atomic_load(&found))                          \
            atomic_store(&found, dlsym(RTLD_NEXT, #name)); \
        (__typeof__(name) *)atomic_load(&found);           \
    })

#endif
