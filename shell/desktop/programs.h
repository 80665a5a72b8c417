/* The programs that the launcher knows: those in the folders where `exo run NAME` looks. */
#ifndef PROGRAMS_H
#define PROGRAMS_H

#include <stdint.h>

#define PROGRAMS_MAX 1024 /* Limit: in all folders; the rest is not shown */

struct program {
	char name[64];
	char path[4096]; /* of the program, or of its manifest if that is broken */
	char label[32];
	uint32_t colour;
	char description[160];
	char wrong[256]; /* what is wrong with its manifest, and how to mend it; or "" */
};

struct programs {
	struct program *program; /* sorted by name; the first folder that has a name wins */
	unsigned n;
};

/*
 * Reads the folders: EXO_PATH, the person's own ($XDG_DATA_HOME/exo/guests, else
 * ~/.local/share/exo/guests), and those that belong to this exo. Programs without a manifest count
 * as well: 0, or -ENOMEM.
 */
int programs_read(struct programs *p);
void programs_free(struct programs *p);
/* By name, or NULL. */
const struct program *programs_find(const struct programs *p, const char *name);

#endif
