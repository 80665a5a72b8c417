/*
 * The service "desktop" with guests that may say anything (hostile-guests H-34, H-35): messages,
 * titles, the clipboard, the file chooser, drops. Windows are hidmux's own; the session, panels
 * and notices are stand-ins that take notes.
 */
#include "guests_impl.h"
#include "services_impl.h"
#include "unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/input-event-codes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define SECOND 1000000000ull
#define GUESTS 2

static struct desktop d;
static struct dguest guest[GUESTS];
static int end[GUESTS]; /* the guests' */
static uint64_t now;
static char noticed[512]; /* the last */
static link_event_fn *on_connection;
static void (*on_connect)(struct desktop *d);
static json_t *asked; /* the last request */
static link_fn *answer_fn;
static void *answer_opaque;
static struct panel *panel; /* that is open */
static unsigned baseline;
static char folder[] = "/tmp/exo-services-XXXXXX";

/* ---- stand-ins --------------------------------------------------------------------------- */

uint64_t desktop_now(const struct desktop *desktop)
{
	return now;
}

void desktop_wake_at(struct desktop *desktop, uint64_t when_ns) {}

int desktop_px(const struct desktop *desktop, int n)
{
	return n;
}

void paint_size_words(uint64_t bytes, char out[24])
{
	snprintf(out, 24, "%u", (unsigned)bytes);
}

void notice(struct desktop *desktop, uint32_t colour, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(noticed, sizeof(noticed), format, ap);
	va_end(ap);
}

struct dguest *guests_find(struct desktop *desktop, const char *name)
{
	for (unsigned i = 0; i < GUESTS; i++) {
		if (!strcmp(guest[i].name, name))
			return &guest[i];
	}
	return NULL;
}

struct dguest *guests_get(struct desktop *desktop, const char *name)
{
	return guests_find(desktop, name);
}

struct dguest *guests_of_window(struct desktop *desktop, hid_id id, unsigned *scanout)
{
	*scanout = 0;
	for (unsigned i = 0; id && i < GUESTS; i++) {
		if (guest[i].window[0] == id)
			return &guest[i];
	}
	return NULL;
}

void link_request(struct desktop *desktop, json_t *request, const int *fds, unsigned nfds,
		  link_fn *done, void *opaque)
{
	ck_assert_ptr_nonnull(request);
	json_decref(asked);
	asked = request;
	answer_fn = done;
	answer_opaque = opaque;
}

void link_forget(struct desktop *desktop, const void *opaque)
{
	if (answer_opaque == opaque)
		answer_fn = NULL;
}

const char *link_error(const json_t *answer)
{
	return json_is_true(json_object_get(answer, "ok")) ? NULL : "the session says no";
}

void link_on(struct desktop *desktop, const char *event, link_event_fn *fn)
{
	ck_assert_str_eq(event, "connection");
	on_connection = fn;
}

void link_on_connect(struct desktop *desktop, void (*fn)(struct desktop *d))
{
	on_connect = fn;
}

struct panel *panel_open(struct desktop *desktop, const struct panel_class *cls, const char *title,
			 const struct hid_window_setup *setup, void *data)
{
	ck_assert_ptr_null(panel);
	panel = calloc(1, sizeof(*panel));
	panel->desktop = desktop;
	panel->cls = cls;
	panel->data = data;
	panel->width = setup->width;
	panel->height = setup->height;
	panel->id = hid_add(desktop->hid, setup, now);
	return panel;
}

void panel_close(struct panel *p)
{
	p->closing = true;
}

void panel_redraw(struct panel *p) {}

/* As the loop does after a turn. */
static void reap_panel(void)
{
	if (!panel || !panel->closing)
		return;
	hid_remove(d.hid, panel->id, now);
	panel->cls->destroy(panel);
	free(panel);
	panel = NULL;
}

