/*
 * The game with the falling pieces.
 *
 *	tetris [--seed N] [--level N]
 *
 * Left, right, down: moves. Up or X, Z: turns. Space: drops. C: holds. P: pauses. N: a new
 * game. It pauses by itself when it loses the keyboard. --seed: the same pieces each time.
 */
#include "game.h"

#include <exo_widgets.h>

#include <errno.h>
#include <linux/input-event-codes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define NS_PER_MS 1000000ull
#define LOCK_MS 500 /* what stands can still be moved */
#define FIRST_LEVEL_MAX 20

static const uint32_t colours[GAME_PIECES] = {
	[GAME_I] = 0xff35b5c9, [GAME_O] = 0xffe3b92f, [GAME_T] = 0xffa45bd0, [GAME_S] = 0xff58b04a,
	[GAME_Z] = 0xffd8504a, [GAME_J] = 0xff4a76d8, [GAME_L] = 0xffe0852f,
};

static struct play {
	struct exo_ui *ui;
	struct exo_widget board, side;
	struct exo_button start, pause;
	struct exo_status status;
	struct game game;
	bool seeded, paused;
	uint64_t seed, best;
	unsigned first_level;
	uint64_t fall_ns, lock_ns; /* lock_ns: 0 while it does not stand */
} play;

/* ---- time ------------------------------------------------------------------------ */

static uint64_t fall_time(void)
{
	return exo_ui_now_ns() + game_fall_ms(&play.game) * NS_PER_MS;
}

static void show_status(void)
{
	const struct game *g = &play.game;
	static const char *const lines[] = {"", "A line.", "Two lines.", "Three lines.", "Tetris!"};

	exo_status_set(&play.status,
		       g->over       ? "It is over. N: a new game."
		       : play.paused ? "Paused. P goes on."
		       : g->spin     ? "T-spin!"
				     : lines[g->cleared],
		       NULL);
	play.pause.text = play.paused ? "Go on" : "Pause";
	exo_widget_enable(&play.pause.widget, !g->over);
	exo_widget_changed(&play.pause.widget);
}

/* Something has changed: it is drawn, and its next time is set. */
static void changed(void)
{
	struct game *g = &play.game;

	if (g->score > play.best)
		play.best = g->score;
	exo_widget_changed(&play.board);
	exo_widget_changed(&play.side);
	show_status();
	if (g->over || play.paused) {
		exo_ui_wake_at(play.ui, 0);
		return;
	}
	if (!game_stands(g))
		play.lock_ns = 0;
	else if (!play.lock_ns)
		play.lock_ns = exo_ui_now_ns() + LOCK_MS * NS_PER_MS;
	exo_ui_wake_at(play.ui, play.lock_ns ? play.lock_ns : play.fall_ns);
}

/* A new piece has come. */
static void fresh(void)
{
	play.lock_ns = 0;
	play.fall_ns = fall_time();
	changed();
}

static void tick(struct exo_ui *ui, uint64_t now)
{
	struct game *g = &play.game;

	(void)ui;
	if (play.lock_ns && now >= play.lock_ns) {
		game_lock(g);
		fresh();
		return;
	}
	if (now >= play.fall_ns) {
		game_down(g, false);
		play.fall_ns = fall_time();
	}
	changed();
}

static void begin(void)
{
	if (!play.seeded && getrandom(&play.seed, sizeof(play.seed), 0) < 0)
		play.seed = exo_ui_now_ns();
	game_start(&play.game, play.seed);
	play.game.level = play.first_level;
	play.paused = false;
	fresh();
}

static void set_pause(bool on)
{
	if (play.game.over || play.paused == on)
		return;
	play.paused = on;
	play.lock_ns = 0;
	play.fall_ns = fall_time();
	changed();
}

/* ---- input ----------------------------------------------------------------------- */

/* Moving what stands puts off its lock, as often as the rules allow. */
static void moved(bool done)
{
	if (done && play.game.resets < 15)
		play.lock_ns = 0;
	changed();
}

/* Which letter it is: by the layout, where that has Latin ones, else by its place. */
static char letter(const struct exo_event *e)
{
	static const struct {
		uint16_t code;
		char letter;
	} places[] = {{KEY_X, 'x'}, {KEY_Z, 'z'}, {KEY_C, 'c'}, {KEY_P, 'p'}, {KEY_N, 'n'}};
	uint32_t c = e->key.symbol | 0x20;

	if (c >= 'a' && c <= 'z')
		return (char)c;
	for (size_t i = 0; e->key.symbol >= 0x80 && i < sizeof(places) / sizeof(places[0]); i++)
		if (places[i].code == e->key.code)
			return places[i].letter;
	return 0;
}

static void turn(const struct exo_event *e, bool clockwise)
{
	if (!e->key.repeat)
		moved(game_turn(&play.game, clockwise));
}

