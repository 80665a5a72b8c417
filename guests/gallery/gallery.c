/*
 * Shows pictures.
 *
 *	gallery [PATH…]           files, and folders that are mounted
 *	gallery --check PATH…     only decodes: prints each one's size or what is wrong with it
 *
 * Left, Right, Space: another picture. + -: larger, smaller; 0: as it fits, 1: as it is. Shift and
 * arrows, or the pointer: another part. O: asks for a file. Files can be dropped on it.
 */
#include "files.h"
#include "picture.h"

#include <exo_widgets.h>

#include <errno.h>
#include <exo/desktop.h>
#include <linux/input-event-codes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define ZOOM_MAX 32.0
#define ZOOM_MIN 0.01
#define ZOOM_STEP 1.25
#define NOTCH 120

enum { OPEN, BACK, NEXT, LARGER, SMALLER, FIT, ONE, BUTTONS };

static struct gallery {
	struct exo_ui *ui;
	struct exo_button button[BUTTONS];
	struct exo_widget view;
	struct exo_status status;
	struct files files;
	unsigned shown; /* which of them */
	struct exo_surface picture;
	const char *error;
	bool fit;
	double zoom, x, y; /* x, y: pixel of the picture that is in the middle */
	int drag_x, drag_y;
	bool dragging;
} g = {.fit = true};

/* ---- what is seen ------------------------------------------------------------------ */

static double limit(double v, double low, double high)
{
	return v < low ? low : v > high ? high : v;
}

/* Keeps the view on the picture, and says where that is. */
static void settle(void)
{
	double w = g.picture.width, h = g.picture.height, half;
	char left[160], right[80] = "";

	if (g.picture.pixels) {
		double zoom = fmin(g.view.width / w, g.view.height / h);

		if (g.fit)
			g.zoom = limit(fmin(zoom, 1), ZOOM_MIN / 10, ZOOM_MAX);
		half = g.view.width / g.zoom / 2;
		g.x = half * 2 >= w ? w / 2 : limit(g.x, half, w - half);
		half = g.view.height / g.zoom / 2;
		g.y = half * 2 >= h ? h / 2 : limit(g.y, half, h - half);
		snprintf(right, sizeof(right), "%u x %u, %.0f%%", g.picture.width, g.picture.height,
			 g.zoom * 100);
	}
	if (g.files.count)
		snprintf(left, sizeof(left), "%u/%u  %.100s", g.shown + 1, g.files.count,
			 files_name(g.files.path[g.shown]));
	else
		snprintf(left, sizeof(left), "No picture: O asks for one, or drop it here");
	exo_status_set(&g.status, left, right);
	exo_button_set(&g.button[FIT], g.fit);
	exo_button_set(&g.button[ONE], !g.fit && g.zoom == 1);
	exo_widget_changed(&g.view);
}

/* The pixel of the picture at (px, py) of the view stays there. */
static void zoom_at(double zoom, int px, int py)
{
	double dx = px - g.view.width / 2.0, dy = py - g.view.height / 2.0;

	zoom = limit(zoom, ZOOM_MIN, ZOOM_MAX);
	g.x += dx / g.zoom - dx / zoom;
	g.y += dy / g.zoom - dy / zoom;
	g.zoom = zoom;
	g.fit = false;
	settle();
}

static void zoom(double factor)
{
	zoom_at(g.zoom * factor, g.view.width / 2, g.view.height / 2);
}

static void show(unsigned which)
{
	char title[160];

	if (!g.files.count)
		return;
	g.shown = which % g.files.count;
	picture_free(&g.picture);
	g.error = picture_load(g.files.path[g.shown], &g.picture);
	g.fit = true;
	snprintf(title, sizeof(title), "%.120s - Gallery", files_name(g.files.path[g.shown]));
	exo_window_title(exo_ui_window(g.ui), title);
	settle();
}

static void step(int by)
{
	if (g.files.count)
		show(g.shown + (by > 0 ? 1 : g.files.count - 1));
}

static void add(const char *path)
{
	if (files_add(&g.files, path)) {
		show(g.files.count - 1);
		return;
	}
	g.error = strerror(errno);
	picture_free(&g.picture);
	settle();
}

