/*
 * 9P: the codec (every message there and back, nothing else accepted), and the server over
 * a file system in memory: what a client may do works, what a hostile one does (H-28) is
 * answered by an error, costs bounded memory, and reaches no file.
 */
#include "p9_mem.h"
#include "unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct mem_fs fs;
static struct p9_conn *conn;
static uint8_t sent[P9_MSIZE_MAX], got[P9_MSIZE_MAX];
static struct p9_msg answer; /* points into got */

/* ---- a client ------------------------------------------------------------------------- */

static void start(const struct p9_limits *limits)
{
	mem_init(&fs);
	conn = p9_conn_create(&mem_backend, &fs, limits);
	ck_assert_ptr_nonnull(conn);
}

static void setup(void)
{
	start(&(struct p9_limits){0});
}

static void teardown(void)
{
	p9_conn_destroy(conn);
	mem_finish(&fs);
}

/* Bytes to the server, `chunk` at a time; its first error, -EAGAIN when it takes no more. */
static int push(const uint8_t *bytes, size_t len, size_t chunk)
{
	int err = 0;

	while (len && !err) {
		size_t room;
		uint8_t *to = p9_conn_room(conn, &room);

		if (!room)
			return -EAGAIN;
		if (room > chunk)
			room = chunk;
		if (room > len)
			room = len;
		memcpy(to, bytes, room);
		err = p9_conn_received(conn, room);
		bytes += room;
		len -= room;
	}
	return err;
}

/* One answer, taken `chunk` bytes at a time. */
static void pull(size_t chunk)
{
	size_t len = 0, n;
	const uint8_t *from = p9_conn_output(conn, &n);
	uint32_t size;

	ck_assert_uint_ge(n, P9_HEADER_BYTES);
	size = p9_size(from);
	ck_assert_uint_eq(size, n);
	while (len < size) {
		from = p9_conn_output(conn, &n);
		if (n > chunk)
			n = chunk;
		memcpy(got + len, from, n);
		len += n;
		ck_assert_int_eq(p9_conn_sent(conn, n), 0);
	}
	ck_assert_int_eq(p9_decode(&answer, got, size), 0);
}

/* A request and its answer: 0 or -errno. */
static int call(struct p9_msg m)
{
	size_t len;

	if (!m.tag)
		m.tag = 7;
	len = p9_encode(&m, sent, sizeof(sent));
	ck_assert_uint_gt(len, 0);
	ck_assert_int_eq(push(sent, len, SIZE_MAX), 0);
	pull(SIZE_MAX);
	ck_assert_uint_eq(answer.tag, m.tag);
	if (answer.type == P9_RLERROR)
		return -(int)answer.count;
	ck_assert_uint_eq(answer.type, P9_R(m.type));
	return 0;
}

static int version(uint32_t msize, const char *name)
{
	return call((struct p9_msg){
		.type = P9_TVERSION, .tag = P9_NOTAG, .msize = msize, .name = p9_str(name)});
}

static int attach(uint32_t fid)
{
	return call((struct p9_msg){.type = P9_TATTACH,
				    .fid = fid,
				    .newfid = P9_NOFID,
				    .name = p9_str("me"),
				    .name2 = p9_str("")});
}

static int walk1(uint32_t fid, uint32_t newfid, const char *name)
{
	struct p9_msg m = {.type = P9_TWALK, .fid = fid, .newfid = newfid, .nnames = name != NULL};

	if (name)
		m.names[0] = p9_str(name);
	return call(m);
}

static int lopen(uint32_t fid, uint32_t flags)
{
	return call((struct p9_msg){.type = P9_TLOPEN, .fid = fid, .flags = flags});
}

static int on_fid(uint8_t type, uint32_t fid)
{
	return call((struct p9_msg){.type = type, .fid = fid, .count = 100});
}

static void started(void)
{
	setup();
	ck_assert_int_eq(version(8192, P9_VERSION), 0);
	ck_assert_int_eq(attach(0), 0);
}

/* ---- the codec --------------------------------------------------------------------------- */

/* A message of a type with something in every field. */
static struct p9_msg full(unsigned type)
{
	struct p9_msg m;

