/*
 * A clock.
 *
 *	clock [--at HH:MM:SS] [--no-seconds]
 *
 * One frame a second (without seconds one a minute), on the second; with --at the time that
 * is given, for pictures. Space: both, the face alone, the digits alone. S: seconds.
 */
#include <exo_widgets.h>

#include <errno.h>
#include <linux/input-event-codes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define NS 1000000000ull
#define TURN 6.28318530717958647692

enum view { BOTH, FACE, DIGITS, VIEWS };

struct clock_view {
	struct exo_widget widget;
	enum view view;
	bool seconds, fixed;
	struct tm now;
	struct exo_font *digits, *small;
	int digits_size, small_size;
};

static void read_time(struct clock_view *c)
{
	time_t t = time(NULL);

	if (!c->fixed)
		localtime_r(&t, &c->now);
}

/* The font of that size, which is kept. */
static struct exo_font *sized(struct exo_font **f, int *have, enum exo_face face, int size)
{
	size = size < 8 ? 8 : size;
	if (*have != size) {
		exo_font_close(*f);
		*f = exo_font_open(face, (unsigned)size);
		*have = size;
	}
	return *f;
}

/* ---- face ----------------------------------------------------------------------- */

struct dial {
	const struct exo_surface *s;
	const struct exo_theme *theme;
	int x, y, r; /* 16ths of a pixel */
};

/* From one part of the radius to another (in thousandths), at a part of the turn. */
static void spoke(const struct dial *d, double turn, int from, int to, int thickness,
		  uint32_t colour)
{
	double dx = sin(turn * TURN) * d->r / 1000, dy = -cos(turn * TURN) * d->r / 1000;

	exo_line(d->s, d->x + (int)(dx * from), d->y + (int)(dy * from), d->x + (int)(dx * to),
		 d->y + (int)(dy * to), d->r * thickness / 1000, colour);
}

static void draw_dial(const struct clock_view *c, const struct dial *d)
{
	const struct exo_theme *t = d->theme;
	double seconds = c->now.tm_sec, minutes = c->now.tm_min + (c->seconds ? seconds / 60 : 0);
	double hours = c->now.tm_hour % 12 + minutes / 60;

	exo_circle(d->s, d->x, d->y, d->r, t->border);
	exo_circle(d->s, d->x, d->y, d->r * 975 / 1000, t->field);
	for (int i = 0; i < 60; i++)
		if (i % 5)
			spoke(d, i / 60.0, 900, 930, 10, t->dim);
	for (int i = 0; i < 12; i++)
		spoke(d, i / 12.0, i % 3 ? 850 : 800, 930, i % 3 ? 22 : 34, t->text);
	spoke(d, hours / 12, -120, 520, 62, t->text);
	spoke(d, minutes / 60, -140, 800, 42, t->text);
	if (c->seconds) {
		spoke(d, seconds / 60, -200, 860, 18, t->danger);
		exo_circle(d->s, d->x, d->y, d->r * 45 / 1000, t->danger);
	} else {
		exo_circle(d->s, d->x, d->y, d->r * 45 / 1000, t->text);
	}
}

static void centred(const struct exo_surface *s, struct exo_font *f, int middle, int y,
		    const char *text, uint32_t colour)
{
	if (f)
		exo_text(s, f, middle - exo_text_width(f, text, -1) / 2, y + exo_font_ascent(f),
			 text, -1, colour);
}

/* Time and date, within `height` rows from y on. */
static void draw_digits(struct clock_view *c, const struct exo_surface *s, int y, int height)
{
	const struct exo_theme *t = exo_ui_theme(c->widget.ui);
	int w = c->widget.width, size = height / 2, fits = w * 10 / (c->seconds ? 60 : 38);
	struct exo_font *big, *small;
	char text[64];

	size = size < fits ? size : fits;
	big = sized(&c->digits, &c->digits_size, EXO_MONO, size);
	small = sized(&c->small, &c->small_size, EXO_SANS, size * 2 / 5);
	if (!big || !small)
		return;
	y += (height - exo_font_height(big) - exo_font_height(small)) / 2;
	strftime(text, sizeof(text), c->seconds ? "%H:%M:%S" : "%H:%M", &c->now);
	centred(s, big, w / 2, y, text, t->text);
	strftime(text, sizeof(text), "%A, %e %B %Y", &c->now);
	if (!c->fixed)
		centred(s, small, w / 2, y + exo_font_height(big), text, t->dim);
}

