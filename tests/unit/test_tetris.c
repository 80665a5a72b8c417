/* The game's rules: turns and kicks, lines, points, the end; and any game at all. */
#include "game.h"
#include "unit.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct game g;

/* The field from its lowest rows, # taken; the piece as wanted, in the air. */
static void field(const char *const *rows, int n, enum game_piece piece)
{
	game_start(&g, 1);
	for (int r = 0; r < n; r++)
		for (int x = 0; x < GAME_WIDTH; x++)
			g.cell[GAME_ROWS - n + r][x] = rows[r][x] == '#';
	g.piece = piece;
	g.x = 3;
	g.y = GAME_HIDDEN;
	g.turn = 0;
}

START_TEST(bags_have_each_piece_once)
{
	unsigned seen[GAME_PIECES] = {0};
	struct game other;

	game_start(&g, 7);
	game_start(&other, 7);
	ck_assert(memcmp(&g, &other, sizeof(g)) == 0); /* the same seed, the same game */
	for (unsigned i = 0; i < 70; i++) {
		seen[g.piece]++;
		ck_assert_uint_ge(g.nexts, GAME_NEXT);
		memset(g.cell, 0, sizeof(g.cell));
		game_drop(&g);
		if (i % 7 == 6)
			for (unsigned p = 0; p < GAME_PIECES; p++)
				ck_assert_uint_eq(seen[p], i / 7 + 1);
	}
	game_start(&other, 8);
	ck_assert(memcmp(g.next, other.next, sizeof(g.next)) != 0);
}
END_TEST

START_TEST(shapes_have_four_cells)
{
	for (unsigned p = 0; p < GAME_PIECES; p++) {
		for (unsigned t = 0; t < 4; t++) {
			int c[4][2] = {{-1, -1}, {-1, -1}, {-1, -1}, {-1, -1}}, d[4][2];
			int xs = 0, ys = 0;

			game_shape((enum game_piece)p, t, c);
			game_shape((enum game_piece)p, t + 1, d);
			for (int i = 0; i < 4; i++) {
				ck_assert(c[i][0] >= 0 && c[i][0] < 4 && c[i][1] >= 0 &&
					  c[i][1] < 4);
				/* A turn: (x, y) to (size - y, x). */
				xs += (p == GAME_I ? 3 : 2) - c[i][1] - d[i][0];
				ys += c[i][0] - d[i][1];
			}
			ck_assert(p == GAME_O || (xs == 0 && ys == 0));
		}
	}
}
END_TEST

START_TEST(walls_and_floor)
{
	static const char *const empty[] = {".........."};

	for (unsigned p = 0; p < GAME_PIECES; p++) {
		field(empty, 1, (enum game_piece)p);
		while (game_move(&g, -1))
			;
		ck_assert_int_eq(g.x, p == GAME_O ? -1 : 0);
		while (game_move(&g, 1))
			;
		ck_assert_int_ge(g.x, 6);
		while (game_down(&g, false))
			;
		ck_assert(game_stands(&g));
		ck_assert_int_eq(game_ghost(&g), g.y);
	}
}
END_TEST

START_TEST(kicks)
{
	static const char *const slot[] = {
		"###...####",
		"####..####",
		"###...####",
		"###.######",
	};

	/* I against the left wall, standing: turned, it is pushed away. */
	field(slot, 0, GAME_I);
	ck_assert(game_turn(&g, true));
	while (game_move(&g, -1))
		;
	ck_assert_int_eq(g.x, -2);
	ck_assert(game_turn(&g, true));
	ck_assert_int_eq(g.x, 0);
	/* Four turns one way and back are where it began, in the open. */
	for (unsigned p = 0; p < GAME_PIECES; p++) {
		field(slot, 0, (enum game_piece)p);
		for (int i = 0; i < 8; i++)
			ck_assert(game_turn(&g, i < 4));
		ck_assert(g.turn == 0 && g.x == 3 && g.y == GAME_HIDDEN);
	}
	/* Nowhere to go: it stays. */
	static const char *const tight[] = {"####.#####", "####.#####", "####.#####", "####.#####",
					    "####.#####"};

	field(tight, 5, GAME_I);
	game_turn(&g, true);
	g.x = 2;
	while (game_down(&g, false))
		;
	ck_assert(!game_turn(&g, true));
	ck_assert(!game_turn(&g, false));
	ck_assert_uint_eq(g.turn, 1);
}
END_TEST

