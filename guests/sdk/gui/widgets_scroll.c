/* Scroll bars and sliders: the same thing, but for how long the thumb is. */
#include "widgets_impl.h"

#include <linux/input-event-codes.h>
#include <string.h>

#define NOTCH 120 /* of a wheel */

static bool is_slider(const struct exo_scroll *s)
{
	return s->page == 0;
}

static int largest(const struct exo_scroll *s)
{
	return s->total > s->page ? s->total - s->page : 0;
}

static int step_of(const struct exo_scroll *s)
{
	int step = s->step ? s->step : (is_slider(s) ? s->total : s->page) / 10;

	return step > 0 ? step : 1;
}

/* Where the thumb is, along the bar. */
static void thumb(const struct exo_scroll *s, int *at, int *length)
{
	const struct exo_widget *w = &s->widget;
	int bar = s->across ? w->width : w->height, thick = s->across ? w->height : w->width;
	int least = exo_px(w->ui, 24), most = largest(s);

	*length = is_slider(s)   ? thick
		  : s->total > 0 ? (int)((int64_t)bar * s->page / s->total)
				 : bar;
	*length = *length < least && !is_slider(s) ? least : *length;
	*length = *length > bar ? bar : *length;
	*at = most ? (int)((int64_t)(bar - *length) * s->position / most) : 0;
	if (is_slider(s) && !s->across) /* more is higher */
		*at = bar - *length - *at;
}

static void draw_slider(const struct exo_scroll *sc, const struct exo_surface *s, int at,
			int length)
{
	const struct exo_widget *w = &sc->widget;
	const struct exo_theme *t = ui_theme(w);
	int groove = exo_px(w->ui, 4), middle = at + length / 2;
	int cx = sc->across ? middle : w->width / 2, cy = sc->across ? w->height / 2 : middle;
	int r = (sc->across ? w->height : w->width) / 2 - 1;

	if (sc->across) {
		exo_round_rect(s, 0, cy - groove / 2, w->width, groove, groove / 2, t->border);
		exo_round_rect(s, 0, cy - groove / 2, middle, groove, groove / 2, t->accent);
	} else {
		exo_round_rect(s, cx - groove / 2, 0, groove, w->height, groove / 2, t->border);
		exo_round_rect(s, cx - groove / 2, middle, groove, w->height - middle, groove / 2,
			       t->accent);
	}
	exo_circle(s, cx * 16, cy * 16, r * 16, ui_ring(w) ? t->text : t->accent);
	exo_circle(s, cx * 16, cy * 16, (r - exo_px(w->ui, 2)) * 16,
		   sc->grab >= 0 ? t->accent : t->panel);
}

static void scroll_draw(struct exo_widget *w, const struct exo_surface *s,
			const struct exo_rect *dirty)
{
	const struct exo_scroll *sc = (const struct exo_scroll *)w;
	const struct exo_theme *t = ui_theme(w);
	int at, length, pad = exo_px(w->ui, 2);
	int thick = (sc->across ? w->height : w->width) - 2 * pad;

	(void)dirty;
	thumb(sc, &at, &length);
	exo_fill(s, t->background);
	if (is_slider(sc)) {
		draw_slider(sc, s, at, length);
		return;
	}
	if (largest(sc) == 0)
		return;
	if (sc->across)
		exo_round_rect(s, at + pad, pad, length - 2 * pad, thick, thick / 2,
			       sc->grab >= 0 || ui_ring(w) ? t->accent : t->border);
	else
		exo_round_rect(s, pad, at + pad, thick, length - 2 * pad, thick / 2,
			       sc->grab >= 0 || ui_ring(w) ? t->accent : t->border);
}

static void move(struct exo_scroll *s, int64_t position)
{
	int most = largest(s);
	int to = position < 0 ? 0 : position > most ? most : (int)position;

	if (to == s->position)
		return;
	s->position = to;
	exo_widget_changed(&s->widget);
	if (s->moved)
		s->moved(s);
}

