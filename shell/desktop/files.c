/*
 * One file of the person's for one guest: the session serves it, the guest is told where. Drops of
 * files onto windows: to read; with Shift held also to write.
 */
#include "services_impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define RED 0xd03030

/* An offer that the session has not answered yet. */
struct offer {
	struct offer *next;
	struct desktop *desktop;
	char guest[64];
	uint64_t number; /* of its start: another of its name is another guest */
	struct exo_desk_msg message;
	uint32_t rights;
	files_done_fn *done;
	void *opaque;
};

static void take_out(struct offer *o)
{
	struct files *f = o->desktop->files;
	struct offer **at = &f->offers;

	while (*at != o)
		at = &(*at)->next;
	*at = o->next;
}

/* The guest is told; NULL: done. */
static const char *tell_guest(struct offer *o, const json_t *answer)
{
	struct dguest *g = guests_find(o->desktop, o->guest);
	const char *given = json_string_value(json_object_get(answer, "name"));
	json_int_t port = json_integer_value(json_object_get(answer, "port"));
	char name[EXO_DESK_TEXT_MAX + 1];

	if (!given || port <= 0 || port > UINT32_MAX)
		return "the session did not say where the file is";
	snprintf(name, sizeof(name), "%s", given);
	o->message.port = (uint32_t)port;
	o->message.rights = o->rights;
	o->message.bytes = (uint32_t)strlen(name);
	if (strlen(given) >= sizeof(name) || !desk_text_valid(name, o->message.bytes))
		return "its name is too long, or no text";
	if (!g || g->number != o->number || !service_send(g, &o->message, name))
		return "the guest is gone";
	return NULL;
}

static void on_answer(void *opaque, json_t *answer, int fd)
{
	struct offer *o = opaque;
	const char *why = link_error(answer);

	if (!why)
		why = tell_guest(o, answer);
	take_out(o);
	if (o->done)
		o->done(o->opaque, why);
	free(o);
}

void files_offer(struct dguest *g, const char *path, uint32_t rights, bool create,
		 const struct exo_desk_msg *m, files_done_fn *done, void *opaque)
{
	struct desktop *d = g->desktop;
	struct files *f = d->files;
	struct offer *o = calloc(1, sizeof(*o));
	json_t *request =
		json_pack("{s:s,s:s,s:s,s:s,s:b}", "op", "offer-file", "guest", g->name, "path",
			  path, "rights", rights & EXO_DESK_WRITE ? "rw" : "r", "create", create);

	if (!o || !request) {
		json_decref(request);
		free(o);
		if (done)
			done(opaque, request ? "no memory" : "its name is no text");
		return;
	}
	o->desktop = d;
	snprintf(o->guest, sizeof(o->guest), "%s", g->name);
	o->number = g->number;
	o->message = *m;
	o->rights = rights;
	o->done = done;
	o->opaque = opaque;
	o->next = f->offers;
	f->offers = o;
	link_request(d, request, NULL, 0, on_answer, o);
}

void files_forget(struct desktop *d, const void *opaque)
{
	struct files *f = d->files;

	for (struct offer *o = f ? f->offers : NULL; o; o = o->next) {
		if (o->opaque == opaque)
			o->done = NULL;
	}
}

int files_open(struct desktop *d)
{
	d->files = calloc(1, sizeof(struct files));
	return d->files ? 0 : -ENOMEM;
}

void files_close(struct desktop *d)
{
	struct files *f = d->files;

	while (f && f->offers) {
		struct offer *o = f->offers;

		link_forget(d, o);
		f->offers = o->next;
		if (o->done)
			o->done(o->opaque, "the desktop ends");
		free(o);
	}
	free(f);
	d->files = NULL;
}

/* ---- drops --------------------------------------------------------------------------------- */

struct drop {
	struct desktop *desktop;
	char guest[64];
	uint32_t colour;
	char words[200];
};

static void dropped(void *opaque, const char *why)
{
	struct drop *drop = opaque;

	if (why)
		notice(drop->desktop, RED, "%s: %s", drop->words, why);
	else
		notice(drop->desktop, drop->colour, "%s", drop->words);
	free(drop);
}

void files_drop(struct desktop *d, int x, int y, const char *path)
{
	struct exo_desk_msg m = {.type = EXO_DESK_DROPPED};
	bool write = hid_modifiers(d->hid) & HID_MOD_SHIFT;
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	struct dguest *g = guests_of_window(d, hid_at(d->hid, x, y), &m.scanout);
	struct drop *drop;
	struct stat st;

	if (!g || !g->service) {
		notice(d, RED, "%s: %s", name,
		       g ? "this guest takes no files" : "there is no guest's window");
		return;
	}
	if (stat(path, &st) || !S_ISREG(st.st_mode)) {
		notice(d, RED, "%s: not a file", name);
		return;
	}
	drop = calloc(1, sizeof(*drop));
	if (!drop)
		return;
	drop->desktop = d;
	drop->colour = g->colour;
	snprintf(drop->words, sizeof(drop->words), "%.100s given to %.60s, to read%s", name,
		 g->name, write ? " and write" : "");
	files_offer(g, path, EXO_DESK_READ | (write ? EXO_DESK_WRITE : 0), false, &m, dropped,
		    drop);
}
