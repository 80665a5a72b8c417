/*
 * Memory that guests create and offer to each other: sealed memfds, charged to their
 * owner, mapped by VMMs into their guests' shared memory region. What guests
 * ask is in memory_ops.c.
 *
 * Unmapping has no answer of its own. After each MEM_UNMAP the VMM is asked for its
 * statistics: it obeys in order, so its answer says that the memory is gone there. Until
 * then the map is `doomed`: still counted, and a move or a revocation waits for it.
 * MEM_MAP is followed by the same question, so that nobody waits for a VMM that does not
 * answer it.
 */
#include "memory_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- tables ----------------------------------------------------------------------- */

static struct memories *memories_of(struct session *s)
{
	if (!s->memory)
		s->memory = calloc(1, sizeof(struct memories));
	return s->memory;
}

struct memory_use *memory_use_of(struct machine *m)
{
	if (!m->memory)
		m->memory = calloc(1, sizeof(struct memory_use));
	return m->memory;
}

struct memory *memory_find(struct session *s, uint64_t number)
{
	struct memories *all = s->memory;
	struct memory *mem = all ? all->bucket[number % MEMORY_BUCKETS] : NULL;

	while (mem && mem->number != number)
		mem = mem->next;
	return mem;
}

uint64_t memory_quota(const struct machine *m)
{
	return m->manifest && m->manifest->max_grants ? m->manifest->max_grants : MEMORY_QUOTA;
}

void memory_set_owner(struct memory *mem, struct machine *owner)
{
	if (mem->owner)
		((struct memory_use *)mem->owner->memory)->bytes -= mem->bytes;
	mem->owner = owner;
	if (owner)
		((struct memory_use *)owner->memory)->bytes += mem->bytes;
}

int memory_make_fd(const char *name, uint64_t bytes)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int err = 0;

	if (fd < 0)
		return -errno;
	/* Mode 0400: who has it read-only can't open it again for writing by /proc. */
	if (ftruncate(fd, (off_t)bytes) || fchmod(fd, 0400) ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		err = -errno;
	if (!err)
		return fd;
	close(fd);
	return err;
}

struct memory *memory_create(struct session *s, struct machine *owner, uint64_t bytes, int *err)
{
	struct memories *all = memories_of(s);
	struct memory *mem = all && memory_use_of(owner) ? calloc(1, sizeof(*mem)) : NULL;

	*err = -ENOMEM;
	if (!mem)
		return NULL;
	mem->fd = memory_make_fd("exo-memory", bytes);
	if (mem->fd < 0) {
		*err = mem->fd == -EMFILE || mem->fd == -ENFILE ? -ENOBUFS : -ENOMEM;
		free(mem);
		return NULL;
	}
	mem->bytes = bytes;
	mem->number = ++all->last;
	mem->next = all->bucket[mem->number % MEMORY_BUCKETS];
	all->bucket[mem->number % MEMORY_BUCKETS] = mem;
	memory_set_owner(mem, owner);
	return mem;
}

static void destroy(struct session *s, struct memory *mem)
{
	struct memories *all = s->memory;
	struct memory **at = &all->bucket[mem->number % MEMORY_BUCKETS];

	while (*at != mem)
		at = &(*at)->next;
	*at = mem->next;
	memory_set_owner(mem, NULL);
	close(mem->fd);
	free(mem);
}

/* ---- maps --------------------------------------------------------------------------- */

struct memory_map *memory_map_of(const struct memory *mem, const struct machine *m)
{
	struct memory_map *map = mem->maps;

	while (map && map->m != m)
		map = map->next;
	return map;
}

static void remove_map(struct memory *mem, struct memory_map *map)
{
	struct memory_map **at = &mem->maps;
	struct memory_use *use = map->m->memory;

	while (*at != map)
		at = &(*at)->next;
	*at = map->next;
	use->maps--;
	free(map);
}

/* A file description of its own: whoever gets it can't write, whatever it does. */
static int open_read_only(int fd)
{
	char path[32];
	int own;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	own = open(path, O_RDONLY | O_CLOEXEC);
	return own < 0 ? -errno : own;
}

static void send_mem(struct machine *m, enum exo_vmm_type type, const struct memory *mem,
		     bool read_only, int fd)
{
	struct exo_vmm_mem msg = {
		.h = {EXO_VMM_MAGIC, type, sizeof(msg), fd >= 0},
		.mem = mem->number,
		.bytes = mem->bytes,
		.flags = read_only ? EXO_MEM_READ_ONLY : 0,
	};

	machine_send(m, &msg, sizeof(msg), &fd, fd >= 0);
}

int memory_map(struct memory *mem, struct machine *m, bool read_only, void *conversation,
	       const struct exo_cap_msg *request)
{
	struct memory_use *use = memory_use_of(m);
	struct memory_map *map;
	int fd = mem->fd;

	if (!use)
		return -ENOMEM;
	if (use->maps >= MEMORY_MAPS_MAX)
		return -ENOBUFS;
	if (read_only && (fd = open_read_only(mem->fd)) < 0)
		return -ENOBUFS;
	map = calloc(1, sizeof(*map));
	if (map) {
		*map = (struct memory_map){.next = mem->maps,
					   .m = m,
					   .read_only = read_only,
					   .asked = true,
					   .conversation = conversation,
					   .op = request->op,
					   .id = request->id};
		mem->maps = map;
		use->maps++;
		send_mem(m, EXO_VMM_MEM_MAP, mem, read_only, fd);
		machine_request_stats(m); /* before this is answered, that is */
		map->fence = m->stats_asked;
	}
	if (fd != mem->fd)
		close(fd);
	return map ? 0 : -ENOMEM;
}

