/*
 * What Debian's static libraries (jansson, inih) expect of the C library they were
 * compiled for, and musl does not have: the checked forms of three functions,
 * and the table behind isspace(). Release builds only; the others use glibc.
 */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef __GLIBC__

int __snprintf_chk(char *to, size_t bytes, int flag, size_t room, const char *format, ...);
int __vsnprintf_chk(char *to, size_t bytes, int flag, size_t room, const char *format, va_list ap);
char *__strncpy_chk(char *to, const char *from, size_t bytes, size_t room);
const unsigned short **__ctype_b_loc(void);

int __vsnprintf_chk(char *to, size_t bytes, int flag, size_t room, const char *format, va_list ap)
{
	if (bytes > room)
		__builtin_trap();
	return vsnprintf(to, bytes, format, ap);
}

int __snprintf_chk(char *to, size_t bytes, int flag, size_t room, const char *format, ...)
{
	va_list ap;
	int n;

	va_start(ap, format);
	n = __vsnprintf_chk(to, bytes, flag, room, format, ap);
	va_end(ap);
	return n;
}

char *__strncpy_chk(char *to, const char *from, size_t bytes, size_t room)
{
	if (bytes > room)
		__builtin_trap();
	return strncpy(to, from, bytes);
}

/* glibc's bits of the characters -128 to 255 in the C locale; inih asks for "space" alone. */
#define GLIBC_ISSPACE 0x2000

const unsigned short **__ctype_b_loc(void)
{
	static const unsigned short table[384] = {
		[128 + '\t'] = GLIBC_ISSPACE, [128 + '\n'] = GLIBC_ISSPACE,
		[128 + '\v'] = GLIBC_ISSPACE, [128 + '\f'] = GLIBC_ISSPACE,
		[128 + '\r'] = GLIBC_ISSPACE, [128 + ' '] = GLIBC_ISSPACE,
	};
	static const unsigned short *middle = table + 128;

	return &middle;
}

#endif
