/*
 * The game without its picture: no time, no memory, no calls. The rules are those of the usual
 * guideline: a bag of seven, SRS rotation with its kicks, hold, a ghost, 10 lines a level.
 */
#ifndef TETRIS_GAME_H
#define TETRIS_GAME_H

#include <stdbool.h>
#include <stdint.h>

#define GAME_WIDTH 10
#define GAME_HEIGHT 20
#define GAME_HIDDEN 2 /* rows above those that are seen */
#define GAME_ROWS (GAME_HEIGHT + GAME_HIDDEN)
#define GAME_NEXT 5 /* pieces that are known */

enum game_piece { GAME_I, GAME_O, GAME_T, GAME_S, GAME_Z, GAME_J, GAME_L, GAME_PIECES };

struct game {
	uint8_t cell[GAME_ROWS][GAME_WIDTH]; /* 0: empty, else 1 + enum game_piece; row 0: top */
	enum game_piece piece, next[2 * GAME_PIECES];
	unsigned nexts;
	int hold;      /* enum game_piece, -1: none */
	bool held;     /* not twice for one piece */
	int x, y;      /* of the corner of its box, which is 4 x 4 */
	unsigned turn; /* 0 … 3, clockwise */
	unsigned lines, level;
	uint64_t score;
	bool over;
	unsigned resets; /* how often a move has put off the lock of this piece */
	bool difficult;  /* the last to clear lines were four, or a turned-in T */
	int combo;
	bool turned; /* the last move was a turn */
	unsigned pieces;
	uint64_t random;
	/* What the last lock did, for whoever shows it. */
	unsigned cleared;
	bool spin;
};

void game_start(struct game *g, uint64_t seed);
/* False: it cannot. */
bool game_move(struct game *g, int dx);
bool game_turn(struct game *g, bool clockwise);
/* One row down; soft: by the player. False: it stands on something. */
bool game_down(struct game *g, bool soft);
void game_drop(struct game *g); /* down at once, locked */
bool game_hold(struct game *g);
/* A piece that stands becomes part of the field; the next one comes, or it is over. */
void game_lock(struct game *g);
bool game_stands(const struct game *g);
int game_ghost(const struct game *g); /* y where it would land */
/* How long a row takes by itself. */
unsigned game_fall_ms(const struct game *g);
/* The four cells of a piece: column and row in its box. */
void game_shape(enum game_piece piece, unsigned turn, int cells[4][2]);

#endif
