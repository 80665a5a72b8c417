/*
 * Fuzzes the ring of channels (exo/ring.h) and peers on it (peer.h): both ends
 * send, read, sleep and close, and sometimes one writes into the shared memory what it
 * likes. Then nothing may happen but errors. As long as none does: what arrives is
 * what was sent, in order, messages whole, and who was asked to ring does.
 */
#include "peer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#define BYTES 4096u
#define QUEUE 1024 /* messages that can be under way */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t *in;
static size_t left;

/* Of one direction: what was sent and not received. Bytes are numbered. */
static struct flow {
	uint64_t sent, received;
	uint32_t length[QUEUE]; /* messages */
	uint8_t flags[QUEUE];
	unsigned first, count;
	uint32_t inside; /* received of the first */
	bool fin, stop;
} flow[2];

static struct end {
	struct peer peer;
	int bell;            /* rung for it */
	bool wants_data;     /* asleep until there is some */
	uint64_t wants_room; /* asleep until there is so much; 0: not */
} end[2];

static bool packets, hostile;
static uint8_t *mem;

static uint8_t u8(void)
{
	return left ? left--, *in++ : 0;
}

static uint16_t u16(void)
{
	uint16_t low = u8();

	return (uint16_t)(low | u8() << 8);
}

static void check(bool ok, const char *what)
{
	if (ok || hostile)
		return;
	fprintf(stderr, "oracle: %s\n", what);
	abort();
}

static uint8_t byte_at(unsigned dir, uint64_t i)
{
	return (uint8_t)(i * 31 + i / 256 + dir * 97);
}

static bool rung(struct end *e)
{
	uint64_t n;

	return read(e->bell, &n, sizeof(n)) == sizeof(n);
}

/* Whoever slept for what there is now has been rung, and is awake. */
static void check_sleepers(void)
{
	for (unsigned i = 0; i < 2; i++) {
		struct end *e = &end[i];
		const struct flow *to = &flow[!i], *from = &flow[i];
		uint64_t room = exo_ring_writable(&e->peer.ring);
		bool data = e->wants_data && (exo_ring_readable(&e->peer.ring) > 0 || to->fin);
		bool space = e->wants_room && (room >= e->wants_room || from->stop);

		if (!data && !space)
			continue;
		check(rung(e), "nobody rang");
		e->wants_data &= !data;
		e->wants_room = 0; /* awake: it tries again, and sleeps anew if need be */
	}
}

static void send_some(unsigned i, uint16_t how)
{
	static uint8_t buf[8192];
	struct flow *f = &flow[i];
	struct end *e = &end[i];
	size_t len = how & 0x8000 ? how & 8191 : how & 255, cut = how % (len + 1);
	struct iovec iov[2] = {{.iov_base = buf, .iov_len = cut},
			       {.iov_base = buf + cut, .iov_len = len - cut}};
	uint64_t total = packets ? exo_ring_msg_total(len) : len;
	ssize_t r;

	if ((!len && !packets) || f->count == QUEUE)
		return;
	for (size_t j = 0; j < len; j++)
		buf[j] = byte_at(i, f->sent + j);
	r = peer_send(&e->peer, iov, 2, len, how >> 14 & 1);
	if (r == -EAGAIN)
		e->wants_room = packets ? total : BYTES / 2;
	check(r != -EPROTO, "an honest end was called a liar");
	check(r != -EPIPE || f->stop, "nobody had stopped reading");
	check(r != -EMSGSIZE || (packets && total > BYTES), "the message was not too long");
	if (r < 0)
		return;
	check(!f->stop, "sent although nobody reads");
	check((size_t)r == len || (!packets && r > 0 && (size_t)r < len), "how much was sent");
	f->length[(f->first + f->count) % QUEUE] = (uint32_t)len;
	f->flags[(f->first + f->count) % QUEUE] = how >> 14 & 1;
	f->count += packets;
	f->sent += (uint64_t)r;
}

/* A piece of a message: of the first, and said to be its end only if it is. */
static void took_message(struct flow *f, size_t r, bool last, unsigned flags)
{
	check(f->count, "a message that was not sent");
	f->inside += (uint32_t)r;
	check(last ? f->inside == f->length[f->first] : f->inside < f->length[f->first],
	      "where the message ends");
	check(flags == f->flags[f->first], "the message's flags");
	if (!last || !f->count)
		return;
	f->inside = 0;
	f->first = (f->first + 1) % QUEUE;
	f->count--;
}

