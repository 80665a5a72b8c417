/*
 * Keys to characters, by the tables that mkkeymap made. Pure: no memory, no calls; the same in
 * the shell and in guests.
 */
#include "keymap.h"

#include <keymap_tables.h>
#include <linux/input-event-codes.h>
#include <stddef.h>
#include <string.h>

#define LAYOUTS (sizeof(keymap_layouts) / sizeof(keymap_layouts[0]))
#define COMPOSED (sizeof(keymap_composed) / sizeof(keymap_composed[0]))
#define DEADS (sizeof(keymap_dead) / sizeof(keymap_dead[0]))

/* The keys that type by their place alone. */
static const struct {
	uint16_t code;
	uint8_t c;
} plain[] = {
	{KEY_ENTER, '\n'}, {KEY_ENTER, '\r'},     {KEY_TAB, '\t'},
	{KEY_ESC, 27},     {KEY_BACKSPACE, '\b'}, {KEY_DELETE, 127},
};

/* Modifier keys: KEYMAP_* is 1 << bit; side: which of the keys it is. */
static const struct {
	uint16_t code;
	uint8_t bit, side;
} modifiers[] = {
	{KEY_LEFTSHIFT, 0, 1}, {KEY_RIGHTSHIFT, 0, 2}, {KEY_LEFTCTRL, 1, 1},  {KEY_RIGHTCTRL, 1, 2},
	{KEY_LEFTALT, 2, 1},   {KEY_LEFTMETA, 3, 1},   {KEY_RIGHTMETA, 3, 2}, {KEY_CAPSLOCK, 5, 1},
};

const struct keymap *keymap_find(const char *name)
{
	for (size_t i = 0; name && i < LAYOUTS; i++)
		if (strcmp(keymap_layouts[i].name, name) == 0)
			return &keymap_layouts[i];
	return NULL;
}

const char *keymap_name(unsigned index)
{
	return index < LAYOUTS ? keymap_layouts[index].name : NULL;
}

static const struct keymap *map_of(const struct keymap_state *s)
{
	return s->map ? s->map : &keymap_layouts[0];
}

static uint16_t lookup(const struct keymap *map, uint16_t code, unsigned level)
{
	unsigned row = code < KEYMAP_CODES ? keymap_rows[code] : 0;

	return row ? map->symbols[row][level] : 0;
}

static bool is_dead(uint32_t c)
{
	return c >= KEYMAP_DEAD && c < KEYMAP_DEAD + DEADS;
}

static void put(char *text, uint32_t c)
{
	unsigned char *p = (unsigned char *)text + strlen(text);

	if (c < 0x80) {
		*p++ = (unsigned char)c;
	} else if (c < 0x800) {
		*p++ = (unsigned char)(0xc0 | c >> 6);
		*p++ = (unsigned char)(0x80 | (c & 0x3f));
	} else {
		*p++ = (unsigned char)(0xe0 | c >> 12);
		*p++ = (unsigned char)(0x80 | (c >> 6 & 0x3f));
		*p++ = (unsigned char)(0x80 | (c & 0x3f));
	}
	*p = 0;
}

static uint16_t compose(uint32_t dead, uint16_t letter)
{
	size_t low = 0, high = COMPOSED;
	uint32_t key = dead << 16 | letter;

	while (low < high) {
		size_t mid = (low + high) / 2;
		uint32_t k =
			(uint32_t)keymap_composed[mid].dead << 16 | keymap_composed[mid].letter;

		if (k == key)
			return keymap_composed[mid].makes;
		if (k < key)
			low = mid + 1;
		else
			high = mid;
	}
	return 0;
}

/* A key that types c was pressed, after a dead key or not. */
static void type(struct keymap_state *s, uint16_t c, char text[8])
{
	uint32_t dead = s->dead;
	uint16_t made;

	s->dead = 0;
	if (!is_dead(dead)) {
		if (is_dead(c))
			s->dead = c;
		else if (c)
			put(text, c);
		return;
	}
	made = c == ' ' ? keymap_dead[dead - KEYMAP_DEAD].space : compose(dead, c);
	if (made) {
		put(text, made);
		return;
	}
	/* They make nothing together: both, as they are. At most 3 bytes each. */
	put(text, keymap_dead[dead - KEYMAP_DEAD].alone);
	if (is_dead(c))
		s->dead = c;
	else if (c)
		put(text, c);
}

