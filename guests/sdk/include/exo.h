/*
 * Exoshell, for programs: what POSIX has no word for. Everything else a guest
 * does through the standard headers. The same source builds on Linux, where
 * these calls fail with ENOSYS.
 */
#ifndef EXO_H
#define EXO_H

#define EXO_VERSION "0.1"

#define EXO_SYS_READY 0x45584f01 /* system call numbers beyond Linux's */
/* (size_t *bytes): the address of the device memory that channels share, or 0; its size. */
#define EXO_SYS_WINDOW 0x45584f02

/* getsockopt and setsockopt of AF_VSOCK sockets; ENOPROTOOPT on Linux. An int each. */
#define SOL_EXO 0x45584f
#define EXO_SO_REASON 1  /* R: why the connection ended: enum exo_reason of <exo/channel.h> */
#define EXO_SO_DIRECT 2  /* R: 1 if the bytes go through shared memory */
#define EXO_SO_SPIN_NS 3 /* how long to look for data before sleeping, if that has paid lately */

#ifdef __cplusplus
extern "C" {
#endif

long syscall(long number, ...);

/*
 * Tells whoever started the machine that the program is ready to serve; once is
 * enough. 0, or -1 with errno: ENOSYS on Linux, ENOTTY where nobody listens.
 */
static inline int exo_ready(void)
{
	return (int)syscall(EXO_SYS_READY);
}

/* Version of the SDK that the program was built with. */
static inline const char *exo_version(void)
{
	return EXO_VERSION;
}

#ifdef __cplusplus
}
#endif

#endif