	memset(&m, 0x5a, sizeof(m));
	m.type = (uint8_t)type;
	m.tag = 0x1234;
	m.name = p9_str("name");
	m.name2 = p9_str("another one");
	m.data = (struct p9_data){"some data", 9};
	m.nnames = 2;
	if (type == P9_TWALK) {
		m.names[0] = p9_str("a");
		m.names[1] = p9_str("bc");
	} else if (type == P9_TLOCK || type == P9_TGETLOCK || type == P9_R(P9_TGETLOCK)) {
		m.lock.client_id = p9_str("client");
	}
	return m;
}

static size_t encode_full(unsigned type)
{
	struct p9_msg m = full(type);

	return p9_encode(&m, sent, sizeof(sent));
}

START_TEST(messages_there_and_back)
{
	unsigned types = 0;

	for (unsigned type = 0; type < 256; type++) {
		size_t len = encode_full(type), again;
		struct p9_msg m;

		if (!len)
			continue;
		types++;
		ck_assert_uint_eq(p9_size(sent), len);
		ck_assert_int_eq(p9_decode(&m, sent, len), 0);
		again = p9_encode(&m, got, sizeof(got));
		ck_assert_uint_eq(again, len);
		ck_assert_mem_eq(got, sent, len);
	}
	ck_assert_uint_eq(types, 2 * 28 + 1);
}
END_TEST

/* Any prefix, and any that is longer, is refused. */
START_TEST(messages_of_other_lengths)
{
	for (unsigned type = 0; type < 256; type++) {
		size_t len = encode_full(type);
		struct p9_msg m;

		for (size_t cut = 0; cut < len; cut++) {
			sent[0] = (uint8_t)len;
			sent[1] = (uint8_t)(len >> 8);
			ck_assert_int_eq(p9_decode(&m, sent, cut), -EBADMSG);
			sent[0] = (uint8_t)cut; /* with a size that agrees */
			sent[1] = (uint8_t)(cut >> 8);
			if (cut != 11 || type != P9_TFSYNC) /* which may be shorter */
				ck_assert_int_eq(p9_decode(&m, sent, cut), -EBADMSG);
		}
		if (!len)
			continue;
		sent[0] = (uint8_t)(len + 1);
		sent[1] = (uint8_t)((len + 1) >> 8);
		ck_assert_int_eq(p9_decode(&m, sent, len + 1), -EBADMSG);
	}
}
END_TEST

START_TEST(no_room)
{
	for (unsigned type = 0; type < 256; type++) {
		struct p9_msg m = full(type);
		size_t len = encode_full(type);

		for (size_t cap = 0; cap < len; cap++) {
			memset(got, 0xee, len + 1);
			ck_assert_uint_eq(p9_encode(&m, got, cap), 0);
			ck_assert_uint_eq(got[cap], 0xee);
		}
	}
}
END_TEST

START_TEST(strings_and_counts)
{
	struct p9_msg m = {.type = P9_TWALK, .nnames = P9_WALK_MAX + 1}, back;
	size_t len;

	ck_assert_uint_eq(p9_encode(&m, sent, sizeof(sent)), 0);
	m = (struct p9_msg){.type = P9_TMKDIR, .name = {"a\0b", 3}};
	len = p9_encode(&m, sent, sizeof(sent));
	ck_assert_int_eq(p9_decode(&back, sent, len), -EBADMSG);
	m.name = p9_str("abc");
	len = p9_encode(&m, sent, sizeof(sent));
	sent[11] = 0xff; /* the string's length */
	ck_assert_int_eq(p9_decode(&back, sent, len), -EBADMSG);
	m = (struct p9_msg){.type = P9_TWALK, .nnames = 1, .names[0] = p9_str("a")};
	len = p9_encode(&m, sent, sizeof(sent));
	sent[15] = P9_WALK_MAX + 1; /* the number of names */
	ck_assert_int_eq(p9_decode(&back, sent, len), -EBADMSG);
	m = (struct p9_msg){.type = P9_TWRITE, .data = {NULL, 1000}};
	ck_assert_uint_eq(p9_encode(&m, sent, sizeof(sent)), P9_WRITE_HEADER);
	ck_assert_uint_eq(p9_size(sent), P9_WRITE_HEADER + 1000);
	sent[4] = 6; /* Tlerror */
	ck_assert_int_eq(p9_decode(&back, sent, p9_size(sent)), -EOPNOTSUPP);
}
END_TEST

