/* The commands' way to a store. Thread: the only one. */
#ifndef PORTALCTL_STORE_ACCESS_H
#define PORTALCTL_STORE_ACCESS_H

#include "shared/compiler.h"
#include "state-manager/store/open.h"

/* Owned; NULL: said on stderr. */
struct store *open_store(const char *command, const char *url, enum store_mode mode) MUSTCHECK;
/* One line on stderr out of an error; returns EXIT_FAILED. */
int store_failed(const char *command, const struct err *err);

#endif