static void send_unmap(struct memory *mem, struct memory_map *map)
{
	send_mem(map->m, EXO_VMM_MEM_UNMAP, mem, map->read_only, -1);
	machine_request_stats(map->m);
	map->fence = map->m->stats_asked;
}

static void answer(struct memory_map *map, int status, struct exo_cap_msg msg)
{
	if (status)
		msg = (struct exo_cap_msg){0};
	msg.op = map->op;
	msg.id = map->id;
	msg.status = status;
	if (map->conversation)
		caps_answer(map->m, map->conversation, &msg);
	map->conversation = NULL;
}

void memory_unmap(struct memory *mem, struct memory_map *map)
{
	if (map->doomed)
		return;
	map->doomed = true;
	if (!map->asked)
		send_unmap(mem, map);
	else
		answer(map, -ENOENT, (struct exo_cap_msg){0}); /* it was revoked under way */
}

bool memory_mapped(struct machine *m, const struct exo_vmm_mem *got)
{
	struct session *s = m->session;
	struct memory *mem = memory_find(s, got->mem);
	struct memory_map *map = mem ? memory_map_of(mem, m) : NULL;

	if (!map || !map->asked)
		return false;
	map->asked = false;
	map->fence = 0;
	map->offset = got->offset;
	if (got->status) {
		answer(map, got->status == -ENOSPC ? -ENOSPC : -ENOMEM, (struct exo_cap_msg){0});
		remove_map(mem, map);
	} else if (map->doomed) {
		send_unmap(mem, map);
	} else {
		answer(map, 0,
		       (struct exo_cap_msg){.mem = mem->number,
					    .bytes = mem->bytes,
					    .offset = map->offset,
					    .flags = map->read_only ? EXO_CAP_READ_ONLY : 0});
	}
	memory_settle(s, mem);
	return true;
}

/* ---- what has become true --------------------------------------------------------------- */

static bool has_doomed(const struct memory *mem)
{
	for (const struct memory_map *map = mem->maps; map; map = map->next) {
		if (map->doomed)
			return true;
	}
	return false;
}

void memory_settle(struct session *s, struct memory *mem)
{
	if (has_doomed(mem))
		return;
	if (mem->revoker) {
		struct exo_cap_msg done = {.op = EXO_CAP_MEM_REVOKE, .id = mem->revoke_id};
		struct machine *revoker = mem->revoker;

		mem->revoker = NULL;
		caps_answer(revoker, mem->conversation, &done);
	}
	if (!mem->maps && !mem->offers)
		destroy(s, mem);
	else if (!mem->maps) /* on its way: who waits for it may have it now */
		caps_offered(s, mem->offers->conn);
}

/* For every piece of memory; `next` is safe against the end of this one. */
static void each(struct session *s, void (*fn)(struct session *s, struct memory *mem, void *arg),
		 void *arg)
{
	struct memories *all = s->memory;

	for (unsigned i = 0; all && i < MEMORY_BUCKETS; i++) {
		for (struct memory *mem = all->bucket[i], *next; mem; mem = next) {
			next = mem->next;
			fn(s, mem, arg);
		}
	}
}

static void pass_fence(struct session *s, struct memory *mem, void *arg)
{
	struct machine *m = arg;
	struct memory_map *map = memory_map_of(mem, m);

	if (!map || !map->fence || m->stats_answered < map->fence)
		return;
	if (map->asked) {
		machine_broke_order(m);
		return;
	}
	remove_map(mem, map);
	memory_settle(s, mem);
}

void memory_fence(struct machine *m)
{
	const struct memory_use *use = m->memory;

	if (use && use->maps)
		each(m->session, pass_fence, m);
}

/* ---- ends ------------------------------------------------------------------------------------ */

static void drop_offers(struct memory *mem, const struct machine *to, uint32_t conn)
{
	struct memory_offer **at = &mem->offers, *o;

	while ((o = *at)) {
		if ((to && o->to != to) || (conn && o->conn != conn)) {
			at = &o->next;
			continue;
		}
		*at = o->next;
		free(o);
	}
}

static void leave(struct session *s, struct memory *mem, void *arg)
{
	struct machine *m = arg;
	struct memory_map *map = memory_map_of(mem, m);
	bool touched = map || mem->owner == m || mem->offers;

	if (mem->revoker == m)
		mem->revoker = NULL;
	if (map)
		remove_map(mem, map);
	drop_offers(mem, m, 0);
	if (mem->owner == m) {
		drop_offers(mem, NULL, 0);
		memory_set_owner(mem, NULL);
		for (map = mem->maps; map; map = map->next)
			memory_unmap(mem, map);
	}
	if (touched)
		memory_settle(s, mem);
}

void memory_machine_gone(struct machine *m)
{
	if (m->session->memory)
		each(m->session, leave, m);
	free(m->memory);
	m->memory = NULL;
}

static void lose_conn(struct session *s, struct memory *mem, void *arg)
{
	if (!mem->offers)
		return;
	drop_offers(mem, NULL, *(uint32_t *)arg);
	if (!mem->offers)
		memory_settle(s, mem);
}

void memory_conn_gone(struct session *s, uint32_t conn)
{
	each(s, lose_conn, &conn);
}

void memory_finish(struct session *s)
{
	struct memories *all = s->memory;

	for (unsigned i = 0; all && i < MEMORY_BUCKETS; i++) {
		struct memory *mem;

		while ((mem = all->bucket[i])) {
			all->bucket[i] = mem->next;
			drop_offers(mem, NULL, 0);
			while (mem->maps) {
				struct memory_map *map = mem->maps;

				mem->maps = map->next;
				free(map);
			}
			close(mem->fd);
			free(mem);
		}
	}
	free(all);
	s->memory = NULL;
}
