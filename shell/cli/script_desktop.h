/* Commands of scenario files on the desktop: what of them is pure, for its tests. */
#ifndef SCRIPT_DESKTOP_H
#define SCRIPT_DESKTOP_H

#include "script.h"

/*
 * The request that a line of the table's commands means, without an id; the
 * caller's. NULL with why: its words are wrong.
 */
json_t *script_desktop_request(const struct script_line *l, char why[SCRIPT_WHY_MAX]);
/* Options from word `first` on, of these kinds. 0 or -1 with why. */
int script_desktop_options(const struct script_line *l, unsigned first, unsigned with, json_t *r,
			   char why[SCRIPT_WHY_MAX]);

#endif
