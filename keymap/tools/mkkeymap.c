/*
 * Makes the tables of keymap.c, when we build: asks libxkbcommon what each key types in each
 * layout of xkb-data, and what dead keys make of the letters that follow (libX11's Compose).
 * Prints gen/keymap_tables.h on stdout.
 */
#include <linux/input-event-codes.h>
#include <locale.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xkbcommon/xkbcommon-compose.h>
#include <xkbcommon/xkbcommon.h>

#define CODES 128    /* keys that type have small codes */
#define LEVELS 8     /* bit 0 Shift, bit 1 AltGr, bit 2 caps lock */
#define DEAD_MAX 64  /* different dead keys */
#define DEAD 0xE000u /* how a dead key is told in the tables: + its number; private use */
#define BASES_MAX 2048

static const struct layout {
	const char *name, *layout, *variant;
} layouts[] = {
	{"us", "us", ""},
	{"gb", "gb", ""},
	{"de", "de", ""},
	{"fr", "fr", ""},
	{"es", "es", ""},
	{"it", "it", ""},
	{"pt", "pt", ""},
	{"pl", "pl", ""},
	{"se", "se", ""},
	{"no", "no", ""},
	{"dk", "dk", ""},
	{"fi", "fi", ""},
	{"ch", "ch", ""},
	{"be", "be", ""},
	{"cz", "cz", ""},
	{"hu", "hu", ""},
	{"ca", "ca", ""},
	{"ru", "ru", ""},
	{"ua", "ua", ""},
	{"gr", "gr", ""},
	{"tr", "tr", ""},
	{"br", "br", ""},
	{"intl", "us", "intl"},
	{"dvorak", "us", "dvorak"},
	{"colemak", "us", "colemak"},
};
#define LAYOUTS (sizeof(layouts) / sizeof(layouts[0]))

static uint16_t symbols[LAYOUTS][CODES][LEVELS];
static bool altgr[LAYOUTS];
static xkb_keysym_t dead[DEAD_MAX];
static unsigned deads;
static uint16_t bases[BASES_MAX];
static unsigned n_bases;

static void die(const char *what, const char *name)
{
	fprintf(stderr, "mkkeymap: %s: %s\n", name, what);
	exit(1);
}

static bool is_dead(xkb_keysym_t sym)
{
	return sym >= XKB_KEY_dead_grave && sym <= XKB_KEY_dead_currency;
}

static uint16_t dead_number(xkb_keysym_t sym)
{
	unsigned i;

	for (i = 0; i < deads && dead[i] != sym; i++)
		;
	if (i == DEAD_MAX)
		die("too many dead keys", "layouts");
	if (i == deads)
		dead[deads++] = sym;
	return (uint16_t)(DEAD + i);
}

static void add_base(uint16_t c)
{
	for (unsigned i = 0; i < n_bases; i++)
		if (bases[i] == c)
			return;
	if (n_bases == BASES_MAX)
		die("too many letters", "layouts");
	bases[n_bases++] = c;
}

/* What fits in the tables and types something: 0 if not. */
static uint16_t printable(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || c >= 0xd800 ? 0 : (uint16_t)c;
}

static void read_layout(struct xkb_context *ctx, unsigned which)
{
	struct xkb_rule_names names = {.rules = "evdev", .model = "pc105"};
	xkb_mod_mask_t mods[LEVELS];
	struct xkb_keymap *map;
	struct xkb_state *state;

	names.layout = layouts[which].layout;
	names.variant = layouts[which].variant;
	map = xkb_keymap_new_from_names(ctx, &names, XKB_KEYMAP_COMPILE_NO_FLAGS);
	state = map ? xkb_state_new(map) : NULL;
	if (!state)
		die("no such layout in xkb-data", layouts[which].name);
	for (unsigned level = 0; level < LEVELS; level++) {
		const char *const mod[] = {"Shift", "Mod5", "Lock"};

		mods[level] = 0;
		for (unsigned bit = 0; bit < 3; bit++)
			if (level & 1u << bit)
				mods[level] |= 1u << xkb_keymap_mod_get_index(map, mod[bit]);
	}
	for (unsigned level = 0; level < LEVELS; level++) {
		/* The keypad has digits: there is no Num Lock. */
		xkb_mod_mask_t num = 1u << xkb_keymap_mod_get_index(map, "Mod2");

		xkb_state_update_mask(state, mods[level], 0, num, 0, 0, 0);
		for (unsigned code = 1; code < CODES; code++) {
			xkb_keysym_t sym = xkb_state_key_get_one_sym(state, code + 8);
			uint16_t c = is_dead(sym)
					     ? dead_number(sym)
					     : printable(xkb_state_key_get_utf32(state, code + 8));

			symbols[which][code][level] = c;
			if (c && !is_dead(sym))
				add_base(c);
		}
	}
	xkb_state_update_mask(state, 0, 0, 0, 0, 0, 0);
	altgr[which] =
		xkb_state_key_get_one_sym(state, KEY_RIGHTALT + 8) == XKB_KEY_ISO_Level3_Shift;
	xkb_state_unref(state);
	xkb_keymap_unref(map);
}

/* Letters of ASCII on it: shortcuts can be typed without a second layout. */
static bool is_latin(unsigned which)
{
	unsigned n = 0;

	for (unsigned code = 1; code < CODES; code++)
		n += symbols[which][code][0] >= 'a' && symbols[which][code][0] <= 'z';
	return n >= 20;
}

