/* exo test: guests that report TAP over vsock. */
#ifndef TEST_H
#define TEST_H

#include <stdint.h>

/* argv[0] is "test". Returns the exit code: 0 if every test of every guest passed. */
int test_command(char **argv, uint64_t start_ns);

#endif
