/*
 * What memory.c and the test that steers it share: the file FAULT_MEMORY, mapped by both, zeros at first. It
 * outlives the process, so that who is started again goes on with the places that have not failed yet.
 */
#ifndef TESTS_FAULTS_LAYER_MEMORY_H
#define TESTS_FAULTS_LAYER_MEMORY_H

#include <stdatomic.h>
#include <stdint.h>

enum { MEMORY_PLACES = 1 << 16, MEMORY_DEPTH_MAX = 16 };

struct memory_control {
    _Atomic uint64_t on;        /* each place fails once, from now on */
    _Atomic uint64_t depth;     /* calls that make a place: that of the allocation, and its callers' */
    _Atomic uint64_t own_every; /* of the program's own places only each so many-th; 0: none */
    _Atomic uint64_t seed;      /* which of them */
    _Atomic uint64_t failed;    /* so far: of libraries, and of the program itself */
    _Atomic uint64_t own_failed;
    _Atomic uint64_t passed; /* allocations at places that have had their turn */
    uint64_t unused;
    _Atomic uint64_t places[MEMORY_PLACES]; /* a set, by open addressing; 0: free */
};

#endif
