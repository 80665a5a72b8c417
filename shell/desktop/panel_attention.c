/*
 * What the secure attention chord opens: a window that only the shell can draw, over all
 * others, with all input its own. It says who had the keyboard, and what can be done about it.
 */
#include "desktop.h"

#include <linux/input-event-codes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WIDTH 480
#define HEIGHT 300
#define ROW 36
#define HEAD 84

struct attention {
	char guest[64]; /* who had the keyboard; "": none */
	unsigned chosen;
};

enum choice { BACK, KILL, PAUSE, WINDOWS, END, CHOICES };

static const char *const words[CHOICES] = {"Back to where I was", "Kill it", "Pause it",
					   "Guests and windows", "End the desktop (guests go on)"};

static const struct panel_class cls;

static bool possible(const struct attention *a, unsigned choice)
{
	return a->guest[0] || (choice != KILL && choice != PAUSE);
}

static void act(struct panel *p)
{
	struct attention *a = p->data;
	struct desktop *d = p->desktop;
	enum choice choice = (enum choice)a->chosen;
	char guest[64];

	if (!possible(a, choice))
		return;
	memcpy(guest, a->guest, sizeof(guest));
	panel_close(p);
	if (choice == KILL)
		guests_kill(d, guest);
	else if (choice == PAUSE)
		guests_pause(d, guest, true);
	else if (choice == WINDOWS)
		panel_windows(d);
	else if (choice == END)
		desktop_end(d, 0);
}

static void draw(struct panel *p, const struct canvas *c)
{
	const struct attention *a = p->data;
	struct desktop *d = p->desktop;
	const struct theme *t = &d->theme;
	const struct dguest *g = a->guest[0] ? guests_find(d, a->guest) : NULL;
	int row = desktop_px(d, ROW), left = desktop_px(d, 20), size = desktop_px(d, 14);
	int y = desktop_px(d, HEAD);
	char who[160];

	paint_fill(c, t->panel);
	paint_text(c, FACE_BOLD, desktop_px(d, 18), left, desktop_px(d, 34), "Exoshell", -1,
		   t->panel_text);
	snprintf(who, sizeof(who),
		 g ? "The keyboard was with %s (%s)" : "No guest had the keyboard", a->guest,
		 g ? g->label : "");
	if (g)
		paint_rect(c, 0, desktop_px(d, 46), desktop_px(d, 10), desktop_px(d, 24),
			   0xff000000u | g->colour);
	paint_text_within(c, FACE_SANS, size, left, desktop_px(d, 62), c->width - 2 * left, who,
			  t->panel_text);
	for (unsigned i = 0; i < CHOICES; i++, y += row) {
		bool chosen = i == a->chosen;

		if (chosen)
			paint_rect(c, left / 2, y, c->width - left, row - 2, t->accent);
		paint_text_within(c, FACE_SANS, size, left, y + row / 2 + size / 3,
				  c->width - 2 * left, words[i],
				  !possible(a, i) ? t->dim_text
				  : chosen        ? paint_contrast(t->accent)
						  : t->panel_text);
	}
}

static void key(struct panel *p, const struct panel_event_key *e)
{
	struct attention *a = p->data;

	if (!e->down)
		return;
	if (e->code == KEY_ESC)
		panel_close(p);
	else if (e->code == KEY_ENTER || e->code == KEY_KPENTER)
		act(p);
	else if (e->code == KEY_DOWN || e->code == KEY_TAB)
		a->chosen = (a->chosen + 1) % CHOICES;
	else if (e->code == KEY_UP)
		a->chosen = (a->chosen + CHOICES - 1) % CHOICES;
	if (!p->closing)
		panel_redraw(p);
}

static void button(struct panel *p, int x, int y, uint16_t code, bool down)
{
	struct attention *a = p->data;
	int head = desktop_px(p->desktop, HEAD), row = desktop_px(p->desktop, ROW);

	if (!down || code != BTN_LEFT || y < head || (y - head) / row >= CHOICES)
		return;
	a->chosen = (unsigned)((y - head) / row);
	act(p);
}

static void destroy(struct panel *p)
{
	free(p->data);
}

static const struct panel_class cls = {
	.name = "attention", .draw = draw, .key = key, .button = button, .destroy = destroy};

void panel_attention(struct desktop *d)
{
	unsigned scanout;
	const struct dguest *g = guests_of_window(d, hid_focused(d->hid), &scanout);
	struct hid_window_setup setup = {
		.width = desktop_px(d, WIDTH),
		.height = desktop_px(d, HEIGHT),
		.panel = true,
		.modal = true,
		.anchored = true,
	};
	struct attention *a;

	if (panel_find(d, &cls))
		return;
	a = calloc(1, sizeof(*a));
	if (!a)
		return;
	if (g)
		memcpy(a->guest, g->name, sizeof(a->guest));
	setup.x = (d->width - setup.width) / 2;
	setup.y = (d->height - setup.height) / 2;
	if (!panel_open(d, &cls, "Secure attention", &setup, a))
		free(a);
}
