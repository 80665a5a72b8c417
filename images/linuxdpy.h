/* What the parts of the Linux guest with a display share; see linuxdpy-init.c. */
#ifndef LINUXDPY_H
#define LINUXDPY_H

#include <stdbool.h>

/* A test point. */
void point(bool good, const char *name);
/* Says how far it has got. */
void step(const char *name);
/* Waits for it to be there. A descriptor, or -1. */
int open_device(const char *path, int flags);

/* Plays and records through ALSA, if the kernel has a driver for it. */
void sound(void);

#endif
