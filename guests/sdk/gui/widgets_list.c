/* Rows of text, of which one can be selected. */
#include "widgets_impl.h"

#include <linux/input-event-codes.h>
#include <string.h>

#define ROW_TEXT 256
#define NOTCH 120

static int row_height(const struct exo_list *l)
{
	return exo_font_height(exo_ui_font(l->widget.ui)) + exo_px(l->widget.ui, 6);
}

static int bar_width(const struct exo_list *l)
{
	return exo_px(l->widget.ui, 12);
}

static int line(const struct exo_list *l)
{
	return exo_px(l->widget.ui, 1);
}

static bool has_bar(const struct exo_list *l)
{
	return (int64_t)l->count * row_height(l) > l->widget.height - 2 * line(l);
}

/* The selected row is to be seen. */
static void show(struct exo_list *l)
{
	int h = row_height(l), seen = l->widget.height - 2 * line(l);
	int64_t y = (int64_t)l->selected * h;

	if (l->selected < 0 || seen <= 0)
		return;
	if (y < l->top)
		l->top = (int)y;
	else if (y + h > (int64_t)l->top + seen)
		l->top = (int)(y + h - seen);
}

/* The bar is not among the ui's widgets: the list passes on what is for it. */
static void settle(struct exo_list *l)
{
	int seen = l->widget.height - 2 * line(l);
	int64_t total = (int64_t)l->count * row_height(l);
	struct exo_widget *bar = &l->bar.widget;

	if (bar->height != (seen > 0 ? seen : 0))
		show(l);
	bar->ui = l->widget.ui;
	bar->x = l->widget.width - bar_width(l) - line(l);
	bar->y = line(l);
	bar->width = bar_width(l);
	bar->height = seen > 0 ? seen : 0;
	total = total > INT32_MAX ? INT32_MAX : total;
	exo_scroll_set(&l->bar, (int)total, seen > 0 ? seen : 1, l->top);
	l->top = l->bar.position;
}

static void list_draw(struct exo_widget *w, const struct exo_surface *s,
		      const struct exo_rect *dirty)
{
	struct exo_list *l = (struct exo_list *)w;
	const struct exo_theme *t = ui_theme(w);
	struct exo_font *f = exo_ui_font(w->ui);
	int h = row_height(l), pad = exo_px(w->ui, 8), right;
	struct exo_surface rows;
	char text[ROW_TEXT];

	(void)dirty;
	settle(l);
	right = w->width - line(l) - (has_bar(l) ? bar_width(l) : 0);
	exo_fill(s, t->field);
	rows = exo_surface_part(s, line(l), line(l), right - line(l), w->height - 2 * line(l));
	for (unsigned i = (unsigned)(l->top / h); i < l->count; i++) {
		int y = (int)((int64_t)i * h - l->top);
		bool chosen = (int)i == l->selected;

		if (y >= (int)rows.height)
			break;
		text[0] = 0;
		l->row(l, i, text, sizeof(text));
		if (chosen)
			exo_fill_rect(&rows, 0, y, right, h,
				      w->ui->focus == w ? t->accent : t->hover);
		exo_text_within(&rows, f, pad, ui_baseline(f, y, h), (int)rows.width - 2 * pad,
				text, chosen && w->ui->focus == w ? t->accent_text : t->text);
	}
	exo_rect(s, 0, 0, w->width, w->height, line(l), ui_ring(w) ? t->accent : t->border);
	if (has_bar(l)) {
		const struct exo_widget *bar = &l->bar.widget;
		struct exo_surface part =
			exo_surface_part(s, bar->x, bar->y, bar->width, bar->height);

		bar->cls->draw(&l->bar.widget, &part, dirty);
	}
}

static void choose(struct exo_list *l, int64_t row)
{
	if (l->count == 0)
		return;
	row = row < 0 ? 0 : row >= (int64_t)l->count ? (int64_t)l->count - 1 : row;
	exo_widget_changed(&l->widget);
	if ((int)row == l->selected) {
		show(l);
		return;
	}
	l->selected = (int)row;
	show(l);
	if (l->changed)
		l->changed(l);
}

static bool list_key(struct exo_widget *w, const struct exo_event *e)
{
	struct exo_list *l = (struct exo_list *)w;
	int page = w->height / row_height(l) - 1;
	int64_t to = l->selected;

	switch (e->key.code) {
	case KEY_UP:
		to--;
		break;
	case KEY_DOWN:
		to++;
		break;
	case KEY_PAGEUP:
		to -= page;
		break;
	case KEY_PAGEDOWN:
		to += page;
		break;
	case KEY_HOME:
		to = 0;
		break;
	case KEY_END:
		to = l->count;
		break;
	case KEY_ENTER:
	case KEY_KPENTER:
		if (e->key.down && !e->key.repeat && l->selected >= 0 && l->chosen)
			l->chosen(l);
		return true;
	default:
		return false;
	}
	if (e->key.down)
		choose(l, to);
	return true;
}

static void list_button(struct exo_widget *w, int x, int y, uint16_t code, bool down,
			uint32_t modifiers, unsigned clicks)
{
	struct exo_list *l = (struct exo_list *)w;
	const struct exo_widget *bar = &l->bar.widget;
	int64_t row = ((int64_t)l->top + y - line(l)) / row_height(l);

	settle(l);
	if (l->bar.grab >= 0 || (has_bar(l) && x >= bar->x)) {
		bar->cls->button(&l->bar.widget, x - bar->x, y - bar->y, code, down, modifiers,
				 clicks);
		l->top = l->bar.position;
		exo_widget_changed(w);
		return;
	}
	if (code != BTN_LEFT || !down || row >= (int64_t)l->count)
		return;
	choose(l, row);
	if (clicks == 2 && l->chosen)
		l->chosen(l);
}

static void list_pointer(struct exo_widget *w, int x, int y, uint32_t buttons)
{
	struct exo_list *l = (struct exo_list *)w;
	const struct exo_widget *bar = &l->bar.widget;

	if (l->bar.grab < 0)
		return;
	bar->cls->pointer(&l->bar.widget, x - bar->x, y - bar->y, buttons);
	l->top = l->bar.position;
	exo_widget_changed(w);
}

static void list_wheel(struct exo_widget *w, const struct exo_event *e)
{
	struct exo_list *l = (struct exo_list *)w;

	l->top -= e->wheel.dy * 3 * row_height(l) / NOTCH;
	settle(l);
	exo_widget_changed(w);
}

static const struct exo_widget_class list_class = {
	.focus = true,
	.draw = list_draw,
	.key = list_key,
	.button = list_button,
	.pointer = list_pointer,
	.wheel = list_wheel,
};

void exo_list_init(struct exo_list *l,
		   void (*row)(struct exo_list *l, unsigned index, char *text, size_t size))
{
	memset(l, 0, sizeof(*l));
	exo_widget_init(&l->widget, &list_class);
	exo_scroll_init(&l->bar, false, NULL);
	l->row = row;
	l->selected = -1;
}

void exo_list_set(struct exo_list *l, unsigned count, int selected)
{
	l->count = count;
	l->selected = selected < (int64_t)count ? selected : (int)count - 1;
	if (!l->widget.ui)
		return;
	show(l);
	settle(l);
	exo_widget_changed(&l->widget);
}
