/* The ui of a window: its widgets, their places, drawing (exo_widgets.h). */
#include "widgets_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NS_PER_MS 1000000u
#define FONT_SIZE 14
#define SCALE_ONE 120
#define SETTLE_NS 20000000u /* the first frame waits so long for theme and scale */

static const struct exo_theme dark = {
	.dark = true,
	.background = 0xff20252f,
	.panel = 0xff2e3543,
	.hover = 0xff3a4355,
	.field = 0xff171b23,
	.text = 0xffe8ebf1,
	.dim = 0xff98a1b3,
	.border = 0xff434c5e,
	.accent = 0xff5b9dff,
	.accent_text = 0xff0d1420,
	.danger = 0xffee6a61,
	.good = 0xff5fc27e,
};

static const struct exo_theme light = {
	.background = 0xfff2f4f8,
	.panel = 0xffe2e6ee,
	.hover = 0xffd3d9e5,
	.field = 0xffffffff,
	.text = 0xff1b1f29,
	.dim = 0xff5d6678,
	.border = 0xffbcc4d2,
	.accent = 0xff1f6feb,
	.accent_text = 0xffffffff,
	.danger = 0xffc62f27,
	.good = 0xff1a7f37,
};

uint64_t exo_ui_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int ui_settings(struct exo_ui *ui)
{
	unsigned scale = exo_window_scale(ui->window);

	scale = scale ? scale : SCALE_ONE;
	ui->theme = exo_window_dark(ui->window) ? dark : light;
	ui->all = true;
	if (scale == ui->scale)
		return 0;
	ui->scale = scale;
	ui->placed = false;
	exo_font_close(ui->font);
	ui->font = exo_font_open(EXO_SANS, (unsigned)exo_px(ui, FONT_SIZE));
	return ui->font ? 0 : -1;
}

struct exo_ui *exo_ui_create(struct exo_window *w, const struct exo_ui_calls *calls, void *data)
{
	struct exo_ui *ui = calloc(1, sizeof(*ui));

	if (!ui)
		return NULL;
	ui->window = w;
	ui->calls = *calls;
	ui->data = data;
	ui->since_ns = exo_ui_now_ns();
	if (ui_settings(ui)) {
		free(ui);
		errno = ENOMEM;
		return NULL;
	}
	return ui;
}

void exo_ui_destroy(struct exo_ui *ui)
{
	if (!ui)
		return;
	while (ui->first)
		exo_ui_remove(ui->first);
	exo_font_close(ui->font);
	free(ui);
}

void *exo_ui_data(const struct exo_ui *ui)
{
	return ui->data;
}

struct exo_window *exo_ui_window(const struct exo_ui *ui)
{
	return ui->window;
}

const struct exo_theme *exo_ui_theme(const struct exo_ui *ui)
{
	return &ui->theme;
}

struct exo_font *exo_ui_font(const struct exo_ui *ui)
{
	return ui->font;
}

int exo_px(const struct exo_ui *ui, int n)
{
	int64_t scaled = (int64_t)n * ui->scale;

	return (int)((scaled + (n < 0 ? -SCALE_ONE / 2 : SCALE_ONE / 2)) / SCALE_ONE);
}

/* ---- widgets -------------------------------------------------------------------- */

void exo_widget_init(struct exo_widget *w, const struct exo_widget_class *cls)
{
	memset(w, 0, sizeof(*w));
	w->cls = cls;
}

void exo_ui_add(struct exo_ui *ui, struct exo_widget *w)
{
	struct exo_widget **last = &ui->first;

	while (*last)
		last = &(*last)->next;
	*last = w;
	w->next = NULL;
	w->ui = ui;
	exo_ui_changed(ui);
}

void ui_let_go(struct exo_ui *ui, const struct exo_widget *w)
{
	if (ui->over == w)
		ui->over = NULL;
	if (ui->held == w)
		ui->held = NULL;
	if (ui->focus == w)
		exo_ui_focus(ui, NULL);
}