/* False: not a modifier. */
static bool modifier(struct keymap_state *s, uint16_t code, bool down)
{
	unsigned bit = 0, side = 0;

	if (code == KEY_RIGHTALT) {
		bit = map_of(s)->altgr ? 4 : 2;
		side = 2;
		if (!down && !(s->held[bit] & side)) /* the layout has changed since */
			bit = 6 - bit;
	}
	for (size_t i = 0; i < sizeof(modifiers) / sizeof(modifiers[0]); i++) {
		if (modifiers[i].code == code) {
			bit = modifiers[i].bit;
			side = modifiers[i].side;
		}
	}
	if (!side)
		return false;
	if (code == KEY_CAPSLOCK) {
		if (down && !s->held[bit])
			s->caps = !s->caps;
		s->held[bit] = down;
		return true;
	}
	if (down)
		s->held[bit] |= (uint8_t)side;
	else
		s->held[bit] &= (uint8_t)~side;
	if (s->held[bit])
		s->down |= 1u << bit;
	else
		s->down &= ~(1u << bit);
	return true;
}

/* The letter of a shortcut: of a layout without Latin letters that of "us". */
static uint32_t shortcut(const struct keymap *map, uint16_t code)
{
	uint16_t c = lookup(map, code, 0);

	if (!map->latin && (c >= 0x80 || !c))
		c = lookup(&keymap_layouts[0], code, 0);
	return is_dead(c) ? keymap_dead[c - KEYMAP_DEAD].alone : c;
}

void keymap_key(struct keymap_state *s, uint16_t code, bool down, uint32_t *symbol, char text[8])
{
	const struct keymap *map = map_of(s);
	unsigned level;
	uint16_t c;

	*symbol = 0;
	text[0] = 0;
	if (modifier(s, code, down) || !down)
		return;
	if (s->down & (KEYMAP_CTRL | KEYMAP_SUPER)) {
		*symbol = shortcut(map, code);
		return;
	}
	level = (s->down & KEYMAP_SHIFT ? 1 : 0) | (s->down & KEYMAP_ALTGR ? 2 : 0) |
		(s->caps ? 4 : 0);
	c = lookup(map, code, level);
	if (!c) { /* Escape, an arrow, …: the accent is forgotten */
		s->dead = 0;
		return;
	}
	*symbol = is_dead(c) ? keymap_dead[c - KEYMAP_DEAD].alone : c;
	type(s, c, text);
}

uint32_t keymap_modifiers(const struct keymap_state *s)
{
	return s->down | (s->caps ? KEYMAP_CAPS : 0);
}

/* Not the keypad if there is another. */
static bool on_keypad(unsigned code)
{
	return code == KEY_KPASTERISK || (code >= KEY_KP7 && code <= KEY_KPDOT) ||
	       (code >= KEY_KPJPCOMMA && code != KEY_YEN);
}

bool keymap_type(const struct keymap *map, uint32_t c, uint16_t *code, uint32_t *mods)
{
	static const uint32_t of_level[4] = {0, KEYMAP_SHIFT, KEYMAP_ALTGR,
					     KEYMAP_SHIFT | KEYMAP_ALTGR};

	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
		if (plain[i].c == c) {
			*code = plain[i].code;
			*mods = 0;
			return true;
		}
	}
	if (!map || c < 0x20 || c > 0xffff || is_dead(c))
		return false;
	for (unsigned keypad = 0; keypad < 2; keypad++) {
		for (unsigned level = 0; level < (map->altgr ? 4 : 2); level++) {
			for (unsigned k = 1; k < KEYMAP_CODES; k++) {
				if (on_keypad(k) != (keypad == 1) ||
				    lookup(map, (uint16_t)k, level) != c)
					continue;
				*code = (uint16_t)k;
				*mods = of_level[level];
				return true;
			}
		}
	}
	return false;
}
