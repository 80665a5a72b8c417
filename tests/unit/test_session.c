/*
 * Inside the session: what VMMs may say, what port 1 takes, messages that a socket has no
 * room for, connects that wait for their provider, and the table of connections.
 * With real parts, and VMMs that are one end of a socket pair.
 */
#include "caps_impl.h"
#include "clock.h"
#include "lifecycle.h"
#include "machine_impl.h"
#include "unit.h"
#include "wire_impl.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_vsock.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct session *s;
static int theirs[8]; /* the VMMs' ends */
static unsigned nvms;

static void close_conn(void *opaque, uint32_t conn, enum exo_reason reason)
{
	wire_close(opaque, conn, reason);
}

static const struct policy_ops ops = {.close_conn = close_conn};

static void setup(void)
{
	s = calloc(1, sizeof(*s));
	s->directory_fd = s->inotify_fd = s->audit_fd = -1;
	s->is_private = true;
	ck_assert_int_eq(loop_init(&s->loop), 0);
	s->policy = policy_create(&ops, s);
	nvms = 0;
}

static void teardown(void)
{
	machine_finish_all(s);
	wire_finish(s);
	memory_finish(s);
	policy_destroy(s->policy);
	loop_finish(&s->loop);
	free(s);
	while (nvms)
		close(theirs[--nvms]);
}

/* A guest that runs; its number among `theirs` is nvms - 1. */
static struct machine *add_machine(const char *name)
{
	struct machine *m = machine_create(s, name);
	int pair[2];

	ck_assert_ptr_nonnull(m);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
	m->vm = calloc(1, sizeof(*m->vm));
	launch_init(m->vm);
	m->vm->sock_fd = pair[0];
	m->vm->started = m->vm->in_session = true;
	theirs[nvms++] = pair[1];
	m->guest_bell = open("/dev/null", O_RDWR);
	m->vmm_bell = open("/dev/null", O_RDWR);
	m->subject = (uint32_t)policy_add_subject(s->policy, name, "label");
	m->state = MACHINE_STARTING;
	return m;
}

/* The next message to a VMM; its type, or 0. */
static uint32_t hear(unsigned vm, void *buf, size_t capacity)
{
	struct exo_vmm_header h;
	char all[EXO_VMM_MSG_MAX];
	ssize_t n = recv(theirs[vm], all, sizeof(all), MSG_DONTWAIT);

	if (n < (ssize_t)sizeof(h))
		return 0;
	memcpy(&h, all, sizeof(h));
	ck_assert_uint_eq(h.size, (size_t)n);
	memcpy(buf, all, (size_t)n < capacity ? (size_t)n : capacity);
	return h.type;
}

/* ---- what VMMs may say ------------------------------------------------------------- */

union any {
	struct exo_vmm_header h;
	struct exo_vmm_channel_state state;
	struct exo_vmm_channels channels;
	struct exo_vmm_mem mem;
	struct exo_vmm_vsock vsock;
	struct exo_vmm_stats stats;
	struct exo_vmm_hello hello;
	char bytes[EXO_VMM_MSG_MAX];
};

static int decode(struct launch *l, union any *m, size_t size, unsigned nfds)
{
	union launch_msg got;
	int fds[2] = {0, 0}, pair[2], err;
	struct msghdr mh = {.msg_iov = &(struct iovec){m, size}, .msg_iovlen = 1};
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(fds))];
	} control = {0};
	unsigned n = 0;

	m->h.magic = EXO_VMM_MAGIC;
	m->h.size = (uint32_t)size;
	m->h.nfds = nfds;
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
	if (nfds) {
		mh.msg_control = control.bytes;
		mh.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
		CMSG_FIRSTHDR(&mh)->cmsg_level = SOL_SOCKET;
		CMSG_FIRSTHDR(&mh)->cmsg_type = SCM_RIGHTS;
		CMSG_FIRSTHDR(&mh)->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&mh)), fds, sizeof(int) * nfds);
	}
	ck_assert_int_eq(sendmsg(pair[1], &mh, 0), (ssize_t)size);
	l->sock_fd = pair[0];
	err = launch_recv_fds(l, &got, fds, &n);
	ck_assert(err > 0 || !n);
	while (n)
		close(fds[--n]);
	close(pair[0]);
	close(pair[1]);
	return err;
}

