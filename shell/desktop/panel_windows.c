/*
 * The list of guests and their windows: who they are, what they use, and what the person can do
 * about them. Figures are asked for only while the list is open.
 */
#include "desktop.h"

#include <linux/input-event-codes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WIDTH 760
#define HEIGHT 440
#define ROW 40
#define HEAD 30
#define ROWS_MAX 256

enum verb { VERB_CONSOLE, VERB_PAUSE, VERB_STOP, VERB_KILL, VERBS };

static const char *const verb_words[VERBS] = {"Console", "Pause", "Stop", "Kill"};
static const uint16_t verb_keys[VERBS] = {KEY_C, KEY_P, KEY_S, KEY_K};

struct windows {
	unsigned chosen, top;
};

static const struct panel_class cls;

static struct dguest *at_row(const struct panel *p, unsigned row)
{
	struct dguest *g = p->desktop->guests;

	while (g && row--)
		g = g->next;
	return g;
}

static unsigned count(const struct panel *p)
{
	unsigned n = 0;

	for (const struct dguest *g = p->desktop->guests; g && n < ROWS_MAX; g = g->next)
		n++;
	return n;
}

static hid_id first_window(const struct dguest *g)
{
	for (unsigned i = 0; i < EXO_DPY_SCANOUTS_MAX; i++) {
		if (g->window[i])
			return g->window[i];
	}
	return 0;
}

static unsigned rows_shown(const struct panel *p)
{
	int n = (p->height - desktop_px(p->desktop, HEAD)) / desktop_px(p->desktop, ROW);

	return n > 0 ? (unsigned)n : 1;
}

static void choose(struct panel *p, unsigned n)
{
	struct windows *w = p->data;
	unsigned rows = rows_shown(p), all = count(p);

	if (!all)
		return;
	w->chosen = n < all ? n : all - 1;
	if (w->chosen < w->top)
		w->top = w->chosen;
	if (w->chosen >= w->top + rows)
		w->top = w->chosen - rows + 1;
	panel_redraw(p);
}

static void do_verb(struct panel *p, struct dguest *g, enum verb verb)
{
	struct desktop *d = p->desktop;

	switch (verb) {
	case VERB_CONSOLE:
		panel_console(d, g);
		break;
	case VERB_PAUSE:
		guests_pause(d, g->name, !g->paused);
		break;
	case VERB_STOP:
		guests_stop(d, g->name);
		break;
	default:
		guests_kill(d, g->name);
	}
}

/* Can it hear the microphone, if the person lets it? */
static bool may_listen(const struct dguest *g)
{
	return g->screen && screen_inputs(g->screen) & EXO_DPY_HAS_CAPTURE;
}

static const char *microphone_words(const struct dguest *g)
{
	return !may_listen(g)      ? ""
	       : audio_captures(g) ? ", hears the microphone (M: no longer)"
				   : ", microphone off (M: on)";
}

static void go_to(struct panel *p, const struct dguest *g)
{
	struct desktop *d = p->desktop;
	hid_id id = first_window(g);

	panel_close(p);
	if (!id)
		return;
	hid_set_minimized(d->hid, id, false, desktop_now(d));
	hid_focus(d->hid, id, desktop_now(d));
}

/* ---- drawing --------------------------------------------------------------------------- */

/* Where button `verb` is in a row. */
static int verb_x(const struct panel *p, unsigned verb)
{
	return p->width - desktop_px(p->desktop, 66) * (int)(VERBS - verb);
}

static void draw_verbs(const struct panel *p, const struct canvas *c, const struct dguest *g, int y)
{
	struct desktop *d = p->desktop;
	int size = desktop_px(d, 11), row = desktop_px(d, ROW), gap = desktop_px(d, 5);

	for (unsigned v = 0; v < VERBS; v++) {
		const char *word = v == VERB_PAUSE && g->paused ? "Resume" : verb_words[v];
		uint32_t colour = v == VERB_KILL ? d->theme.danger : d->theme.field;
		int x = verb_x(p, v), width = desktop_px(d, 60);

		paint_round(c, x, y + gap, width, row - 2 * gap, desktop_px(d, 3), colour);
		paint_text(c, FACE_SANS, size,
			   x + (width - paint_text_width(FACE_SANS, size, word, -1)) / 2,
			   y + row / 2 + size / 3, word, -1,
			   v == VERB_KILL ? paint_contrast(colour) : d->theme.panel_text);
	}
}