static void draw(struct exo_widget *w, const struct exo_surface *s, const struct exo_rect *dirty)
{
	struct clock_view *c = (struct clock_view *)w;
	int margin = exo_px(w->ui, 12), below = c->view == BOTH ? w->height / 5 : 0;
	int wide = w->width - 2 * margin, high = w->height - below - 2 * margin;
	int r = (wide < high ? wide : high) / 2;

	(void)dirty;
	exo_fill(s, exo_ui_theme(w->ui)->background);
	if (c->view != DIGITS && r > 8)
		draw_dial(c, &(struct dial){s, exo_ui_theme(w->ui), w->width * 8,
					    (margin + high / 2) * 16, r * 16});
	if (c->view == BOTH)
		draw_digits(c, s, w->height - below - margin / 2, below);
	else if (c->view == DIGITS)
		draw_digits(c, s, 0, w->height);
}

static const struct exo_widget_class view_class = {.draw = draw};

/* ---- time ----------------------------------------------------------------------- */

/* When what is shown changes next. */
static void wait_for_change(struct exo_ui *ui)
{
	const struct clock_view *c = exo_ui_data(ui);
	struct timespec real;
	uint64_t unit = c->seconds ? NS : 60 * NS, at;

	if (c->fixed)
		return;
	clock_gettime(CLOCK_REALTIME, &real);
	at = (uint64_t)(c->seconds ? 0 : real.tv_sec % 60) * NS + (uint64_t)real.tv_nsec;
	exo_ui_wake_at(ui, exo_ui_now_ns() + unit - at);
}

static void tick(struct exo_ui *ui, uint64_t now)
{
	struct clock_view *c = exo_ui_data(ui);

	(void)now;
	read_time(c);
	exo_widget_changed(&c->widget);
	wait_for_change(ui);
}

static bool event(struct exo_ui *ui, const struct exo_event *e)
{
	struct clock_view *c = exo_ui_data(ui);

	if (e->type == EXO_EVENT_BUTTON && e->button.down && e->button.code == BTN_LEFT)
		c->view = (c->view + 1) % VIEWS;
	else if (e->type == EXO_EVENT_KEY && e->key.down && e->key.code == KEY_SPACE)
		c->view = (c->view + 1) % VIEWS;
	else if (e->type == EXO_EVENT_KEY && e->key.down && e->key.symbol == 's')
		c->seconds = !c->seconds;
	else
		return false;
	tick(ui, 0);
	return true;
}

static void layout(struct exo_ui *ui, int width, int height)
{
	struct clock_view *c = exo_ui_data(ui);

	exo_widget_place(&c->widget, 0, 0, width, height);
}

static int options(struct clock_view *c, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		int n = 0;

		if (strcmp(argv[i], "--no-seconds") == 0) {
			c->seconds = false;
		} else if (strcmp(argv[i], "--at") == 0 && argv[i + 1]) {
			i++;
			if (sscanf(argv[i], "%2d:%2d:%2d%n", &c->now.tm_hour, &c->now.tm_min,
				   &c->now.tm_sec, &n) != 3 ||
			    argv[i][n] || (unsigned)c->now.tm_hour > 23 ||
			    (unsigned)c->now.tm_min > 59 || (unsigned)c->now.tm_sec > 59) {
				fprintf(stderr, "clock: %s: not a time as 12:34:56\n", argv[i]);
				return -1;
			}
			c->fixed = true;
		} else {
			fprintf(stderr, "usage: clock [--at HH:MM:SS] [--no-seconds]\n");
			return -1;
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct clock_view c = {.seconds = true};
	const struct exo_ui_calls calls = {.layout = layout, .event = event, .tick = tick};
	struct exo_window *w;
	struct exo_ui *ui;

	exo_widget_init(&c.widget, &view_class);
	if (options(&c, argc, argv))
		return 2;
	read_time(&c);
	w = exo_window_open("Clock", 0);
	ui = w ? exo_ui_create(w, &calls, &c) : NULL;
	if (!ui) {
		fprintf(stderr, "clock: no window: %s\n", strerror(errno));
		return 1;
	}
	exo_ui_add(ui, &c.widget);
	wait_for_change(ui);
	return exo_ui_run(ui) ? 1 : 0;
}
