/*
 * Measures what a person would feel.
 *
 *	meter                      a window: every input is answered by a frame; Space: animation
 *	meter --frames N           N frames of the whole window, then a line on standard output
 *	meter --inputs N           N inputs that were seen, then a line
 *	    --copy                 by transfers instead of shared picture memory
 *
 * A frame lasts from when its drawing begins until the desktop says that it can be seen; an input
 * from when it arrives here until its frame is seen.
 */
#include "bench.h"
#include "scene.h"

#include <exo_widgets.h>

#include <errno.h>
#include <linux/input-event-codes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEPT 240 /* the last so many, in the graph */
#define COUNT_MAX 10000000

struct series {
	const char *name;
	uint32_t us[KEPT];
	unsigned n, at;
};

static struct meter {
	struct exo_ui *ui;
	struct exo_widget graph;
	struct exo_button animate;
	struct exo_status status;
	struct series frames, inputs;
	bool moving;
	unsigned frame;
	uint64_t input_ns, shown_ns; /* of the input to be drawn, and of that which is drawn */
	uint64_t frame_ns, last_ns;
} meter = {.frames = {.name = "from frame to frame"},
	   .inputs = {.name = "from input to its picture"}};

static void add(struct series *s, uint64_t ns)
{
	s->us[s->at] = ns / 1000 > UINT32_MAX ? UINT32_MAX : (uint32_t)(ns / 1000);
	s->at = (s->at + 1) % KEPT;
	s->n += s->n < KEPT;
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static uint32_t part(const struct series *s, unsigned of_100)
{
	uint32_t sorted[KEPT];

	if (!s->n)
		return 0;
	memcpy(sorted, s->us, s->n * sizeof(sorted[0]));
	qsort(sorted, s->n, sizeof(sorted[0]), compare);
	return sorted[(s->n - 1) * of_100 / 100];
}

/* ---- picture ---------------------------------------------------------------------- */

static void draw_series(const struct exo_surface *s, const struct series *d, uint32_t colour)
{
	const struct exo_theme *t = exo_ui_theme(meter.ui);
	struct exo_font *f = exo_ui_font(meter.ui);
	int top = exo_font_height(f) + exo_px(meter.ui, 8), high = (int)s->height - top;
	int pad = exo_px(meter.ui, 8), width = (int)s->width;
	uint32_t most = part(d, 100), scale = most < 20000 ? 20000 : most;
	char text[96];

	exo_fill(s, t->field);
	snprintf(text, sizeof(text), "%s: median %.1f ms, p99 %.1f ms", d->name,
		 part(d, 50) / 1000.0, part(d, 99) / 1000.0);
	exo_text_within(s, f, pad, pad / 2 + exo_font_ascent(f), width - 2 * pad, text, t->text);
	for (unsigned i = 0; i < d->n; i++) {
		unsigned at = (d->at + KEPT - d->n + i) % KEPT;
		int x0 = (int)((KEPT - d->n + i) * (unsigned)width / KEPT);
		int x1 = (int)((KEPT - d->n + i + 1) * (unsigned)width / KEPT);
		int bar = (int)((uint64_t)d->us[at] * (unsigned)(high > 0 ? high : 0) / scale);

		exo_fill_rect(s, x0, (int)s->height - bar, x1 - x0 > 1 ? x1 - x0 - 1 : 1, bar,
			      colour);
	}
	exo_rect(s, 0, 0, width, (int)s->height, exo_px(meter.ui, 1), t->border);
}

static void draw(struct exo_widget *w, const struct exo_surface *s, const struct exo_rect *dirty)
{
	const struct exo_theme *t = exo_ui_theme(w->ui);
	int gap = exo_px(w->ui, 8), half = (w->height - gap) / 2, third = w->width / 3;
	struct exo_surface box = exo_surface_part(s, 0, 0, w->width - third - gap, half);

	(void)dirty;
	draw_series(&box, &meter.frames, t->accent);
	box = exo_surface_part(s, 0, half + gap, w->width - third - gap, half);
	draw_series(&box, &meter.inputs, t->good);
	box = exo_surface_part(s, w->width - third, 0, third, w->height);
	if (box.pixels)
		scene_draw(box.pixels, box.width, box.height, box.stride, meter.frame);
	/* What is drawn now answers the input. */
	meter.shown_ns = meter.shown_ns ? meter.shown_ns : meter.input_ns;
	meter.input_ns = 0;
	meter.frame_ns = exo_ui_now_ns();
}

static const struct exo_widget_class graph_class = {.draw = draw};

/* ---- events ----------------------------------------------------------------------- */

static void show_status(void)
{
	unsigned width, height;
	uint32_t frame = part(&meter.frames, 50);
	char left[96], right[64];

	exo_window_size(exo_ui_window(meter.ui), &width, &height);
	if (meter.moving && frame)
		snprintf(left, sizeof(left), "%.1f frames a second", 1e6 / frame);
	else
		snprintf(left, sizeof(left), "Move the pointer, press keys; Space: animation");
	snprintf(right, sizeof(right), "%u x %u, %s", width, height,
		 exo_window_path(exo_ui_window(meter.ui)));
	exo_status_set(&meter.status, left, right);
}

static void set_moving(bool on)
{
	meter.moving = on;
	meter.last_ns = 0;
	exo_button_set(&meter.animate, on);
	show_status();
	exo_widget_changed(&meter.graph);
}

static void frame_seen(uint64_t now)
{
	if (meter.shown_ns)
		add(&meter.inputs, now - meter.shown_ns);
	meter.shown_ns = 0;
	if (!meter.moving)
		return;
	if (meter.last_ns)
		add(&meter.frames, now - meter.last_ns);
	meter.last_ns = now;
	meter.frame++;
	if (meter.frame % 16 == 0)
		show_status();
	exo_widget_changed(&meter.graph);
}

static bool event(struct exo_ui *ui, const struct exo_event *e)
{
	bool key = e->type == EXO_EVENT_KEY && e->key.down;

	(void)ui;
	if (e->type == EXO_EVENT_FRAME)
		frame_seen(e->time_ns);
	if (key || e->type == EXO_EVENT_POINTER ||
	    (e->type == EXO_EVENT_BUTTON && e->button.down)) {
		meter.input_ns = meter.input_ns ? meter.input_ns : e->time_ns;
		meter.frame += !meter.moving;
		exo_widget_changed(&meter.graph);
	}
	if (!key || e->key.code != KEY_SPACE || e->key.repeat)
		return false;
	set_moving(!meter.moving);
	return true;
}

static void pressed(struct exo_button *b)
{
	set_moving(!b->on);
}

static void layout(struct exo_ui *ui, int width, int height)
{
	int gap = exo_px(ui, 8), bar = exo_status_height(ui), button = exo_px(ui, 30);

	exo_widget_place(&meter.animate.widget, gap, gap, exo_px(ui, 120), button);
	exo_widget_place(&meter.graph, gap, button + 2 * gap, width - 2 * gap,
			 height - bar - button - 3 * gap);
	exo_widget_place(&meter.status.widget, 0, height - bar, width, bar);
	show_status();
}

static int interactive(struct exo_window *w)
{
	const struct exo_ui_calls calls = {.layout = layout, .event = event};

	meter.ui = exo_ui_create(w, &calls, NULL);
	if (!meter.ui)
		return -1;
	exo_widget_init(&meter.graph, &graph_class);
	exo_button_init(&meter.animate, "Animation", pressed);
	exo_status_init(&meter.status);
	exo_ui_add(meter.ui, &meter.animate.widget);
	exo_ui_add(meter.ui, &meter.graph);
	exo_ui_add(meter.ui, &meter.status.widget);
	return exo_ui_run(meter.ui);
}

/* ---- start ------------------------------------------------------------------------ */

static bool count(const char *text, unsigned *n)
{
	char *end;
	unsigned long v = text ? strtoul(text, &end, 10) : 0;

	*n = (unsigned)v;
	return text && *text >= '0' && *text <= '9' && !*end && v > 0 && v <= COUNT_MAX;
}

int main(int argc, char **argv)
{
	unsigned frames = 0, inputs = 0, flags = 0;
	struct exo_window *w;
	int r;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--copy") == 0) {
			flags |= EXO_WINDOW_COPY;
		} else if (!(strcmp(argv[i], "--frames") == 0 && count(argv[++i], &frames)) &&
			   !(strcmp(argv[i], "--inputs") == 0 && count(argv[++i], &inputs))) {
			fprintf(stderr, "usage: meter [--copy] [--frames N | --inputs N]\n");
			return 2;
		}
	}
	w = exo_window_open("Meter", frames ? flags | EXO_WINDOW_REDRAWS : flags);
	if (!w) {
		fprintf(stderr, "meter: no window: %s\n", strerror(errno));
		return 1;
	}
	r = frames ? bench_frames(w, frames) : inputs ? bench_inputs(w, inputs) : interactive(w);
	if (r)
		fprintf(stderr, "meter: %s\n", strerror(errno));
	exo_window_close(w);
	return r ? 1 : 0;
}
