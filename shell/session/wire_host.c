/*
 * Connections with a host program at one end. The program gets one end of a socket pair,
 * the guest's VMM the other, as for any vsock connection with the host; the session is in
 * none of the data. Only the VMM can tell that such a connection ends.
 */
#include "wire_impl.h"

#include "clock.h"

#include <errno.h>
#include <linux/virtio_vsock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int socket_type(uint32_t type)
{
	return type == VIRTIO_VSOCK_TYPE_SEQPACKET ? SOCK_SEQPACKET : SOCK_STREAM;
}

static int make_pair(uint32_t type, int pair[2])
{
	return socketpair(AF_UNIX, socket_type(type) | SOCK_CLOEXEC, 0, pair) ? -errno : 0;
}

/* The guest's end does not block; a program's does, as it expects. */
static struct exo_vmm_vsock vsock_message(enum exo_vmm_type kind, const struct policy_conn_info *c)
{
	return (struct exo_vmm_vsock){
		.h = {EXO_VMM_MAGIC, kind, sizeof(struct exo_vmm_vsock), 1},
		.port = c->port,
		.type = c->seqpacket ? VIRTIO_VSOCK_TYPE_SEQPACKET : VIRTIO_VSOCK_TYPE_STREAM,
		.conn = c->id,
		.max_rate = c->max_rate,
	};
}

/* ---- a guest, or a host program, to a host program ------------------------------------ */

static struct wire_listener *find_listener(struct session *s, const char *service)
{
	struct wires *all = s->wires;
	struct wire_listener *l = all ? all->listeners : NULL;

	while (l && strcmp(l->service, service) != 0)
		l = l->next;
	return l;
}

/* `fd` is the opener's end, which is ours no more. */
static enum exo_reason give_to_opener(struct session *s, const struct wire_ask *a,
				      const struct policy_conn_info *c, int fd)
{
	struct exo_vmm_vsock reply;
	struct wire *w;

	policy_conn_accept(s->policy, c->id);
	if (!a->m) { /* nobody will tell us how it goes on */
		policy_conn_end(s->policy, c->id, EXO_REASON_NONE);
		a->done(a->opaque, EXO_REASON_NONE, fd);
		return EXO_REASON_NONE;
	}
	if (wire_add(s, c->id, a->m, NULL, &w)) {
		close(fd);
		return EXO_REASON_BUDGET;
	}
	w->state = WIRE_OPEN;
	reply = vsock_message(EXO_VMM_VSOCK_REPLY, c);
	reply.id = a->request;
	reply.port = a->port;
	reply.cookie = wire_opener_cookie(c);
	machine_send(a->m, &reply, sizeof(reply), &fd, 1);
	close(fd);
	return EXO_REASON_NONE;
}

enum exo_reason wire_to_host(struct session *s, const struct wire_ask *a,
			     const struct policy_conn_info *c)
{
	const struct wire_listener *l = find_listener(s, c->service);
	struct policy_subject_info info = {0};
	enum exo_reason reason;
	int pair[2];

	if (!l) { /* a file server */
		pair[0] = mounts_connect(s, a->m, c->service);
		return pair[0] < 0 ? EXO_REASON_ABSENT : give_to_opener(s, a, c, pair[0]);
	}
	if (make_pair(a->type, pair))
		return EXO_REASON_BUDGET;
	(void)policy_subject_info(s->policy, c->opener, &info);
	reason = give_to_opener(s, a, c, pair[0]);
	if (reason == EXO_REASON_NONE)
		l->accept(l->opaque, pair[1], a->m ? a->m->name : a->from,
			  info.label ? info.label : "");
	else
		close(pair[1]);
	return reason;
}

int wire_listen_host(struct session *s, const char *service, bool seqpacket, wire_accept_fn *accept,
		     void *opaque)
{
	struct wires *all = wires_of(s);
	struct wire_listener *l;
	int err;

	if (find_listener(s, service))
		return -EEXIST;
	l = all ? calloc(1, sizeof(*l)) : NULL;
	if (!l)
		return -ENOMEM;
	err = policy_add_service(s->policy, service, "host", 1, seqpacket);
	if (err) {
		free(l);
		return err;
	}
	snprintf(l->service, sizeof(l->service), "%s", service);
	l->accept = accept;
	l->opaque = opaque;
	l->next = all->listeners;
	all->listeners = l;
	(void)policy_set_ready(s->policy, service, true);
	wire_service_changed(s, service);
	return 0;
}

