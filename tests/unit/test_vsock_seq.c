/*
 * virtio-vsock, seqpacket: message boundaries both ways, however the messages
 * are cut into packets and buffers.
 */
#include "vsock_rig.h"
#include "unit.h"

#include <check.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

START_TEST(test_seq_to_host)
{
	static uint8_t data[VSOCK_MESSAGE_MAX], got[VSOCK_MESSAGE_MAX + 1];
	const uint32_t eom = VIRTIO_VSOCK_SEQ_EOM;
	struct vsock_rig r;
	int fd;

	vsock_rig_init(&r, 8, 4096);
	vsock_rig_fill(data, sizeof(data), 9);
	fd = vsock_rig_connect(&r, SEQPACKET);
	ck_assert_uint_eq(r.h.buf_alloc, VSOCK_MESSAGE_MAX);
	vsock_rig_send(&r, SEQPACKET, VIRTIO_VSOCK_OP_RW, eom, "one", 3);
	vsock_rig_send(&r, SEQPACKET, VIRTIO_VSOCK_OP_RW, eom, NULL, 0);
	vsock_rig_send(&r, SEQPACKET, VIRTIO_VSOCK_OP_RW, 0, "tw", 2);
	vsock_rig_send(&r, SEQPACKET, VIRTIO_VSOCK_OP_RW, eom | VIRTIO_VSOCK_SEQ_EOR, "o", 1);
	ck_assert_int_eq(recv(fd, got, sizeof(got), MSG_DONTWAIT), 3);
	ck_assert_int_eq(recv(fd, got, sizeof(got), MSG_DONTWAIT), 0);
	ck_assert_int_eq(recv(fd, got, sizeof(got), MSG_DONTWAIT), 3);
	ck_assert_mem_eq(got, "two", 3);
	/* The largest, in two packets. */
	vsock_rig_send(&r, SEQPACKET, VIRTIO_VSOCK_OP_RW, 0, data, 40000);
	vsock_rig_send(&r, SEQPACKET, VIRTIO_VSOCK_OP_RW, eom, data + 40000, sizeof(data) - 40000);
	ck_assert_int_eq(recv(fd, got, sizeof(got), MSG_DONTWAIT), sizeof(data));
	ck_assert_mem_eq(got, data, sizeof(data));
	vsock_rig_expect(&r, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	/* A message that never ends is larger than allowed. */
	vsock_rig_send(&r, SEQPACKET, VIRTIO_VSOCK_OP_RW, 0, data, 65536);
	vsock_rig_expect_quiet(&r);
	vsock_rig_send(&r, SEQPACKET, VIRTIO_VSOCK_OP_RW, eom, data, 1);
	vsock_rig_expect(&r, VIRTIO_VSOCK_OP_RST);
	vsock_rig_expect_eof(fd);
	close(fd);
	vsock_rig_finish(&r);
}
END_TEST

/* Thousands of small messages, and a host that reads late: none is lost or joined. */
START_TEST(test_seq_many_to_host)
{
	unsigned sent = 0, got = 0, stalled = 0;
	struct virtio_vsock_hdr h;
	struct vsock_rig r;
	uint16_t seq;
	int fd;

	vsock_rig_init(&r, 8, 4096);
	fd = vsock_rig_connect(&r, SEQPACKET);
	h = (struct virtio_vsock_hdr){.src_cid = 3,
				      .dst_cid = 2,
				      .src_port = GUEST_PORT,
				      .dst_port = HOST_PORT,
				      .type = SEQPACKET,
				      .op = VIRTIO_VSOCK_OP_RW,
				      .flags = VIRTIO_VSOCK_SEQ_EOM,
				      .len = 2,
				      .buf_alloc = 1 << 20};
	while (got < 5000) {
		seq = sent;
		if (sent < 5000 && vsock_rig_offer(&r, &h, &seq, 2)) {
			sent++;
			continue;
		}
		/* The packet waits in the ring until the host has read some. */
		stalled += sent < 5000;
		while (recv(fd, &seq, 2, MSG_DONTWAIT) == 2) {
			ck_assert_uint_eq(seq, got);
			got++;
		}
		while (sent < 5000 && !drv_used(&r.d, 1, &(uint32_t){0}, &(uint32_t){0}))
			drv_pump(&r.d, 1);
		sent += sent < 5000;
		drv_pump(&r.d, 0);
	}
	ck_assert_uint_eq(sent, 5000);
	ck_assert_uint_ge(stalled, 1);
	close(fd);
	vsock_rig_finish(&r);
}
END_TEST

/* Sends small messages until the host's end takes no more. Bytes; *last: what was told of last. */
static uint32_t fill_host(struct vsock_rig *r, uint32_t *last)
{
	static uint8_t data[1000];
	uint32_t sent = 0;

	while (!vsock_pending(r->d.dev)) {
		vsock_rig_send(r, SEQPACKET, VIRTIO_VSOCK_OP_RW, VIRTIO_VSOCK_SEQ_EOM, data,
			       sizeof(data));
		sent += sizeof(data);
		while (*drv_used_idx(&r->d, 0) != r->d.q[0].used_idx) {
			vsock_rig_expect(r, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
			*last = r->h.fwd_cnt;
		}
	}
	return sent;
}

static void read_all(struct vsock_rig *r, int fd, uint32_t *last)
{
	static uint8_t got[VSOCK_MESSAGE_MAX];

	while (recv(fd, got, sizeof(got), MSG_DONTWAIT) > 0)
		drv_pump(&r->d, 0);
	while (*drv_used_idx(&r->d, 0) != r->d.q[0].used_idx) {
		vsock_rig_expect(r, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
		*last = r->h.fwd_cnt;
	}
}

/* A guest that asks for credit may wait for all of its window: it hears when that is free. */
START_TEST(test_seq_credit_for_all)
{
	static uint8_t data[VSOCK_MESSAGE_MAX];
	uint32_t sent, told = 0;
	struct vsock_rig r;
	int fd;

	vsock_rig_init(&r, 8, 4096);
	fd = vsock_rig_connect(&r, SEQPACKET);
	sent = fill_host(&r, &told);
	vsock_rig_send(&r, SEQPACKET, VIRTIO_VSOCK_OP_CREDIT_REQUEST, 0, NULL, 0);
	vsock_rig_expect(&r, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	ck_assert_uint_lt(r.h.fwd_cnt, sent);
	read_all(&r, fd, &told);
	ck_assert_uint_eq(told, sent);
	/* It is told once. */
	vsock_rig_send(&r, SEQPACKET, VIRTIO_VSOCK_OP_RW, VIRTIO_VSOCK_SEQ_EOM, data, 1000);
	vsock_rig_expect_quiet(&r);
	close(fd);
	vsock_rig_finish(&r);
}
END_TEST

/* One that sends what it sees room for, and no more of its message, hears of the rest. */
START_TEST(test_seq_credit_in_parts)
{
	static uint8_t data[VSOCK_MESSAGE_MAX];
	uint32_t sent, told = 0, room;
	struct vsock_rig r;
	int fd;

	vsock_rig_init(&r, 8, 4096);
	fd = vsock_rig_connect(&r, SEQPACKET);
	sent = fill_host(&r, &told);
	read_all(&r, fd, &told);
	ck_assert_uint_lt(told, sent);
	room = r.h.buf_alloc - (sent - told);
	vsock_rig_send(&r, SEQPACKET, VIRTIO_VSOCK_OP_RW, 0, data, room);
	vsock_rig_expect(&r, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	ck_assert_uint_eq(r.h.fwd_cnt, sent);
	vsock_rig_send(&r, SEQPACKET, VIRTIO_VSOCK_OP_RW, VIRTIO_VSOCK_SEQ_EOM, data + room,
		       sizeof(data) - room);
	ck_assert_int_eq(recv(fd, data, sizeof(data), MSG_DONTWAIT), sizeof(data));
	close(fd);
	vsock_rig_finish(&r);
}
END_TEST

/* What the host's end sent before it closed with something unread arrives. */
START_TEST(test_seq_last_words)
{
	struct vsock_rig r;
	int fd;

	vsock_rig_init(&r, 8, 4096);
	fd = vsock_rig_connect(&r, SEQPACKET);
	vsock_rig_send(&r, SEQPACKET, VIRTIO_VSOCK_OP_RW, VIRTIO_VSOCK_SEQ_EOM, "unread", 6);
	ck_assert_int_eq(send(fd, "last", 4, 0), 4);
	close(fd);
	vsock_rig_expect(&r, VIRTIO_VSOCK_OP_RW);
	ck_assert_uint_eq(r.h.len, 4);
	ck_assert_mem_eq(r.payload, "last", 4);
	vsock_rig_expect(&r, VIRTIO_VSOCK_OP_SHUTDOWN);
	vsock_rig_finish(&r);
}
END_TEST

START_TEST(test_seq_to_guest)
{
	static const uint32_t size[] = {1, 0, 4051, 4052, 4053, 30000, VSOCK_MESSAGE_MAX, 7};
	static uint8_t data[VSOCK_MESSAGE_MAX], got[VSOCK_MESSAGE_MAX];
	struct vsock_rig r;
	int fd;

	vsock_rig_init(&r, 3, 4096); /* 4052 bytes of payload each */
	fd = vsock_rig_connect(&r, SEQPACKET);
	for (unsigned i = 0; i < sizeof(size) / sizeof(size[0]); i++) {
		size_t n = 0;

		vsock_rig_fill(data, size[i], i);
		ck_assert_int_eq(send(fd, data, size[i], 0), size[i]);
		do {
			vsock_rig_expect(&r, VIRTIO_VSOCK_OP_RW);
			ck_assert_uint_le(n + r.h.len, size[i]);
			memcpy(got + n, r.payload, r.h.len);
			n += r.h.len;
		} while (!(r.h.flags & VIRTIO_VSOCK_SEQ_EOM));
		ck_assert_uint_eq(n, size[i]);
		ck_assert_mem_eq(got, data, n);
	}
	vsock_rig_expect_quiet(&r);
	shutdown(fd, SHUT_WR);
	vsock_rig_expect(&r, VIRTIO_VSOCK_OP_SHUTDOWN);
	close(fd);
	vsock_rig_finish(&r);
}
END_TEST

/* Only whole messages that the guest has room for; one that never fits ends it. */
START_TEST(test_seq_credit_to_guest)
{
	static uint8_t data[100000];
	struct vsock_rig r;
	int fd;

	vsock_rig_init(&r, 8, 4096);
	r.buf_alloc = 100;
	fd = vsock_rig_connect(&r, SEQPACKET);
	ck_assert_int_eq(send(fd, data, 60, 0), 60);
	ck_assert_int_eq(send(fd, data, 60, 0), 60);
	vsock_rig_expect(&r, VIRTIO_VSOCK_OP_RW);
	ck_assert_uint_eq(r.h.len, 60);
	vsock_rig_expect_quiet(&r);
	r.fwd_cnt = 19;
	vsock_rig_send(&r, SEQPACKET, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0, NULL, 0);
	vsock_rig_expect_quiet(&r);
	r.fwd_cnt = 20;
	vsock_rig_send(&r, SEQPACKET, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0, NULL, 0);
	vsock_rig_expect(&r, VIRTIO_VSOCK_OP_RW);
	ck_assert_int_eq(send(fd, data, 101, 0), 101);
	r.fwd_cnt = 120;
	vsock_rig_send(&r, SEQPACKET, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0, NULL, 0);
	vsock_rig_expect(&r, VIRTIO_VSOCK_OP_RST);
	ck_assert_int_eq(recv(fd, data, 1, MSG_DONTWAIT), -1);
	ck_assert_int_eq(errno, ECONNRESET); /* it was not read */
	close(fd);
	/* Larger than any message may be. */
	r.buf_alloc = 1 << 20;
	r.fwd_cnt = 0;
	fd = vsock_rig_connect(&r, SEQPACKET);
	ck_assert_int_eq(send(fd, data, sizeof(data), 0), sizeof(data));
	vsock_rig_expect(&r, VIRTIO_VSOCK_OP_RST);
	close(fd);
	vsock_rig_finish(&r);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("vsock_seq");
	TCase *tc = tcase_create("vsock_seq");

	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, test_seq_to_host);
	tcase_add_test(tc, test_seq_many_to_host);
	tcase_add_test(tc, test_seq_credit_for_all);
	tcase_add_test(tc, test_seq_credit_in_parts);
	tcase_add_test(tc, test_seq_last_words);
	tcase_add_test(tc, test_seq_to_guest);
	tcase_add_test(tc, test_seq_credit_to_guest);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