void exo_ui_remove(struct exo_widget *w)
{
	struct exo_ui *ui = w->ui;
	struct exo_widget **at;

	if (!ui)
		return;
	for (at = &ui->first; *at && *at != w; at = &(*at)->next)
		;
	if (*at)
		*at = w->next;
	ui_let_go(ui, w);
	w->ui = NULL;
	exo_ui_changed(ui);
}

void exo_ui_changed(struct exo_ui *ui)
{
	ui->placed = false;
	ui->all = true;
}

void exo_widget_place(struct exo_widget *w, int x, int y, int width, int height)
{
	if (w->x == x && w->y == y && w->width == width && w->height == height)
		return;
	w->x = x;
	w->y = y;
	w->width = width > 0 ? width : 0;
	w->height = height > 0 ? height : 0;
	if (w->ui)
		w->ui->all = true;
}

void exo_widget_show(struct exo_widget *w, bool on)
{
	if (w->hidden == !on)
		return;
	w->hidden = !on;
	if (!w->ui)
		return;
	w->ui->all = true;
	if (!on)
		ui_let_go(w->ui, w);
}

void exo_widget_enable(struct exo_widget *w, bool on)
{
	if (w->disabled == !on)
		return;
	w->disabled = !on;
	if (!on && w->ui)
		ui_let_go(w->ui, w);
	exo_widget_changed(w);
}

void exo_widget_changed(struct exo_widget *w)
{
	exo_widget_changed_part(w, 0, 0, w->width, w->height);
}

void exo_widget_changed_part(struct exo_widget *w, int x, int y, int width, int height)
{
	struct exo_rect *d = &w->dirty;
	int right = x + width < w->width ? x + width : w->width;
	int bottom = y + height < w->height ? y + height : w->height;

	x = x > 0 ? x : 0;
	y = y > 0 ? y : 0;
	if (x >= right || y >= bottom)
		return;
	if (d->width) {
		right = right > d->x + d->width ? right : d->x + d->width;
		bottom = bottom > d->y + d->height ? bottom : d->y + d->height;
		x = x < d->x ? x : d->x;
		y = y < d->y ? y : d->y;
	}
	*d = (struct exo_rect){x, y, right - x, bottom - y};
}

/* ---- focus ---------------------------------------------------------------------- */

void exo_ui_focus(struct exo_ui *ui, struct exo_widget *w)
{
	struct exo_widget *old = ui->focus;

	if (old == w)
		return;
	ui->focus = w;
	if (old) {
		if (old->cls->focused)
			old->cls->focused(old, false);
		exo_widget_changed(old);
	}
	if (w) {
		if (w->cls->focused)
			w->cls->focused(w, true);
		exo_widget_changed(w);
	}
}

struct exo_widget *exo_ui_focused(const struct exo_ui *ui)
{
	return ui->focus;
}

static bool may_focus(const struct exo_widget *w)
{
	return w->cls->focus && !w->hidden && !w->disabled && w->width && w->height;
}

void ui_focus_next(struct exo_ui *ui, bool back)
{
	struct exo_widget *best = NULL, *before = NULL, *w;
	bool passed = false;

	for (w = ui->first; w; w = w->next) {
		if (w == ui->focus) {
			passed = true;
			if (back && before)
				break;
			continue;
		}
		if (!may_focus(w))
			continue;
		if (!back && (passed || !ui->focus)) {
			best = w;
			break;
		}
		if (!best && !back)
			best = w; /* the first, should none follow */
		before = w;
	}
	w = back ? before : best;
	ui->ring = true;
	if (w)
		exo_ui_focus(ui, w);
	else if (ui->focus)
		exo_widget_changed(ui->focus);
}

/* ---- drawing -------------------------------------------------------------------- */

static bool is_due(const struct exo_ui *ui)
{
	if (ui->all || !ui->placed)
		return true;
	for (const struct exo_widget *w = ui->first; w; w = w->next)
		if (w->dirty.width && !w->hidden)
			return true;
	return false;
}