START_TEST(messages_of_a_session)
{
	struct launch l = {.started = true, .in_session = true};
	union any m = {.state = {.h.type = EXO_VMM_CHANNEL_STATE, .conn = 1, .state = 1}};
	size_t size;

	ck_assert_int_eq(decode(&l, &m, sizeof(m.state), 0), 1);
	ck_assert_int_eq(decode(&l, &m, sizeof(m.state) - 8, 0), -EPROTO);
	ck_assert_int_eq(decode(&l, &m, sizeof(m.state), 1), -EPROTO);
	l.in_session = false;
	ck_assert_int_eq(decode(&l, &m, sizeof(m.state), 0), -EPROTO);
	l.in_session = true;
	m.state.flags = 2;
	ck_assert_int_eq(decode(&l, &m, sizeof(m.state), 0), -EPROTO);
	m.state.flags = 0;
	m.state.reason = EXO_REASONS;
	ck_assert_int_eq(decode(&l, &m, sizeof(m.state), 0), -EPROTO);

	m = (union any){.channels = {.h.type = EXO_VMM_CHANNELS, .count = 3}};
	size = offsetof(struct exo_vmm_channels, info) + 3 * sizeof(m.channels.info[0]);
	ck_assert_int_eq(decode(&l, &m, size, 0), 1);
	ck_assert_int_eq(decode(&l, &m, size - 1, 0), -EPROTO);
	m.channels.count = EXO_VMM_CHANNEL_INFOS_MAX + 1;
	ck_assert_int_eq(decode(&l, &m, size, 0), -EPROTO);
	m.channels.count = 0xffffffff;
	ck_assert_int_eq(decode(&l, &m, size, 0), -EPROTO);
	m.channels.count = 3;
	m.channels.more = 2;
	ck_assert_int_eq(decode(&l, &m, size, 0), -EPROTO);

	m = (union any){.mem = {.h.type = EXO_VMM_MEM_MAPPED, .status = 1}};
	ck_assert_int_eq(decode(&l, &m, sizeof(m.mem), 0), -EPROTO);
	m.mem.status = -ENOSPC;
	ck_assert_int_eq(decode(&l, &m, sizeof(m.mem), 0), 1);
	l.ended = true;
	ck_assert_int_eq(decode(&l, &m, sizeof(m.mem), 0), -EPROTO);
}
END_TEST

START_TEST(hello_comes_first_and_once)
{
	struct launch l;
	union any m = {.hello = {.h.type = EXO_VMM_HELLO, .name = "x"}};
	union any other = {.h.type = EXO_VMM_READY};

	launch_init(&l);
	launch_attach(&l, -1);
	ck_assert_int_eq(decode(&l, &other, sizeof(other.h), 0), -EPROTO);
	ck_assert_int_eq(decode(&l, &m, sizeof(m.hello), 1), -EPROTO);
	memset(m.hello.name, 'x', sizeof(m.hello.name));
	ck_assert_int_eq(decode(&l, &m, sizeof(m.hello), 2), -EPROTO);
	m.hello.name[1] = '\0';
	ck_assert_int_eq(decode(&l, &m, sizeof(m.hello), 2), 1);
	ck_assert_int_eq(decode(&l, &other, sizeof(other.h), 0), 1);
	ck_assert_int_eq(decode(&l, &m, sizeof(m.hello), 2), -EPROTO);
}
END_TEST

/* ---- port 1 ---------------------------------------------------------------------------- */

START_TEST(fields_of_requests)
{
	/* Every op takes a request of zeroes; of the other fields, only those it has. */
	for (uint32_t op = 1; op < EXO_CAP_OPS; op++) {
		struct exo_cap_msg msg = {.op = op, .id = 99};
		unsigned refused = 0;

		ck_assert(caps_is_sound(&msg));
		for (size_t at = 8; at < sizeof(msg); at++) {
			((unsigned char *)&msg)[at] = 0x80;
			refused += !caps_is_sound(&msg);
			((unsigned char *)&msg)[at] = 0;
		}
		ck_assert_uint_gt(refused, 50); /* label, reserved, status, conn at the least */
		msg.status = -1;
		ck_assert(!caps_is_sound(&msg));
	}
	struct exo_cap_msg resolve = {.op = EXO_CAP_RESOLVE};

	memset(resolve.name, 'a', sizeof(resolve.name));
	ck_assert(!caps_is_sound(&resolve));
	resolve.name[63] = '\0';
	ck_assert(caps_is_sound(&resolve));
}
END_TEST

