/*
 * The launcher: type to find a program, Enter starts it; words behind the name are its
 * arguments. What cannot be started because its manifest is wrong is shown with the reason.
 */
#include "desktop.h"
#include "programs.h"

#include <linux/input-event-codes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TYPED_BYTES 256
#define WIDTH 560
#define HEIGHT 420
#define ROW 40
#define FIELD 44
#define ARGS_MAX 32

struct launcher {
	struct programs programs;
	unsigned match[PROGRAMS_MAX], nmatch;
	unsigned chosen, top; /* in match */
	char typed[TYPED_BYTES];
};

static const struct panel_class cls;

/* ---- finding ------------------------------------------------------------------------- */

/* 2: begins with it, 1: has it, in the name; also 1: in the description. */
static int rank(const struct program *p, const char *what, size_t n)
{
	if (!n || !strncasecmp(p->name, what, n))
		return 2;
	for (const char *at = p->name; *at; at++) {
		if (!strncasecmp(at, what, n))
			return 1;
	}
	for (const char *at = p->description; *at; at++) {
		if (!strncasecmp(at, what, n))
			return 1;
	}
	return 0;
}

static void find(struct launcher *l)
{
	size_t n = strcspn(l->typed, " ");

	l->nmatch = l->chosen = l->top = 0;
	for (int want = 2; want; want--) {
		for (unsigned i = 0; i < l->programs.n; i++) {
			if (rank(&l->programs.program[i], l->typed, n) == want)
				l->match[l->nmatch++] = i;
		}
	}
}

static int rows_shown(const struct panel *p)
{
	int n = (p->height - desktop_px(p->desktop, FIELD)) / desktop_px(p->desktop, ROW);

	return n > 0 ? n : 1;
}

static void choose(struct panel *p, unsigned n)
{
	struct launcher *l = p->data;
	unsigned rows = (unsigned)rows_shown(p);

	if (n >= l->nmatch)
		return;
	l->chosen = n;
	if (n < l->top)
		l->top = n;
	if (n >= l->top + rows)
		l->top = n - rows + 1;
	panel_redraw(p);
}

/* ---- starting --------------------------------------------------------------------------- */

static void start(struct panel *p)
{
	struct launcher *l = p->data;
	const struct program *what;
	char *args[ARGS_MAX + 1], *word, *state;
	unsigned n = 0;

	if (l->chosen >= l->nmatch)
		return;
	what = &l->programs.program[l->match[l->chosen]];
	if (what->wrong[0]) {
		notice(p->desktop, 0xd03030, "%s", what->wrong);
		return;
	}
	word = strtok_r(l->typed + strcspn(l->typed, " "), " ", &state);
	while (word && n < ARGS_MAX) {
		args[n++] = word;
		word = strtok_r(NULL, " ", &state);
	}
	args[n] = NULL;
	guests_launch(p->desktop, what->path, args);
	panel_close(p);
}

/* ---- drawing ------------------------------------------------------------------------------- */

static void draw_row(const struct panel *p, const struct canvas *c, const struct program *what,
		     int y, bool chosen)
{
	struct desktop *d = p->desktop;
	const struct theme *t = &d->theme;
	int row = desktop_px(d, ROW), pad = desktop_px(d, 12), bar = desktop_px(d, 5);
	int big = desktop_px(d, 14), small = desktop_px(d, 11);
	uint32_t text = chosen ? paint_contrast(t->accent) : t->panel_text;
	uint32_t dim = chosen ? text : t->dim_text;
	const char *below = what->wrong[0] ? what->wrong : what->description;
	int end;

	if (chosen)
		paint_rect(c, 0, y, c->width, row, t->accent);
	paint_rect(c, 0, y + 2, bar, row - 4, 0xff000000u | what->colour);
	end = paint_text_within(c, FACE_BOLD, big, pad, y + row / 2 - desktop_px(d, 3),
				c->width - 2 * pad, what->name, text);
	paint_text_within(c, FACE_SANS, small, end + pad, y + row / 2 - desktop_px(d, 3),
			  c->width - end - 2 * pad, what->label, dim);
	paint_text_within(c, FACE_SANS, small, pad, y + row - desktop_px(d, 8), c->width - 2 * pad,
			  below, what->wrong[0] && !chosen ? t->danger : dim);
}

