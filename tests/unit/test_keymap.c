/* Keyboard layouts: levels, caps lock, dead keys, shortcuts, and what cannot be typed. */
#include "keymap.h"
#include "unit.h"

#include <check.h>
#include <linux/input-event-codes.h>
#include <stdlib.h>
#include <string.h>

static struct keymap_state s;
static uint32_t symbol;
static char text[8];

static void use(const char *name)
{
	memset(&s, 0, sizeof(s));
	s.map = keymap_find(name);
	ck_assert_ptr_nonnull(s.map);
}

static void hold(uint16_t code, bool down)
{
	char t[8];
	uint32_t c;

	keymap_key(&s, code, down, &c, t);
	ck_assert_str_eq(t, "");
}

static const char *press(uint16_t code)
{
	keymap_key(&s, code, true, &symbol, text);
	hold(code, false);
	return text;
}

static const char *with(uint16_t modifier, uint16_t code)
{
	hold(modifier, true);
	press(code);
	hold(modifier, false);
	return text;
}

START_TEST(every_layout_is_there)
{
	static const char *const names[] = {"us", "gb", "de", "fr",     "es",     "it", "pt",
					    "pl", "se", "no", "dk",     "fi",     "ch", "ru",
					    "gr", "tr", "br", "dvorak", "colemak"};
	unsigned n = 0;

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		ck_assert_ptr_nonnull(keymap_find(names[i]));
	while (keymap_name(n)) {
		ck_assert_ptr_nonnull(keymap_find(keymap_name(n)));
		n++;
	}
	ck_assert_uint_ge(n, sizeof(names) / sizeof(names[0]));
	ck_assert_str_eq(keymap_name(0), "us");
	ck_assert_ptr_null(keymap_name(UINT32_MAX));
	ck_assert_ptr_null(keymap_find(""));
	ck_assert_ptr_null(keymap_find(NULL));
	ck_assert_ptr_null(keymap_find("klingon"));
}
END_TEST

START_TEST(levels)
{
	use("us");
	ck_assert_str_eq(press(KEY_A), "a");
	ck_assert_uint_eq(symbol, 'a');
	ck_assert_str_eq(with(KEY_LEFTSHIFT, KEY_A), "A");
	ck_assert_str_eq(with(KEY_RIGHTSHIFT, KEY_1), "!");
	ck_assert_str_eq(press(KEY_SPACE), " ");
	ck_assert_str_eq(press(KEY_KP7), "7");
	ck_assert_str_eq(press(KEY_ENTER), "");
	ck_assert_str_eq(press(KEY_F1), "");
	ck_assert_uint_eq(symbol, 0);
	ck_assert_str_eq(press(KEY_MAX), "");
	ck_assert_str_eq(press(0), "");

	use("de");
	ck_assert_str_eq(press(KEY_Y), "z");
	ck_assert_str_eq(press(KEY_SEMICOLON), "ö");
	ck_assert_str_eq(with(KEY_RIGHTALT, KEY_E), "€");
	ck_assert_str_eq(with(KEY_RIGHTALT, KEY_Q), "@");
	hold(KEY_LEFTSHIFT, true);
	ck_assert_str_eq(with(KEY_RIGHTALT, KEY_MINUS), "¿");
	hold(KEY_LEFTSHIFT, false);
	ck_assert_str_eq(press(KEY_KPDOT), ",");

	use("fr");
	ck_assert_str_eq(press(KEY_Q), "a");
	ck_assert_str_eq(with(KEY_LEFTSHIFT, KEY_1), "1");
	use("dvorak");
	ck_assert_str_eq(press(KEY_S), "o");
	use("colemak");
	ck_assert_str_eq(press(KEY_S), "r");
	use("ru");
	ck_assert_str_eq(with(KEY_LEFTSHIFT, KEY_Q), "Й");
	use("tr");
	ck_assert_str_eq(press(KEY_I), "ı");
}
END_TEST

START_TEST(modifiers_are_counted_by_key)
{
	use("us");
	hold(KEY_LEFTSHIFT, true);
	hold(KEY_RIGHTSHIFT, true);
	hold(KEY_LEFTSHIFT, false);
	ck_assert_str_eq(press(KEY_B), "B");
	hold(KEY_RIGHTSHIFT, false);
	ck_assert_str_eq(press(KEY_B), "b");
	/* A release whose press was elsewhere, and a press that repeats. */
	hold(KEY_LEFTSHIFT, false);
	ck_assert_uint_eq(keymap_modifiers(&s), 0);
	hold(KEY_LEFTSHIFT, true);
	hold(KEY_LEFTSHIFT, true);
	hold(KEY_LEFTSHIFT, false);
	ck_assert_uint_eq(keymap_modifiers(&s), 0);
	/* Right Alt is what the layout says, also if that changes while it is held. */
	hold(KEY_RIGHTALT, true);
	ck_assert_uint_eq(keymap_modifiers(&s), KEYMAP_ALT);
	s.map = keymap_find("de");
	hold(KEY_RIGHTALT, false);
	ck_assert_uint_eq(keymap_modifiers(&s), 0);
	hold(KEY_RIGHTALT, true);
	ck_assert_uint_eq(keymap_modifiers(&s), KEYMAP_ALTGR);
}
END_TEST

START_TEST(caps_lock_is_for_letters)
{
	use("de");
	press(KEY_CAPSLOCK);
	ck_assert_uint_eq(keymap_modifiers(&s), KEYMAP_CAPS);
	ck_assert_str_eq(press(KEY_A), "A");
	ck_assert_str_eq(press(KEY_SEMICOLON), "Ö");
	ck_assert_str_eq(press(KEY_1), "1");
	ck_assert_str_eq(with(KEY_LEFTSHIFT, KEY_A), "a");
	hold(KEY_CAPSLOCK, true);
	hold(KEY_CAPSLOCK, true); /* repeats do not toggle */
	hold(KEY_CAPSLOCK, false);
	ck_assert_str_eq(press(KEY_A), "a");
}
END_TEST