static void no_key(void *o, hid_id to, uint16_t code, bool down, uint64_t t) {}
static void no_pointer(void *o, hid_id to, int x, int y, uint64_t t) {}
static void no_touch(void *o, hid_id to, unsigned slot, unsigned p, int x, int y, uint64_t t) {}
static void no_leave(void *o, hid_id from) {}
static void no_configure(void *o, hid_id id, int width, int height, bool visible) {}
static void no_focus(void *o, hid_id from, hid_id to, bool asked_for) {}
static void no_action(void *o, enum hid_action action, hid_id focused) {}

static const struct hid_ops ops = {no_key,   no_pointer,   no_key,   no_pointer, no_touch,
				   no_leave, no_configure, no_focus, no_action,  no_leave};

/* ---- the rig ----------------------------------------------------------------------------------
 */

static unsigned count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static void attach(unsigned i)
{
	json_t *event = json_pack("{s:s,s:s,s:s}", "service", "desktop", "from", guest[i].name,
				  "label", "x");
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	ck_assert_int_eq(fcntl(pair[1], F_SETFL, O_NONBLOCK), 0);
	on_connection(&d, event, pair[0]);
	end[i] = pair[1];
	json_decref(event);
	ck_assert_ptr_nonnull(guest[i].service);
}

static void pump(void)
{
	for (int i = 0; i < 3; i++) {
		loop_timer(&d.loop, 1); /* it never waits */
		ck_assert_int_eq(loop_run_once(&d.loop), 0);
	}
	services_tick(&d, now);
	reap_panel();
}

/* The next message to guest i; its type, 0: none. */
static uint32_t next(unsigned i, struct exo_desk_msg *m, char *data)
{
	static char buffer[EXO_DESK_MSG_MAX];
	ssize_t n;

	pump();
	n = recv(end[i], buffer, sizeof(buffer), MSG_DONTWAIT);
	if (n <= 0)
		return 0;
	ck_assert_int_ge(n, (ssize_t)sizeof(*m));
	memcpy(m, buffer, sizeof(*m));
	ck_assert_uint_eq(m->bytes, (size_t)n - sizeof(*m));
	if (data) {
		memcpy(data, buffer + sizeof(*m), m->bytes);
		data[m->bytes] = '\0';
	}
	return m->type;
}

static void tell(unsigned i, struct exo_desk_msg m, const void *data, uint32_t bytes)
{
	char buffer[EXO_DESK_MSG_MAX];

	m.bytes = bytes;
	memcpy(buffer, &m, sizeof(m));
	if (bytes)
		memcpy(buffer + sizeof(m), data, bytes);
	ck_assert_int_eq(send(end[i], buffer, sizeof(m) + bytes, MSG_NOSIGNAL),
			 (ssize_t)(sizeof(m) + bytes));
	pump();
}

static void setup(void)
{
	struct hid_config config = {.width = 1000, .height = 800};
	struct hid_window_setup w = {.width = 200, .height = 200, .anchored = true};

	baseline = count_fds();
	now = 1000 * SECOND;
	noticed[0] = '\0';
	d = (struct desktop){.scale = 120, .width = 1000, .height = 800, .layout = "de"};
	d.theme.dark = true;
	ck_assert_int_eq(loop_init(&d.loop), 0);
	d.hid = hid_create(&config, &ops, &d);
	ck_assert_int_eq(services_open(&d), 0);
	on_connect(&d);
	ck_assert_str_eq(json_string_value(json_object_get(asked, "op")), "listen");
	for (unsigned i = 0; i < GUESTS; i++) {
		struct exo_desk_msg m;
		char text[64];

		guest[i] = (struct dguest){.desktop = &d, .colour = 0x40c040, .number = i + 1};
		snprintf(guest[i].name, sizeof(guest[i].name), "g%u", i);
		w.x = 100 + 300 * (int)i;
		w.y = 100;
		guest[i].window[0] = hid_add(d.hid, &w, now);
		guest[i].next = i ? &guest[i - 1] : NULL;
		attach(i);
		ck_assert_uint_eq(next(i, &m, text), EXO_DESK_SETTINGS);
		ck_assert(m.flags == EXO_DESK_DARK && m.scale == 120 && !strcmp(text, "de"));
	}
	d.guests = &guest[GUESTS - 1];
}