static void draw(struct panel *p, const struct canvas *c)
{
	const struct launcher *l = p->data;
	struct desktop *d = p->desktop;
	const struct theme *t = &d->theme;
	int field = desktop_px(d, FIELD), pad = desktop_px(d, 12), size = desktop_px(d, 16);
	int x, y = field;

	paint_fill(c, t->panel);
	paint_round(c, pad / 2, pad / 2, c->width - pad, field - pad, desktop_px(d, 4), t->field);
	x = paint_text_within(c, FACE_SANS, size, pad, field / 2 + size / 3, c->width - 2 * pad,
			      l->typed[0] ? l->typed : "Type a program's name",
			      l->typed[0] ? t->panel_text : t->dim_text);
	paint_rect(c, l->typed[0] ? x + 1 : pad - 2, pad, desktop_px(d, 2), field - 2 * pad,
		   t->accent);
	for (unsigned i = l->top; i < l->nmatch && y < c->height; i++) {
		draw_row(p, c, &l->programs.program[l->match[i]], y, i == l->chosen);
		y += desktop_px(d, ROW);
	}
	if (!l->nmatch)
		paint_text(c, FACE_SANS, desktop_px(d, 13), pad, field + 2 * pad,
			   l->programs.n
				   ? "No program of this name"
				   : "No programs: put NAME.elf and NAME.exo into a folder of "
				     "EXO_PATH",
			   -1, t->dim_text);
}

/* ---- input -------------------------------------------------------------------------------------
 */

static void key(struct panel *p, const struct panel_event_key *e)
{
	struct launcher *l = p->data;

	if (!e->down)
		return;
	switch (e->code) {
	case KEY_ESC:
		panel_close(p);
		return;
	case KEY_ENTER:
	case KEY_KPENTER:
		start(p);
		return;
	case KEY_UP:
		choose(p, l->chosen ? l->chosen - 1 : 0);
		return;
	case KEY_DOWN:
		choose(p, l->chosen + 1);
		return;
	default:
		if (!panel_edit(l->typed, sizeof(l->typed), e))
			return;
	}
	find(l);
	panel_redraw(p);
}

static int row_at(const struct panel *p, int y)
{
	const struct launcher *l = p->data;
	int row = (y - desktop_px(p->desktop, FIELD)) / desktop_px(p->desktop, ROW);

	return y < desktop_px(p->desktop, FIELD) ? -1 : row + (int)l->top;
}

static void button(struct panel *p, int x, int y, uint16_t code, bool down)
{
	const struct launcher *l = p->data;
	int row = row_at(p, y);

	if (!down || code != BTN_LEFT || row < 0 || row >= (int)l->nmatch)
		return;
	choose(p, (unsigned)row);
	start(p);
}

static void wheel(struct panel *p, int dx, int dy)
{
	struct launcher *l = p->data;

	if (dy > 0 && l->chosen)
		choose(p, l->chosen - 1);
	else if (dy < 0)
		choose(p, l->chosen + 1);
}

static void focus(struct panel *p, bool there)
{
	if (!there)
		panel_close(p);
}

static void destroy(struct panel *p)
{
	struct launcher *l = p->data;

	programs_free(&l->programs);
	free(l);
}

static const struct panel_class cls = {
	.name = "launcher",
	.draw = draw,
	.key = key,
	.button = button,
	.wheel = wheel,
	.focus = focus,
	.destroy = destroy,
};

void panel_launcher(struct desktop *d)
{
	struct panel *open = panel_find(d, &cls);
	int width = desktop_px(d, WIDTH), height = desktop_px(d, HEIGHT);
	struct hid_window_setup setup = {
		.width = width < d->width ? width : d->width,
		.height = height < d->height / 2 + 100 ? height : d->height / 2 + 100,
		.panel = true,
		.bare = true,
		.anchored = true,
	};
	struct launcher *l;

	if (open) {
		panel_close(open);
		return;
	}
	l = calloc(1, sizeof(*l));
	if (!l)
		return;
	if (programs_read(&l->programs))
		notice(d, 0xd03030, "the program folders could not be read: no memory");
	find(l);
	setup.x = (d->width - setup.width) / 2;
	setup.y = hid_strip(d->hid).height + (d->height - setup.height) / 5;
	if (!panel_open(d, &cls, "Launcher", &setup, l)) {
		programs_free(&l->programs);
		free(l);
	}
}