START_TEST(names)
{
	static const char *const bad[] = {"", ".", "..", "/", "a/b", "/a", "a/"};
	static const char *const good[] = {"a", "...", ".a", "..a", "a b", "\xff\xfe", ".wh.x"};
	char longest[P9_NAME_MAX + 2];

	for (unsigned i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		ck_assert(!p9_name_valid(p9_str(bad[i])));
	for (unsigned i = 0; i < sizeof(good) / sizeof(*good); i++)
		ck_assert(p9_name_valid(p9_str(good[i])));
	memset(longest, 'x', sizeof(longest));
	ck_assert(p9_name_valid((struct p9_str){longest, P9_NAME_MAX}));
	ck_assert(!p9_name_valid((struct p9_str){longest, P9_NAME_MAX + 1}));
	ck_assert(!p9_name_valid((struct p9_str){"a\0b", 3}));
}
END_TEST

START_TEST(entries)
{
	struct p9_dirent d = {{P9_QTDIR, 1, 2}, 3, 4, p9_str("name")}, back;
	size_t len = p9_dirent_put(sent, sizeof(sent), &d);

	ck_assert_uint_eq(len, 28);
	ck_assert_int_eq(p9_dirent_get(sent, len, &back), 28);
	ck_assert(back.qid.path == 2 && back.offset == 3 && back.type == 4 && back.name.len == 4);
	for (size_t cut = 1; cut < len; cut++) {
		ck_assert_int_eq(p9_dirent_get(sent, cut, &back), -EBADMSG);
		ck_assert_uint_eq(p9_dirent_put(got, cut, &d), 0);
	}
	ck_assert_int_eq(p9_dirent_get(sent, 0, &back), 0);
}
END_TEST

/* ---- the server ---------------------------------------------------------------------------- */

START_TEST(version_first)
{
	size_t n;

	ck_assert_int_eq(version(1 << 30, P9_VERSION), 0);
	ck_assert_uint_eq(answer.msize, P9_MSIZE_MAX);
	ck_assert_int_eq(version(5000, P9_VERSION), 0);
	ck_assert_uint_eq(answer.msize, 5000);
	ck_assert(answer.name.len == 8 && !memcmp(answer.name.p, P9_VERSION, 8));
	ck_assert_int_eq(version(P9_MSIZE_MIN - 1, P9_VERSION), -EMSGSIZE);
	ck_assert_int_eq(version(8192, "9P2000"), 0);
	ck_assert(answer.name.len == 7 && !memcmp(answer.name.p, "unknown", 7));
	p9_conn_output(conn, &n);
	ck_assert_uint_eq(n, 0);
	n = encode_full(P9_TCLUNK); /* nothing but a version may come now */
	ck_assert_int_eq(push(sent, n, SIZE_MAX), -EPROTO);
}
END_TEST

START_TEST(nothing_before_version)
{
	size_t n = encode_full(P9_TATTACH);

	ck_assert_int_eq(push(sent, n, SIZE_MAX), -EPROTO);
}
END_TEST

START_TEST(version_ends_all_fids)
{
	ck_assert_int_eq(walk1(0, 1, "file"), 0);
	ck_assert_int_eq(lopen(1, P9_O_RDWR), 0);
	ck_assert_uint_eq(p9_conn_fids(conn), 2);
	ck_assert_int_eq(version(8192, P9_VERSION), 0);
	ck_assert_uint_eq(p9_conn_fids(conn), 0);
	ck_assert_uint_eq(fs.open_files, 0);
	ck_assert_int_eq(on_fid(P9_TGETATTR, 1), -EBADF);
}
END_TEST

START_TEST(read_and_write)
{
	struct p9_msg m = {.type = P9_TWRITE, .fid = 1, .offset = 8, .data = {" more", 5}};

	ck_assert_int_eq(walk1(0, 1, "file"), 0);
	ck_assert_int_eq(call(m), -EBADF); /* not open */
	ck_assert_int_eq(on_fid(P9_TREAD, 1), -EBADF);
	ck_assert_int_eq(lopen(1, P9_O_RDWR), 0);
	ck_assert_int_eq(lopen(1, P9_O_RDWR), -EBUSY);
	ck_assert_int_eq(call(m), 0);
	ck_assert_uint_eq(answer.count, 5);
	ck_assert_int_eq(on_fid(P9_TREAD, 1), 0);
	ck_assert(answer.data.len == 13 && !memcmp(answer.data.p, "contents more", 13));
	ck_assert_int_eq(on_fid(P9_TREADDIR, 1), -ENOTDIR);
	ck_assert_int_eq(on_fid(P9_TCLUNK, 1), 0);
	ck_assert_int_eq(on_fid(P9_TCLUNK, 1), -EBADF);
	ck_assert_int_eq(walk1(0, 2, "file"), 0);
	ck_assert_int_eq(lopen(2, 0), 0);
	m.fid = 2;
	ck_assert_int_eq(call(m), -EBADF);
}
END_TEST

/* The entries of the answer, or -1. */
static int count_entries(void)
{
	const uint8_t *p = answer.data.p;
	struct p9_dirent d;
	size_t used = 0;
	int count = 0;
	long n;

	while ((n = p9_dirent_get(p + used, answer.data.len - used, &d)) > 0) {
		used += (size_t)n;
		count++;
	}
	return n ? -1 : count;
}

START_TEST(create_list_remove)
{
	struct p9_msg create = {.type = P9_TLCREATE, .fid = 1, .name = p9_str("new"), .flags = 1};

	ck_assert_int_eq(walk1(0, 1, NULL), 0);
	ck_assert_int_eq(call(create), 0);
	ck_assert_int_eq(on_fid(P9_TREAD, 1), -EBADF); /* write-only */
	create.fid = 0;
	create.flags |= P9_O_EXCL;
	ck_assert_int_eq(call(create), -EEXIST);
	ck_assert_int_eq(walk1(0, 2, NULL), 0);
	ck_assert_int_eq(lopen(2, 0), 0);
	ck_assert_int_eq(on_fid(P9_TREAD, 2), -EISDIR);
	ck_assert_int_eq(call((struct p9_msg){.type = P9_TREADDIR, .fid = 2, .count = 8000}), 0);
	ck_assert_int_eq(count_entries(), 4);
	ck_assert_int_eq(call((struct p9_msg){.type = P9_TREADDIR, .fid = 2, .count = 60}), 0);
	ck_assert_int_eq(count_entries(), 2);
	ck_assert_int_eq(call((struct p9_msg){.type = P9_TREADDIR, .fid = 2, .count = 10}),
			 -EINVAL);
	ck_assert_int_eq(on_fid(P9_TREMOVE, 1), 0); /* open, and the fid is gone with it */
	ck_assert_int_eq(on_fid(P9_TGETATTR, 1), -EBADF);
	ck_assert_int_eq(walk1(0, 3, "new"), -ENOENT);
}
END_TEST

START_TEST(walking)
{
	struct p9_msg m = {.type = P9_TWALK, .fid = 0, .newfid = 5, .nnames = 3};

	m.names[0] = p9_str("dir");
	m.names[1] = p9_str("none");
	m.names[2] = p9_str("none");
	ck_assert_int_eq(call(m), 0); /* half-way: one qid, no fid */
	ck_assert_uint_eq(answer.nnames, 1);
	ck_assert_int_eq(on_fid(P9_TGETATTR, 5), -EBADF);
	m.names[0] = p9_str("none");
	ck_assert_int_eq(call(m), -ENOENT);
	m.nnames = 2;
	m.names[0] = p9_str("file"); /* through a file, and through a link */
	ck_assert_int_eq(call(m), 0);
	ck_assert_uint_eq(answer.nnames, 1);
	m.names[0] = p9_str("link");
	ck_assert_int_eq(call(m), 0);
	ck_assert_uint_eq(answer.nnames, 1);
	ck_assert_uint_eq(answer.qids[0].type, P9_QTSYMLINK);
	ck_assert_int_eq(walk1(0, 5, "dir"), 0);
	ck_assert_int_eq(walk1(0, 5, "file"), -EBADF); /* in use */
	ck_assert_int_eq(walk1(0, P9_NOFID, "file"), -EBADF);
	ck_assert_int_eq(walk1(5, 5, NULL), 0); /* to itself */
	ck_assert_int_eq(walk1(9, 10, NULL), -EBADF);
	ck_assert_int_eq(attach(5), -EBADF);
}
END_TEST

START_TEST(names_change)
{
	struct p9_msg m = {.type = P9_TRENAME, .fid = 1, .dfid = 2, .name = p9_str("moved")};

	ck_assert_int_eq(walk1(0, 1, "file"), 0);
	ck_assert_int_eq(walk1(0, 2, "dir"), 0);
	ck_assert_int_eq(call(m), 0);
	ck_assert_int_eq(walk1(2, 3, "moved"), 0);
	m = (struct p9_msg){.type = P9_TRENAMEAT, .fid = 2, .dfid = 0};
	m.name = p9_str("moved");
	m.name2 = p9_str("back");
	ck_assert_int_eq(call(m), 0);
	ck_assert_int_eq(on_fid(P9_TREMOVE, 1), -ENOENT); /* its name is another's, or none's */
	ck_assert_int_eq(walk1(0, 4, "back"), 0);
	m = (struct p9_msg){.type = P9_TUNLINKAT, .fid = 0, .name = p9_str("back")};
	m.flags = P9_UNLINK_DIR;
	ck_assert_int_eq(call(m), -ENOTDIR);
	m.flags = 1;
	ck_assert_int_eq(call(m), -EINVAL);
	m.flags = 0;
	ck_assert_int_eq(call(m), 0);
	ck_assert_int_eq(on_fid(P9_TGETATTR, 4), 0); /* the fid still has it */
}
END_TEST

START_TEST(what_there_is_not)
{
	struct p9_msg m = {.type = P9_TXATTRWALK, .fid = 0, .newfid = 9, .name = p9_str("x")};

	ck_assert_int_eq(call(m), -EOPNOTSUPP);
	m.type = P9_TXATTRCREATE;
	ck_assert_int_eq(call(m), -EOPNOTSUPP);
	m = (struct p9_msg){.type = P9_TLINK, .dfid = 0, .fid = 0, .name = p9_str("x")};
	ck_assert_int_eq(call(m), -EOPNOTSUPP); /* the backend has none */
	m = (struct p9_msg){.type = P9_TMKNOD, .fid = 0, .name = p9_str("null"), .mode = 020666};
	ck_assert_int_eq(call(m), -EPERM);
	m = (struct p9_msg){.type = P9_TAUTH, .newfid = 8, .name = p9_str(""), .name2 = p9_str("")};
	ck_assert_int_eq(call(m), -ENOENT);
	ck_assert_int_eq(call((struct p9_msg){.type = P9_TFLUSH, .oldtag = 3}), 0);
	m = (struct p9_msg){.type = P9_R(P9_TCLUNK), .tag = 5}; /* an answer is no request */
	ck_assert_int_eq(push(sent, p9_encode(&m, sent, sizeof(sent)), SIZE_MAX), 0);
	pull(SIZE_MAX);
	ck_assert_uint_eq(answer.type, P9_RLERROR);
}
END_TEST

/* Any way of cutting the bytes, in and out, gives the same answers. */
START_TEST(in_pieces)
{
	uint8_t stream[4096];
	size_t len = 0;
	struct p9_msg m = {.type = P9_TGETATTR, .mask = P9_GETATTR_BASIC};

	for (unsigned i = 0; i < 20; i++) {
		m.tag = (uint16_t)(i + 1);
		len += p9_encode(&m, stream + len, sizeof(stream) - len);
	}
	for (size_t chunk = 1; chunk < 40; chunk += 3) {
		unsigned answers = 0;

		for (size_t at = 0; at < len || answers < 20;) {
			size_t n = len - at < chunk ? len - at : chunk, room;

			p9_conn_room(conn, &room);
			if (room && n) {
				ck_assert_int_eq(push(stream + at, n, chunk), 0);
				at += n;
			}
			p9_conn_output(conn, &room);
			if (room) {
				pull(chunk);
				ck_assert_uint_eq(answer.tag, ++answers);
			}
		}
	}
}
END_TEST

/* ---- hostile ------------------------------------------------------------- */

START_TEST(h28_names_that_leave)
{
	static const char *const bad[] = {"..", ".", "", "/", "/etc", "../x", "a/b", "dir/.."};
	static const uint8_t types[] = {P9_TLCREATE, P9_TMKDIR, P9_TUNLINKAT, P9_TSYMLINK,
					P9_TRENAMEAT};

	for (unsigned i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct p9_msg m = {.fid = 0, .dfid = 0, .name = p9_str(bad[i]), .flags = 1};

		m.name2 = p9_str("x");
		ck_assert_int_eq(walk1(0, 1, bad[i]), -EINVAL);
		for (unsigned k = 0; k < sizeof(types); k++) {
			m.type = types[k];
			ck_assert_int_eq(call(m), -EINVAL);
		}
		m.name = p9_str("file");
		m.name2 = p9_str(bad[i]);
		ck_assert_int_eq(call(m), -EINVAL);
	}
}
END_TEST

START_TEST(h28_links_are_not_opened)
{
	ck_assert_int_eq(walk1(0, 1, "link"), 0);
	ck_assert_int_eq(lopen(1, 0), -ELOOP);
	ck_assert_int_eq(on_fid(P9_TREADLINK, 1), 0);
	ck_assert(answer.name2.len == 11 && !memcmp(answer.name2.p, "/etc/passwd", 11));
	ck_assert_int_eq(on_fid(P9_TREADLINK, 0), -EINVAL);
}
END_TEST

START_TEST(h28_fid_flood)
{
	uint32_t fid = 1;
	int err;

	while (!(err = walk1(0, fid, "file")))
		fid++;
	ck_assert_int_eq(err, -EMFILE);
	ck_assert_uint_eq(p9_conn_fids(conn), P9_FIDS_MAX);
	ck_assert_int_eq(on_fid(P9_TGETATTR, 1), 0); /* what it has still works */
	ck_assert_int_eq(on_fid(P9_TCLUNK, 1), 0);
	ck_assert_int_eq(walk1(0, 1, "file"), 0);
}
END_TEST

START_TEST(h28_sizes)
{
	uint8_t head[7] = {0};

	head[0] = 6; /* smaller than a header */
	ck_assert_int_eq(push(head, 7, SIZE_MAX), -EPROTO);
	teardown();
	started();
	head[0] = 1; /* larger than what was agreed */
	head[1] = 0x20;
	ck_assert_int_eq(push(head, 7, SIZE_MAX), -EPROTO);
	teardown();
	started();
	memset(head, 0xff, 4);
	ck_assert_int_eq(push(head, 4, SIZE_MAX), -EPROTO);
}
END_TEST

START_TEST(h28_nonsense_in_a_frame)
{
	for (unsigned type = 0; type < 256; type++) {
		uint8_t msg[20] = {20, 0, 0, 0, (uint8_t)type, 9, 0};

		if (type == P9_TVERSION)
			continue;
		memset(msg + 7, 0xff, 13);
		ck_assert_int_eq(push(msg, sizeof(msg), SIZE_MAX), 0);
		pull(SIZE_MAX);
		ck_assert_uint_eq(answer.type, P9_RLERROR);
		ck_assert_uint_eq(answer.tag, 9);
	}
	ck_assert_uint_eq(p9_conn_fids(conn), 1);
}
END_TEST

START_TEST(h28_offsets_and_counts)
{
	struct p9_msg m = {.type = P9_TREAD, .fid = 1, .offset = UINT64_MAX, .count = UINT32_MAX};

	ck_assert_int_eq(walk1(0, 1, "file"), 0);
	ck_assert_int_eq(lopen(1, P9_O_RDWR), 0);
	ck_assert_int_eq(call(m), -EINVAL);
	m.offset = 0;
	ck_assert_int_eq(call(m), 0);
	ck_assert_uint_eq(answer.data.len, 8);
	m = (struct p9_msg){.type = P9_TWRITE, .fid = 1, .offset = INT64_MAX, .data = {"x", 1}};
	ck_assert_int_eq(call(m), -EFBIG);
	m = (struct p9_msg){.type = P9_TSETATTR, .fid = 1};
	m.setattr = (struct p9_setattr){.valid = P9_SETATTR_SIZE, .size = UINT64_MAX};
	ck_assert_int_eq(call(m), -EFBIG);
	m.fid = 0;
	ck_assert_int_eq(call(m), -EISDIR);
}
END_TEST

START_TEST(h28_read_only)
{
	struct p9_msg m = {.fid = 0, .dfid = 0, .name = p9_str("file"), .name2 = p9_str("new")};
	static const uint8_t types[] = {P9_TLCREATE, P9_TSYMLINK,  P9_TMKNOD,    P9_TLINK,
					P9_TMKDIR,   P9_TRENAMEAT, P9_TUNLINKAT, P9_TSETATTR,
					P9_TRENAME,  P9_TREMOVE};

	teardown();
	start(&(struct p9_limits){.read_only = true});
	fs.read_only = true; /* the backend aborts */
	ck_assert_int_eq(version(8192, P9_VERSION), 0);
	ck_assert_int_eq(attach(0), 0);
	ck_assert_int_eq(walk1(0, 1, "file"), 0);
	ck_assert_int_eq(lopen(1, P9_O_WRONLY), -EROFS);
	ck_assert_int_eq(lopen(1, P9_O_TRUNC), -EROFS);
	for (unsigned i = 0; i < sizeof(types); i++) {
		m.type = types[i];
		ck_assert_int_eq(call(m), -EROFS);
	}
	ck_assert_int_eq(attach(0), 0); /* Tremove took the fid */
	ck_assert_int_eq(lopen(1, 0), 0);
	ck_assert_int_eq(on_fid(P9_TREAD, 1), 0);
}
END_TEST

/* The client does not read: the server takes no more requests than fit. */
START_TEST(h28_answers_that_nobody_takes)
{
	struct p9_msg m = {.type = P9_TGETATTR, .tag = 1};
	size_t len = p9_encode(&m, got, sizeof(got)), total = 0;
	int err = 0;

	while (!err && total < 1000000) {
		err = push(got, len, SIZE_MAX);
		total += len;
	}
	ck_assert_int_eq(err, -EAGAIN);
	ck_assert_uint_lt(total, 3 * 8192);
}
END_TEST

/* Every call of the backend fails once: errors, and nothing is left over. */
START_TEST(backend_that_fails)
{
	for (unsigned at = 1; at < 30; at++) {
		struct p9_msg create = {.type = P9_TLCREATE, .fid = 3, .flags = P9_O_RDWR};

		teardown();
		setup();
		create.name = p9_str("new");
		fs.fail_at = at;
		ck_assert_int_eq(version(8192, P9_VERSION), 0);
		if (attach(0))
			continue;
		walk1(0, 1, "file");
		lopen(1, P9_O_RDWR);
		on_fid(P9_TREAD, 1);
		call((struct p9_msg){.type = P9_TWRITE, .fid = 1, .data = {"x", 1}});
		walk1(0, 2, "dir");
		walk1(2, 3, NULL);
		call(create);
		lopen(2, 0);
		on_fid(P9_TREADDIR, 2);
		on_fid(P9_TSTATFS, 2);
		on_fid(P9_TREMOVE, 3);
		on_fid(P9_TCLUNK, 1);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("p9");
	TCase *codec = tcase_create("codec"), *tc = tcase_create("server");
	TCase *fresh = tcase_create("fresh");

	tcase_add_test(codec, messages_there_and_back);
	tcase_add_test(codec, messages_of_other_lengths);
	tcase_add_test(codec, no_room);
	tcase_add_test(codec, strings_and_counts);
	tcase_add_test(codec, names);
	tcase_add_test(codec, entries);
	suite_add_tcase(s, codec);
	tcase_add_checked_fixture(fresh, setup, teardown);
	tcase_add_test(fresh, version_first);
	tcase_add_test(fresh, nothing_before_version);
	tcase_add_test(fresh, backend_that_fails);
	suite_add_tcase(s, fresh);
	tcase_add_checked_fixture(tc, started, teardown);
	tcase_add_test(tc, version_ends_all_fids);
	tcase_add_test(tc, read_and_write);
	tcase_add_test(tc, create_list_remove);
	tcase_add_test(tc, walking);
	tcase_add_test(tc, names_change);
	tcase_add_test(tc, what_there_is_not);
	tcase_add_test(tc, in_pieces);
	tcase_add_test(tc, h28_names_that_leave);
	tcase_add_test(tc, h28_links_are_not_opened);
	tcase_add_test(tc, h28_fid_flood);
	tcase_add_test(tc, h28_sizes);
	tcase_add_test(tc, h28_nonsense_in_a_frame);
	tcase_add_test(tc, h28_offsets_and_counts);
	tcase_add_test(tc, h28_read_only);
	tcase_add_test(tc, h28_answers_that_nobody_takes);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