static void teardown(void)
{
	if (panel) {
		panel->closing = true;
		reap_panel();
	}
	services_close(&d);
	for (unsigned i = 0; i < GUESTS; i++)
		close(end[i]);
	hid_destroy(d.hid);
	loop_finish(&d.loop);
	json_decref(asked);
	asked = NULL;
	ck_assert_uint_eq(count_fds(), baseline);
}

static bool connected(unsigned i)
{
	pump();
	return guest[i].service != NULL;
}

/* ---- messages
 * ------------------------------------------------------------------------------------ */

START_TEST(h34_messages)
{
	static const struct {
		struct exo_desk_msg m;
		const char *data;
		uint32_t cut; /* bytes left out at its end */
		bool good;
	} rows[] = {
		{{.type = EXO_DESK_TITLE}, "a title", 0, true},
		{{.type = EXO_DESK_TITLE, .scanout = 15}, "", 0, true},
		{{.type = EXO_DESK_TITLE, .scanout = 16}, "", 0, false},
		{{.type = EXO_DESK_TITLE, .flags = 1}, "", 0, false},
		{{.type = EXO_DESK_TITLE, .scale = 120}, "", 0, false},
		{{.type = EXO_DESK_TITLE}, "\xff", 0, false},
		{{.type = EXO_DESK_TITLE}, "\xed\xa0\x80", 0, false}, /* a surrogate */
		{{.type = EXO_DESK_TITLE}, "\xc0\x80", 0, false},     /* overlong */
		{{.type = EXO_DESK_TITLE}, "\xe2\x82", 0, false},
		{{.type = EXO_DESK_TITLE}, "short", 1, false},
		{{.type = EXO_DESK_TITLE}, "", 1, false},
		{{.type = EXO_DESK_TITLE}, "", 48, false},
		{{.type = EXO_DESK_ATTENTION}, "", 0, true},
		{{.type = EXO_DESK_ATTENTION}, "text", 0, false},
		{{.type = 0}, "", 0, false},
		{{.type = EXO_DESK_SETTINGS}, "", 0, false}, /* the desktop's own */
		{{.type = EXO_DESK_PASTE}, "", 0, false},
		{{.type = 0xffffffff}, "", 0, false},
		{{.type = EXO_DESK_CHOOSE, .rights = EXO_DESK_READ}, "name", 0, true},
		{{.type = EXO_DESK_CHOOSE, .rights = 0}, "name", 0, false},
		{{.type = EXO_DESK_CHOOSE, .rights = EXO_DESK_WRITE}, "name", 0, false},
		{{.type = EXO_DESK_CHOOSE, .rights = 7}, "name", 0, false},
		{{.type = EXO_DESK_CHOOSE, .rights = 1, .flags = EXO_DESK_SAVE}, "", 0, false},
		{{.type = EXO_DESK_CHOOSE, .rights = 3, .flags = 2}, "", 0, false},
		{{.type = EXO_DESK_COPIED, .id = 9, .format = EXO_DESK_TEXT, .total = 2},
		 "hi",
		 0,
		 true},
		{{.type = EXO_DESK_COPIED, .format = EXO_DESK_TEXT, .total = 1}, "hi", 0, false},
		{{.type = EXO_DESK_COPIED, .format = EXO_DESK_TEXT, .total = 3, .offset = 2},
		 "hi",
		 0,
		 false},
		{{.type = EXO_DESK_COPIED, .format = EXO_DESK_TEXT, .total = 4, .offset = ~0u},
		 "hi",
		 0,
		 false},
		{{.type = EXO_DESK_COPIED, .format = EXO_DESK_TEXT, .total = (1u << 20) + 1},
		 "hi",
		 0,
		 false},
		{{.type = EXO_DESK_COPIED, .format = 3, .total = 2}, "hi", 0, false},
		{{.type = EXO_DESK_COPIED, .format = EXO_DESK_NONE, .total = 2}, "hi", 0, false},
		{{.type = EXO_DESK_COPIED, .format = EXO_DESK_PNG, .total = 9}, "", 0, false},
	};
	char buffer[256];

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct exo_desk_msg m = rows[i].m;
		size_t bytes = sizeof(m) + strlen(rows[i].data);

		m.bytes = (uint32_t)strlen(rows[i].data);
		memcpy(buffer, &m, sizeof(m));
		memcpy(buffer + sizeof(m), rows[i].data, m.bytes);
		if (bytes > rows[i].cut)
			ck_assert_int_ge(send(end[0], buffer, bytes - rows[i].cut, MSG_NOSIGNAL),
					 0);
		else
			shutdown(end[0], SHUT_WR);
		ck_assert_msg(connected(0) == rows[i].good, "row %zu", i);
		if (!rows[i].good) {
			close(end[0]);
			attach(0);
		}
		ck_assert(connected(1)); /* its neighbour */
	}
}
END_TEST