static bool play_letter(const struct exo_event *e)
{
	switch (letter(e)) {
	case 'x':
	case 'z':
		turn(e, letter(e) == 'x');
		return true;
	case 'c':
		if (!e->key.repeat && game_hold(&play.game))
			fresh();
		return true;
	default:
		return false;
	}
}

static bool play_key(const struct exo_event *e)
{
	struct game *g = &play.game;

	switch (e->key.code) {
	case KEY_LEFT:
	case KEY_RIGHT:
		moved(game_move(g, e->key.code == KEY_LEFT ? -1 : 1));
		return true;
	case KEY_DOWN:
		play.fall_ns = fall_time();
		moved(game_down(g, true));
		return true;
	case KEY_UP:
		turn(e, true);
		return true;
	case KEY_SPACE:
		if (!e->key.repeat) {
			game_drop(g);
			fresh();
		}
		return true;
	default:
		return play_letter(e);
	}
}

static bool event(struct exo_ui *ui, const struct exo_event *e)
{
	(void)ui;
	if (e->type == EXO_EVENT_FOCUS && !e->focus.there)
		set_pause(true);
	if (e->type != EXO_EVENT_KEY || !e->key.down || (e->key.modifiers & EXO_MOD_CTRL))
		return false;
	if (letter(e) == 'p' || e->key.code == KEY_ESC) {
		if (!e->key.repeat)
			set_pause(!play.paused);
		return true;
	}
	if (letter(e) == 'n' && !e->key.repeat) {
		begin();
		return true;
	}
	return !play.paused && !play.game.over && play_key(e);
}

/* ---- pictures -------------------------------------------------------------------- */

static uint32_t mix(uint32_t a, uint32_t b, unsigned of_256)
{
	uint32_t c = 0xff000000;

	for (int shift = 0; shift < 24; shift += 8)
		c |= ((a >> shift & 255) * of_256 + (b >> shift & 255) * (256 - of_256)) >>
		     8 << shift;
	return c;
}

static void draw_cell(const struct exo_surface *s, int x, int y, int size, uint32_t colour)
{
	int edge = size / 10 + 1;

	exo_fill_rect(s, x + 1, y + 1, size - 1, size - 1, mix(0xff000000, colour, 70));
	exo_fill_rect(s, x + 1, y + 1, size - 1 - edge, size - 1 - edge,
		      mix(0xffffffff, colour, 70));
	exo_fill_rect(s, x + 1 + edge, y + 1 + edge, size - 1 - 2 * edge, size - 1 - 2 * edge,
		      colour);
}

static void draw_ghost(const struct exo_surface *s, int x, int y, int size, uint32_t colour)
{
	exo_rect(s, x + 1, y + 1, size - 1, size - 1, size / 12 + 1, colour);
}

static void draw_piece(const struct exo_surface *s, enum game_piece piece, unsigned turn, int x,
		       int y, int size, bool ghost)
{
	int c[4][2];

	game_shape(piece, turn, c);
	for (int i = 0; i < 4; i++)
		(ghost ? draw_ghost : draw_cell)(s, x + c[i][0] * size, y + c[i][1] * size, size,
						 colours[piece]);
}

static void draw_board(struct exo_widget *w, const struct exo_surface *s,
		       const struct exo_rect *dirty)
{
	const struct exo_theme *t = exo_ui_theme(w->ui);
	const struct game *g = &play.game;
	int size = w->width / GAME_WIDTH, top = -GAME_HIDDEN * size;

	(void)dirty;
	exo_fill(s, t->field);
	for (int x = 1; x < GAME_WIDTH; x++)
		exo_fill_rect(s, x * size, 0, 1, w->height, t->background);
	for (int y = 1; y < GAME_HEIGHT; y++)
		exo_fill_rect(s, 0, y * size, w->width, 1, t->background);
	if (play.paused) { /* nobody plans ahead meanwhile */
		struct exo_font *f = exo_ui_font(w->ui);

		exo_text(s, f, (w->width - exo_text_width(f, "Paused", -1)) / 2, w->height / 2,
			 "Paused", -1, t->dim);
		return;
	}
	for (int y = GAME_HIDDEN; y < GAME_ROWS; y++)
		for (int x = 0; x < GAME_WIDTH; x++)
			if (g->cell[y][x])
				draw_cell(s, x * size, top + y * size, size,
					  g->over ? t->dim : colours[g->cell[y][x] - 1]);
	if (g->over)
		return;
	draw_piece(s, g->piece, g->turn, g->x * size, top + game_ghost(g) * size, size, true);
	draw_piece(s, g->piece, g->turn, g->x * size, top + g->y * size, size, false);
}

static int line(const struct exo_surface *s, int y, const char *name, uint64_t value)
{
	struct exo_font *f = exo_ui_font(play.ui);
	const struct exo_theme *t = exo_ui_theme(play.ui);
	char text[32];

	y += exo_font_height(f);
	exo_text(s, f, 0, y, name, -1, t->dim);
	snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	exo_text(s, f, (int)s->width - exo_text_width(f, text, -1), y, text, -1, t->text);
	return y + exo_px(play.ui, 3);
}

