/*
 * Fuzzes 9P: the codec and the server (H-28). The first input byte chooses: the rest is
 * one message to be decoded, a directory's entries, or a program of requests to
 * a server over a file system in memory (p9_mem.c). Requests are valid by default,
 * with few fids and names, so that runs reach deep; one in 64 is corrupted, and one
 * in 16 comes in pieces.
 *
 * Oracles: what decodes encodes to the same bytes; every request gets one well-formed
 * answer of its tag and type, or an error; p9_mem.c's own; nothing is left at the end.
 */
#include "p9_mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MSIZE 8192
#define STEPS 400
#define FIDS 8

enum start { START_CODEC, START_ENTRIES, START_SERVER, STARTS };

struct input {
	const uint8_t *p;
	size_t left;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t message[P9_MSIZE_MAX], answer[P9_MSIZE_MAX];
static struct mem_fs fs;

static void must(int ok)
{
	if (!ok)
		abort();
}

static uint8_t byte(struct input *in)
{
	if (!in->left)
		return 0;
	in->left--;
	return *in->p++;
}

static uint32_t word(struct input *in)
{
	uint32_t v = byte(in);

	v |= (uint32_t)byte(in) << 8;
	v |= (uint32_t)byte(in) << 16;
	return v | (uint32_t)byte(in) << 24;
}

/* ---- the codec -------------------------------------------------------------------- */

static void try_codec(const uint8_t *data, size_t size)
{
	struct p9_msg m;
	size_t len;

	if (p9_decode(&m, data, size))
		return;
	must(p9_size(data) == size);
	len = p9_encode(&m, message, sizeof(message));
	if (m.type == P9_TFSYNC && size == 11)
		must(len == 15); /* its last field may be missing */
	else
		must(len == size && !memcmp(message, data, size));
}

static void try_entries(const uint8_t *data, size_t size)
{
	struct p9_dirent d;
	uint8_t again[P9_NAME_MAX + 64];
	long n;

	while ((n = p9_dirent_get(data, size, &d)) > 0) {
		must((size_t)n <= size);
		if (d.name.len <= P9_NAME_MAX)
			must(p9_dirent_put(again, sizeof(again), &d) == (size_t)n &&
			     !memcmp(again, data, (size_t)n));
		(void)p9_name_valid(d.name);
		data += n;
		size -= (size_t)n;
	}
	must(n == 0 || n == -EBADMSG);
}

/* ---- the server --------------------------------------------------------------------- */

static struct p9_str name(struct input *in)
{
	static const char *const names[] = {"file", "dir", "link", "a", "b", "..", "a/b", "",
					    "new",  "c",   ".",    "d", "e", "f",  "g",   "/"};
	uint8_t pick = byte(in);
	struct p9_str s = p9_str(names[pick % 16]);