/* A packet larger than any message; a connection anew replaces the last. */
START_TEST(h34_too_large)
{
	static char big[EXO_DESK_MSG_MAX + 1];
	struct exo_desk_msg m = {.type = EXO_DESK_COPIED, .bytes = sizeof(big) - sizeof(m)};
	int old = end[0];

	memcpy(big, &m, sizeof(m));
	ck_assert_int_gt(send(end[0], big, sizeof(big), MSG_NOSIGNAL), 0);
	ck_assert(!connected(0));
	ck_assert_ptr_nonnull(strstr(noticed, "g0"));
	attach(0);
	close(old);
	old = end[0];
	attach(0);
	ck_assert(connected(0));
	next(0, &m, NULL);
	ck_assert_int_eq(recv(old, big, 1, 0), 1); /* its settings, */
	ck_assert_int_eq(recv(old, big, 1, 0), 0); /* and its end */
	close(old);
}
END_TEST

/* Who does not read is hung up on; nothing waits. */
START_TEST(h34_does_not_read)
{
	for (int i = 0; i < 100000 && guest[0].service; i++)
		service_settings_changed(&d);
	ck_assert(!connected(0));
	ck_assert_ptr_nonnull(strstr(noticed, "does not read"));
}
END_TEST

START_TEST(h35_titles)
{
	static const struct {
		const char *said, *shown;
	} rows[] = {
		{"plain", "plain"},
		{"a\x1b[31m\nb\x7f\t", "a[31mb"},
		{"\xe2\x80\xae"
		 "evil",
		 "evil"}, /* right to left */
		{"a\xe2\x81\xa6"
		 "b\xe2\x80\x8b"
		 "c\xef\xbb\xbf",
		 "abc"}, /* isolates, no width */
		{"gr\xc3\xb6\xc3\x9f"
		 "e \xe6\xbc\xa2",
		 "gr\xc3\xb6\xc3\x9f"
		 "e \xe6\xbc\xa2"},
		{"\xc2\x85x\xf3\xa0\x81\x81", "x"}, /* C1, tags */
		{"", ""},
	};
	char longest[EXO_DESK_TEXT_MAX + 1];
	char out[8];

	for (size_t i = 0; i < COUNT(rows); i++) {
		tell(0, (struct exo_desk_msg){.type = EXO_DESK_TITLE}, rows[i].said,
		     (uint32_t)strlen(rows[i].said));
		ck_assert_str_eq(guest[0].title[0], rows[i].shown);
	}
	memset(longest, 'x', sizeof(longest));
	tell(0, (struct exo_desk_msg){.type = EXO_DESK_TITLE}, longest, EXO_DESK_TEXT_MAX);
	ck_assert_uint_eq(strlen(guest[0].title[0]), EXO_DESK_TEXT_MAX);
	ck_assert_str_eq(guest[0].title[1], "");
	desk_text_clean(out, sizeof(out), "\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2", 9);
	ck_assert_str_eq(out, "\xe6\xbc\xa2\xe6\xbc\xa2"); /* cut between characters */
	desk_text_name(out, sizeof(out), "../.a/b", 7);
	ck_assert_str_eq(out, "ab");
}
END_TEST

