/*
 * The file chooser: a guest asks for a file, the person answers in the shell's own window, which
 * says who asks. Without an answer the guest learns nothing, not even what there is. It
 * opens when a window of that guest has the keyboard, so that nobody types into it by accident;
 * till then the guest's window is marked.
 */
#include "chooser_impl.h"

#include <errno.h>
#include <linux/input-event-codes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define WIDTH 600
#define HEIGHT 460
#define GUARD_NS 400000000ull /* what was typed for the guest is not yet an answer */

/* ---- answers --------------------------------------------------------------------------- */

static void forget(struct chooser *c)
{
	struct files *f = c->desktop->files;
	struct chooser **at = &f->choosers;

	while (*at && *at != c)
		at = &(*at)->next;
	if (*at)
		*at = c->next;
	files_forget(c->desktop, c);
	chooser_list_free(c);
	free(c);
}

static void destroy(struct panel *p)
{
	forget(p->data);
}

static void refuse(struct dguest *g, uint32_t id, int32_t status)
{
	struct exo_desk_msg m = {.type = EXO_DESK_CHOSEN, .id = id, .status = status};

	service_send(g, &m, NULL);
}

static void cancel(struct panel *p)
{
	struct chooser *c = p->data;
	struct dguest *g = c->guest;

	if (g && c->offering)
		return; /* the session is about to answer */
	c->guest = NULL;
	panel_close(p);
	if (g)
		refuse(g, c->request.id, -ECANCELED);
}

static void given(void *opaque, const char *why)
{
	struct chooser *c = opaque;

	c->offering = false;
	if (!why) {
		notice(c->desktop, c->colour, "%s was given %.120s, to read%s", c->name,
		       strrchr(c->replace, '/') + 1, c->write ? " and write" : "");
		c->guest = NULL;
		if (c->panel)
			panel_close(c->panel);
		return;
	}
	snprintf(c->why, sizeof(c->why), "%s", why);
	c->replace[0] = '\0';
	if (c->panel)
		panel_redraw(c->panel);
}

static void offer(struct chooser *c, const char *path, bool create)
{
	struct exo_desk_msg m = {.type = EXO_DESK_CHOSEN, .id = c->request.id};
	const char *slash = strrchr(path, '/');
	struct files *f = c->desktop->files;

	snprintf(f->folder, sizeof(f->folder), "%.*s", (int)(slash == path ? 1 : slash - path),
		 path);
	memmove(c->replace, path, strlen(path) + 1);
	c->offering = true;
	files_offer(c->guest, path, EXO_DESK_READ | (c->write ? EXO_DESK_WRITE : 0), create, &m,
		    given, c);
}

/* ---- choosing ---------------------------------------------------------------------------- */

static void go(struct chooser *c, const char *folder)
{
	memmove(c->folder, folder, strlen(folder) + 1);
	if (!c->save)
		c->typed[0] = '\0'; /* a name to save under is kept */
	chooser_list(c);
	panel_redraw(c->panel);
}

static void complain(struct chooser *c, const char *path, const char *why)
{
	snprintf(c->why, sizeof(c->why), "%.180s: %s", path, why);
	panel_redraw(c->panel);
}

/* A file that the person named. */
static void choose_file(struct chooser *c, const char *path, bool there)
{
	if (!c->guest) {
		complain(c, c->name, "it has ended, or hung up");
	} else if (!there && !c->save) {
		complain(c, path, "there is no such file");
	} else if (there && c->save && strcmp(c->replace, path) != 0) {
		memmove(c->replace, path, strlen(path) + 1);
		complain(c, strrchr(path, '/') + 1, "is there: once more to have it replaced");
	} else {
		offer(c, path, c->save);
	}
}

