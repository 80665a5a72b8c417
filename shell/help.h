/* What the commands say about themselves. */
#ifndef HELP_H
#define HELP_H

#define HELP_VERSION "0.1.0"

/* Prints the help of a command, or with NULL of exo itself. 0, or -1: no such command. */
int help_print(const char *command);

/* Prints the version; returns the exit code. */
int help_version(void);

#endif