START_TEST(h35_attention_is_a_mark)
{
	struct hid_window_info info;

	hid_focus(d.hid, guest[1].window[0], now);
	tell(0, (struct exo_desk_msg){.type = EXO_DESK_ATTENTION}, NULL, 0);
	tell(1, (struct exo_desk_msg){.type = EXO_DESK_ATTENTION}, NULL, 0);
	ck_assert(hid_info(d.hid, guest[0].window[0], &info) && info.attention);
	ck_assert(hid_info(d.hid, guest[1].window[0], &info) && !info.attention);
	ck_assert_uint_eq(hid_focused(d.hid), guest[1].window[0]);
}
END_TEST

/* ---- the clipboard
 * ---------------------------------------------------------------------------------- */

static struct exo_desk_msg copied(uint32_t id, uint32_t format, uint32_t total, uint32_t offset)
{
	return (struct exo_desk_msg){.type = EXO_DESK_COPIED,
				     .id = id,
				     .format = format,
				     .total = total,
				     .offset = offset};
}

static uint32_t ask_copy(unsigned i)
{
	struct exo_desk_msg m;

	clip_copy(&d, &guest[i], 0);
	ck_assert_uint_eq(next(i, &m, NULL), EXO_DESK_COPY);
	return m.id;
}

static uint32_t clip_format(void)
{
	struct clip_state s;

	clip_state(&d, &s);
	return s.format;
}

START_TEST(copy_and_paste)
{
	struct exo_desk_msg m;
	char text[64];
	uint32_t id;

	tell(0, copied(0, EXO_DESK_TEXT, 5, 0), "early", 5); /* nobody asked */
	ck_assert_uint_eq(clip_format(), EXO_DESK_NONE);
	id = ask_copy(0);
	tell(1, copied(id, EXO_DESK_TEXT, 5, 0), "other", 5); /* not who was asked */
	ck_assert_uint_eq(clip_format(), EXO_DESK_NONE);
	tell(0, copied(id, EXO_DESK_TEXT, 5, 0), "he", 2);
	ck_assert_uint_eq(clip_format(), EXO_DESK_NONE);
	tell(0, copied(id, EXO_DESK_TEXT, 5, 2), "llo", 3);
	ck_assert_uint_eq(clip_format(), EXO_DESK_TEXT);
	ck_assert_str_eq(clip_words(&d), "text, 5, of g0");
	tell(0, copied(id, EXO_DESK_TEXT, 4, 0), "late", 4);
	clip_paste(&d, &guest[1], 0);
	ck_assert_uint_eq(next(1, &m, text), EXO_DESK_PASTE);
	ck_assert_str_eq(text, "hello");
	ck_assert(m.total == 5 && m.offset == 0 && m.format == EXO_DESK_TEXT);
	ck_assert_uint_eq(next(0, &m, text), 0); /* no other guest sees it */
	ck_assert_ptr_null(clip_words(&d));      /* it was for once */
	clip_paste(&d, &guest[1], 0);
	ck_assert_uint_eq(next(1, &m, text), 0);
}
END_TEST