static void recv_some(unsigned i, uint16_t how)
{
	static uint8_t buf[8192];
	struct flow *f = &flow[!i];
	struct end *e = &end[i];
	size_t len = (how & 0x8000 ? how & 8191 : how & 255) + 1, cut = how % len;
	struct iovec iov[2] = {{.iov_base = buf, .iov_len = cut},
			       {.iov_base = buf + cut, .iov_len = len - cut}};
	unsigned flags;
	bool last;
	ssize_t r = peer_recv(&e->peer, iov, 2, len, &last, &flags);

	if (r > (ssize_t)len)
		abort();
	check(r != -EPROTO, "an honest end was called a liar");
	check(r != -ENODATA || (f->fin && f->sent == f->received && !f->count), "an early end");
	check(r != -EAGAIN || (f->sent == f->received && !f->count), "data was not seen");
	if (r < 0)
		return;
	for (ssize_t j = 0; j < r; j++)
		check(buf[j] == byte_at(!i, f->received + (uint64_t)j), "a wrong byte");
	f->received += (uint64_t)r;
	if (packets)
		took_message(f, (size_t)r, last, flags);
}

static void look(unsigned i, uint8_t how)
{
	struct end *e = &end[i];
	int seen;

	if (how & 1) {
		ssize_t n = packets ? peer_next(&e->peer) : 0;

		check(n < 0 || !packets ||
			      (size_t)n == flow[!i].length[flow[!i].first] - flow[!i].inside,
		      "length of the next message");
		return;
	}
	/* Who is rung tries again, and sleeps anew if that was too early. */
	if (rung(e))
		e->wants_room = 0;
	if (!peer_sleep(&e->peer))
		e->wants_data = true;
	seen = peer_look(&e->peer);
	check(seen >= 0, "an honest end was called a liar");
	check(!(seen & PEER_END) == !flow[!i].fin, "the end");
	check(!(seen & PEER_DEAF) == !flow[i].stop, "deafness");
	check(!e->wants_data || !(seen & PEER_READABLE), "asleep although there is something");
}

static void shut(unsigned i, uint8_t how)
{
	if (how >> 2 & 7)
		return; /* not too often: runs would be short */
	peer_shutdown(&end[i].peer, how & 1, how & 2);
	flow[!i].stop |= how & 1;
	flow[i].fin |= how >> 1 & 1;
}

/* One end writes into the memory past its own accessors. */
static void poke(uint8_t how)
{
	static const uint64_t wild[] = {0, 1, 7, BYTES, BYTES + 1, 1ull << 32, UINT64_MAX, 12345};
	uint64_t value = wild[how & 7];
	size_t at = u16();

	hostile = true;
	if (how & 8) /* a field of the header, by a little or wildly */
		at = at % (sizeof(struct exo_ring_header) / 8) * 8;
	else
		at = EXO_RING_HEADER_BYTES + at % (2 * BYTES - 8);
	if (how & 16) {
		memcpy(&value, mem + at, sizeof(value));
		value += (uint64_t)(int8_t)u8();
	}
	memcpy(mem + at, &value, sizeof(value));
}

static void start(uint8_t how)
{
	mem = aligned_alloc(64, exo_ring_total(BYTES));
	if (!mem)
		abort();
	memset(mem, 0, exo_ring_total(BYTES));
	memset(flow, 0, sizeof(flow));
	packets = how & 1;
	hostile = false;
	for (unsigned i = 0; i < 2; i++) {
		peer_init(&end[i].peer);
		end[i].bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		end[i].wants_data = false;
		end[i].wants_room = 0;
	}
	for (unsigned i = 0; i < 2; i++)
		peer_set_ring(&end[i].peer, mem, BYTES, i, dup(end[!i].bell), packets);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	in = data;
	left = size;
	start(u8());
	while (left) {
		uint8_t op = u8();
		unsigned i = op >> 7;

		switch (op & 7) {
		case 0:
		case 1:
		case 2:
			send_some(i, u16());
			break;
		case 3:
		case 4:
			recv_some(i, u16());
			break;
		case 5:
			look(i, op >> 3);
			break;
		case 6:
			shut(i, op >> 3);
			break;
		case 7:
			if ((op & 0x78) == 0x78)
				poke(u8());
			break;
		}
		check_sleepers();
	}
	for (unsigned i = 0; i < 2; i++)
		peer_close(&end[i].peer);
	for (unsigned i = 0; i < 2; i++)
		close(end[i].bell);
	free(mem);
	return 0;
}
