/* Shared by sandbox.c and tools/seccomp-gen.c, which runs when we are built. */
#ifndef SANDBOX_PRIV_H
#define SANDBOX_PRIV_H

/* Stands for the process id in the generated filters; sandbox_seal puts the real one in. */
#define SANDBOX_OWN_PID 0x5e1f91d0u

#endif
