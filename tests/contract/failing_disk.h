/* A disk that the embedded store cannot read, for the tests of it: SQLite's own calls of pread fail, of every
 * connection in this process. Thread: any one. */
#ifndef TESTS_CONTRACT_FAILING_DISK_H
#define TESTS_CONTRACT_FAILING_DISK_H

/* With that errno from now on, at that place of a file and behind it; 0: it reads again. */
void failing_disk(int error, long from);

#endif
