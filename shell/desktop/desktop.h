/*
 * The desktop: the process with the windows (exo-desktop, started by `exo desktop`). A client of
 * the session, which keeps policy and guests: a desktop that dies loses none of them, and
 * the next one finds them all. One process, one thread, one event loop; nothing
 * waits for a guest.
 *
 *	main.c      options, start, end            output*.c  SDL2, headless; KMS to come
 *	core.c, events.c  the loop; hid's ops     compose.c  pictures and frames to the screen
 *	screen.c    one guest's pictures, input    paint.c, text.c, theme.c  drawing for the shell
 *	audio.c, capture.c  sound                       shot.c, cast.c  screenshots, screencast
 *	link.c      the session's control socket   guests.c   what is known of each guest
 *	panel.c     windows of the shell's own     panel_*.c  launcher, windows, console, graph, …
 *	service.c   the service "desktop"          clip.c     clipboard; chooser.c, files.c powerbox
 *	remote.c    desktop.sock: scripts          notice.c   what was refused
 */
#ifndef DESKTOP_H
#define DESKTOP_H

#include "hidmux.h"
#include "keymap.h"
#include "loop.h"

#include <exo/desktop.h>
#include <exo/display.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct desktop;
struct output;  /* output.h */
struct link;    /* below */
struct screen;  /* screen.c */
struct service; /* service.c: a guest's connection */
struct panel;

/* ---- pictures (paint.c, text.c, theme.c) ------------------------------------------ */

/* 0xAARRGGBB premultiplied, as pixman's a8r8g8b8. stride: pixels. */
struct canvas {
	uint32_t *pixels;
	int width, height, stride;
};

struct theme {
	bool dark;
	uint32_t background, panel, panel_text, dim_text, accent, border, field, danger, strip,
		strip_text;
};

enum face { FACE_SANS, FACE_BOLD, FACE_MONO };

void paint_fill(const struct canvas *c, uint32_t colour);
void paint_rect(const struct canvas *c, int x, int y, int width, int height, uint32_t colour);
void paint_round(const struct canvas *c, int x, int y, int width, int height, int radius,
		 uint32_t colour);
void paint_frame(const struct canvas *c, int x, int y, int width, int height, int line,
		 uint32_t colour);
void paint_line(const struct canvas *c, int x0, int y0, int x1, int y1, int thickness,
		uint32_t colour);
/* Baseline at y; bytes -1: to its end. Not UTF-8: U+FFFD. Where the next character goes. */
int paint_text(const struct canvas *c, enum face face, int size, int x, int y, const char *text,
	       int bytes, uint32_t colour);
/* The same, but ends with an ellipsis where max_width is reached. */
int paint_text_within(const struct canvas *c, enum face face, int size, int x, int y, int max_width,
		      const char *text, uint32_t colour);
int paint_text_width(enum face face, int size, const char *text, int bytes);
int paint_text_ascent(enum face face, int size);
int paint_text_height(enum face face, int size);
/* Black or white, whichever can be read on it. */
uint32_t paint_contrast(uint32_t colour);
/* part / 255 of b, the rest of a. */
uint32_t paint_mix(uint32_t a, uint32_t b, unsigned part);
/* Over what is there; coverage ≤ 255. */
void paint_blend(uint32_t *at, uint32_t colour, unsigned coverage);
/* A part of c to draw in, cut off at its edges: 0 x 0 if nothing is left. */
struct canvas paint_part(const struct canvas *c, int x, int y, int width, int height);
/* Frees faces and glyphs; the next text makes them again. */
void text_close(void);
/* The character at *at, which moves on; U+FFFD for bytes that are none. text.c */
uint32_t paint_character(const char **at, const char *end);
/* "1.5 M". panel.c */
void paint_size_words(uint64_t bytes, char out[24]);
void theme_set(struct theme *t, bool dark);
/* n pixels at scale 1 are so many here. */
int desktop_px(const struct desktop *d, int n);

/* ---- guests (guests.c) --------------------------------------------------------------- */

