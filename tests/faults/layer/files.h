/*
 * Which descriptors are files below the folder that the layer watches (FAULT_DISK_ROOT). Thread: any; a
 * descriptor is forgotten by who closes it. Paths are absolute; relative ones are resolved where they are
 * opened.
 */
#ifndef TESTS_FAULTS_LAYER_FILES_H
#define TESTS_FAULTS_LAYER_FILES_H

#include <stdbool.h>
#include <stddef.h>

/* Whether the path is the folder or below it; `out` is then what follows the folder ("" for itself). */
bool files_below(const char *path, char *out, size_t size);

void files_opened(int fd, const char *name);
void files_closed(int fd);
/* Name below the folder of what is open there; NULL: not ours. Valid until the descriptor is closed. */
const char *files_name(int fd);

#endif
