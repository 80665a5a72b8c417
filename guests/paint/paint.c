/*
 * paint: pencil, lines, figures, filling, undo. It opens and saves what the person chooses in
 * the desktop's window, or drops on it, and reaches no other file.
 *
 *	P L R E F W tools, 1 to 9 thickness, Ctrl-N, Ctrl-O, Ctrl-S, Ctrl-Z; wheel and arrows move a
 *	picture that is larger than the window. The desktop's copy and paste take pictures.
 */
#include "picture.h"

#include <errno.h>
#include <exo/desktop.h>
#include <exo_widgets.h>
#include <fcntl.h>
#include <linux/input-event-codes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COLOURS 12
#define BAR 40
#define FILE_MAX_BYTES (32u << 20)

enum verb { VERB_NEW, VERB_OPEN, VERB_SAVE, VERB_UNDO, VERBS };

static const char *const tool_words[TOOLS] = {"Pencil", "Line", "Box", "Ellipse", "Fill", "Eraser"};
static const char *const verb_words[VERBS] = {"New", "Open", "Save", "Undo"};
static const uint32_t colours[COLOURS] = {
	0xff1a1a1a, 0xff808080, 0xffffffff, 0xffc0392b, 0xffe67e22, 0xfff1c40f,
	0xff27ae60, 0xff16a085, 0xff2980b9, 0xff8e44ad, 0xffe91e8c, 0xff795548,
};

static struct {
	struct exo_ui *ui;
	struct picture picture;
	struct exo_surface shown; /* with the figure that is being drawn */
	struct exo_widget canvas;
	struct exo_button tool[TOOLS], verb[VERBS], colour[COLOURS];
	struct exo_scroll thickness;
	struct exo_status status;
	enum tool now;
	uint32_t ink;
	int x0, y0, x1, y1; /* of the figure, in the picture */
	int left, top;      /* of the picture, at the canvas's corner */
	bool drawing;
	uint32_t opening, saving; /* ids of the chooser, 0: none */
	char message[256];
} p;

static void say(const char *what, const char *more)
{
	snprintf(p.message, sizeof(p.message), "%s%s%s", what, more ? ": " : "", more ? more : "");
	exo_status_set(&p.status, p.message, "");
}

/* ---- the canvas -------------------------------------------------------------------------- */

static bool is_figure(void)
{
	return p.now == TOOL_LINE || p.now == TOOL_RECTANGLE || p.now == TOOL_ELLIPSE;
}

static void draw_canvas(struct exo_widget *w, const struct exo_surface *s,
			const struct exo_rect *dirty)
{
	exo_fill(s, exo_ui_theme(w->ui)->panel);
	exo_copy(s, -p.left, -p.top, &p.picture.s);
	if (p.drawing && is_figure()) {
		struct exo_surface part = *s;

		picture_apply(&part, p.now, p.x0 - p.left, p.y0 - p.top, p.x1 - p.left,
			      p.y1 - p.top, p.thickness.position, p.ink);
	}
}

static void changed(int x0, int y0, int x1, int y1)
{
	int edge = p.thickness.position + 2;
	int x = (x0 < x1 ? x0 : x1) - edge, y = (y0 < y1 ? y0 : y1) - edge;

	exo_widget_changed_part(&p.canvas, x - p.left, y - p.top, abs(x1 - x0) + 2 * edge,
				abs(y1 - y0) + 2 * edge);
}

static void on_button(struct exo_widget *w, int x, int y, uint16_t code, bool down,
		      uint32_t modifiers, unsigned clicks)
{
	x += p.left;
	y += p.top;
	if (code != BTN_LEFT)
		return;
	if (!down) {
		if (p.drawing && is_figure())
			picture_apply(&p.picture.s, p.now, p.x0, p.y0, p.x1, p.y1,
				      p.thickness.position, p.ink);
		p.drawing = false;
		exo_widget_changed(w);
		return;
	}
	picture_remember(&p.picture);
	p.drawing = true;
	p.x0 = p.x1 = x;
	p.y0 = p.y1 = y;
	if (!is_figure()) {
		picture_apply(&p.picture.s, p.now, x, y, x, y, p.thickness.position, p.ink);
		if (p.now == TOOL_FILL)
			exo_widget_changed(w);
		else
			changed(x, y, x, y);
	}
}

static void on_pointer(struct exo_widget *w, int x, int y, uint32_t buttons)
{
	if (!p.drawing || p.now == TOOL_FILL)
		return;
	x += p.left;
	y += p.top;
	if (is_figure()) {
		exo_widget_changed(w); /* what it covered comes back */
	} else {
		picture_apply(&p.picture.s, p.now, p.x1, p.y1, x, y, p.thickness.position, p.ink);
		changed(p.x1, p.y1, x, y);
	}
	p.x1 = x;
	p.y1 = y;
}