/* 0: nothing that is one character. */
static uint16_t compose(struct xkb_compose_state *state, xkb_keysym_t first, xkb_keysym_t second)
{
	char text[16];
	uint32_t c;
	int n;

	xkb_compose_state_reset(state);
	xkb_compose_state_feed(state, first);
	xkb_compose_state_feed(state, second);
	if (xkb_compose_state_get_status(state) != XKB_COMPOSE_COMPOSED)
		return 0;
	n = xkb_compose_state_get_utf8(state, text, sizeof(text));
	if (n <= 0 || n > 3)
		return 0;
	c = (unsigned char)text[0];
	if (n == 2)
		c = (c & 0x1f) << 6 | (text[1] & 0x3f);
	else if (n == 3)
		c = (c & 0x0f) << 12 | (text[1] & 0x3f) << 6 | (text[2] & 0x3f);
	if (n != (c < 0x80 ? 1 : c < 0x800 ? 2 : 3))
		return 0; /* two characters */
	return printable(c);
}

static int compare(const void *a, const void *b)
{
	uint16_t x = *(const uint16_t *)a, y = *(const uint16_t *)b;

	return x < y ? -1 : x > y;
}

static void print_layouts(void)
{
	bool used[CODES] = {false};
	unsigned keys = 0;

	for (unsigned code = 1; code < CODES; code++)
		for (unsigned l = 0; l < LAYOUTS; l++)
			for (unsigned level = 0; level < LEVELS; level++)
				used[code] |= symbols[l][code][level] != 0;
	printf("/* Made by mkkeymap from xkb-data and libX11's Compose. */\n\n");
	printf("#define KEYMAP_LEVELS %d\n#define KEYMAP_CODES %d\n", LEVELS, CODES);
	printf("#define KEYMAP_DEAD 0x%xu\n\n", DEAD);
	printf("/* Which row of a layout a key has, 0: none. */\n");
	printf("static const uint8_t keymap_rows[KEYMAP_CODES] = {\n");
	for (unsigned code = 1; code < CODES; code++)
		if (used[code])
			printf("\t[%u] = %u,\n", code, ++keys);
	printf("};\n#define KEYMAP_ROWS %u\n\n", keys + 1);
	printf("struct keymap {\n\tchar name[12];\n\tbool altgr, latin;\n");
	printf("\tuint16_t symbols[KEYMAP_ROWS][KEYMAP_LEVELS];\n};\n\n");
	printf("static const struct keymap keymap_layouts[] = {\n");
	for (unsigned l = 0; l < LAYOUTS; l++) {
		printf("\t{\"%s\", %d, %d, {{0},\n", layouts[l].name, altgr[l], is_latin(l));
		for (unsigned code = 1; code < CODES; code++) {
			if (!used[code])
				continue;
			printf("\t\t{");
			for (unsigned level = 0; level < LEVELS; level++)
				printf("%s0x%x", level ? ", " : "", symbols[l][code][level]);
			printf("},\n");
		}
		printf("\t}},\n");
	}
	printf("};\n\n");
}

static void print_dead(struct xkb_compose_state *state)
{
	printf("/* A dead key before a space, and the accent by itself; 0: there is none. */\n");
	printf("static const struct {\n\tuint16_t space, alone;\n} keymap_dead[] = {\n");
	for (unsigned d = 0; d < deads; d++) {
		uint16_t space = compose(state, dead[d], XKB_KEY_space);
		uint16_t twice = compose(state, dead[d], dead[d]);

		printf("\t{0x%x, 0x%x},\n", space ? space : twice, twice ? twice : space);
	}
	printf("};\n\n/* Sorted. */\nstatic const struct {\n");
	printf("\tuint16_t dead, letter, makes;\n} keymap_composed[] = {\n");
	for (unsigned d = 0; d < deads; d++) {
		for (unsigned i = 0; i < n_bases; i++) {
			xkb_keysym_t sym = xkb_utf32_to_keysym(bases[i]);
			uint16_t made = bases[i] == ' ' ? 0 : compose(state, dead[d], sym);

			if (made)
				printf("\t{0x%x, 0x%x, 0x%x},\n", DEAD + d, bases[i], made);
		}
		for (unsigned i = 0; i < deads; i++) {
			uint16_t made = compose(state, dead[d], dead[i]);

			if (made)
				printf("\t{0x%x, 0x%x, 0x%x},\n", DEAD + d, DEAD + i, made);
		}
	}
	printf("};\n");
}

int main(void)
{
	/* The host's own settings have no say: the tables are the same everywhere. */
	struct xkb_context *ctx = xkb_context_new(XKB_CONTEXT_NO_ENVIRONMENT_NAMES);
	struct xkb_compose_table *table;
	struct xkb_compose_state *state;

	if (!ctx)
		die("cannot be initialized", "libxkbcommon");
	for (unsigned l = 0; l < LAYOUTS; l++)
		read_layout(ctx, l);
	qsort(bases, n_bases, sizeof(bases[0]), compare);
	table = xkb_compose_table_new_from_locale(ctx, "en_US.UTF-8", 0);
	state = table ? xkb_compose_state_new(table, 0) : NULL;
	if (!state)
		die("not found; install libx11-data", "Compose of en_US.UTF-8");
	print_layouts();
	print_dead(state);
	xkb_compose_state_unref(state);
	xkb_compose_table_unref(table);
	xkb_context_unref(ctx);
	return ferror(stdout) || fflush(stdout) ? 1 : 0;
}