/* A guest as the desktop knows it; there while the session knows it and it has not ended. */
struct dguest {
	struct desktop *desktop;
	struct dguest *next;
	char name[64], label[32];
	uint32_t colour; /* 0xRRGGBB: trust */
	uint64_t number;
	char state[16]; /* of docs/control.md */
	bool paused;
	bool fresh;              /* became known after the list that is under way was asked for */
	struct screen *screen;   /* or NULL: no display */
	struct service *service; /* or NULL: it did not connect to "desktop" */
	struct panel *console;   /* its console window, or NULL */
	int pty;                 /* master of its terminal if we started it, -1 */
	uint16_t rows, cols;     /* of that */
	char *log; /* the last of what it printed, for a console that opens; or NULL */
	size_t log_bytes;
	bool launched;  /* from here, and it has shown no window yet */
	bool following; /* its log comes from the session, because it has no pty of ours */
	hid_id window[EXO_DPY_SCANOUTS_MAX]; /* 0: none */
	unsigned width, height;              /* its first window, at scale 1 */
	char title[EXO_DPY_SCANOUTS_MAX]
		  [EXO_DESK_TEXT_MAX + 1]; /* as the guest claims; clean UTF-8 */
	/* From `top`, while somebody looks. */
	uint64_t cpu_us, memory_bytes, tx_bytes, rx_bytes;
	double cpu_share; /* of one CPU */
};

struct dguest *guests_find(struct desktop *d, const char *name);
/* Which guest's, and which of its scanouts. NULL: a panel's. */
struct dguest *guests_of_window(struct desktop *d, hid_id id, unsigned *scanout);
/* Asks the session for states and figures; a second apart while `watching` is not 0. */
void guests_watch(struct desktop *d, bool on);
/* Starts a program (absolute path of .elf or .exo) with a console. why: one line. */
void guests_launch(struct desktop *d, const char *path, char *const *args);
void guests_kill(struct desktop *d, const char *name);
void guests_stop(struct desktop *d, const char *name);
void guests_pause(struct desktop *d, const char *name, bool on);
/*
 * The console of g begins to show what g prints: g->log first, then panel_console_output is
 * called with what follows. Of a guest without a pty of ours its log in the session is followed.
 */
void guests_console_opened(struct dguest *g);
void guests_console_closed(struct dguest *g);
/* Typed into the console. Nothing without a pty. */
void guests_type(struct dguest *g, const char *bytes, size_t n);
void guests_resize_pty(struct dguest *g, uint16_t rows, uint16_t cols);
/* From screen.c. It shows a picture on this scanout for the first time, or none any more. */
void guests_window_changed(struct dguest *g, unsigned scanout);
/* Its socket hung up: the screen is destroyed before this returns. */
void guests_screen_gone(struct dguest *g);

/* ---- the session (link.c) --------------------------------------------------------------- */

/* answer: its fields, or NULL: the session is gone. fd: of the answer, the callee's, or -1. */
typedef void link_fn(void *opaque, json_t *answer, int fd);

/*
 * Sends a request (docs/control.md; without id); takes over `request`; fds stay the caller's.
 * done may be NULL; it is called once, later, never from within.
 */
void link_request(struct desktop *d, json_t *request, const int *fds, unsigned nfds, link_fn *done,
		  void *opaque);
/* Nobody called with this opaque any more. */
void link_forget(struct desktop *d, const void *opaque);
/* Events of this name go there; fd: of the event, the callee's, or -1. Limit: 16 names. */
typedef void link_event_fn(struct desktop *d, const json_t *event, int fd);
void link_on(struct desktop *d, const char *event, link_event_fn *fn);
/* Called at once if the session is there, and whenever it is there again after it was lost. */
void link_on_connect(struct desktop *d, void (*fn)(struct desktop *d));
bool link_there(const struct desktop *d);
/* The message of an answer with ok false, or NULL: it went well. */
const char *link_error(const json_t *answer);
/* A link_fn for requests of which only the refusal matters: a notice. opaque: the desktop. */
void link_tell(void *opaque, json_t *answer, int fd);

/* ---- screens (screen.c, compose.c) -------------------------------------------------------- */

/* A guest's display connection; fd: from the session's event. NULL with errno. */
struct screen *screen_create(struct dguest *guest, int fd, unsigned scanouts, int width,
			     int height);
/* NULL-safe. The guest's windows stay: guests.c's business. */
void screen_destroy(struct screen *s);
/* What a person did in its window. */
void screen_key(struct screen *s, unsigned scanout, uint16_t code, bool down);
void screen_pointer(struct screen *s, unsigned scanout, int x, int y);
void screen_button(struct screen *s, unsigned scanout, uint16_t code, bool down);
void screen_wheel(struct screen *s, unsigned scanout, int dx, int dy);
void screen_touch(struct screen *s, unsigned scanout, unsigned slot, unsigned phase, int x, int y);
void screen_configure(struct screen *s, unsigned scanout, int width, int height, bool visible);
/* The picture that scanout shows now: *c points into picture memory. False: none yet. */
bool screen_picture(struct screen *s, unsigned scanout, struct canvas *c, uint32_t *format);
/* The last flush that it was told to be presented. False: it shows no picture. */
bool screen_shown(const struct screen *s, unsigned scanout, uint32_t *sequence);
/* The pointer's picture over it, 64 x 64; NULL: it never said one. */
const uint32_t *screen_cursor(const struct screen *s, unsigned scanout, bool *visible, int *hot_x,
			      int *hot_y);
