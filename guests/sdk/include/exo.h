/*
 * Exoshell, for programs: what POSIX has no word for. Everything else a guest
 * does through the standard headers. The same source builds on Linux, where
 * these calls fail with ENOSYS.
 */
#ifndef EXO_H
#define EXO_H

#define EXO_VERSION "0.1"

#define EXO_SYS_READY 0x45584f01 /* system call numbers beyond Linux's */

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
