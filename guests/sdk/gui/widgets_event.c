/* Events to widgets: who is below the pointer, who holds it, who has the keyboard. */
#include "widgets_impl.h"

#include <exo/desktop.h>
#include <linux/input-event-codes.h>
#include <stddef.h>

#define DOUBLE_CLICK_NS 400000000u
#define DOUBLE_CLICK_PX 4

static struct exo_widget *widget_at(const struct exo_ui *ui, int x, int y)
{
	struct exo_widget *found = NULL;

	for (struct exo_widget *w = ui->first; w; w = w->next)
		if (!w->hidden && !w->disabled && x >= w->x && y >= w->y && x < w->x + w->width &&
		    y < w->y + w->height)
			found = w; /* the last one is on top */
	return found;
}

static void pointer(struct exo_ui *ui, int x, int y, uint32_t buttons)
{
	struct exo_widget *w = ui->held ? ui->held : widget_at(ui, x, y);

	if (ui->over && ui->over != w) {
		struct exo_widget *old = ui->over;

		ui->over = NULL;
		if (old->cls->left)
			old->cls->left(old);
	}
	ui->over = w;
	if (w && w->cls->pointer)
		w->cls->pointer(w, x - w->x, y - w->y, buttons);
}

static unsigned count_clicks(struct exo_ui *ui, const struct exo_event *e, int x, int y,
			     uint16_t code)
{
	int near = exo_px(ui, DOUBLE_CLICK_PX);
	int dx = x - ui->click_x, dy = y - ui->click_y;
	bool again = code == ui->click_code && e->time_ns - ui->click_ns < DOUBLE_CLICK_NS &&
		     dx > -near && dx < near && dy > -near && dy < near;

	ui->clicks = again ? ui->clicks + 1 : 1;
	ui->click_ns = e->time_ns;
	ui->click_x = x;
	ui->click_y = y;
	ui->click_code = code;
	return ui->clicks;
}

/* A widget keeps the pointer from the first button's press to the last one's release. */
static void button(struct exo_ui *ui, const struct exo_event *e, int x, int y, uint16_t code,
		   bool down, uint32_t modifiers)
{
	uint32_t bit = code >= BTN_LEFT && code < BTN_LEFT + 32 ? 1u << (code - BTN_LEFT) : 0;
	struct exo_widget *w;

	if (down) {
		w = ui->held ? ui->held : widget_at(ui, x, y);
		ui->held_button |= w ? bit : 0;
		ui->held = w;
		if (ui->ring && ui->focus)
			exo_widget_changed(ui->focus);
		ui->ring = false;
		if (w && w->cls->focus)
			exo_ui_focus(ui, w);
		if (w && w->cls->button)
			w->cls->button(w, x - w->x, y - w->y, code, true, modifiers,
				       count_clicks(ui, e, x, y, code));
		return;
	}
	w = ui->held;
	ui->held_button &= ~bit;
	if (!ui->held_button)
		ui->held = NULL;
	if (w && w->cls->button)
		w->cls->button(w, x - w->x, y - w->y, code, false, modifiers, ui->clicks);
	if (w && !ui->held)
		pointer(ui, x, y, 0); /* it may be over another one */
}

/* The first finger is a pointer with one button. */
static void touch(struct exo_ui *ui, const struct exo_event *e)
{
	if (e->touch.slot != 0)
		return;
	pointer(ui, e->touch.x, e->touch.y, e->touch.phase == 1);
	if (e->touch.phase != 1)
		button(ui, e, e->touch.x, e->touch.y, BTN_LEFT, e->touch.phase == 0, 0);
	if (e->touch.phase == 2)
		pointer(ui, -1, -1, 0);
}

static void key(struct exo_ui *ui, const struct exo_event *e)
{
	const uint32_t other = EXO_MOD_CTRL | EXO_MOD_ALT | EXO_MOD_SUPER;
	struct exo_widget *w = ui->focus;

	if (w && w->cls->key && w->cls->key(w, e))
		return;
	if (e->key.down && e->key.code == KEY_TAB && !(e->key.modifiers & other))
		ui_focus_next(ui, e->key.modifiers & EXO_MOD_SHIFT);
}

static void copy(struct exo_ui *ui, uint32_t id)
{
	struct exo_widget *w = ui->focus;
	size_t bytes = 0;
	const char *text = w && w->cls->copy ? w->cls->copy(w, &bytes) : NULL;
	uint32_t format = text && bytes ? EXO_DESK_TEXT : EXO_DESK_NONE;

	exo_window_copy(ui->window, id, format, text ? text : "", format ? bytes : 0);
}

void ui_event(struct exo_ui *ui, const struct exo_event *e)
{
	struct exo_widget *w;

	if (e->type == EXO_EVENT_SETTINGS && ui_settings(ui))
		ui->failed = true;
	if (e->type == EXO_EVENT_RESIZE)
		exo_ui_changed(ui);
	if (e->type == EXO_EVENT_FOCUS && ui->focus)
		exo_widget_changed(ui->focus);
	if (ui->calls.event && ui->calls.event(ui, e))
		return;
	switch (e->type) {
	case EXO_EVENT_KEY:
		key(ui, e);
		break;
	case EXO_EVENT_POINTER:
		pointer(ui, e->pointer.x, e->pointer.y, e->pointer.buttons);
		break;
	case EXO_EVENT_BUTTON:
		button(ui, e, e->button.x, e->button.y, e->button.code, e->button.down,
		       e->button.modifiers);
		break;
	case EXO_EVENT_TOUCH:
		touch(ui, e);
		break;
	case EXO_EVENT_WHEEL:
		w = widget_at(ui, e->wheel.x, e->wheel.y);
		if (w && w->cls->wheel)
			w->cls->wheel(w, e);
		break;
	case EXO_EVENT_COPY:
		copy(ui, e->copy.id);
		break;
	case EXO_EVENT_PASTE:
		w = ui->focus;
		if (w && w->cls->paste && e->paste.format == EXO_DESK_TEXT)
			w->cls->paste(w, e->paste.data, e->paste.bytes);
		break;
	default:
		break;
	}
}