/* ---- picture ----------------------------------------------------------------------- */

static void draw_text(const struct exo_surface *s, const char *text, uint32_t colour)
{
	struct exo_font *f = exo_ui_font(g.ui);

	exo_text(s, f, ((int)s->width - exo_text_width(f, text, -1)) / 2, (int)s->height / 2, text,
		 -1, colour);
}

static void draw(struct exo_widget *w, const struct exo_surface *s, const struct exo_rect *dirty)
{
	const struct exo_theme *t = exo_ui_theme(w->ui);
	int width, height, x, y;

	(void)dirty;
	if (!g.picture.pixels) {
		exo_fill(s, t->field);
		draw_text(s, g.error ? g.error : "Drop a picture here, or press O",
			  g.error ? t->danger : t->dim);
		return;
	}
	width = (int)fmax(1, round(g.picture.width * g.zoom));
	height = (int)fmax(1, round(g.picture.height * g.zoom));
	x = (int)round(w->width / 2.0 - g.x * g.zoom);
	y = (int)round(w->height / 2.0 - g.y * g.zoom);
	exo_fill_rect(s, 0, 0, w->width, y, t->field);
	exo_fill_rect(s, 0, y + height, w->width, w->height, t->field);
	exo_fill_rect(s, 0, y, x, height, t->field);
	exo_fill_rect(s, x + width, y, w->width, height, t->field);
	exo_scale(s, x, y, width, height, &g.picture);
}

/* ---- input ------------------------------------------------------------------------- */

static void view_button(struct exo_widget *w, int x, int y, uint16_t code, bool down,
			uint32_t modifiers, unsigned clicks)
{
	(void)w;
	(void)modifiers;
	if (code != BTN_LEFT)
		return;
	g.dragging = down;
	g.drag_x = x;
	g.drag_y = y;
	if (down && clicks == 2 && g.picture.pixels) {
		if (g.fit) {
			zoom_at(1, x, y);
		} else {
			g.fit = true;
			settle();
		}
	}
}

static void view_pointer(struct exo_widget *w, int x, int y, uint32_t buttons)
{
	(void)w;
	(void)buttons;
	if (!g.dragging || !g.picture.pixels)
		return;
	g.x -= (x - g.drag_x) / g.zoom;
	g.y -= (y - g.drag_y) / g.zoom;
	g.drag_x = x;
	g.drag_y = y;
	settle();
}

static void view_wheel(struct exo_widget *w, const struct exo_event *e)
{
	if (g.picture.pixels)
		zoom_at(g.zoom * pow(ZOOM_STEP, (double)e->wheel.dy / NOTCH), e->wheel.x - w->x,
			e->wheel.y - w->y);
}

static const struct exo_widget_class view_class = {
	.draw = draw,
	.button = view_button,
	.pointer = view_pointer,
	.wheel = view_wheel,
};

static void act(int what)
{
	switch (what) {
	case OPEN:
		if (exo_window_choose(exo_ui_window(g.ui), EXO_DESK_READ, false, NULL) < 0) {
			snprintf(g.status.left, sizeof(g.status.left),
				 "There is nobody to ask for a file: %s", strerror(errno));
			exo_widget_changed(&g.status.widget);
		}
		break;
	case BACK:
		step(-1);
		break;
	case NEXT:
		step(1);
		break;
	case LARGER:
		zoom(ZOOM_STEP);
		break;
	case SMALLER:
		zoom(1 / ZOOM_STEP);
		break;
	case FIT:
		g.fit = true;
		settle();
		break;
	case ONE:
		zoom(1 / g.zoom);
		break;
	}
}

static void pressed(struct exo_button *b)
{
	if (b == &g.button[OPEN] || b == &g.button[BACK] || b == &g.button[NEXT] ||
	    g.picture.pixels)
		act((int)(b - g.button));
}

static void pan(uint16_t code)
{
	double by = exo_px(g.ui, 60) / g.zoom;

	g.x += code == KEY_LEFT ? -by : code == KEY_RIGHT ? by : 0;
	g.y += code == KEY_UP ? -by : code == KEY_DOWN ? by : 0;
	settle();
}

