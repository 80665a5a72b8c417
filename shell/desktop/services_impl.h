/*
 * The service "desktop" (exo/desktop.h) and what the person does by it. What a guest says is
 * decoded by desk_text.c, which is pure; the rest runs in the desktop's thread.
 *
 *	service.c    guests' connections: messages in, a bounded queue of messages out
 *	desk_text.c  is a message one, is a text one, what of it may be shown
 *	clip.c       the clipboard
 *	files.c      one file of the person's for one guest; drops
 *	chooser.c    the panel that asks which
 */
#ifndef SERVICES_IMPL_H
#define SERVICES_IMPL_H

#include "desktop.h"

/* ---- desk_text.c ---------------------------------------------------------------------- */

/* Is it UTF-8: no surrogates, nothing overlong, no zero bytes? */
bool desk_text_valid(const char *text, size_t bytes);
/*
 * What may be shown of a guest's text: without control characters, without what turns the
 * direction of writing or is not seen, cut off at cap - 1 bytes. Always valid and terminated.
 */
void desk_text_clean(char *out, size_t cap, const char *text, size_t bytes);
/* A file's name of its own: no slash, no dot at its start. May be "". */
void desk_text_name(char *out, size_t cap, const char *text, size_t bytes);
/*
 * A message from a guest: 0 with its fields copied to *m and *data at what is behind them, or
 * -EPROTO: it breaks a rule of exo/desktop.h.
 */
int desk_decode(const void *message, size_t size, struct exo_desk_msg *m, const char **data);
/* PNG's signature and a header with a size up to 16384 x 16384. Nothing else is looked at. */
bool desk_is_png(const void *data, size_t bytes);

/* ---- service.c ----------------------------------------------------------------------------- */

/* Queues a message to the guest; bytes of it are m->bytes. False: it is not connected, or gone. */
bool service_send(struct dguest *g, const struct exo_desk_msg *m, const void *data);
/* To be sent in pieces, as PASTE; takes over data, and wipes it. */
void service_paste(struct dguest *g, unsigned scanout, uint32_t format, char *data, uint32_t bytes);
bool service_has_focus(const struct dguest *g); /* one of its windows has the keyboard */
/* Its attention is wanted in the list, by the shell. */
void service_mark(struct dguest *g);

/* ---- clip.c ---------------------------------------------------------------------------------- */

struct clip_state {
	uint32_t format; /* EXO_DESK_NONE: empty */
	uint32_t bytes;
	char from[64];
};

void clip_state(const struct desktop *d, struct clip_state *s);
int clip_open(struct desktop *d);
void clip_close(struct desktop *d);
/* COPIED. False: it breaks a rule. */
bool clip_copied(struct dguest *g, const struct exo_desk_msg *m, const char *data);
void clip_guest_gone(struct dguest *g);
uint64_t clip_tick(struct desktop *d, uint64_t now_ns);

/* ---- files.c --------------------------------------------------------------------------------- */

struct offer;
struct chooser;

struct files {
	struct offer *offers;
	struct chooser *choosers;
	char folder[4096]; /* where the last file was chosen */
};

/* Called once, later: why NULL: the guest was given it. */
typedef void files_done_fn(void *opaque, const char *why);

/*
 * The session serves the file (absolute path) to the guest, which is told by m (CHOSEN, DROPPED)
 * with port, rights and the name. done: or NULL.
 */
void files_offer(struct dguest *g, const char *path, uint32_t rights, bool create,
		 const struct exo_desk_msg *m, files_done_fn *done, void *opaque);
/* Nobody called with this opaque any more. */
void files_forget(struct desktop *d, const void *opaque);
int files_open(struct desktop *d);
void files_close(struct desktop *d);

/* ---- chooser.c ------------------------------------------------------------------------------- */

/* CHOOSE. It is shown when one of the guest's windows has the focus, and not before. */
void chooser_ask(struct dguest *g, const struct exo_desk_msg *m, const char *name);
void chooser_focus(struct dguest *g); /* one has it now */
void chooser_guest_gone(struct dguest *g);
void chooser_close_all(struct desktop *d);

#endif