START_TEST(copies_that_are_none)
{
	uint32_t id = ask_copy(0);

	tell(0, copied(id, EXO_DESK_NONE, 0, 0), NULL, 0);
	ck_assert_ptr_nonnull(strstr(noticed, "nothing selected"));
	id = ask_copy(0);
	tell(0, copied(id, EXO_DESK_TEXT, 2, 0), "\xff\xfe", 2);
	ck_assert_ptr_nonnull(strstr(noticed, "no text"));
	id = ask_copy(0);
	tell(0, copied(id, EXO_DESK_PNG, 40, 0), "GIF89a..................................", 40);
	ck_assert_ptr_nonnull(strstr(noticed, "no picture"));
	ck_assert_uint_eq(clip_format(), EXO_DESK_NONE);
	id = ask_copy(0);
	now += 2 * SECOND;
	pump();
	ck_assert_ptr_nonnull(strstr(noticed, "did not answer"));
	tell(0, copied(id, EXO_DESK_TEXT, 2, 0), "hi", 2); /* too late */
	ck_assert_uint_eq(clip_format(), EXO_DESK_NONE);
	id = ask_copy(0);
	tell(0, copied(id, EXO_DESK_TEXT, 4, 0), "hi", 2);
	tell(0, copied(id, EXO_DESK_TEXT, 4, 0), "hi", 2); /* out of order */
	ck_assert(!connected(0));
	clip_copy(&d, &guest[0], 0); /* it is gone */
	ck_assert_ptr_nonnull(strstr(noticed, "nothing to copy"));
	ask_copy(1);
	service_guest_gone(&guest[1]);
	now += 10 * SECOND;
	pump();
}
END_TEST

START_TEST(wiped_by_time)
{
	uint32_t id = ask_copy(0);

	tell(0, copied(id, EXO_DESK_TEXT, 2, 0), "hi", 2);
	now += 59 * SECOND;
	pump();
	ck_assert_uint_eq(clip_format(), EXO_DESK_TEXT);
	ck_assert_uint_eq(services_tick(&d, now), now + SECOND);
	now += SECOND;
	pump();
	ck_assert_uint_eq(clip_format(), EXO_DESK_NONE);
	ck_assert_uint_eq(services_tick(&d, now), 0);
}
END_TEST

/* The largest picture, in pieces, to a guest that reads slowly: all of it, and nothing waits. */
START_TEST(large_picture)
{
	static const unsigned char head[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n', 0, 0,
					     0,    13,  'I', 'H', 'D',  'R',  0,    0,    1, 0,
					     0,    0,   1,   0,   8,    6,    0,    0,    0};
	char *data = calloc(1, EXO_DESK_CLIP_PNG), piece[EXO_DESK_MSG_MAX];
	uint32_t id = ask_copy(0), at = 0;
	struct exo_desk_msg m;

	for (uint32_t i = 0; i < EXO_DESK_CLIP_PNG; i++)
		data[i] = (char)(i * 7);
	memcpy(data, head, sizeof(head));
	while (at < EXO_DESK_CLIP_PNG) {
		uint32_t n = EXO_DESK_CLIP_PNG - at;

		n = n < EXO_DESK_DATA_MAX ? n : EXO_DESK_DATA_MAX;
		tell(0, copied(id, EXO_DESK_PNG, EXO_DESK_CLIP_PNG, at), data + at, n);
		at += n;
	}
	ck_assert_uint_eq(clip_format(), EXO_DESK_PNG);
	clip_paste(&d, &guest[1], 0);
	for (at = 0; at < EXO_DESK_CLIP_PNG; at += m.bytes) {
		ck_assert_uint_eq(next(1, &m, piece), EXO_DESK_PASTE);
		ck_assert_uint_eq(m.offset, at);
		ck_assert(!memcmp(piece, data + at, m.bytes));
	}
	free(data);
}
END_TEST

/* ---- files
 * ------------------------------------------------------------------------------------------ */

static void press(uint16_t code, const char *text)
{
	struct panel_event_key e = {.code = code, .down = true, .text = text};

	panel->cls->key(panel, &e);
	reap_panel();
}

static void type(const char *text)
{
	for (char c[2] = ""; *text; text++) {
		c[0] = *text;
		press(KEY_A, c);
	}
}

