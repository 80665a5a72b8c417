/*
 * A few widgets, for programs that look like one family: they follow the desktop's theme and scale
 * and are usable by keyboard alone (Tab goes round, Space and Enter press). One thread.
 *
 * A program makes an exo_ui for its window, adds widgets that lie in its own memory, places them
 * when `layout` is called, and runs:
 *
 *	static void laid_out(struct exo_ui *ui, int width, int height)
 *	{
 *		exo_widget_place(&ok.widget, exo_px(ui, 8), exo_px(ui, 8), exo_px(ui, 80),
 *				 exo_px(ui, 28));
 *	}
 *	ui = exo_ui_create(window, &(struct exo_ui_calls){.layout = laid_out}, NULL);
 *	exo_button_init(&ok, "OK", pressed);
 *	exo_ui_add(ui, &ok.widget);
 *	return exo_ui_run(ui) ? 1 : 0;
 *
 * What the program draws itself is a widget with a class of its own (struct exo_widget_class).
 * Only what was said to have changed is drawn again. Callbacks may do anything but destroy the ui.
 */
#ifndef EXO_WIDGETS_H
#define EXO_WIDGETS_H

#include "exo_draw.h"

#ifdef __cplusplus
extern "C" {
#endif

struct exo_ui;
struct exo_widget;

struct exo_rect {
	int x, y, width, height;
};

struct exo_theme {
	bool dark;
	uint32_t background; /* of the window */
	uint32_t panel;      /* of bars, buttons */
	uint32_t hover;      /* of a button below the pointer */
	uint32_t field;      /* of what is typed or drawn into */
	uint32_t text, dim;  /* on all of these */
	uint32_t border, accent, accent_text, danger, good;
};

/* ---- the window's ---- */

/* All optional. */
struct exo_ui_calls {
	/* Places the widgets: first, and when size or scale changed. */
	void (*layout)(struct exo_ui *ui, int width, int height);
	/* Every event, before widgets see it. True: they shall not. */
	bool (*event)(struct exo_ui *ui, const struct exo_event *e);
	/* The time of exo_ui_wake_at has come. */
	void (*tick)(struct exo_ui *ui, uint64_t now_ns);
};

/* The window stays the caller's. data: exo_ui_data. NULL with errno. */
struct exo_ui *exo_ui_create(struct exo_window *w, const struct exo_ui_calls *calls, void *data);
void exo_ui_destroy(struct exo_ui *ui); /* NULL-safe; the widgets are the caller's */
void *exo_ui_data(const struct exo_ui *ui);
struct exo_window *exo_ui_window(const struct exo_ui *ui);
const struct exo_theme *exo_ui_theme(const struct exo_ui *ui);
/* EXO_SANS of the usual size; another object after the scale has changed. */
struct exo_font *exo_ui_font(const struct exo_ui *ui);
/* n pixels at scale 1 are so many here. */
int exo_px(const struct exo_ui *ui, int n);
/* All is laid out and drawn again. */
void exo_ui_changed(struct exo_ui *ui);
/* tick is called then, once (CLOCK_MONOTONIC); 0: not. */
void exo_ui_wake_at(struct exo_ui *ui, uint64_t when_ns);
uint64_t exo_ui_now_ns(void);

/* Events until exo_ui_quit: 0, or -1 with errno. */
int exo_ui_run(struct exo_ui *ui);
void exo_ui_quit(struct exo_ui *ui);
/*
 * For a loop of one's own: exo_ui_draw; poll exo_window_fd for exo_ui_timeout_ms; then
 * exo_ui_dispatch, which takes the events there are. -1 with errno.
 */
void exo_ui_draw(struct exo_ui *ui);
int exo_ui_timeout_ms(const struct exo_ui *ui);
int exo_ui_dispatch(struct exo_ui *ui);

/* ---- widgets ---- */

/* All optional. Coordinates: pixels from the widget's corner. */
struct exo_widget_class {
	bool focus; /* Tab and clicks give it the keyboard */
	/* s is the widget's part of the picture; only `dirty` of it needs to be drawn. */
	void (*draw)(struct exo_widget *w, const struct exo_surface *s,
		     const struct exo_rect *dirty);
	/* EXO_EVENT_KEY while it has the focus. True: used. */
	bool (*key)(struct exo_widget *w, const struct exo_event *e);
	/* clicks: 1, 2 for the second of a double click, … A finger is BTN_LEFT. */
	void (*button)(struct exo_widget *w, int x, int y, uint16_t code, bool down,
		       uint32_t modifiers, unsigned clicks);
	/* Over it, or anywhere while a button is held that was pressed on it. */
	void (*pointer)(struct exo_widget *w, int x, int y, uint32_t buttons);
	void (*wheel)(struct exo_widget *w, const struct exo_event *e);
	void (*left)(struct exo_widget *w); /* by the pointer */
	void (*focused)(struct exo_widget *w, bool there);
	/* While it has the focus. copy: what to give, its bytes; NULL: nothing. */
	const char *(*copy)(struct exo_widget *w, size_t *bytes);
	void (*paste)(struct exo_widget *w, const char *text, size_t bytes);
};

struct exo_widget {
	const struct exo_widget_class *cls;
	struct exo_ui *ui; /* NULL: not added */
	struct exo_widget *next;
	int x, y, width, height; /* set by exo_widget_place */
	bool hidden, disabled;   /* set by exo_widget_show, exo_widget_enable */
	struct exo_rect dirty;   /* width 0: nothing */
	void *data;              /* the program's */
};

/* Zeroes all but cls; the widgets below have an init of their own that calls it. */
void exo_widget_init(struct exo_widget *w, const struct exo_widget_class *cls);
/* Tab's order is that of adding. */
void exo_ui_add(struct exo_ui *ui, struct exo_widget *w);
void exo_ui_remove(struct exo_widget *w);
void exo_widget_place(struct exo_widget *w, int x, int y, int width, int height);
void exo_widget_show(struct exo_widget *w, bool on);
void exo_widget_enable(struct exo_widget *w, bool on);
void exo_widget_changed(struct exo_widget *w); /* draw is called before the next frame */
void exo_widget_changed_part(struct exo_widget *w, int x, int y, int width, int height);
/* NULL: no widget has it. */
void exo_ui_focus(struct exo_ui *ui, struct exo_widget *w);
struct exo_widget *exo_ui_focused(const struct exo_ui *ui);

/* Text cut off with an ellipsis where max_width ends; where it ended. */
int exo_text_within(const struct exo_surface *s, struct exo_font *f, int x, int y, int max_width,
		    const char *text, uint32_t colour);

struct exo_button {
	struct exo_widget widget;
	const char *text; /* the program's; exo_widget_changed after a change */
	bool on;          /* drawn as chosen: of a tool, a switch */
	bool accent;      /* the one that is meant most */
	bool held, over;
	void (*pressed)(struct exo_button *b);
	/* Optional: draws instead of the text. */
	void (*icon)(struct exo_button *b, const struct exo_surface *s, uint32_t colour);
};
void exo_button_init(struct exo_button *b, const char *text, void (*pressed)(struct exo_button *b));
void exo_button_set(struct exo_button *b, bool on);

/* One line of text. */
struct exo_field {
	struct exo_widget widget;
	char *text; /* the program's, terminated UTF-8 */
	size_t size;
	size_t cursor, anchor; /* bytes; what is between them is selected */
	int scroll;            /* pixels */
	const char *hint;      /* shown while it is empty; or NULL */
	void (*changed)(struct exo_field *f);
	void (*entered)(struct exo_field *f); /* Enter */
	bool dragging;
};
/* text: at least a terminator, size bytes. */
void exo_field_init(struct exo_field *f, char *text, size_t size);
void exo_field_set(struct exo_field *f, const char *text);

/* Which part of something longer is shown; or, with page 0, a slider. */
struct exo_scroll {
	struct exo_widget widget;
	bool across; /* lies; else it stands */
	int total;   /* of the whole */
	int page;    /* of what is seen */
	int position;
	int step; /* of a key or a notch; 0: a tenth of the page, of a slider of the total */
	void (*moved)(struct exo_scroll *s); /* by the person */
	int grab;                            /* where in the thumb; -1: it is not held */
};
void exo_scroll_init(struct exo_scroll *s, bool across, void (*moved)(struct exo_scroll *s));
/* Puts it in its bounds. */
void exo_scroll_set(struct exo_scroll *s, int total, int page, int position);
/* 0 … total, from the left or from below. */
void exo_slider_init(struct exo_scroll *s, bool across, int total, int value,
		     void (*moved)(struct exo_scroll *s));

struct exo_list {
	struct exo_widget widget;
	unsigned count;
	int selected;          /* -1: none */
	int top;               /* pixels above what is seen */
	struct exo_scroll bar; /* drawn when the rows do not fit */
	/* Text of a row, terminated. */
	void (*row)(struct exo_list *l, unsigned index, char *text, size_t size);
	void (*changed)(struct exo_list *l); /* the selection, by the person */
	void (*chosen)(struct exo_list *l);  /* Enter or a double click */
};
void exo_list_init(struct exo_list *l,
		   void (*row)(struct exo_list *l, unsigned index, char *text, size_t size));
/* After rows were added or have gone. */
void exo_list_set(struct exo_list *l, unsigned count, int selected);

/* A line below (or text anywhere, with plain). */
struct exo_status {
	struct exo_widget widget;
	char left[160], right[80];
	bool plain; /* the window's background, no border */
	bool alarm; /* drawn in the colour of danger */
};
void exo_status_init(struct exo_status *s);
void exo_status_set(struct exo_status *s, const char *left, const char *right); /* NULL: as is */
/* The height that it wants, in pixels. */
int exo_status_height(const struct exo_ui *ui);

#ifdef __cplusplus
}
#endif

#endif
