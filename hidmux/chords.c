/* Keys of the shell: their names, their defaults, which one is meant. See hidmux.h. */
#include "hidmux_impl.h"

#include <linux/input-event-codes.h>
#include <stdio.h>
#include <string.h>

static const struct {
	const char *name;
	uint32_t modifier;
} modifiers[] = {{"ctrl", HID_MOD_CTRL},
		 {"alt", HID_MOD_ALT},
		 {"shift", HID_MOD_SHIFT},
		 {"super", HID_MOD_SUPER},
		 {"altgr", HID_MOD_ALTGR}};

/* The keys of a US keyboard by what is printed on them. */
static const struct {
	const char *name;
	uint16_t key;
} keys[] = {
	{"a", KEY_A},
	{"b", KEY_B},
	{"c", KEY_C},
	{"d", KEY_D},
	{"e", KEY_E},
	{"f", KEY_F},
	{"g", KEY_G},
	{"h", KEY_H},
	{"i", KEY_I},
	{"j", KEY_J},
	{"k", KEY_K},
	{"l", KEY_L},
	{"m", KEY_M},
	{"n", KEY_N},
	{"o", KEY_O},
	{"p", KEY_P},
	{"q", KEY_Q},
	{"r", KEY_R},
	{"s", KEY_S},
	{"t", KEY_T},
	{"u", KEY_U},
	{"v", KEY_V},
	{"w", KEY_W},
	{"x", KEY_X},
	{"y", KEY_Y},
	{"z", KEY_Z},
	{"0", KEY_0},
	{"1", KEY_1},
	{"2", KEY_2},
	{"3", KEY_3},
	{"4", KEY_4},
	{"5", KEY_5},
	{"6", KEY_6},
	{"7", KEY_7},
	{"8", KEY_8},
	{"9", KEY_9},
	{"f1", KEY_F1},
	{"f2", KEY_F2},
	{"f3", KEY_F3},
	{"f4", KEY_F4},
	{"f5", KEY_F5},
	{"f6", KEY_F6},
	{"f7", KEY_F7},
	{"f8", KEY_F8},
	{"f9", KEY_F9},
	{"f10", KEY_F10},
	{"f11", KEY_F11},
	{"f12", KEY_F12},
	{"space", KEY_SPACE},
	{"tab", KEY_TAB},
	{"enter", KEY_ENTER},
	{"escape", KEY_ESC},
	{"backspace", KEY_BACKSPACE},
	{"delete", KEY_DELETE},
	{"insert", KEY_INSERT},
	{"home", KEY_HOME},
	{"end", KEY_END},
	{"pageup", KEY_PAGEUP},
	{"pagedown", KEY_PAGEDOWN},
	{"left", KEY_LEFT},
	{"right", KEY_RIGHT},
	{"up", KEY_UP},
	{"down", KEY_DOWN},
	{"minus", KEY_MINUS},
	{"equal", KEY_EQUAL},
	{"comma", KEY_COMMA},
	{"period", KEY_DOT},
	{"slash", KEY_SLASH},
	{"semicolon", KEY_SEMICOLON},
	{"apostrophe", KEY_APOSTROPHE},
	{"grave", KEY_GRAVE},
	{"backslash", KEY_BACKSLASH},
	{"bracketleft", KEY_LEFTBRACE},
	{"bracketright", KEY_RIGHTBRACE},
	{"print", KEY_SYSRQ},
	{"pause", KEY_PAUSE},
	{"menu", KEY_COMPOSE},
};