static void draw_side(struct exo_widget *w, const struct exo_surface *s,
		      const struct exo_rect *dirty)
{
	const struct exo_theme *t = exo_ui_theme(w->ui);
	const struct game *g = &play.game;
	struct exo_font *f = exo_ui_font(w->ui);
	int size = exo_px(w->ui, 14), y = 0, gap = exo_px(w->ui, 8);

	(void)dirty;
	exo_fill(s, t->background);
	y = line(s, y, "Score", g->score);
	y = line(s, y, "Best", play.best);
	y = line(s, y, "Lines", g->lines);
	y = line(s, y, "Level", g->level) + gap;
	y += exo_font_height(f);
	exo_text(s, f, 0, y, "Hold", -1, t->dim);
	if (g->hold >= 0 && !play.paused)
		draw_piece(s, (enum game_piece)g->hold, 0, w->width - 5 * size, y - size, size,
			   g->held);
	y += 2 * size + gap;
	exo_text(s, f, 0, y, "Next", -1, t->dim);
	for (unsigned i = 0; i < GAME_NEXT && !play.paused; i++)
		draw_piece(s, g->next[i], 0, w->width - 5 * size, y - size + (int)i * 3 * size,
			   size, false);
}

static const struct exo_widget_class board_class = {.draw = draw_board};
static const struct exo_widget_class side_class = {.draw = draw_side};

static void layout(struct exo_ui *ui, int width, int height)
{
	int gap = exo_px(ui, 10), bar = exo_status_height(ui), side = exo_px(ui, 150);
	int button = exo_px(ui, 30), size, x, board;

	size = (height - bar - 2 * gap) / GAME_HEIGHT;
	if (size > (width - side - 3 * gap) / GAME_WIDTH)
		size = (width - side - 3 * gap) / GAME_WIDTH;
	size = size < 4 ? 4 : size;
	board = size * GAME_HEIGHT;
	x = (width - size * GAME_WIDTH - side - gap) / 2;
	exo_widget_place(&play.board, x, gap, size * GAME_WIDTH, board);
	x += size * GAME_WIDTH + gap;
	exo_widget_place(&play.side, x, gap, side, board - 2 * button - 2 * gap);
	exo_widget_place(&play.pause.widget, x, gap + board - 2 * button - exo_px(ui, 6), side,
			 button);
	exo_widget_place(&play.start.widget, x, gap + board - button, side, button);
	exo_widget_place(&play.status.widget, 0, height - bar, width, bar);
}

/* ---- start ----------------------------------------------------------------------- */

static void pressed_start(struct exo_button *b)
{
	(void)b;
	begin();
}

static void pressed_pause(struct exo_button *b)
{
	(void)b;
	set_pause(!play.paused);
}

static bool number(const char *text, uint64_t *n)
{
	char *end;

	errno = 0;
	*n = text ? strtoull(text, &end, 0) : 0;
	return text && !errno && end != text && !*end && *text != '-';
}

static int options(int argc, char **argv)
{
	uint64_t level = 1;

	for (int i = 1; i < argc; i += 2) {
		if (strcmp(argv[i], "--seed") == 0 && number(argv[i + 1], &play.seed)) {
			play.seeded = true;
		} else if (strcmp(argv[i], "--level") != 0 || !number(argv[i + 1], &level) ||
			   level < 1 || level > FIRST_LEVEL_MAX) {
			fprintf(stderr, "usage: tetris [--seed N] [--level 1…%d]\n",
				FIRST_LEVEL_MAX);
			return -1;
		}
	}
	play.first_level = (unsigned)level;
	return 0;
}

int main(int argc, char **argv)
{
	const struct exo_ui_calls calls = {.layout = layout, .event = event, .tick = tick};
	struct exo_window *w;

	if (options(argc, argv))
		return 2;
	w = exo_window_open("Tetris", 0);
	play.ui = w ? exo_ui_create(w, &calls, NULL) : NULL;
	if (!play.ui) {
		fprintf(stderr, "tetris: no window: %s\n", strerror(errno));
		return 1;
	}
	exo_widget_init(&play.board, &board_class);
	exo_widget_init(&play.side, &side_class);
	exo_button_init(&play.pause, "Pause", pressed_pause);
	exo_button_init(&play.start, "New game", pressed_start);
	exo_status_init(&play.status);
	exo_status_set(&play.status, "", "↑ X Z turn · Space drops · C holds");
	exo_ui_add(play.ui, &play.board);
	exo_ui_add(play.ui, &play.side);
	exo_ui_add(play.ui, &play.pause.widget);
	exo_ui_add(play.ui, &play.start.widget);
	exo_ui_add(play.ui, &play.status.widget);
	begin();
	return exo_ui_run(play.ui) ? 1 : 0;
}