static void accept_typed(struct chooser *c)
{
	char path[CHOOSER_PATH_MAX];
	struct stat st;
	bool there;

	if (c->offering || desktop_now(c->desktop) < c->opened_ns + GUARD_NS)
		return;
	if (!c->typed[0]) {
		complain(c, c->save ? "a name" : "a file", "is missing");
		return;
	}
	if (!chooser_path(c->folder, c->typed, path)) {
		complain(c, "this path", strerror(ENAMETOOLONG));
		return;
	}
	there = !stat(path, &st);
	if (there && S_ISDIR(st.st_mode)) {
		for (size_t n = strlen(path); n > 1 && path[n - 1] == '/'; n--)
			path[n - 1] = '\0';
		c->typed[0] = '\0';
		go(c, path);
	} else if (there && !S_ISREG(st.st_mode)) {
		complain(c, path, "not a file");
	} else {
		choose_file(c, path, there);
	}
}

/* The entry's name is what is typed; a folder is gone into. */
static void take_entry(struct chooser *c, bool open)
{
	const struct chooser_entry *e;
	char path[CHOOSER_PATH_MAX];

	if (c->chosen >= c->count)
		return;
	e = &c->entry[c->chosen];
	if (!e->folder) {
		snprintf(c->typed, sizeof(c->typed), "%s", e->name);
		if (open)
			accept_typed(c);
	} else if (open && chooser_path(c->folder, e->name, path)) {
		go(c, path);
	}
	panel_redraw(c->panel);
}

static void select_row(struct chooser *c, unsigned row)
{
	unsigned rows = chooser_rows(c->panel);

	if (row >= c->count)
		return;
	c->chosen = row;
	if (row < c->top)
		c->top = row;
	if (row >= c->top + rows)
		c->top = row - rows + 1;
	c->why[0] = c->replace[0] = '\0';
	take_entry(c, false);
}

static void go_up(struct chooser *c)
{
	char path[CHOOSER_PATH_MAX];

	memcpy(path, c->folder, sizeof(path));
	chooser_parent(path);
	go(c, path);
}

static void toggle(struct chooser *c, enum chooser_part what)
{
	if (what == CHOOSER_HIDDEN) {
		c->hidden = !c->hidden;
		chooser_list(c);
	} else if (c->may_write && !c->save) {
		c->write = !c->write;
	}
	panel_redraw(c->panel);
}

/* ---- input ------------------------------------------------------------------------------------
 */

static void edit(struct chooser *c, const struct panel_event_key *e)
{
	if (e->code == KEY_BACKSPACE && !c->typed[0]) {
		go_up(c);
		return;
	}
	if (!panel_edit(c->typed, sizeof(c->typed), e))
		return;
	c->chosen = c->count;
	c->why[0] = c->replace[0] = '\0';
	panel_redraw(c->panel);
}

static void key(struct panel *p, const struct panel_event_key *e)
{
	struct chooser *c = p->data;
	bool ctrl = e->modifiers & KEYMAP_CTRL;

	if (!e->down || p->closing)
		return;
	if (e->code == KEY_ESC)
		cancel(p);
	else if ((e->code == KEY_ENTER || e->code == KEY_KPENTER) && c->chosen < c->count)
		take_entry(c, true);
	else if (e->code == KEY_ENTER || e->code == KEY_KPENTER)
		accept_typed(c);
	else if (e->code == KEY_DOWN)
		select_row(c, c->chosen < c->count ? c->chosen + 1 : 0);
	else if (e->code == KEY_UP && c->chosen && c->chosen < c->count)
		select_row(c, c->chosen - 1);
	else if (e->code == KEY_H && ctrl)
		toggle(c, CHOOSER_HIDDEN);
	else if (e->code == KEY_W && ctrl)
		toggle(c, CHOOSER_WRITE);
	else if (!ctrl)
		edit(c, e);
}

static void button(struct panel *p, int x, int y, uint16_t code, bool down)
{
	struct chooser *c = p->data;
	unsigned row = 0;
	enum chooser_part part = chooser_at(p, x, y, &row);

	if (!down || code != BTN_LEFT || p->closing)
		return;
	if (part == CHOOSER_ROW && row == c->chosen)
		take_entry(c, true);
	else if (part == CHOOSER_ROW)
		select_row(c, row);
	else if (part == CHOOSER_UP)
		go_up(c);
	else if (part == CHOOSER_WRITE || part == CHOOSER_HIDDEN)
		toggle(c, part);
	else if (part == CHOOSER_CANCEL)
		cancel(p);
	else if (part == CHOOSER_OK)
		accept_typed(c);
}

