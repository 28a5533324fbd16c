/* Servers that are away, slow, cut off, wrong or behind TLS: part of the suite store_mongo. */
#ifndef TESTS_CONTRACT_MONGO_FAULTS_H
#define TESTS_CONTRACT_MONGO_FAULTS_H

#include <check.h>

void mongo_faults_add(Suite *s);

#endif
