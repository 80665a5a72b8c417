/* Rules: see game.h. Kick tables: the "super rotation system" of the guideline. */
#include "game.h"

#include <string.h>

#define RESETS_MAX 15 /* moves that put off a lock */

/* A row of the box is 4 bits, the left one highest; four turns of each piece. */
static const uint16_t shapes[GAME_PIECES][4] = {
	[GAME_I] = {0x0f00, 0x2222, 0x00f0, 0x4444}, [GAME_O] = {0x6600, 0x6600, 0x6600, 0x6600},
	[GAME_T] = {0x4e00, 0x4640, 0x0e40, 0x4c40}, [GAME_S] = {0x6c00, 0x4620, 0x06c0, 0x8c40},
	[GAME_Z] = {0xc600, 0x2640, 0x0c60, 0x4c80}, [GAME_J] = {0x8e00, 0x6440, 0x0e20, 0x44c0},
	[GAME_L] = {0x2e00, 0x4460, 0x0e80, 0xc440},
};

/* Where a turned piece is tried: x, y (up) for the turn clockwise out of each state. */
static const int8_t kicks[4][5][2] = {
	{{0, 0}, {-1, 0}, {-1, 1}, {0, -2}, {-1, -2}},
	{{0, 0}, {1, 0}, {1, -1}, {0, 2}, {1, 2}},
	{{0, 0}, {1, 0}, {1, 1}, {0, -2}, {1, -2}},
	{{0, 0}, {-1, 0}, {-1, -1}, {0, 2}, {-1, 2}},
};

static const int8_t kicks_i[4][5][2] = {
	{{0, 0}, {-2, 0}, {1, 0}, {-2, -1}, {1, 2}},
	{{0, 0}, {-1, 0}, {2, 0}, {-1, 2}, {2, -1}},
	{{0, 0}, {2, 0}, {-1, 0}, {2, 1}, {-1, -2}},
	{{0, 0}, {1, 0}, {-2, 0}, {1, -2}, {-2, 1}},
};

void game_shape(enum game_piece piece, unsigned turn, int cells[4][2])
{
	uint16_t bits = shapes[piece][turn & 3];
	int n = 0;

	for (int i = 0; i < 16 && n < 4; i++) {
		if (bits & 0x8000u >> i) {
			cells[n][0] = i % 4;
			cells[n][1] = i / 4;
			n++;
		}
	}
}

static bool fits(const struct game *g, int x, int y, unsigned turn)
{
	int c[4][2];

	game_shape(g->piece, turn, c);
	for (int i = 0; i < 4; i++) {
		int cx = x + c[i][0], cy = y + c[i][1];

		if (cx < 0 || cx >= GAME_WIDTH || cy < 0 || cy >= GAME_ROWS || g->cell[cy][cx])
			return false;
	}
	return true;
}

bool game_stands(const struct game *g)
{
	return !fits(g, g->x, g->y + 1, g->turn);
}

/* xorshift64*: the same games from the same seed, everywhere. */
static unsigned random_below(struct game *g, unsigned n)
{
	g->random ^= g->random >> 12;
	g->random ^= g->random << 25;
	g->random ^= g->random >> 27;
	return (unsigned)((g->random * 0x2545f4914f6cdd1dull >> 33) % n);
}

static void fill_bag(struct game *g)
{
	enum game_piece *bag = g->next + g->nexts;

	for (unsigned i = 0; i < GAME_PIECES; i++)
		bag[i] = (enum game_piece)i;
	for (unsigned i = GAME_PIECES - 1; i > 0; i--) {
		unsigned j = random_below(g, i + 1);
		enum game_piece p = bag[i];

		bag[i] = bag[j];
		bag[j] = p;
	}
	g->nexts += GAME_PIECES;
}

static void enter(struct game *g, enum game_piece piece)
{
	g->piece = piece;
	g->turn = 0;
	g->x = 3;
	g->y = GAME_HIDDEN - 2;
	g->resets = 0;
	g->turned = false;
	if (!fits(g, g->x, g->y, 0))
		g->over = true;
	else if (fits(g, g->x, g->y + 1, 0))
		g->y++;
}

static void take_next(struct game *g)
{
	enum game_piece piece = g->next[0];

	g->nexts--;
	memmove(g->next, g->next + 1, g->nexts * sizeof(g->next[0]));
	if (g->nexts < GAME_PIECES)
		fill_bag(g);
	g->pieces++;
	enter(g, piece);
}

void game_start(struct game *g, uint64_t seed)
{
	memset(g, 0, sizeof(*g));
	g->random = (seed + 1) * 0x9e3779b97f4a7c15ull;
	if (!g->random)
		g->random = 1;
	g->hold = -1;
	g->level = 1;
	g->combo = -1;
	fill_bag(g);
	take_next(g);
}