static void make_files(void)
{
	char path[128];
	int fd;

	ck_assert_ptr_nonnull(mkdtemp(folder));
	setenv("HOME", folder, 1);
	snprintf(path, sizeof(path), "%s/letter.txt", folder);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	ck_assert_int_ge(fd, 0);
	close(fd);
}

static void remove_files(void)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/letter.txt", folder);
	unlink(path);
	rmdir(folder);
	memcpy(folder + strlen(folder) - 6, "XXXXXX", 6);
}

static const char *asked_for(const char *field)
{
	return json_string_value(json_object_get(asked, field));
}

static void answer(bool ok)
{
	json_t *a = ok ? json_pack("{s:b,s:i,s:i,s:s}", "ok", 1, "port", 70000, "grant", 3, "name",
				   "letter.txt")
		       : json_pack("{s:b}", "ok", 0);

	answer_fn(answer_opaque, a, -1);
	json_decref(a);
	reap_panel();
}

static void choose(unsigned i, uint32_t id, uint32_t rights, uint32_t flags, const char *name)
{
	tell(i,
	     (struct exo_desk_msg){
		     .type = EXO_DESK_CHOOSE, .id = id, .rights = rights, .flags = flags},
	     name, (uint32_t)strlen(name));
}

/* A guest in the background gets no window in front of the person. */
START_TEST(h35_chooser_waits_for_focus)
{
	struct hid_window_info info;
	struct exo_desk_msg m;

	make_files();
	hid_focus(d.hid, guest[1].window[0], now);
	choose(0, 5, EXO_DESK_READ, 0, "");
	ck_assert_ptr_null(panel);
	ck_assert(hid_info(d.hid, guest[0].window[0], &info) && info.attention);
	choose(0, 6, EXO_DESK_READ, 0, "");
	ck_assert_uint_eq(next(0, &m, NULL), EXO_DESK_CHOSEN);
	ck_assert(m.id == 6 && m.status == -EBUSY);
	hid_focus(d.hid, guest[0].window[0], now);
	service_focus(&guest[0], 0, true);
	ck_assert_ptr_nonnull(panel);
	ck_assert_uint_eq(next(0, &m, NULL), EXO_DESK_FOCUS);
	press(KEY_ESC, "");
	ck_assert_ptr_null(panel);
	ck_assert_uint_eq(next(0, &m, NULL), EXO_DESK_CHOSEN);
	ck_assert(m.id == 5 && m.status == -ECANCELED && m.port == 0);
	remove_files();
}
END_TEST

START_TEST(choosing)
{
	struct exo_desk_msg m;
	char name[300], wanted[128];

	make_files();
	snprintf(wanted, sizeof(wanted), "%s/letter.txt", folder);
	hid_focus(d.hid, guest[0].window[0], now);
	choose(0, 7, EXO_DESK_READ, 0, "");
	json_decref(asked);
	asked = NULL;
	type("letter.txt");
	press(KEY_ENTER, ""); /* meant for the guest, perhaps */
	ck_assert_ptr_null(asked);
	now += SECOND;
	press(KEY_ENTER, "");
	ck_assert_str_eq(asked_for("op"), "offer-file");
	ck_assert_str_eq(asked_for("guest"), "g0");
	ck_assert_str_eq(asked_for("path"), wanted);
	ck_assert_str_eq(asked_for("rights"), "r");
	answer(false);
	ck_assert_ptr_nonnull(panel); /* says why */
	press(KEY_DOWN, "");
	press(KEY_ENTER, "");
	answer(true);
	ck_assert_ptr_null(panel);
	ck_assert_uint_eq(next(0, &m, name), EXO_DESK_CHOSEN);
	ck_assert(m.id == 7 && m.status == 0 && m.port == 70000 && m.rights == EXO_DESK_READ);
	ck_assert_str_eq(name, "letter.txt");
	remove_files();
}
END_TEST