uint32_t screen_inputs(const struct screen *s); /* EXO_DPY_HAS_* */
/*
 * The person closes one of several windows: the guest's display is unplugged until it shows
 * nothing there. False: it is already, and the guest does not mind.
 */
bool screen_unplug(struct screen *s, unsigned scanout);
void screen_scale_changed(struct screen *s);
/* Recorded sound for its guest: whole frames, at most EXO_DPY_PCM_MAX bytes; else it is lost. */
void screen_captured(struct screen *s, const void *data, uint32_t bytes);
/* A frame was shown: who waits for it is answered. */
void screens_presented(struct desktop *d, uint64_t now_ns);
uint64_t screens_tick(struct desktop *d, uint64_t now_ns);
/* Draws these rectangles, which do not overlap, of the screen. */
void compose(struct desktop *d, const struct canvas *c, const struct hid_rect *rects, unsigned n);
/* Tells hid when the words on the strip have changed; when they will by themselves, 0: not. */
uint64_t compose_strip_tick(struct desktop *d, uint64_t now_ns);
void compose_close(struct desktop *d);

/* ---- sound (audio.c) ----------------------------------------------------------------------- */

struct audio_stream;
/* So many bytes of what was written were played. Never from within audio_write. */
typedef void audio_played_fn(void *opaque, uint32_t bytes);

/* NULL: no memory. */
struct audio_stream *audio_play(struct desktop *d, uint32_t rate, uint32_t channels,
				audio_played_fn *played, void *opaque);
/* Whole frames of 16 bits. False: lost (also if st is NULL). */
bool audio_write(struct audio_stream *st, const void *data, uint32_t bytes);
/* NULL-safe. What was not played is dropped; played is not called any more. */
void audio_stop(struct audio_stream *st);
/* The guest listens to its microphone (rate 0: no more): it hears silence until it is allowed. */
void audio_capture_wanted(struct dguest *g, uint32_t rate, uint32_t channels);
/* The person lets this guest hear the microphone, or no longer. */
void audio_capture(struct desktop *d, struct dguest *g, bool on);
bool audio_captures(const struct dguest *g); /* allowed now */
void audio_capture_stop(struct dguest *g);   /* its display is gone */
/* wav: what is played also goes to this file; or NULL. device: false: nobody hears it. */
int audio_open(struct desktop *d, const char *wav, bool device);
void audio_close(struct desktop *d);
uint64_t audio_tick(struct desktop *d, uint64_t now_ns);

/* ---- the shell's own windows (panel.c) --------------------------------------------------------
 */

struct panel_event_key {
	uint16_t code;
	bool down, repeat;
	uint32_t modifiers; /* KEYMAP_* */
	uint32_t symbol;
	const char *text;
};

/* All but draw optional. Coordinates: pixels of the content. */
struct panel_class {
	const char *name; /* in scripts and tests: "launcher" */
	void (*draw)(struct panel *p, const struct canvas *c); /* all of it */
	void (*key)(struct panel *p, const struct panel_event_key *e);
	void (*pointer)(struct panel *p, int x, int y);
	void (*button)(struct panel *p, int x, int y, uint16_t code, bool down);
	void (*wheel)(struct panel *p, int dx, int dy);
	void (*resized)(struct panel *p);
	void (*focus)(struct panel *p, bool there);
	/* Guests came, went, changed; new figures of them (guests_watch). */
	void (*listed)(struct panel *p);
	/* Its timer; the next time, 0: none. */
	uint64_t (*tick)(struct panel *p, uint64_t now_ns);
	/* The person closes it: NULL: it just goes. */
	void (*close)(struct panel *p);
	void (*destroy)(struct panel *p); /* frees what is behind it */
};

struct panel {
	struct desktop *desktop;
	struct panel *next;
	const struct panel_class *cls;
	hid_id id;
	char title[128];
	uint32_t colour; /* of its frame; 0: the shell's */
	void *data;      /* the class's */
	int width, height;
	struct canvas canvas;
	int x, y; /* where the pointer was last */
	bool dirty, closing;
	uint64_t tick_ns;
};

