/* Between guests.c and guests_run.c. */
#ifndef GUESTS_IMPL_H
#define GUESTS_IMPL_H

#include "desktop.h"

#define LOG_KEPT_BYTES (64u << 10) /* of what a guest printed, for a console that opens later */

/* The guest of this name; made if it is not known. NULL: no memory. */
struct dguest *guests_get(struct desktop *d, const char *name);
/* Asks for the list of guests, if that is not under way. */
void guests_refresh(struct desktop *d);
/* It printed something. */
void guests_printed(struct dguest *g, const char *bytes, size_t n);
/* Event log. */
void guests_on_log(struct desktop *d, const json_t *event, int fd);
/* It is about to be forgotten; how: it ended, for its console, or NULL. */
void guests_run_gone(struct dguest *g, const char *how);

#endif
