/* Help: the shell's keys as they are set, and what the marks on the screen mean. */
#include "desktop.h"

#include <linux/input-event-codes.h>
#include <stdio.h>
#include <string.h>

#define WIDTH 640
#define LINE 20

static const struct panel_class cls;

static const struct {
	enum hid_action action;
	const char *words;
} lines[] = {
	{HID_ACTION_ATTENTION, "the shell itself, whatever a guest does"},
	{HID_ACTION_LAUNCHER, "start a program"},
	{HID_ACTION_WINDOWS, "guests and windows; pause, stop, kill"},
	{HID_ACTION_GRAPH, "who talks to whom; click a line to revoke"},
	{HID_ACTION_CONSOLE, "console of the guest in focus"},
	{HID_ACTION_NEXT, "next window"},
	{HID_ACTION_PREVIOUS, "previous window"},
	{HID_ACTION_CLOSE, "close the window"},
	{HID_ACTION_FULLSCREEN, "full screen, and back"},
	{HID_ACTION_MAXIMIZE, "maximize, and back"},
	{HID_ACTION_LAYOUT, "floating or tiled windows"},
	{HID_ACTION_COPY, "copy out of the guest in focus"},
	{HID_ACTION_PASTE, "paste into the guest in focus, once"},
	{HID_ACTION_SCREENSHOT, "screenshot"},
	{HID_ACTION_SCREENCAST, "start or end a screencast"},
	{HID_ACTION_KEYMAP, "next keyboard layout"},
	{HID_ACTION_THEME, "light or dark"},
	{HID_ACTION_PAUSE, "pause the guest in focus, or let it go on"},
	{HID_ACTION_KILL, "kill the guest in focus"},
	{HID_ACTION_HELP, "this"},
};

#define LINES (int)(sizeof(lines) / sizeof(lines[0]))

static void draw(struct panel *p, const struct canvas *c)
{
	struct desktop *d = p->desktop;
	struct hid_chord chord[HID_ACTIONS];
	int size = desktop_px(d, 13), line = desktop_px(d, LINE), left = desktop_px(d, 16);
	int y = desktop_px(d, 26);

	desktop_chords(d, chord);
	paint_fill(c, d->theme.panel);
	for (int i = 0; i < LINES; i++, y += line) {
		char words[64];

		if (!chord[lines[i].action].key)
			continue;
		hid_chord_words(&chord[lines[i].action], words);
		paint_text(c, FACE_MONO, size, left, y, words, -1, d->theme.panel_text);
		paint_text_within(c, FACE_SANS, size, left + desktop_px(d, 200), y,
				  c->width - left - desktop_px(d, 200), lines[i].words,
				  d->theme.panel_text);
	}
	y += line / 2;
	paint_text_within(c, FACE_SANS, size, left, y, c->width - 2 * left,
			  "A frame has the colour of its guest's trust label. What a guest says of "
			  "itself is in quotes.",
			  d->theme.dim_text);
	paint_text_within(c, FACE_SANS, size, left, y + line, c->width - 2 * left,
			  "The strip at the top is never a guest's: it names who has the keyboard.",
			  d->theme.dim_text);
}

static void key(struct panel *p, const struct panel_event_key *e)
{
	if (e->down && (e->code == KEY_ESC || e->code == KEY_ENTER))
		panel_close(p);
}

static const struct panel_class cls = {.name = "help", .draw = draw, .key = key};

void panel_help(struct desktop *d)
{
	struct panel *open = panel_find(d, &cls);
	struct hid_window_setup setup = {
		.width = desktop_px(d, WIDTH),
		.height = desktop_px(d, (LINES + 4) * LINE),
		.panel = true,
	};

	if (open)
		panel_close(open);
	else
		(void)panel_open(d, &cls, "Help", &setup, NULL);
}