static void wheel(struct panel *p, int dx, int dy)
{
	struct chooser *c = p->data;
	unsigned rows = chooser_rows(p);

	if (dy > 0 && c->top)
		c->top--;
	else if (dy < 0 && c->top + rows < c->count)
		c->top++;
	panel_redraw(p);
}

static const struct panel_class chooser_class = {
	.name = "chooser",
	.draw = chooser_draw,
	.key = key,
	.button = button,
	.wheel = wheel,
	.close = cancel,
	.destroy = destroy,
};

/* ---- life
 * ---------------------------------------------------------------------------------------- */

static struct chooser *find(const struct desktop *d, const struct dguest *g)
{
	const struct files *f = d->files;
	struct chooser *c = f ? f->choosers : NULL;

	while (c && c->guest != g)
		c = c->next;
	return c;
}

static void show(struct chooser *c)
{
	struct desktop *d = c->desktop;
	struct files *f = d->files;
	struct hid_window_setup setup = {
		.width = desktop_px(d, WIDTH),
		.height = desktop_px(d, HEIGHT),
		.min_width = desktop_px(d, 420),
		.min_height = desktop_px(d, 240),
		.panel = true,
	};
	const char *home = getenv("HOME");
	char title[128];

	snprintf(c->folder, sizeof(c->folder), "%s", *f->folder ? f->folder : home ? home : "/");
	chooser_list(c);
	c->opened_ns = desktop_now(d);
	snprintf(title, sizeof(title), "%s a file for %s", c->save ? "Save" : "Choose", c->name);
	c->panel = panel_open(d, &chooser_class, title, &setup, c);
	if (!c->panel) {
		struct dguest *g = c->guest;
		uint32_t id = c->request.id;

		forget(c);
		refuse(g, id, -ENOMEM);
		return;
	}
	c->panel->colour = c->colour;
}

void chooser_ask(struct dguest *g, const struct exo_desk_msg *m, const char *name)
{
	struct desktop *d = g->desktop;
	struct files *f = d->files;
	struct chooser *c;

	if (find(d, g)) {
		refuse(g, m->id, -EBUSY);
		return;
	}
	c = calloc(1, sizeof(*c));
	if (!c) {
		refuse(g, m->id, -ENOMEM);
		return;
	}
	c->desktop = d;
	c->guest = g;
	c->request = *m;
	c->colour = g->colour;
	snprintf(c->name, sizeof(c->name), "%s", g->name);
	snprintf(c->label, sizeof(c->label), "%s", g->label);
	c->save = m->flags == EXO_DESK_SAVE;
	c->may_write = c->write = m->rights & EXO_DESK_WRITE;
	snprintf(c->typed, sizeof(c->typed), "%s", name);
	c->next = f->choosers;
	f->choosers = c;
	if (service_has_focus(g))
		show(c);
	else
		service_mark(g);
}

void chooser_focus(struct dguest *g)
{
	struct chooser *c = find(g->desktop, g);

	if (c && !c->panel)
		show(c);
}

/* A panel stays until the person closes it: it must not vanish under their fingers. */
void chooser_guest_gone(struct dguest *g)
{
	struct chooser *c = find(g->desktop, g);

	if (!c)
		return;
	if (!c->panel) {
		forget(c);
		return;
	}
	c->guest = NULL;
	snprintf(c->why, sizeof(c->why), "%s has ended, or hung up", c->name);
	panel_redraw(c->panel);
}

void chooser_close_all(struct desktop *d)
{
	struct files *f = d->files;

	/* Panels are closed before, and free theirs. */
	while (f && f->choosers)
		forget(f->choosers);
}