static void drag(struct exo_scroll *s, int along)
{
	int bar = s->across ? s->widget.width : s->widget.height, at, length, track;
	int64_t to;

	thumb(s, &at, &length);
	track = bar - length;
	if (track <= 0)
		return;
	to = ((int64_t)(along - s->grab) * largest(s) + track / 2) / track;
	move(s, is_slider(s) && !s->across ? largest(s) - to : to);
}

static void scroll_button(struct exo_widget *w, int x, int y, uint16_t code, bool down,
			  uint32_t modifiers, unsigned clicks)
{
	struct exo_scroll *s = (struct exo_scroll *)w;
	int along = s->across ? x : y, at, length;

	(void)modifiers;
	(void)clicks;
	if (code != BTN_LEFT)
		return;
	thumb(s, &at, &length);
	exo_widget_changed(w);
	if (!down) {
		s->grab = -1;
	} else if (along >= at && along < at + length) {
		s->grab = along - at;
	} else if (is_slider(s)) {
		s->grab = length / 2;
		drag(s, along);
	} else {
		move(s, (int64_t)s->position + (along < at ? -s->page : s->page));
	}
}

static void scroll_pointer(struct exo_widget *w, int x, int y, uint32_t buttons)
{
	struct exo_scroll *s = (struct exo_scroll *)w;

	(void)buttons;
	if (s->grab >= 0)
		drag(s, s->across ? x : y);
}

static void scroll_wheel(struct exo_widget *w, const struct exo_event *e)
{
	struct exo_scroll *s = (struct exo_scroll *)w;
	/* Up is less of a page that is scrolled, but more of a slider's value. */
	int64_t by = is_slider(s) ? e->wheel.dy
		     : s->across  ? e->wheel.dx - e->wheel.dy
				  : -e->wheel.dy;

	by = by * step_of(s) / NOTCH;
	move(s, s->position + by);
}

static bool scroll_key(struct exo_widget *w, const struct exo_event *e)
{
	struct exo_scroll *s = (struct exo_scroll *)w;
	int sign = is_slider(s) ? 1 : -1, page = is_slider(s) ? s->total / 4 : s->page;
	int64_t to = s->position;

	switch (e->key.code) {
	case KEY_UP:
		to += sign * step_of(s);
		break;
	case KEY_DOWN:
		to -= sign * step_of(s);
		break;
	case KEY_LEFT:
		to -= step_of(s);
		break;
	case KEY_RIGHT:
		to += step_of(s);
		break;
	case KEY_PAGEUP:
		to += sign * page;
		break;
	case KEY_PAGEDOWN:
		to -= sign * page;
		break;
	case KEY_HOME:
		to = 0;
		break;
	case KEY_END:
		to = largest(s);
		break;
	default:
		return false;
	}
	if (e->key.down)
		move(s, to);
	return true;
}

static const struct exo_widget_class slider_class = {
	.focus = true,
	.draw = scroll_draw,
	.key = scroll_key,
	.button = scroll_button,
	.pointer = scroll_pointer,
	.wheel = scroll_wheel,
};

/* A scroll bar's keys are those of what it scrolls. */
static const struct exo_widget_class scroll_class = {
	.draw = scroll_draw,
	.button = scroll_button,
	.pointer = scroll_pointer,
	.wheel = scroll_wheel,
};

void exo_scroll_init(struct exo_scroll *s, bool across, void (*moved)(struct exo_scroll *s))
{
	memset(s, 0, sizeof(*s));
	exo_widget_init(&s->widget, &scroll_class);
	s->across = across;
	s->page = 1;
	s->moved = moved;
	s->grab = -1;
}

void exo_slider_init(struct exo_scroll *s, bool across, int total, int value,
		     void (*moved)(struct exo_scroll *s))
{
	exo_scroll_init(s, across, moved);
	s->widget.cls = &slider_class;
	exo_scroll_set(s, total, 0, value);
}

void exo_scroll_set(struct exo_scroll *s, int total, int page, int position)
{
	int most = total > page ? total - page : 0;

	position = position < 0 ? 0 : position > most ? most : position;
	if (s->total == total && s->page == page && s->position == position)
		return;
	s->total = total;
	s->page = page;
	s->position = position;
	exo_widget_changed(&s->widget);
}