/* What a key does, -1: nothing. */
static int action_of(const struct exo_event *e)
{
	switch (e->key.code) {
	case KEY_LEFT:
	case KEY_PAGEUP:
	case KEY_BACKSPACE:
		return BACK;
	case KEY_RIGHT:
	case KEY_PAGEDOWN:
		return NEXT;
	case KEY_SPACE:
		return exo_ui_focused(g.ui) ? -1 : NEXT;
	}
	switch (e->key.symbol) {
	case '+':
	case '=':
		return LARGER;
	case '-':
		return SMALLER;
	case '0':
	case 'f':
		return FIT;
	case '1':
		return ONE;
	case 'o':
		return OPEN;
	default:
		return -1;
	}
}

static bool event(struct exo_ui *ui, const struct exo_event *e)
{
	bool arrow;
	int what;

	(void)ui;
	if (e->type == EXO_EVENT_CHOSEN && e->file.error == 0)
		add(e->file.path);
	else if (e->type == EXO_EVENT_DROPPED)
		add(e->file.path);
	if (e->type != EXO_EVENT_KEY || !e->key.down)
		return false;
	arrow = e->key.code == KEY_LEFT || e->key.code == KEY_RIGHT || e->key.code == KEY_UP ||
		e->key.code == KEY_DOWN;
	if (arrow && (e->key.modifiers & EXO_MOD_SHIFT || e->key.code == KEY_UP ||
		      e->key.code == KEY_DOWN)) {
		if (g.picture.pixels)
			pan(e->key.code);
		return true;
	}
	what = action_of(e);
	if (what < 0)
		return false;
	pressed(&g.button[what]);
	return true;
}

static void layout(struct exo_ui *ui, int width, int height)
{
	static const int widths[BUTTONS] = {70, 34, 34, 34, 34, 50, 50};
	int gap = exo_px(ui, 6), bar = exo_status_height(ui), tall = exo_px(ui, 30), x = gap;

	for (int i = 0; i < BUTTONS; i++) {
		exo_widget_place(&g.button[i].widget, x, gap, exo_px(ui, widths[i]), tall);
		x += exo_px(ui, widths[i]) + gap;
	}
	exo_widget_place(&g.view, 0, tall + 2 * gap, width, height - bar - tall - 2 * gap);
	exo_widget_place(&g.status.widget, 0, height - bar, width, bar);
	settle();
}

/* ---- start ------------------------------------------------------------------------- */

static int check(char **paths)
{
	struct exo_surface s;
	int bad = 0;

	for (; *paths; paths++) {
		const char *error = picture_load(*paths, &s);

		if (error)
			printf("%s: %s\n", *paths, error);
		else
			printf("%s: %u x %u\n", *paths, s.width, s.height);
		bad |= error != NULL;
		picture_free(&s);
	}
	return bad;
}

static void add_widgets(void)
{
	static const char *const names[BUTTONS] = {"Open…", "◀", "▶", "+", "−", "Fit", "1:1"};

	for (int i = 0; i < BUTTONS; i++) {
		exo_button_init(&g.button[i], names[i], pressed);
		exo_ui_add(g.ui, &g.button[i].widget);
	}
	exo_widget_init(&g.view, &view_class);
	exo_ui_add(g.ui, &g.view);
	exo_status_init(&g.status);
	exo_ui_add(g.ui, &g.status.widget);
}

int main(int argc, char **argv)
{
	const struct exo_ui_calls calls = {.layout = layout, .event = event};
	struct exo_window *w;

	if (argc > 1 && strcmp(argv[1], "--check") == 0)
		return check(argv + 2);
	w = exo_window_open("Gallery", 0);
	g.ui = w ? exo_ui_create(w, &calls, NULL) : NULL;
	if (!g.ui) {
		fprintf(stderr, "gallery: no window: %s\n", strerror(errno));
		return 1;
	}
	add_widgets();
	for (int i = 1; i < argc; i++)
		if (!files_add(&g.files, argv[i]))
			fprintf(stderr, "gallery: %s: %s\n", argv[i], strerror(errno));
	show(0);
	return exo_ui_run(g.ui) ? 1 : 0;
}