void wire_unlisten_host(struct session *s, const char *service)
{
	struct wires *all = s->wires;
	struct wire_listener **at = all ? &all->listeners : NULL, *l;

	while (at && *at && strcmp((*at)->service, service) != 0)
		at = &(*at)->next;
	if (!at || !*at)
		return;
	l = *at;
	*at = l->next;
	(void)policy_remove_service(s->policy, l->service);
	free(l);
}

/* ---- a host program to a guest --------------------------------------------------------- */

enum exo_reason wire_from_host(struct session *s, const struct wire_ask *a,
			       const struct policy_conn_info *c, struct machine *acceptor)
{
	struct exo_vmm_vsock open = vsock_message(EXO_VMM_VSOCK_OPEN, c);
	struct wire *w;
	int pair[2];

	if (make_pair(a->type, pair))
		return EXO_REASON_BUDGET;
	if (wire_add(s, c->id, NULL, acceptor, &w)) {
		close(pair[0]);
		close(pair[1]);
		return EXO_REASON_BUDGET;
	}
	w->port = c->port;
	w->type = a->type;
	w->ring_fd = pair[0];
	w->done = a->done;
	w->opaque = a->opaque;
	snprintf(w->from, sizeof(w->from), "%s", a->from);
	open.id = c->id;
	open.cookie = wire_acceptor_cookie(c);
	wire_set_deadline(s, w, clock_now_ns() + WIRE_ACCEPT_NS);
	machine_send(acceptor, &open, sizeof(open), &pair[1], 1);
	close(pair[1]);
	return EXO_REASON_NONE;
}

void wire_host_made(struct wire *w, enum exo_reason reason)
{
	wire_host_fn *done = w->done;
	int fd = w->ring_fd;

	w->done = NULL;
	w->ring_fd = -1;
	if (fd >= 0 && (reason || !done)) {
		close(fd);
		fd = -1;
	}
	if (done)
		done(w->opaque, reason, fd);
}

const char *wire_host_name(struct session *s, uint32_t conn)
{
	const struct wire *w = wire_find(s, conn);

	return w && w->from[0] ? w->from : NULL;
}

/* The person may reach everything: a grant is made where there is none. */
static uint32_t host_slot(struct session *s, const char *service)
{
	uint32_t port = policy_resolve(s->policy, POLICY_HOST, service);

	if (!port && policy_grant(s->policy, "host", service, EXO_CAP_CONNECT, NULL, POLICY_PERSON,
				  0, clock_now_ns()) >= 0)
		port = policy_resolve(s->policy, POLICY_HOST, service);
	return port;
}

void wire_connect_host(struct session *s, const char *service, bool seqpacket, const char *from,
		       uint64_t deadline_ns, wire_host_fn *done, void *opaque)
{
	struct wires *all = wires_of(s);
	struct wire_ask a = {
		.port = host_slot(s, service),
		.type = seqpacket ? VIRTIO_VSOCK_TYPE_SEQPACKET : VIRTIO_VSOCK_TYPE_STREAM,
		.deadline_ns = deadline_ns,
		.done = done,
		.opaque = opaque,
	};

	snprintf(a.from, sizeof(a.from), "%s", from && *from ? from : "host");
	if (!all || !a.port)
		return done(opaque, all ? EXO_REASON_ABSENT : EXO_REASON_BUDGET, -1);
	a.guest_port = ++all->next_host_port;
	wire_ask(s, &a);
}

void wire_cancel_host(struct session *s, const void *opaque)
{
	struct wires *all = s->wires;
	struct wire_ask **at = all ? &all->asks : NULL, *a;

	while (at && (a = *at)) {
		if (a->m || a->opaque != opaque) {
			at = &a->next;
			continue;
		}
		*at = a->next;
		free(a);
	}
	for (struct wire *w = all ? all->offered : NULL; w; w = w->offered_next) {
		if (w->done && w->opaque == opaque)
			w->done = NULL; /* it is made, and closed */
	}
	for (struct wire_refresh *r = all ? all->refreshes : NULL; r; r = r->next) {
		if (r->opaque == opaque)
			r->done = NULL;
	}
}

int wire_connect_port(struct machine *m, uint32_t port, bool seqpacket, int *fd)
{
	struct policy_conn_info none = {.port = port, .seqpacket = seqpacket};
	struct exo_vmm_vsock open = vsock_message(EXO_VMM_VSOCK_OPEN, &none);
	struct wires *all = wires_of(m->session);
	int pair[2], err;

	if (!machine_runs(m))
		return -ENOTCONN;
	err = all ? make_pair(open.type, pair) : -ENOMEM;
	if (err)
		return err;
	open.id = ++all->next_host_port;
	machine_send(m, &open, sizeof(open), &pair[1], 1);
	close(pair[1]);
	*fd = pair[0];
	return 0;
}