START_TEST(dead_keys_compose)
{
	use("de");
	ck_assert_str_eq(press(KEY_EQUAL), ""); /* acute */
	ck_assert_uint_eq(symbol, 0xb4);
	ck_assert_str_eq(press(KEY_E), "é");
	ck_assert_str_eq(press(KEY_E), "e");
	press(KEY_EQUAL);
	ck_assert_str_eq(with(KEY_LEFTSHIFT, KEY_E), "É"); /* Shift between them */
	press(KEY_EQUAL);
	ck_assert_str_eq(press(KEY_SPACE), "'");
	press(KEY_EQUAL);
	ck_assert_str_eq(press(KEY_EQUAL), "´");
	press(KEY_EQUAL);
	ck_assert_str_eq(press(KEY_Q), "´q");
	press(KEY_EQUAL);
	ck_assert_str_eq(press(KEY_ESC), "");
	ck_assert_str_eq(press(KEY_E), "e");
	press(KEY_GRAVE); /* circumflex */
	ck_assert_str_eq(press(KEY_O), "ô");

	use("se");
	press(KEY_RIGHTBRACE);
	ck_assert_str_eq(press(KEY_U), "ü");
	use("gr");
	press(KEY_SEMICOLON);
	ck_assert_str_eq(press(KEY_A), "ά");
	use("br");
	press(KEY_APOSTROPHE);
	ck_assert_str_eq(press(KEY_A), "ã");
}
END_TEST

START_TEST(shortcuts_type_nothing)
{
	use("us");
	ck_assert_str_eq(with(KEY_LEFTCTRL, KEY_C), "");
	ck_assert_uint_eq(symbol, 'c');
	ck_assert_str_eq(with(KEY_RIGHTMETA, KEY_TAB), "");
	hold(KEY_LEFTSHIFT, true);
	with(KEY_LEFTCTRL, KEY_Z);
	ck_assert_uint_eq(symbol, 'z');
	/* Where no key has a Latin letter, those of "us". */
	use("ru");
	with(KEY_LEFTCTRL, KEY_C);
	ck_assert_uint_eq(symbol, 'c');
	use("fr");
	with(KEY_LEFTCTRL, KEY_Q);
	ck_assert_uint_eq(symbol, 'a');
}
END_TEST

/* What keymap_type says is what keymap_key types, for every character of every layout. */
START_TEST(what_can_be_typed_is_typed)
{
	static const uint16_t keys[][2] = {{KEYMAP_SHIFT, KEY_LEFTSHIFT},
					   {KEYMAP_ALTGR, KEY_RIGHTALT}};
	uint32_t mods, typed;
	uint16_t code;

	for (unsigned l = 0; keymap_name(l); l++) {
		use(keymap_name(l));
		typed = 0;
		for (uint32_t c = 0x20; c < 0x11000; c++) {
			if (!keymap_type(s.map, c, &code, &mods))
				continue;
			for (unsigned i = 0; i < 2; i++)
				if (mods & keys[i][0])
					hold(keys[i][1], true);
			press(code);
			ck_assert_uint_eq(symbol, c == 127 ? 0 : c);
			ck_assert_uint_eq(s.dead, 0);
			for (unsigned i = 0; i < 2; i++)
				if (mods & keys[i][0])
					hold(keys[i][1], false);
			typed++;
		}
		ck_assert_uint_gt(typed, 90);
	}
	use("us");
	ck_assert(keymap_type(s.map, '*', &code, &mods));
	ck_assert_uint_eq(code, KEY_8); /* not the keypad */
	ck_assert(keymap_type(s.map, '\n', &code, &mods));
	ck_assert_uint_eq(code, KEY_ENTER);
	ck_assert(!keymap_type(s.map, 0xe9, &code, &mods));
	ck_assert(!keymap_type(s.map, 0xe000, &code, &mods));
	ck_assert(!keymap_type(s.map, UINT32_MAX, &code, &mods));
	ck_assert(!keymap_type(s.map, 0, &code, &mods));
	ck_assert(!keymap_type(NULL, 'a', &code, &mods));
}
END_TEST

/* Any keys in any order: text stays terminated and short. */
START_TEST(any_keys_are_safe)
{
	uint32_t x = 1;

	memset(&s, 0, sizeof(s));
	for (unsigned i = 0; i < 300000; i++) {
		x = x * 1664525 + 1013904223;
		if (x % 997 == 0)
			s.map = keymap_find(keymap_name(x >> 8 & 15));
		memset(text, 'x', sizeof(text));
		keymap_key(&s, (uint16_t)(x >> 16 & 0x3ff), x >> 28 & 1, &symbol, text);
		ck_assert_uint_lt(strnlen(text, sizeof(text)), sizeof(text));
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("keymap");
	TCase *tc = tcase_create("keymap");

	tcase_set_timeout(tc, 120); /* every key of every layout, under sanitizers */
	tcase_add_test(tc, every_layout_is_there);
	tcase_add_test(tc, levels);
	tcase_add_test(tc, modifiers_are_counted_by_key);
	tcase_add_test(tc, caps_lock_is_for_letters);
	tcase_add_test(tc, dead_keys_compose);
	tcase_add_test(tc, shortcuts_type_nothing);
	tcase_add_test(tc, what_can_be_typed_is_typed);
	tcase_add_test(tc, any_keys_are_safe);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
