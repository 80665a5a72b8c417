/*
 * What the files of exo_widgets.h share.
 *
 *	widgets.c         the ui: placing, drawing, focus     widgets_event.c   events to widgets
 *	widgets_plain.c   buttons, status lines               widgets_scroll.c  scroll bars, sliders
 *	widgets_field.c   a line of text                      widgets_list.c    rows
 */
#ifndef WIDGETS_IMPL_H
#define WIDGETS_IMPL_H

#include <exo_widgets.h>

struct exo_ui {
	struct exo_window *window;
	struct exo_ui_calls calls;
	void *data;
	struct exo_theme theme;
	struct exo_font *font;
	unsigned scale; /* 120ths */
	int width, height;
	bool placed; /* for this size and scale */
	bool all;    /* everything is to be drawn */
	bool quit, failed;
	uint64_t wake_ns;  /* 0: never */
	uint64_t since_ns; /* it was made; 0: it was drawn once */

	struct exo_widget *first;
	struct exo_widget *focus, *over, *held;
	bool ring;            /* the keyboard is used: the focus is shown */
	uint32_t held_button; /* bits from BTN_LEFT on */
	bool finger;

	/* For double clicks. */
	uint64_t click_ns;
	int click_x, click_y;
	uint16_t click_code;
	unsigned clicks;
};

/* 0, or -1: no memory for the font. */
int ui_settings(struct exo_ui *ui);
void ui_event(struct exo_ui *ui, const struct exo_event *e);
/* Nothing points at it any more. */
void ui_let_go(struct exo_ui *ui, const struct exo_widget *w);

/* The next to have the focus. */
void ui_focus_next(struct exo_ui *ui, bool back);

static inline const struct exo_theme *ui_theme(const struct exo_widget *w)
{
	return exo_ui_theme(w->ui);
}

/* It has the focus, and that is to be seen. */
static inline bool ui_ring(const struct exo_widget *w)
{
	return w->ui->ring && w->ui->focus == w && exo_window_focused(w->ui->window);
}

/* The baseline that puts a line of text in the middle of so many rows. */
static inline int ui_baseline(const struct exo_font *f, int y, int height)
{
	return y + (height - exo_font_height(f)) / 2 + exo_font_ascent(f);
}

#endif