/* A key of a panel that is held down. */
struct panel_repeat {
	struct panel *panel; /* NULL: none */
	uint16_t code;
	uint32_t symbol;
	char text[8];
	uint64_t at_ns;
};

/* NULL: no memory. It is focused if setup says panel and not otherwise asked. */
struct panel *panel_open(struct desktop *d, const struct panel_class *cls, const char *title,
			 const struct hid_window_setup *setup, void *data);
void panel_close(struct panel *p);
void panel_redraw(struct panel *p); /* draw is called before the next frame */
void panel_wake_at(struct panel *p, uint64_t when_ns);
struct panel *panel_find(struct desktop *d, const struct panel_class *cls);
struct panel *panel_of_window(struct desktop *d, hid_id id);
/*
 * What hid's ops say, told by core.c once the hid function that said it has returned: so
 * panels may open and close windows in these. The key's meaning is
 * symbol and text as d->key_symbol and key_text were when it was pressed.
 */
void panel_on_key(struct panel *p, uint16_t code, bool down, uint32_t symbol, const char *text);
void panel_on_pointer(struct panel *p, int x, int y);
void panel_on_button(struct panel *p, uint16_t code, bool down);
void panel_on_wheel(struct panel *p, int dx, int dy);
void panel_on_configure(struct panel *p, int width, int height);
void panel_on_focus(struct panel *p, bool there);
void panel_on_close(struct panel *p);
/* Typing and Backspace in one line of `size` bytes. True: the key was one of these.
 * desk_text.c */
bool panel_edit(char *text, size_t size, const struct panel_event_key *e);
void panels_draw(struct desktop *d); /* those that asked: before a frame is composed */

/* Each opens, or closes if it is open. panel_*.c */
void panel_launcher(struct desktop *d);
void panel_windows(struct desktop *d);
void panel_graph(struct desktop *d);
void panel_help(struct desktop *d);
void panel_attention(
	struct desktop *d); /* the secure attention menu: who is who, kill, lock input */
