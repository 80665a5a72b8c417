/* Between chooser.c (what is asked, chosen), chooser_list.c (folders), chooser_view.c (pixels). */
#ifndef CHOOSER_IMPL_H
#define CHOOSER_IMPL_H

#include "services_impl.h"

#define CHOOSER_ENTRIES_MAX 4096 /* Limit: of a folder; the rest can be typed */
#define CHOOSER_PATH_MAX 4096

struct chooser_entry {
	char *name;
	bool folder;
	uint64_t bytes;
};

struct chooser {
	struct chooser *next;
	struct desktop *desktop;
	struct dguest *guest; /* NULL: it is gone */
	struct panel *panel;  /* NULL: not shown yet, or not any more */
	char name[64];        /* the guest's, */
	char label[32];
	uint32_t colour;
	struct exo_desk_msg request;
	bool save, may_write; /* it asks for */
	bool write;           /* and would get */
	bool hidden;          /* files are listed, too */
	bool offering;        /* the session was asked */
	uint64_t opened_ns;
	char folder[CHOOSER_PATH_MAX];
	char typed[EXO_DESK_TEXT_MAX + CHOOSER_PATH_MAX];
	char replace[CHOOSER_PATH_MAX]; /* was said to be there: once more replaces it */
	char why[256];                  /* what is wrong */
	struct chooser_entry *entry;
	unsigned count, chosen, top; /* chosen: count: none */
};

/* What a click at a place of the panel means. */
enum chooser_part {
	CHOOSER_NOTHING,
	CHOOSER_ROW, /* *row */
	CHOOSER_UP,  /* to the folder above */
	CHOOSER_WRITE,
	CHOOSER_HIDDEN,
	CHOOSER_OK,
	CHOOSER_CANCEL
};

/* Reads c->folder; c->why says what is wrong. */
void chooser_list(struct chooser *c);
void chooser_list_free(struct chooser *c);
/* The path that typed words mean in folder; false: too long. */
bool chooser_path(const char *folder, const char *typed, char out[CHOOSER_PATH_MAX]);
/* Without its last part. */
void chooser_parent(char path[CHOOSER_PATH_MAX]);

void chooser_draw(struct panel *p, const struct canvas *c);
unsigned chooser_rows(const struct panel *p); /* that are shown */
enum chooser_part chooser_at(const struct panel *p, int x, int y, unsigned *row);

#endif