	if (pick >= 250) { /* any bytes */
		s.p = (const char *)in->p;
		s.len = (uint16_t)(in->left < 300 ? in->left : 300);
	}
	return s;
}

static uint64_t offset(struct input *in)
{
	uint8_t pick = byte(in);

	return pick < 240 ? pick * 16u : pick < 250 ? word(in) : UINT64_MAX - pick + 250;
}

static size_t make(struct input *in, uint16_t tag)
{
	static const uint8_t types[] = {
		P9_TSTATFS,  P9_TLOPEN,     P9_TLCREATE,     P9_TSYMLINK, P9_TMKNOD, P9_TRENAME,
		P9_TGETATTR, P9_TREADLINK,  P9_TSETATTR,     P9_TREADDIR, P9_TFSYNC, P9_TLOCK,
		P9_TGETLOCK, P9_TXATTRWALK, P9_TXATTRCREATE, P9_TLINK,    P9_TMKDIR, P9_TRENAMEAT,
		P9_TAUTH,    P9_TUNLINKAT,  P9_TATTACH,      P9_TFLUSH,   P9_TWALK,  P9_TREAD,
		P9_TWRITE,   P9_TCLUNK,     P9_TREMOVE,      P9_TVERSION, P9_TWALK,  P9_TWALK,
		P9_TLOPEN,   P9_TWALK};
	static const char data[64] = "data";
	struct p9_msg m = {.type = types[byte(in) % sizeof(types)], .tag = tag};

	m.fid = byte(in) % FIDS;
	m.newfid = m.type == P9_TATTACH ? P9_NOFID : byte(in) % FIDS;
	m.dfid = byte(in) % FIDS;
	m.flags = m.type == P9_TUNLINKAT ? (byte(in) & 1 ? P9_UNLINK_DIR : 0) : byte(in) & 3;
	if (m.type == P9_TLOPEN || m.type == P9_TLCREATE)
		m.flags |= byte(in) & 8 ? P9_O_TRUNC : 0;
	m.name = name(in);
	m.name2 = name(in);
	m.offset = offset(in);
	m.count = byte(in) * 64u;
	m.msize = MSIZE;
	if (m.type == P9_TVERSION) {
		m.tag = P9_NOTAG;
		m.name = p9_str(P9_VERSION);
	} else if (m.type == P9_TWALK) {
		m.nnames = byte(in) % 4;
		for (unsigned i = 0; i < m.nnames; i++)
			m.names[i] = name(in);
	} else if (m.type == P9_TSETATTR) {
		m.setattr = (struct p9_setattr){.valid = byte(in), .size = offset(in)};
	} else if (m.type == P9_TLOCK || m.type == P9_TGETLOCK) {
		m.lock = (struct p9_lock){.type = byte(in) & 3, .client_id = name(in)};
	} else if (m.type == P9_TWRITE) {
		m.data = (struct p9_data){data, byte(in) % sizeof(data)};
	}
	return p9_encode(&m, message, MSIZE);
}

/* Takes the answer, if there is one: was it well-formed, and to what was asked? */
static int take(struct p9_conn *c, size_t step)
{
	struct p9_msg r;
	size_t n, len = 0;

	for (const uint8_t *p; (p = p9_conn_output(c, &n)), n; len += n) {
		int err;

		n = n < step ? n : step;
		must(len + n <= sizeof(answer));
		memcpy(answer + len, p, n);
		err = p9_conn_sent(c, n);
		if (err)
			return err;
		if (len + n >= 4 && p9_size(answer) == len + n) {
			len += n;
			break;
		}
	}
	must(len && p9_size(answer) == len && !p9_decode(&r, answer, len));
	must(r.type == P9_RLERROR || r.type == message[4] + 1);
	must(r.tag == (message[5] | message[6] << 8));
	if (r.type == P9_RLERROR)
		must(r.count > 0 && r.count < 4096);
	return 0;
}

static int request(struct p9_conn *c, size_t len, size_t step)
{
	for (size_t at = 0, n; at < len; at += n) {
		uint8_t *to = p9_conn_room(c, &n);
		int err;

		must(n > 0);
		n = n < len - at ? n : len - at;
		n = n < step ? n : step;
		memcpy(to, message + at, n);
		err = p9_conn_received(c, n);
		if (err)
			return err;
	}
	return take(c, step);
}

static int start(struct p9_conn *c)
{
	struct p9_msg m = {.type = P9_TVERSION, .tag = P9_NOTAG, .msize = MSIZE};
	int err;

	m.name = p9_str(P9_VERSION);
	err = request(c, p9_encode(&m, message, MSIZE), MSIZE);
	m = (struct p9_msg){.type = P9_TATTACH, .newfid = P9_NOFID};
	m.name = m.name2 = p9_str("");
	return err ? err : request(c, p9_encode(&m, message, MSIZE), MSIZE);
}

/* May make the frame itself wrong: then the connection ends, and nothing else may. */
static void corrupt(struct input *in, size_t len)
{
	size_t at = word(in) % len;

	if (at < 4)
		at = 4;
	message[at] = byte(in);
}

static void try_server(struct input *in)
{
	uint8_t how = byte(in);
	struct p9_limits limits = {.msize = MSIZE, .fids = 6, .read_only = how & 1};
	struct p9_conn *c;
	int err;

	mem_init(&fs);
	fs.read_only = limits.read_only;
	c = p9_conn_create(&mem_backend, &fs, &limits);
	must(c != NULL);
	err = start(c);
	fs.fail_at = how & 2 ? fs.calls + byte(in) : 0;
	for (unsigned i = 0; !err && i < STEPS && in->left; i++) {
		uint8_t luck = byte(in);
		size_t len = make(in, i & 0x7fff);

		if (!len)
			continue;
		if (luck % 64 == 63)
			corrupt(in, len);
		err = request(c, len, luck % 16 == 15 ? 1u + luck / 16u : MSIZE);
	}
	must(!err || err == -EPROTO);
	must(p9_conn_fids(c) <= limits.fids);
	p9_conn_destroy(c);
	mem_finish(&fs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	enum start start_with = byte(&in) % STARTS;

	if (start_with == START_CODEC)
		try_codec(in.p, in.left);
	else if (start_with == START_ENTRIES)
		try_entries(in.p, in.left);
	else
		try_server(&in);
	return 0;
}
