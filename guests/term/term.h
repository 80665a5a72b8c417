/* Between term.c (the window) and control.c (what is typed, and what the session answers). */
#ifndef TERM_H
#define TERM_H

#include <stdbool.h>
#include <stdint.h>

enum ink { INK_PLAIN, INK_DIM, INK_GOOD, INK_BAD, INK_TYPED };

/* term.c: a line at the end of what is shown; longer ones are broken. */
void term_print(enum ink ink, const char *format, ...) __attribute__((format(printf, 2, 3)));
void term_clear(void);

/* control.c */
/* Connects to the service "control"; what went wrong is printed. */
void control_open(void);
/* The socket, to be polled; -1: there is none. */
int control_fd(void);
/* It is readable: answers and events are printed. */
void control_receive(void);
/* A line that was typed. False: the window is to be closed. */
bool control_run(const char *line);

#endif