static void moved(struct game *g, bool turned)
{
	g->turned = turned;
	if (g->resets < RESETS_MAX)
		g->resets++;
}

bool game_move(struct game *g, int dx)
{
	if (g->over || !fits(g, g->x + dx, g->y, g->turn))
		return false;
	g->x += dx;
	moved(g, false);
	return true;
}

bool game_turn(struct game *g, bool clockwise)
{
	unsigned to = (g->turn + (clockwise ? 1 : 3)) & 3, row = clockwise ? g->turn : to;
	const int8_t(*k)[2] = g->piece == GAME_I ? kicks_i[row] : kicks[row];
	int sign = clockwise ? 1 : -1; /* the way back is the opposite */

	if (g->over)
		return false;
	if (g->piece == GAME_O)
		return true;
	for (int i = 0; i < 5; i++) {
		int x = g->x + sign * k[i][0], y = g->y - sign * k[i][1];

		if (!fits(g, x, y, to))
			continue;
		g->x = x;
		g->y = y;
		g->turn = to;
		moved(g, true);
		return true;
	}
	return false;
}

bool game_down(struct game *g, bool soft)
{
	if (g->over || game_stands(g))
		return false;
	g->y++;
	g->turned = false;
	g->score += soft;
	return true;
}

int game_ghost(const struct game *g)
{
	int y = g->y;

	while (fits(g, g->x, y + 1, g->turn))
		y++;
	return y;
}

void game_drop(struct game *g)
{
	int y = game_ghost(g);

	if (g->over)
		return;
	if (y != g->y)
		g->turned = false;
	g->score += 2 * (uint64_t)(y - g->y);
	g->y = y;
	game_lock(g);
}

bool game_hold(struct game *g)
{
	int was = g->hold;

	if (g->over || g->held)
		return false;
	g->hold = (int)g->piece;
	if (was < 0)
		take_next(g);
	else
		enter(g, (enum game_piece)was);
	g->held = true;
	return true;
}

/* A T that was turned in below a corner: three of the four around its middle are taken. */
static bool is_spin(const struct game *g)
{
	unsigned taken = 0;

	if (g->piece != GAME_T || !g->turned)
		return false;
	for (int i = 0; i < 4; i++) {
		int x = g->x + (i & 1 ? 2 : 0), y = g->y + (i & 2 ? 2 : 0);

		taken += x < 0 || x >= GAME_WIDTH || y < 0 || y >= GAME_ROWS || g->cell[y][x];
	}
	return taken >= 3;
}

static unsigned clear_lines(struct game *g)
{
	unsigned n = 0;

	for (int y = GAME_ROWS - 1; y >= 0;) {
		if (memchr(g->cell[y], 0, GAME_WIDTH)) {
			y--;
			continue;
		}
		memmove(g->cell[1], g->cell[0], (size_t)y * GAME_WIDTH);
		memset(g->cell[0], 0, GAME_WIDTH);
		n++;
	}
	return n;
}

static void count(struct game *g, unsigned n, bool spin)
{
	static const unsigned plain[5] = {0, 100, 300, 500, 800};
	static const unsigned spun[5] = {400, 800, 1200, 1600, 1600};
	uint64_t points = (uint64_t)(spin ? spun : plain)[n] * g->level;
	bool difficult = n == 4 || (spin && n);

	if (n) {
		if (difficult && g->difficult) /* back to back */
			points += points / 2;
		g->difficult = difficult;
		g->combo++;
		points += 50 * (uint64_t)g->combo * g->level;
	} else {
		g->combo = -1;
	}
	g->score += points;
	g->lines += n;
	if (g->lines / 10 + 1 > g->level)
		g->level = g->lines / 10 + 1;
	g->cleared = n;
	g->spin = spin;
}

void game_lock(struct game *g)
{
	int c[4][2], seen = 0;
	bool spin;

	if (g->over || !game_stands(g))
		return;
	spin = is_spin(g);
	game_shape(g->piece, g->turn, c);
	for (int i = 0; i < 4; i++) {
		g->cell[g->y + c[i][1]][g->x + c[i][0]] = (uint8_t)(1 + g->piece);
		seen += g->y + c[i][1] >= GAME_HIDDEN;
	}
	count(g, clear_lines(g), spin);
	g->held = false;
	if (!seen && !g->cleared) { /* locked out */
		g->over = true;
		return;
	}
	take_next(g);
}

unsigned game_fall_ms(const struct game *g)
{
	/* (0.8 - (level - 1) * 0.007) ^ (level - 1) seconds */
	double base = 0.8 - 0.007 * ((g->level < 20 ? g->level : 20) - 1), ms = 1000;

	for (unsigned i = 1; i < g->level && i < 20; i++)
		ms *= base;
	return ms < 1 ? 1 : (unsigned)ms;
}
