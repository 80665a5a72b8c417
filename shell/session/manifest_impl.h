/* Inside manifest*.c, for nobody else. */
#ifndef MANIFEST_IMPL_H
#define MANIFEST_IMPL_H

#include "manifest.h"

#include <stddef.h>

/* One file while it is read. The first error counts. */
struct parse {
	struct manifest *m;
	const char *path; /* for messages */
	char *folder;     /* absolute: relative paths begin here */
	const char *text; /* what is still to be read */
	size_t bytes;
	unsigned line; /* the one read last */
	int err;
	char *why;
	char section[32]; /* from the last [line]; "" before the first */
	bool ready_set;
	bool too_late;                    /* the last line is read: errors have no line */
	unsigned seen_keys[64];           /* line where each of the table's keys was first set */
	unsigned display_line;            /* of [display] */
	unsigned vsock_line, nargs, nenv; /* vsock = no */
};

struct key {
	const char *section, *name;
	void (*set)(struct parse *p, const struct key *k, const char *value);
	size_t offset; /* in struct manifest */
	uint64_t low, high;
	bool repeats;
	const char *words; /* of a choice, with blanks between; the first is 0 */
};

/* The first error of the file: "FILE:LINE: …". */
__attribute__((format(printf, 2, 3))) void parse_fail(struct parse *p, const char *format, ...);
void parse_no_memory(struct parse *p);

/* The keys of the sections whose keys are known, in a table that ends with section NULL. */
extern const struct key manifest_keys[];
/* A key of provides, uses, mount. */
void manifest_set_provides(struct parse *p, const char *name, const char *value);
void manifest_set_uses(struct parse *p, const char *name, const char *value);
void manifest_set_mount(struct parse *p, const char *name, const char *value);

/*
 * Splits into words at blanks; "…" and '…' keep blanks, a backslash outside of
 * '…' takes the next character as it is. At most `most`; their number, or -1 with
 * the error said. The words are the caller's to free.
 */
int manifest_split(struct parse *p, const char *value, char **word, unsigned most);
/* Kinds of values, within bounds; false with the error said, which names `name`. */
bool manifest_parse_size(struct parse *p, const char *name, const char *value, uint64_t low,
			 uint64_t high, uint64_t *bytes);
bool manifest_parse_time(struct parse *p, const char *name, const char *value, uint64_t low,
			 uint64_t high, uint64_t *ns);
bool manifest_parse_number(struct parse *p, const char *name, const char *value, uint64_t low,
			   uint64_t high, uint64_t *number);
bool manifest_parse_name(struct parse *p, const char *what, const char *value);
/* NULL with the error said. */
char *manifest_strdup(struct parse *p, const char *s, size_t length);
/* Absolute: begins at the manifest's folder if it is relative. */
char *manifest_resolve(struct parse *p, const char *path);

#endif