static void scroll_to(int left, int top)
{
	int right = (int)p.picture.s.width - p.canvas.width;
	int bottom = (int)p.picture.s.height - p.canvas.height;

	p.left = left > right ? right : left;
	p.top = top > bottom ? bottom : top;
	p.left = p.left < 0 ? 0 : p.left;
	p.top = p.top < 0 ? 0 : p.top;
	exo_widget_changed(&p.canvas);
}

static void on_wheel(struct exo_widget *w, const struct exo_event *e)
{
	scroll_to(p.left + e->wheel.dx / 3, p.top - e->wheel.dy / 3);
}

static void undo(void)
{
	if (!picture_undo(&p.picture))
		say("Nothing to undo", NULL);
	scroll_to(p.left, p.top);
}

/* ---- files ---------------------------------------------------------------------------------- */

static void open_bytes(const void *bytes, size_t n, const char *name)
{
	const char *why;

	if (picture_decode(&p.picture, bytes, n, &why)) {
		say("This is no picture that can be opened", why);
		return;
	}
	say(name, NULL);
	scroll_to(0, 0);
}

static void open_file(const char *path, const char *name)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	char *bytes = NULL;
	size_t n = 0;
	ssize_t got = -1;

	if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size > 0 && st.st_size <= FILE_MAX_BYTES)
		bytes = malloc((size_t)st.st_size);
	while (bytes && n < (size_t)st.st_size &&
	       (got = read(fd, bytes + n, (size_t)st.st_size - n)) > 0)
		n += (size_t)got;
	if (n)
		open_bytes(bytes, n, name);
	else
		say("The file cannot be read",
		    got < 0 ? strerror(errno) : "it is empty or too large");
	free(bytes);
	if (fd >= 0)
		close(fd);
}

static void save_file(const char *path, const char *name)
{
	size_t n = 0, done = 0;
	char *bytes = picture_encode(&p.picture, &n);
	int fd = bytes ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644) : -1;
	ssize_t wrote = 0;
	bool good;

	while (fd >= 0 && done < n && (wrote = write(fd, bytes + done, n - done)) > 0)
		done += (size_t)wrote;
	good = fd >= 0 && done == n && fsync(fd) == 0;
	say(good ? "Saved" : "Not saved", good ? name : strerror(errno));
	if (fd >= 0)
		close(fd);
	free(bytes);
}

static void choose(bool save)
{
	int id = exo_window_choose(exo_ui_window(p.ui), EXO_DESK_READ | (save ? EXO_DESK_WRITE : 0),
				   save, save ? "painting.png" : NULL);

	if (id < 0)
		say("There is no file chooser", strerror(errno));
	else if (save)
		p.saving = (uint32_t)id;
	else
		p.opening = (uint32_t)id;
}

static void copy(const struct exo_event *e)
{
	size_t n = 0;
	void *bytes = picture_encode(&p.picture, &n);

	(void)exo_window_copy(exo_ui_window(p.ui), e->copy.id, bytes ? EXO_DESK_PNG : EXO_DESK_NONE,
			      bytes, n);
	free(bytes);
}

/* ---- the window ------------------------------------------------------------------------------ */

static void choose_tool(enum tool tool)
{
	p.now = tool;
	for (unsigned i = 0; i < TOOLS; i++)
		exo_button_set(&p.tool[i], i == tool);
}

static void on_tool(struct exo_button *b)
{
	choose_tool((enum tool)(b - p.tool));
}

static void do_verb(enum verb verb)
{
	if (verb == VERB_UNDO)
		undo();
	else if (verb != VERB_NEW)
		choose(verb == VERB_SAVE);
	else if (picture_new(&p.picture, (unsigned)p.canvas.width, (unsigned)p.canvas.height))
		say("No new picture", strerror(errno));
	else
		scroll_to(0, 0);
}

static void on_verb(struct exo_button *b)
{
	do_verb((enum verb)(b - p.verb));
}

static void on_colour(struct exo_button *b)
{
	p.ink = colours[b - p.colour];
	for (unsigned i = 0; i < COLOURS; i++)
		exo_button_set(&p.colour[i], colours[i] == p.ink);
}

static void colour_icon(struct exo_button *b, const struct exo_surface *s, uint32_t colour)
{
	int edge = b->on ? exo_px(p.ui, 3) : exo_px(p.ui, 5);

	exo_fill_rect(s, edge, edge, (int)s->width - 2 * edge, (int)s->height - 2 * edge,
		      colours[b - p.colour]);
}

