/*
 * Keyboard layouts: what a key of a place (evdev code) types. The tables are made when we
 * build, by libxkbcommon from xkb-data (keymap/tools/): us, gb, de, fr, es, it, pt, pl, se,
 * dvorak, … The same code serves the shell and the guests (SDK).
 */
#ifndef KEYMAP_H
#define KEYMAP_H

#include <stdbool.h>
#include <stdint.h>

#define KEYMAP_SHIFT 1u
#define KEYMAP_CTRL 2u
#define KEYMAP_ALT 4u
#define KEYMAP_SUPER 8u
#define KEYMAP_ALTGR 16u
#define KEYMAP_CAPS 32u

struct keymap; /* static tables */

/* "us", "de", "us(dvorak)" as "dvorak"; NULL: there is none. */
const struct keymap *keymap_find(const char *name);
/* The index-th layout's name, NULL after the last. */
const char *keymap_name(unsigned index);

/* State of one keyboard. Zeroes but for map. */
struct keymap_state {
	const struct keymap *map;
	uint32_t down;   /* KEYMAP_* held; both sides count as one */
	uint8_t held[8]; /* which keys of each modifier */
	bool caps;
	uint32_t dead; /* accent that waits for its letter, 0: none */
};

/*
 * A key went down or up. On down *symbol is the code point of the key (0: none) and
 * text what it types: UTF-8, terminated, "" if nothing (dead keys wait for the next).
 * With Ctrl or Super held nothing is typed; symbol is the unmodified letter.
 */
void keymap_key(struct keymap_state *s, uint16_t code, bool down, uint32_t *symbol, char text[8]);
uint32_t keymap_modifiers(const struct keymap_state *s); /* KEYMAP_*, with CAPS */
/* How to type a code point: key and modifiers; false: this layout cannot. */
bool keymap_type(const struct keymap *map, uint32_t c, uint16_t *code, uint32_t *modifiers);

#endif