/* ---- messages that have to wait ----------------------------------------------------------- */

START_TEST(outbox_keeps_the_order)
{
	struct machine *m = add_machine("a");
	struct exo_vmm_close msg = {{EXO_VMM_MAGIC, EXO_VMM_CHANNEL_CLOSE, sizeof(msg), 0}, 0, 0};
	struct exo_vmm_close got;
	uint32_t next = 0;

	while (!m->outbox || m->outbox->count < 100) {
		machine_send(m, &msg, sizeof(msg), NULL, 0);
		msg.conn++;
		ck_assert_uint_lt(msg.conn, 100000);
	}
	ck_assert(!machine_is_deaf(m, clock_now_ns()));
	ck_assert(machine_is_deaf(m, clock_now_ns() + MACHINE_DEAF_NS));
	while (hear(0, &got, sizeof(got))) {
		ck_assert_uint_eq(got.conn, next);
		next++;
		machine_flush(m);
	}
	ck_assert_uint_eq(next, msg.conn);
	ck_assert_uint_eq(m->outbox->count, 0);
	ck_assert(!machine_is_deaf(m, clock_now_ns() + MACHINE_DEAF_NS));
}
END_TEST

START_TEST(outbox_is_bounded)
{
	struct machine *m = add_machine("a");
	struct exo_vmm_header msg = {EXO_VMM_MAGIC, EXO_VMM_STATS_REQUEST, sizeof(msg), 0};

	for (int i = 0; i < 100000 && !m->broken; i++)
		machine_send(m, &msg, sizeof(msg), NULL, 0);
	ck_assert_ptr_nonnull(m->broken);
	ck_assert_uint_eq(m->outbox->count, MACHINE_OUTBOX_MAX);
}
END_TEST

/* ---- connects that wait --------------------------------------------------------------------- */

static struct machine *add_provider(bool ready)
{
	struct machine *m = add_machine("server");

	m->manifest = calloc(1, sizeof(*m->manifest));
	m->manifest->nprovides = 1;
	m->manifest->start_timeout_ns = 1000000000u;
	snprintf(m->manifest->provides[0].name, POLICY_NAME_MAX, "echo");
	ck_assert_int_eq(policy_add_service(s->policy, "echo", "server", 10, false), 0);
	ck_assert_int_eq(policy_set_ready(s->policy, "echo", ready), 0);
	return m;
}

static struct machine *add_client(uint32_t *port)
{
	struct machine *m;

	ck_assert_int_gt(policy_grant(s->policy, "client", "echo", EXO_CAP_CONNECT, NULL,
				      POLICY_PERSON, 0, 1),
			 0);
	m = add_machine("client");
	*port = policy_resolve(s->policy, m->subject, "echo");
	ck_assert_uint_ne(*port, 0);
	return m;
}

static void request(struct machine *m, uint32_t id, uint32_t port)
{
	const struct exo_vmm_vsock r = {
		.id = id, .port = port, .type = VIRTIO_VSOCK_TYPE_STREAM, .guest_port = 1000 + id};

	wire_request(m, &r);
}

START_TEST(waits_until_its_provider_is_ready)
{
	uint32_t port;
	struct machine *server = add_provider(false), *client = add_client(&port);
	struct exo_vmm_channel offer, made;
	const struct exo_vmm_channel_state accepted = {.conn = 1, .state = EXO_CHANNEL_ACCEPTED};
	struct exo_vmm_channel_state reply = accepted;

	request(client, 1, port);
	request(client, 2, port);
	ck_assert_uint_eq(hear(0, &offer, sizeof(offer)), 0);
	ck_assert_uint_eq(hear(1, &made, sizeof(made)), 0);
	policy_set_ready(s->policy, "echo", true);
	wire_service_changed(s, "another");
	ck_assert_uint_eq(hear(0, &offer, sizeof(offer)), 0);
	wire_service_changed(s, "echo");
	for (int i = 0; i < 2; i++) {
		ck_assert_uint_eq(hear(0, &offer, sizeof(offer)), EXO_VMM_CHANNEL);
		ck_assert_uint_eq(offer.port, 10);
		reply.conn = offer.conn;
		ck_assert(!wire_state(client, &reply)); /* not the client's to accept */
		ck_assert(wire_state(server, &reply));
		ck_assert_uint_eq(hear(1, &made, sizeof(made)), EXO_VMM_CHANNEL);
		ck_assert_uint_eq(made.conn, offer.conn);
	}
	ck_assert_uint_eq(((struct wire_ends *)client->wires)->pending, 0);
}
END_TEST