static bool on_key(const struct exo_event *e)
{
	static const char keys[] = "plrefw";
	const char *tool;

	if (!e->key.down)
		return false;
	if (e->key.modifiers & EXO_MOD_CTRL) {
		static const char verbs[] = "nosz";
		const char *verb = e->key.symbol ? strchr(verbs, (int)e->key.symbol) : NULL;

		if (verb && *verb)
			do_verb((enum verb)(verb - verbs));
		return verb && *verb;
	}
	tool = e->key.symbol && e->key.symbol < 128 ? strchr(keys, (int)e->key.symbol) : NULL;
	if (tool && *tool)
		choose_tool((enum tool)(tool - keys));
	else if (e->key.symbol >= '1' && e->key.symbol <= '9')
		exo_scroll_set(&p.thickness, p.thickness.total, 0, (int)(e->key.symbol - '0') * 3);
	else
		return false;
	return true;
}

static bool on_event(struct exo_ui *ui, const struct exo_event *e)
{
	switch (e->type) {
	case EXO_EVENT_KEY:
		return on_key(e);
	case EXO_EVENT_CHOSEN:
		if (e->file.error)
			say(e->file.error == ECANCELED ? "Not chosen" : "No file",
			    e->file.error == ECANCELED ? NULL : strerror(e->file.error));
		else if (e->file.id == p.saving)
			save_file(e->file.path, e->file.name);
		else
			open_file(e->file.path, e->file.name);
		return true;
	case EXO_EVENT_DROPPED:
		open_file(e->file.path, e->file.name);
		return true;
	case EXO_EVENT_COPY:
		copy(e);
		return true;
	case EXO_EVENT_PASTE:
		if (e->paste.format == EXO_DESK_PNG)
			open_bytes(e->paste.data, e->paste.bytes, "Pasted");
		return true;
	default:
		return false;
	}
}

static void laid_out(struct exo_ui *ui, int width, int height)
{
	int gap = exo_px(ui, 4), row = exo_px(ui, 28), x = gap, bar = exo_px(ui, BAR);
	int wide = exo_px(ui, 66), foot = exo_px(ui, 22), side = exo_px(ui, 26);

	for (unsigned i = 0; i < VERBS; i++, x += exo_px(ui, 52) + gap)
		exo_widget_place(&p.verb[i].widget, x, gap, exo_px(ui, 52), row);
	x += gap;
	for (unsigned i = 0; i < TOOLS; i++, x += wide + gap)
		exo_widget_place(&p.tool[i].widget, x, gap, wide, row);
	for (unsigned i = 0; i < COLOURS; i++)
		exo_widget_place(&p.colour[i].widget, gap, bar + (int)i * (side + gap), side, side);
	exo_widget_place(&p.thickness.widget, gap, bar + COLOURS * (side + gap) + gap, side,
			 exo_px(ui, 90));
	exo_widget_place(&p.canvas, side + 2 * gap, bar, width - side - 3 * gap,
			 height - bar - foot);
	exo_widget_place(&p.status.widget, gap, height - foot, width - 2 * gap, foot);
	if (!p.picture.s.pixels && picture_new(&p.picture, (unsigned)(width - side - 3 * gap),
					       (unsigned)(height - bar - foot)))
		exo_ui_quit(ui);
	scroll_to(p.left, p.top);
}

static void make_widgets(void)
{
	static const struct exo_widget_class canvas = {
		.draw = draw_canvas, .button = on_button, .pointer = on_pointer, .wheel = on_wheel};

	for (unsigned i = 0; i < VERBS; i++) {
		exo_button_init(&p.verb[i], verb_words[i], on_verb);
		exo_ui_add(p.ui, &p.verb[i].widget);
	}
	for (unsigned i = 0; i < TOOLS; i++) {
		exo_button_init(&p.tool[i], tool_words[i], on_tool);
		exo_ui_add(p.ui, &p.tool[i].widget);
	}
	for (unsigned i = 0; i < COLOURS; i++) {
		exo_button_init(&p.colour[i], "", on_colour);
		p.colour[i].icon = colour_icon;
		exo_ui_add(p.ui, &p.colour[i].widget);
	}
	exo_slider_init(&p.thickness, false, 40, 4, NULL);
	exo_ui_add(p.ui, &p.thickness.widget);
	exo_widget_init(&p.canvas, &canvas);
	exo_ui_add(p.ui, &p.canvas);
	exo_status_init(&p.status);
	exo_ui_add(p.ui, &p.status.widget);
	choose_tool(TOOL_PENCIL);
	on_colour(&p.colour[0]);
}

int main(void)
{
	static const struct exo_ui_calls calls = {.layout = laid_out, .event = on_event};
	struct exo_window *w = exo_window_open("Paint", 0);

	p.ui = w ? exo_ui_create(w, &calls, NULL) : NULL;
	if (!p.ui) {
		perror("paint: no window");
		return 1;
	}
	make_widgets();
	return exo_ui_run(p.ui) ? 1 : 0;
}
