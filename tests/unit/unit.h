/* How every unit test ends: TAP on stdout, nothing else. */
#ifndef UNIT_H
#define UNIT_H

#include <check.h>

/* Runs the suite and frees it; main's return value. */
int unit_run(Suite *s);

#endif
