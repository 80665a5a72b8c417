/* exo doctor: what this machine can do for us. */
#ifndef DOCTOR_H
#define DOCTOR_H

#include <stdint.h>

/* argv[0] is "doctor". 0 if exo run works here, 1 if not, 125 for a wrong command line. */
int doctor_command(char **argv, uint64_t start_ns);

#endif