START_TEST(waits_no_longer_than_its_deadline)
{
	uint32_t port;
	struct exo_vmm_vsock reply;
	struct machine *server = add_provider(false), *client = add_client(&port);

	server->state = MACHINE_STARTING;
	request(client, 7, port);
	ck_assert_uint_eq(hear(1, &reply, sizeof(reply)), 0);
	/* Its deadline is one second off; let it be now. */
	for (struct wire_ask *a = ((struct wires *)s->wires)->asks; a; a = a->next)
		a->deadline_ns = 1;
	wire_tick(s, clock_now_ns());
	ck_assert_uint_eq(hear(1, &reply, sizeof(reply)), EXO_VMM_VSOCK_REPLY);
	ck_assert_uint_eq(reply.id, 7);
	ck_assert_uint_eq(reply.reason, EXO_REASON_NOT_READY);
	ck_assert_int_eq(reply.status, -ETIMEDOUT);
	ck_assert_int_eq(wire_reason(client, 1007, port), EXO_REASON_NOT_READY);
}
END_TEST

START_TEST(pending_connects_are_bounded)
{
	uint32_t port;
	struct exo_vmm_vsock reply;
	struct machine *client;

	add_provider(false);
	client = add_client(&port);
	for (uint32_t i = 0; i < WIRE_PENDING_MAX; i++)
		request(client, i, port);
	ck_assert_uint_eq(hear(1, &reply, sizeof(reply)), 0);
	request(client, 1000, port);
	ck_assert_uint_eq(hear(1, &reply, sizeof(reply)), EXO_VMM_VSOCK_REPLY);
	ck_assert_uint_eq(reply.reason, EXO_REASON_BUDGET);
	wire_machine_gone(client, EXO_REASON_ENDED);
	ck_assert_ptr_null(((struct wires *)s->wires)->asks);
}
END_TEST

/* ---- the table ------------------------------------------------------------------------------- */

/* Random steps; afterwards each list has just what the steps left in it. */
START_TEST(table_of_connections)
{
	struct machine *m[4];
	uint32_t conns[4][4] = {0}; /* number of connections from i to k */
	unsigned seed = 5;

	for (unsigned i = 0; i < 4; i++)
		m[i] = add_machine((const char[][2]){"a", "b", "c", "d"}[i]);
	for (uint32_t step = 1; step < 5000; step++) {
		unsigned i = (unsigned)rand_r(&seed) % 4, k = (unsigned)rand_r(&seed) % 4;
		uint32_t victim = (uint32_t)rand_r(&seed) % step;
		struct wire *w = wire_find(s, victim);

		if (i != k) {
			ck_assert_int_eq(wire_add(s, step, m[i], m[k], &w), 0);
			conns[i][k]++;
			w = wire_find(s, victim);
		}
		if (w && rand_r(&seed) % 4) {
			for (i = 0; w->end[WIRE_OPENER] != m[i]; i++)
				;
			for (k = 0; w->end[WIRE_ACCEPTOR] != m[k]; k++)
				;
			w->state = WIRE_OPEN;
			wire_remove(s, w, EXO_REASON_CLOSED);
			conns[i][k]--;
		}
	}
	for (unsigned i = 0; i < 4; i++) {
		unsigned expected = 0, found = 0;

		for (unsigned k = 0; k < 4; k++)
			expected += conns[i][k] + conns[k][i];
		for (struct wire *w = ((struct wire_ends *)m[i]->wires)->first; w;
		     w = w->next[wire_side_of(w, m[i])])
			found++;
		ck_assert_uint_eq(found, expected);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("session");
	TCase *tc = tcase_create("session");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, messages_of_a_session);
	tcase_add_test(tc, hello_comes_first_and_once);
	tcase_add_test(tc, fields_of_requests);
	tcase_add_test(tc, outbox_keeps_the_order);
	tcase_add_test(tc, outbox_is_bounded);
	tcase_add_test(tc, waits_until_its_provider_is_ready);
	tcase_add_test(tc, waits_no_longer_than_its_deadline);
	tcase_add_test(tc, pending_connects_are_bounded);
	tcase_add_test(tc, table_of_connections);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