void panel_console(struct desktop *d, struct dguest *g);
void panel_console_output(struct panel *p, const char *bytes, size_t n);
void panel_console_ended(struct panel *p, const char *how); /* its guest is over */
/* Newest first: [{text, seconds}]; the caller's. The count since they were last looked at. */
json_t *notices_list(struct desktop *d);
unsigned notices_unseen(const struct desktop *d);
void notices_seen(struct desktop *d);
/* A line that shows for some seconds, and stays in the list of notices. */
void notice(struct desktop *d, uint32_t colour, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* ---- the service, clipboard, files (service.c, clip.c, chooser.c) -------------------------------
 */

void service_settings_changed(struct desktop *d); /* theme, scale, layout: tells all guests */
void service_focus(struct dguest *g, unsigned scanout, bool there);
void service_guest_gone(struct dguest *g);
void clip_copy(struct desktop *d, struct dguest *g, unsigned scanout);
void clip_paste(struct desktop *d, struct dguest *g, unsigned scanout);
/* For the strip: "text, 120 bytes, of notes", or NULL: it is empty. */
const char *clip_words(const struct desktop *d);
/* A host file was dropped at a place of the screen. */
void files_drop(struct desktop *d, int x, int y, const char *path);

/* ---- the desktop itself (core.c)
 * ----------------------------------------------------------------- */

struct desktop {
	struct loop loop;
	struct hid *hid;
	struct output *output;
	struct theme theme;
	uint32_t scale; /* 120ths */
	int width, height;
	/* For the shell's own windows: kept by desktop_key for every key, then hid is told. */
	struct keymap_state keyboard;
	uint32_t key_symbol;
	char key_text[8];
	struct dguest *guests;
	struct panel *panels;
	struct panel_repeat repeat;
	struct link *link;
	/* Of their files. */
	void *core, *compose, *table, *services, *clip, *files, *remote, *notices, *audio, *shot;
	char directory[96]; /* the session's */
	char layout[32];    /* name of keyboard.map */
	unsigned watching;
	uint64_t frames, wakeups; /* counters, for tests */
	uint64_t presented_ns;    /* when the last frame was shown */
	unsigned cursors;         /* counts pictures of pointers that came */
	uint64_t animation_epoch_ns;
	bool ending;
	int exit_code;
};

struct output_class;
struct desktop_setup {
	const struct output_class *output;
	int width, height; /* 0: the output's own choice */
	uint32_t scale;    /* 120ths; 0: the output's own */
	bool fullscreen, dark;
	const char *keymap;                  /* or NULL */
	const char *wav;                     /* what is played goes there, too; or NULL */
	struct hid_chord chord[HID_ACTIONS]; /* key 0: the default; DESKTOP_NO_KEY: none */
};
#define DESKTOP_NO_KEY UINT16_MAX /* that no keyboard has */

/* d: zeroes but for directory. 0, or -errno with why; desktop_close in any case. */
int desktop_open(struct desktop *d, const struct desktop_setup *setup, char why[256]);
/* Until desktop_end; its exit code. */
int desktop_run(struct desktop *d);
void desktop_close(struct desktop *d);

uint64_t desktop_now(const struct desktop *d); /* CLOCK_MONOTONIC */
/* Something is to be drawn, or is due then: the loop looks again. */
void desktop_wake_at(struct desktop *d, uint64_t when_ns);
/* What a person does; also from scripts. Codes: evdev. */
void desktop_key(struct desktop *d, uint16_t code, bool down);
void desktop_pointer(struct desktop *d, int x, int y);
void desktop_button(struct desktop *d, uint16_t code, bool down);
void desktop_wheel(struct desktop *d, int dx, int dy);
/* phase: as hid_touch. */
void desktop_touch(struct desktop *d, unsigned slot, unsigned phase, int x, int y);
/* The host's window has the keyboard, or no longer. */
void desktop_host_focus(struct desktop *d, bool there);
void desktop_action(struct desktop *d, enum hid_action action);
/* HID_ACTION_LAUNCHER: "launcher", …; HID_ACTION_NONE: no such word. */
enum hid_action desktop_action_named(const char *word);
/* The close button of its window: the person means it. */
void desktop_close_window(struct desktop *d, hid_id id);
/* The chords as they are set; key 0: none. */
void desktop_chords(const struct desktop *d, struct hid_chord chord[HID_ACTIONS]);
void desktop_set_layout(struct desktop *d, const char *keymap); /* unknown: a notice */
void desktop_set_theme(struct desktop *d, bool dark);
void desktop_resized(struct desktop *d, int width, int height, uint32_t scale);
/* Asks the output for another size; desktop_resized says what came of it. */
void desktop_resize(struct desktop *d, int width, int height);
void desktop_end(struct desktop *d, int exit_code);
/* The screen as it was last presented; valid until the loop goes on. */
const struct canvas *desktop_screen(struct desktop *d);
/* Writes a PNG: the screen, or a window's content. 0 or -errno. */
int shot_write(struct desktop *d, const char *path, const struct hid_rect *part);
/* For the person: the screen, to a new file in the folder of pictures; a notice says which. */
void shot_screenshot(struct desktop *d);
/*
 * From now on every frame goes to path: NAME.y4m, else a folder of numbered PNG pictures. What
 * the disk is too slow for is left out. 0 or -errno.
 */
int shot_cast_begin(struct desktop *d, const char *path);
/* All that was taken is written when it returns; the frames, and how many were left out. */
uint64_t shot_cast_end(struct desktop *d, uint64_t *dropped);
/* Where a picture or film of now goes: "…/exoshell-DATE-TIME" and this ending. */
void shot_new_name(char path[4096], const char *ending);
bool shot_casting(const struct desktop *d);
void shot_frame(struct desktop *d, uint64_t now_ns); /* a frame was presented */

/*
 * The outcome of main.c's options, for remote.c: --scenario and --demo run `exo script` as a
 * child against desktop.sock; its exit code is ours.
 */
int remote_listen(struct desktop *d);
int remote_run_scenario(struct desktop *d, char *const *files, bool demo);
void remote_finish(struct desktop *d);

/* ---- the parts' begin, deadlines and end, all called by core.c --------------------------------
 */

/* 0 or -errno with why, one line. directory: d->directory. */
int link_open(struct desktop *d, char why[256]);
void link_close(struct desktop *d);
int guests_open(struct desktop *d);
void guests_close(struct desktop *d); /* its guests go on */
int services_open(struct desktop *d); /* also clip.c, chooser.c, files.c */
void services_close(struct desktop *d);
void panels_close(struct desktop *d);
void notices_close(struct desktop *d);
/* What is due is done; the next deadline, 0: none. */
uint64_t link_tick(struct desktop *d, uint64_t now_ns);
uint64_t guests_tick(struct desktop *d, uint64_t now_ns);
uint64_t panels_tick(struct desktop *d, uint64_t now_ns);
uint64_t services_tick(struct desktop *d, uint64_t now_ns);
uint64_t remote_tick(struct desktop *d, uint64_t now_ns);

#endif