START_TEST(saving)
{
	char wanted[128];

	make_files();
	snprintf(wanted, sizeof(wanted), "%s/letter.txt", folder);
	hid_focus(d.hid, guest[0].window[0], now);
	choose(0, 7, 3, EXO_DESK_SAVE, "../letter.txt"); /* a name, not a path */
	now += SECOND;
	json_decref(asked);
	asked = NULL;
	press(KEY_ENTER, "");
	ck_assert_ptr_null(asked); /* it is there */
	press(KEY_ENTER, "");
	ck_assert_str_eq(asked_for("path"), wanted);
	ck_assert_str_eq(asked_for("rights"), "rw");
	ck_assert(json_is_true(json_object_get(asked, "create")));
	remove_files();
}
END_TEST

/* Its guest goes while the person types: the panel stays, and gives nothing. */
START_TEST(chooser_without_its_guest)
{
	make_files();
	hid_focus(d.hid, guest[0].window[0], now);
	choose(0, 7, EXO_DESK_READ, 0, "");
	now += SECOND;
	service_guest_gone(&guest[0]);
	ck_assert_ptr_nonnull(panel);
	json_decref(asked);
	asked = NULL;
	type("letter.txt");
	press(KEY_ENTER, "");
	ck_assert_ptr_null(asked);
	press(KEY_ESC, "");
	ck_assert_ptr_null(panel);
	close(end[0]);
	attach(0); /* and goes between the session's question and answer */
	choose(0, 8, EXO_DESK_READ, 0, "");
	now += SECOND;
	type("letter.txt");
	press(KEY_ENTER, "");
	service_guest_gone(&guest[0]);
	press(KEY_ESC, "");
	answer(true);
	ck_assert_ptr_null(panel);
	remove_files();
}
END_TEST

START_TEST(drops)
{
	struct exo_desk_msg m;
	char path[128], name[300];

	make_files();
	snprintf(path, sizeof(path), "%s/letter.txt", folder);
	files_drop(&d, 110, 110, path);
	ck_assert_str_eq(asked_for("rights"), "r");
	answer(true);
	ck_assert_uint_eq(next(0, &m, name), EXO_DESK_DROPPED);
	ck_assert(m.port == 70000 && m.rights == EXO_DESK_READ);
	hid_key(d.hid, KEY_LEFTSHIFT, true, now);
	files_drop(&d, 410, 110, path);
	ck_assert_str_eq(asked_for("guest"), "g1");
	ck_assert_str_eq(asked_for("rights"), "rw");
	service_guest_gone(&guest[1]);
	answer(true);
	ck_assert_ptr_nonnull(strstr(noticed, "the guest is gone"));
	files_drop(&d, 410, 110, path);
	ck_assert_ptr_nonnull(strstr(noticed, "takes no files"));
	files_drop(&d, 800, 700, path);
	ck_assert_ptr_nonnull(strstr(noticed, "no guest's window"));
	files_drop(&d, 110, 110, folder);
	ck_assert_ptr_nonnull(strstr(noticed, "not a file"));
	files_drop(&d, 110, 110, path); /* the desktop ends before the answer */
	remove_files();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("services");
	TCase *tc = tcase_create("services");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, h34_messages);
	tcase_add_test(tc, h34_too_large);
	tcase_add_test(tc, h34_does_not_read);
	tcase_add_test(tc, h35_titles);
	tcase_add_test(tc, h35_attention_is_a_mark);
	tcase_add_test(tc, copy_and_paste);
	tcase_add_test(tc, copies_that_are_none);
	tcase_add_test(tc, wiped_by_time);
	tcase_add_test(tc, large_picture);
	tcase_add_test(tc, h35_chooser_waits_for_focus);
	tcase_add_test(tc, choosing);
	tcase_add_test(tc, saving);
	tcase_add_test(tc, chooser_without_its_guest);
	tcase_add_test(tc, drops);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
