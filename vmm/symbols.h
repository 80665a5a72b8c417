/*
 * Names for addresses in fault reports, from the program's ELF symbol table.
 * The file is the guest's and may be hostile: every field is copied and
 * checked, and the work is bounded. Reads with pread only, so it works inside
 * the sandbox; no heap.
 */
#ifndef SYMBOLS_H
#define SYMBOLS_H

#include <stddef.h>
#include <stdint.h>

#define SYMBOLS_NAME_MAX 128

/*
 * Writes "function+0x12" (printable, terminated) for `addr` to `buf` of len
 * bytes, from the ELF file `fd`. 0; -ENOENT when no symbol covers it, or the
 * file has no usable symbol table; `buf` is then the bare address, "0x2001a4".
 * Any thread.
 */
int symbols_format(int fd, uint64_t addr, char *buf, size_t len);

#endif
