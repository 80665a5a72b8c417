/* Limits of grants as people write them: exo grant, exo start and scripts. */
#ifndef GRANTS_H
#define GRANTS_H

#include <jansson.h>

#define GRANTS_WHY_MAX 160

/*
 * Adds a limit to a grant (docs/control.md): "delegate" with the value "", or
 * lease, connections, buffer, rate, port. 0, or -1 with why, one line.
 */
int grants_limit(json_t *grant, const char *name, const char *value, char why[GRANTS_WHY_MAX]);

#endif
