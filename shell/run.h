/* exo run: one guest in the foreground. */
#ifndef RUN_H
#define RUN_H

/* argv[0] is "run". Returns the exit code. start_ns: when exo began. */
#include <stdint.h>

int run_command(char **argv, uint64_t start_ns);

#endif