void hid_default_chords(struct hid_chord chord[HID_ACTIONS])
{
	static const struct hid_chord defaults[HID_ACTIONS] = {
		[HID_ACTION_ATTENTION] = {HID_MOD_CTRL | HID_MOD_ALT, KEY_DELETE},
		[HID_ACTION_LAUNCHER] = {HID_MOD_SUPER, KEY_SPACE},
		[HID_ACTION_WINDOWS] = {HID_MOD_SUPER, KEY_W},
		[HID_ACTION_GRAPH] = {HID_MOD_SUPER, KEY_G},
		[HID_ACTION_CONSOLE] = {HID_MOD_SUPER, KEY_T},
		[HID_ACTION_NEXT] = {HID_MOD_SUPER, KEY_TAB},
		[HID_ACTION_PREVIOUS] = {HID_MOD_SUPER | HID_MOD_SHIFT, KEY_TAB},
		[HID_ACTION_CLOSE] = {HID_MOD_SUPER, KEY_Q},
		[HID_ACTION_FULLSCREEN] = {HID_MOD_SUPER, KEY_F},
		[HID_ACTION_MAXIMIZE] = {HID_MOD_SUPER, KEY_M},
		[HID_ACTION_LAYOUT] = {HID_MOD_SUPER, KEY_L},
		[HID_ACTION_COPY] = {HID_MOD_CTRL | HID_MOD_SHIFT, KEY_C},
		[HID_ACTION_PASTE] = {HID_MOD_CTRL | HID_MOD_SHIFT, KEY_V},
		[HID_ACTION_SCREENSHOT] = {HID_MOD_SUPER, KEY_P},
		[HID_ACTION_SCREENCAST] = {HID_MOD_SUPER, KEY_R},
		[HID_ACTION_KEYMAP] = {HID_MOD_SUPER, KEY_K},
		[HID_ACTION_THEME] = {HID_MOD_SUPER, KEY_D},
		[HID_ACTION_HELP] = {HID_MOD_SUPER, KEY_H},
		[HID_ACTION_KILL] = {HID_MOD_SUPER, KEY_X},
		[HID_ACTION_PAUSE] = {HID_MOD_SUPER, KEY_Z},
	};

	memcpy(chord, defaults, sizeof(defaults));
}

static bool parse_word(const char *word, struct hid_chord *chord)
{
	for (size_t i = 0; i < sizeof(modifiers) / sizeof(modifiers[0]); i++) {
		if (!strcmp(modifiers[i].name, word)) {
			chord->modifiers |= modifiers[i].modifier;
			return true;
		}
	}
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (!strcmp(keys[i].name, word)) {
			chord->key = keys[i].key;
			return true;
		}
	}
	return false;
}

bool hid_parse_chord(const char *text, struct hid_chord *chord, const char **why)
{
	*chord = (struct hid_chord){0};
	*why = "a key is missing after the last +";
	while (*text) {
		size_t length = strcspn(text, "+");
		char word[16];

		*why = "no key or modifier has this name";
		if (!length || length >= sizeof(word))
			return false;
		for (size_t i = 0; i < length; i++)
			word[i] = (char)(text[i] >= 'A' && text[i] <= 'Z' ? text[i] + 32 : text[i]);
		word[length] = '\0';
		if (chord->key) {
			*why = "the key comes last, and there is one";
			return false;
		}
		if (!parse_word(word, chord))
			return false;
		text += length;
		*why = "a key is missing after the last +";
		if (*text && !*++text)
			return false;
	}
	return chord->key != 0;
}

void hid_chord_words(const struct hid_chord *chord, char out[64])
{
	size_t used = 0;

	out[0] = '\0';
	for (size_t i = 0; i < sizeof(modifiers) / sizeof(modifiers[0]); i++) {
		if (chord->modifiers & modifiers[i].modifier)
			used += (size_t)snprintf(out + used, 64 - used, "%s+", modifiers[i].name);
	}
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (keys[i].key == chord->key) {
			snprintf(out + used, 64 - used, "%s", keys[i].name);
			return;
		}
	}
	snprintf(out + used, 64 - used, "key%u", chord->key);
}

/* Exactly these modifiers; but nothing that is held besides keeps the person from the shell. */
enum hid_action hid_chord_action(const struct hid *h, uint16_t code, uint32_t held)
{
	const struct hid_chord *c = &h->config.chord[HID_ACTION_ATTENTION];

	if (c->key == code && (held & c->modifiers) == c->modifiers)
		return HID_ACTION_ATTENTION;
	for (unsigned i = 1; i < HID_ACTIONS; i++) {
		c = &h->config.chord[i];
		if (i != HID_ACTION_ATTENTION && c->key == code && c->modifiers == held)
			return (enum hid_action)i;
	}
	return HID_ACTION_NONE;
}