START_TEST(lines_and_points)
{
	static const char *const four[] = {"#########.", "#########.", "#########.", "#########."};
	static const char *const gaps[] = {"....######"};
	static const char *const roof[] = {"###..#####", "###...####", "####.#####"};

	field(four, 4, GAME_I);
	game_turn(&g, true);
	while (game_move(&g, 1))
		;
	g.score = 0;
	g.y = game_ghost(&g);
	game_lock(&g);
	ck_assert_uint_eq(g.cleared, 4);
	ck_assert_uint_eq(g.lines, 4);
	ck_assert_uint_eq(g.score, 800);
	for (int y = 0; y < GAME_ROWS; y++)
		for (int x = 0; x < GAME_WIDTH; x++)
			ck_assert_uint_eq(g.cell[y][x], 0);

	field(gaps, 1, GAME_I);
	g.lines = 9;
	while (game_move(&g, -1))
		;
	g.score = 0;
	game_drop(&g);
	ck_assert_uint_eq(g.cleared, 1);
	ck_assert_uint_eq(g.level, 2);
	ck_assert_uint_eq(g.score, 100 + 2 * (GAME_ROWS - 2 - GAME_HIDDEN));

	/* A T that is turned in below a roof. */
	field(roof, 3, GAME_T);
	g.turn = 1;
	g.x = 3;
	g.y = GAME_ROWS - 3;
	ck_assert(game_turn(&g, true));
	game_lock(&g);
	ck_assert(g.spin);
	ck_assert_uint_eq(g.cleared, 2);
	ck_assert_uint_eq(g.score, 1200);
}
END_TEST

START_TEST(levels_get_faster)
{
	unsigned last = 1001;

	game_start(&g, 1);
	for (g.level = 1; g.level <= 20; g.level++) {
		ck_assert(game_fall_ms(&g) < last || last == 1);
		last = game_fall_ms(&g);
	}
	g.level = 100000;
	ck_assert_uint_ge(game_fall_ms(&g), 1);
}
END_TEST

START_TEST(hold_once)
{
	enum game_piece first, second;

	game_start(&g, 3);
	first = g.piece;
	ck_assert(game_hold(&g));
	second = g.piece;
	ck_assert_int_eq(g.hold, (int)first);
	ck_assert(!game_hold(&g));
	game_drop(&g);
	ck_assert(game_hold(&g));
	ck_assert_int_eq(g.piece, first);
	(void)second;
}
END_TEST

START_TEST(it_ends)
{
	game_start(&g, 5);
	for (unsigned i = 0; i < 100 && !g.over; i++)
		game_drop(&g);
	ck_assert(g.over);
	ck_assert_uint_le(g.pieces, 20);
	ck_assert(!game_move(&g, 1) && !game_turn(&g, true) && !game_down(&g, true) &&
		  !game_hold(&g));
	struct game was = g;

	game_drop(&g);
	game_lock(&g);
	ck_assert(memcmp(&was, &g, sizeof(g)) == 0);
}
END_TEST

/* Any play: the piece is always in the field and on nothing. */
START_TEST(any_game)
{
	uint32_t x = 1;

	for (unsigned seed = 0; seed < 60; seed++) {
		game_start(&g, seed);
		for (unsigned i = 0; i < 4000 && !g.over; i++) {
			int c[4][2];

			x = x * 1664525 + 1013904223;
			switch (x >> 24 & 7) {
			case 0:
			case 1:
				game_move(&g, x >> 23 & 1 ? 1 : -1);
				break;
			case 2:
			case 3:
				game_turn(&g, x >> 23 & 1);
				break;
			case 4:
				if (x >> 20 & 1)
					game_drop(&g);
				break;
			case 5:
				game_hold(&g);
				break;
			default:
				if (!game_down(&g, x >> 22 & 1))
					game_lock(&g);
			}
			if (g.over)
				break;
			game_shape(g.piece, g.turn, c);
			for (int k = 0; k < 4; k++) {
				int cx = g.x + c[k][0], cy = g.y + c[k][1];

				if (cx < 0 || cx >= GAME_WIDTH || cy < 0 || cy >= GAME_ROWS ||
				    g.cell[cy][cx])
					ck_abort_msg("seed %u, move %u", seed, i);
			}
		}
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("tetris");
	TCase *tc = tcase_create("tetris");

	tcase_add_test(tc, bags_have_each_piece_once);
	tcase_add_test(tc, shapes_have_four_cells);
	tcase_add_test(tc, walls_and_floor);
	tcase_add_test(tc, kicks);
	tcase_add_test(tc, lines_and_points);
	tcase_add_test(tc, levels_get_faster);
	tcase_add_test(tc, hold_once);
	tcase_add_test(tc, it_ends);
	tcase_add_test(tc, any_game);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