static void draw_row(const struct panel *p, const struct canvas *c, const struct dguest *g, int y,
		     bool chosen)
{
	struct desktop *d = p->desktop;
	const struct theme *t = &d->theme;
	int row = desktop_px(d, ROW), size = desktop_px(d, 13), small = desktop_px(d, 11);
	int left = desktop_px(d, 14), base = y + row / 2 - desktop_px(d, 3);
	int low = y + row - desktop_px(d, 8), end;
	char figures[512], memory[24], tx[24], rx[24];

	if (chosen)
		paint_rect(c, 0, y, c->width, row, t->field);
	paint_rect(c, 0, y + 2, desktop_px(d, 6), row - 4, 0xff000000u | g->colour);
	end = paint_text_within(c, FACE_BOLD, size, left, base, desktop_px(d, 180), g->name,
				t->panel_text);
	paint_text_within(c, FACE_SANS, small, end + desktop_px(d, 8), base, desktop_px(d, 110),
			  g->label, t->dim_text);
	paint_size_words(g->memory_bytes, memory);
	paint_size_words(g->tx_bytes, tx);
	paint_size_words(g->rx_bytes, rx);
	snprintf(figures, sizeof(figures), "%s%s%s, CPU %.1f %%, memory %s, sent %s, received %s",
		 g->state, g->paused ? ", paused" : "", microphone_words(g), g->cpu_share * 100,
		 memory, tx, rx);
	paint_text_within(c, FACE_SANS, small, left, low, verb_x(p, 0) - 2 * left, figures,
			  t->dim_text);
	draw_verbs(p, c, g, y);
}

static void draw(struct panel *p, const struct canvas *c)
{
	const struct windows *w = p->data;
	struct desktop *d = p->desktop;
	int y = desktop_px(d, HEAD), row = desktop_px(d, ROW);
	unsigned n = 0;
	char head[96];

	paint_fill(c, d->theme.panel);
	snprintf(head, sizeof(head),
		 "%u guests. Enter: go to, C: console, P: pause, S: stop, K: kill", count(p));
	paint_text_within(c, FACE_SANS, desktop_px(d, 12), desktop_px(d, 14), desktop_px(d, 20),
			  c->width - desktop_px(d, 28), head, d->theme.dim_text);
	for (struct dguest *g = d->guests; g && y < c->height; g = g->next, n++) {
		if (n < w->top)
			continue;
		draw_row(p, c, g, y, n == w->chosen);
		y += row;
	}
}

/* ---- input ---------------------------------------------------------------------------------- */

static void key(struct panel *p, const struct panel_event_key *e)
{
	struct windows *w = p->data;
	struct dguest *g = at_row(p, w->chosen);

	if (!e->down)
		return;
	if (e->code == KEY_ESC)
		panel_close(p);
	else if (e->code == KEY_UP)
		choose(p, w->chosen ? w->chosen - 1 : 0);
	else if (e->code == KEY_DOWN)
		choose(p, w->chosen + 1);
	else if ((e->code == KEY_ENTER || e->code == KEY_KPENTER) && g)
		go_to(p, g);
	if (e->code == KEY_M && !e->modifiers && !e->repeat && g && may_listen(g)) {
		audio_capture(p->desktop, g, !audio_captures(g));
		panel_redraw(p);
	}
	for (unsigned v = 0; v < VERBS && g && !e->repeat; v++) {
		if (e->code == verb_keys[v] && !e->modifiers)
			do_verb(p, g, (enum verb)v);
	}
}

static void button(struct panel *p, int x, int y, uint16_t code, bool down)
{
	const struct windows *w = p->data;
	int head = desktop_px(p->desktop, HEAD);
	unsigned row = y < head ? ROWS_MAX : (unsigned)((y - head) / desktop_px(p->desktop, ROW));
	struct dguest *g = row < ROWS_MAX ? at_row(p, row + w->top) : NULL;

	if (!down || code != BTN_LEFT || !g)
		return;
	for (unsigned v = 0; v < VERBS; v++) {
		if (x >= verb_x(p, v) && x < verb_x(p, v) + desktop_px(p->desktop, 60)) {
			do_verb(p, g, (enum verb)v);
			return;
		}
	}
	if (row + w->top == w->chosen)
		go_to(p, g);
	else
		choose(p, row + w->top);
}

static void wheel(struct panel *p, int dx, int dy)
{
	struct windows *w = p->data;

	if (dy > 0 && w->chosen)
		choose(p, w->chosen - 1);
	else if (dy < 0)
		choose(p, w->chosen + 1);
}

static void listed(struct panel *p)
{
	struct windows *w = p->data;

	choose(p, w->chosen);
	panel_redraw(p);
}

static void destroy(struct panel *p)
{
	guests_watch(p->desktop, false);
	free(p->data);
}

static const struct panel_class cls = {
	.name = "windows",
	.draw = draw,
	.key = key,
	.button = button,
	.wheel = wheel,
	.listed = listed,
	.destroy = destroy,
};

void panel_windows(struct desktop *d)
{
	struct panel *open = panel_find(d, &cls);
	struct hid_window_setup setup = {
		.width = desktop_px(d, WIDTH),
		.height = desktop_px(d, HEIGHT),
		.min_width = desktop_px(d, 560),
		.min_height = desktop_px(d, HEAD + ROW),
		.panel = true,
	};
	struct windows *w;

	if (open) {
		panel_close(open);
		return;
	}
	w = calloc(1, sizeof(*w));
	if (!w)
		return;
	if (!panel_open(d, &cls, "Guests and windows", &setup, w)) {
		free(w);
		return;
	}
	guests_watch(d, true);
	notices_seen(d);
}