static void draw_widget(struct exo_ui *ui, const struct exo_surface *s, struct exo_widget *w)
{
	struct exo_rect dirty = w->dirty;
	struct exo_surface part;

	w->dirty.width = 0;
	if (ui->all)
		dirty = (struct exo_rect){0, 0, w->width, w->height};
	if (!dirty.width || w->hidden || !w->cls->draw)
		return;
	part = exo_surface_part(s, w->x, w->y, w->width, w->height);
	w->cls->draw(w, &part, &dirty);
	exo_window_damage(ui->window, w->x + dirty.x, w->y + dirty.y, dirty.width, dirty.height);
}

/* How long the first frame waits, so that it is not one of the wrong theme. */
static uint64_t settling_ns(const struct exo_ui *ui)
{
	uint64_t now = exo_ui_now_ns();

	return ui->since_ns && !exo_window_settled(ui->window) && now < ui->since_ns + SETTLE_NS
		       ? ui->since_ns + SETTLE_NS - now
		       : 0;
}

/* Not while the last frames are on their way: what comes meanwhile is drawn at once. */
void exo_ui_draw(struct exo_ui *ui)
{
	struct exo_surface s;

	if (!is_due(ui) || exo_window_busy(ui->window) || settling_ns(ui))
		return;
	ui->since_ns = 0;
	s = exo_window_begin(ui->window);
	if (!s.pixels)
		return;
	if ((int)s.width != ui->width || (int)s.height != ui->height) {
		ui->width = (int)s.width;
		ui->height = (int)s.height;
		exo_ui_changed(ui);
	}
	if (!ui->placed && ui->calls.layout)
		ui->calls.layout(ui, ui->width, ui->height);
	ui->placed = true;
	if (ui->all) {
		exo_fill(&s, ui->theme.background);
		exo_window_damage(ui->window, 0, 0, ui->width, ui->height);
	}
	for (struct exo_widget *w = ui->first; w; w = w->next)
		draw_widget(ui, &s, w);
	ui->all = false;
	if (exo_window_present(ui->window))
		ui->failed = true;
}

/* ---- running -------------------------------------------------------------------- */

void exo_ui_wake_at(struct exo_ui *ui, uint64_t when_ns)
{
	ui->wake_ns = when_ns;
}

int exo_ui_timeout_ms(const struct exo_ui *ui)
{
	int of_window = exo_window_timeout_ms(ui->window), own;
	uint64_t now = exo_ui_now_ns(), left = settling_ns(ui);

	if (!left && !ui->wake_ns)
		return of_window;
	if (!left)
		left = ui->wake_ns > now ? ui->wake_ns - now : 0;
	left = (left + NS_PER_MS - 1) / NS_PER_MS;
	own = left > 1000000 ? 1000000 : (int)left;
	return of_window >= 0 && of_window < own ? of_window : own;
}

static void tick(struct exo_ui *ui)
{
	uint64_t now;

	if (!ui->wake_ns || (now = exo_ui_now_ns()) < ui->wake_ns)
		return;
	ui->wake_ns = 0;
	if (ui->calls.tick)
		ui->calls.tick(ui, now);
}

/* Waits at most so long, takes what there is. */
static int take(struct exo_ui *ui, int timeout_ms)
{
	struct exo_event e;
	int r;

	/* Bounded: a flood of input is drawn in between. */
	for (unsigned i = 0; i < 256 && !ui->quit; i++) {
		r = exo_window_next(ui->window, &e, i ? 0 : timeout_ms);
		if (r < 0 && errno != EINTR)
			return -1;
		if (r <= 0)
			break;
		ui_event(ui, &e);
	}
	tick(ui);
	return 0;
}

int exo_ui_dispatch(struct exo_ui *ui)
{
	return take(ui, 0);
}

int exo_ui_run(struct exo_ui *ui)
{
	ui->quit = false;
	while (!ui->quit) {
		exo_ui_draw(ui);
		if (ui->failed || take(ui, exo_ui_timeout_ms(ui)))
			return -1;
	}
	return 0;
}

void exo_ui_quit(struct exo_ui *ui)
{
	ui->quit = true;
}
