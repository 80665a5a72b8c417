/*
 * The commands that talk with a session. argv[0] is the command's name; each
 * returns the exit code: 0, 1 (the session says no), or 125 (wrong usage, or no
 * session). start_ns: when exo began.
 */
#ifndef COMMANDS_H
#define COMMANDS_H

#include <stdint.h>

int ps_command(char **argv, uint64_t start_ns);
int top_command(char **argv, uint64_t start_ns);
int start_command(char **argv, uint64_t start_ns);
int add_command(char **argv, uint64_t start_ns);
int remove_command(char **argv, uint64_t start_ns);
int kill_command(char **argv, uint64_t start_ns);
int stop_command(char **argv, uint64_t start_ns);
int pause_command(char **argv, uint64_t start_ns);
int resume_command(char **argv, uint64_t start_ns);
int wait_command(char **argv, uint64_t start_ns);
int log_command(char **argv, uint64_t start_ns);
int wires_command(char **argv, uint64_t start_ns);
int grant_command(char **argv, uint64_t start_ns);
int revoke_command(char **argv, uint64_t start_ns);
int audit_command(char **argv, uint64_t start_ns);
int connect_command(char **argv, uint64_t start_ns);
int listen_command(char **argv, uint64_t start_ns);
/* exo check: 0; 1: a manifest has an error; 2: usage. */
int check_command(char **argv, uint64_t start_ns);
/* Exit code as exo test's: 0 if every command of every file did what it should, else 1. */
int script_command(char **argv, uint64_t start_ns);

/* exo desktop: exo-desktop's exit code; 128+N: signal N ended it. */
int desktop_command(char **argv, uint64_t start_ns);

#endif
