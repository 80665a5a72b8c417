/* What guests ask about memory: EXO_CAP_MEM_* of exo/channel.h. */
#include "memory_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint32_t find_conn(const struct machine *m, const struct exo_cap_msg *msg)
{
	return policy_conn_find(m->session->policy, m->subject, msg->local_port, msg->peer_port);
}

/* The guest at the other end, or NULL: a host program, which has no window. */
static struct machine *other_end(const struct machine *m, uint32_t conn)
{
	struct policy_conn_info c;

	if (policy_conn_info(m->session->policy, conn, &c))
		return NULL;
	return session_by_subject(m->session, c.opener == m->subject ? c.acceptor : c.opener);
}

/* Memory that the guest has, and what it is to it. */
static struct memory *find_own(struct machine *m, uint64_t number, struct memory_map **map)
{
	struct memory *mem = memory_find(m->session, number);

	*map = mem ? memory_map_of(mem, m) : NULL;
	return *map && !(*map)->doomed && !(*map)->asked ? mem : NULL;
}

static int create(struct machine *m, struct exo_cap_msg *msg, void *conversation)
{
	uint64_t quota = memory_quota(m), bytes;
	struct memory_use *use = memory_use_of(m);
	struct memory *mem;
	int err;

	if (!msg->bytes)
		return -EINVAL;
	if (!use)
		return -ENOMEM;
	if (msg->bytes > quota)
		return -EDQUOT;
	bytes = (msg->bytes + MEMORY_PAGE - 1) & ~(MEMORY_PAGE - 1);
	if (use->bytes >= quota || bytes > quota - use->bytes)
		return -EDQUOT;
	mem = memory_create(m->session, m, bytes, &err);
	if (!mem)
		return err;
	err = memory_map(mem, m, false, conversation, msg);
	if (err)
		memory_settle(m->session, mem);
	return err ? err : -EINPROGRESS;
}

/* ---- offers ----------------------------------------------------------------------------- */

static unsigned count_offers(struct session *s, const struct machine *to, uint32_t conn)
{
	const struct memories *all = s->memory;
	unsigned n = 0;

	for (unsigned i = 0; i < MEMORY_BUCKETS; i++) {
		for (const struct memory *mem = all->bucket[i]; mem; mem = mem->next) {
			for (const struct memory_offer *o = mem->offers; o; o = o->next)
				n += o->to == to && o->conn == conn;
		}
	}
	return n;
}

static int offer(struct machine *m, const struct exo_cap_msg *msg)
{
	bool move = msg->flags & EXO_CAP_MOVE;
	uint32_t conn = find_conn(m, msg);
	struct machine *to = conn ? other_end(m, conn) : NULL;
	struct memory_offer *o, **at;
	struct memory_map *map;
	struct memory *mem = find_own(m, msg->mem, &map);

	if (!mem || !conn)
		return -ENOENT;
	if (!to)
		return -EOPNOTSUPP;
	if (mem->owner != m)
		return -EPERM;
	if (move && msg->flags & EXO_CAP_READ_ONLY)
		return -EINVAL;
	if (move && (mem->offers || mem->maps->next))
		return -EBUSY; /* others have it, or will */
	if (count_offers(m->session, to, conn) >= MEMORY_OFFERS_MAX)
		return -ENOBUFS;
	o = calloc(1, sizeof(*o));
	if (!o)
		return -ENOMEM;
	*o = (struct memory_offer){.conn = conn, .flags = msg->flags, .to = to};
	o->number = ++((struct memories *)m->session->memory)->last_offer;
	for (at = &mem->offers; *at; at = &(*at)->next)
		;
	*at = o;
	if (move)
		memory_unmap(mem, map);
	caps_offered(m->session, conn);
	return 0;
}

/* The oldest offer that waits for m at the connection. */
static struct memory *find_offer(struct session *s, const struct machine *m, uint32_t conn,
				 struct memory_offer ***found)
{
	struct memories *all = s->memory;
	struct memory *best = NULL;

	for (unsigned i = 0; all && i < MEMORY_BUCKETS; i++) {
		for (struct memory *mem = all->bucket[i]; mem; mem = mem->next) {
			for (struct memory_offer **at = &mem->offers; *at; at = &(*at)->next) {
				if ((*at)->to != m || (*at)->conn != conn ||
				    (best && (**found)->number < (*at)->number))
					continue;
				best = mem;
				*found = at;
			}
		}
	}
	return best;
}

/* It is being mapped already: this is not a new request. */
static bool is_under_way(struct session *s, const struct machine *m, const void *conversation,
			 uint32_t id)
{
	const struct memories *all = s->memory;

	for (unsigned i = 0; all && i < MEMORY_BUCKETS; i++) {
		for (const struct memory *mem = all->bucket[i]; mem; mem = mem->next) {
			const struct memory_map *map = memory_map_of(mem, m);

			if (map && map->asked && map->conversation == conversation && map->id == id)
				return true;
		}
	}
	return false;
}

/* Has the one who moved it lost it for certain? */
static bool is_free_to_go(const struct memory *mem)
{
	return !mem->maps;
}

static int take(struct machine *m, struct memory *mem, struct memory_offer **at,
		struct exo_cap_msg *msg, void *conversation)
{
	struct memory_offer *o = *at;
	struct memory_map *have = memory_map_of(mem, m);
	bool move = o->flags & EXO_CAP_MOVE, read_only = o->flags & EXO_CAP_READ_ONLY;
	struct memory_use *use = memory_use_of(m);
	int err;

	if (!use)
		return -ENOMEM;
	if (move && !is_free_to_go(mem))
		return -EINPROGRESS; /* a moment: caps_offered when it is */
	if (have && (have->asked || have->doomed || have->read_only != read_only))
		return -EEXIST;
	if (move && (use->bytes >= memory_quota(m) || mem->bytes > memory_quota(m) - use->bytes))
		return -EDQUOT;
	if (have) {
		*msg = (struct exo_cap_msg){.mem = mem->number,
					    .bytes = mem->bytes,
					    .offset = have->offset,
					    .flags = read_only ? EXO_CAP_READ_ONLY : 0};
		err = 0;
	} else {
		err = memory_map(mem, m, read_only, conversation, msg);
		if (err)
			return err;
		err = -EINPROGRESS;
	}
	if (move)
		memory_set_owner(mem, m);
	*at = o->next;
	free(o);
	return err;
}

static int accept_offer(struct machine *m, struct exo_cap_msg *msg, void *conversation)
{
	struct memory_offer **at = NULL;
	struct memory *mem;
	uint32_t conn;

	if (is_under_way(m->session, m, conversation, msg->id))
		return -EINPROGRESS;
	conn = find_conn(m, msg);
	if (!conn)
		return -ENOENT;
	mem = find_offer(m->session, m, conn, &at);
	if (!mem)
		return msg->flags & EXO_CAP_WAIT ? -EINPROGRESS : -EAGAIN;
	return take(m, mem, at, msg, conversation);
}

/* ---- taking away ---------------------------------------------------------------------------- */

static int revoke(struct machine *m, struct exo_cap_msg *msg, void *conversation)
{
	struct memory_map *own;
	struct memory *mem = find_own(m, msg->mem, &own);
	bool waits = false;

	if (!mem)
		return -ENOENT;
	if (mem->owner != m)
		return -EPERM;
	if (mem->revoker)
		return -EBUSY;
	while (mem->offers) {
		struct memory_offer *o = mem->offers;

		mem->offers = o->next;
		free(o);
	}
	for (struct memory_map *map = mem->maps; map; map = map->next) {
		if (map == own)
			continue;
		memory_unmap(mem, map);
		waits = true;
	}
	if (!waits) {
		*msg = (struct exo_cap_msg){0};
		return 0;
	}
	mem->revoker = m;
	mem->conversation = conversation;
	mem->revoke_id = msg->id;
	return -EINPROGRESS;
}

static int release(struct machine *m, const struct exo_cap_msg *msg)
{
	struct memory_map *map;
	struct memory *mem = find_own(m, msg->mem, &map);

	if (!mem)
		return -ENOENT;
	memory_unmap(mem, map);
	return 0;
}

int memory_op(struct machine *m, struct exo_cap_msg *msg, void *conversation)
{
	int status;

	switch (msg->op) {
	case EXO_CAP_MEM_CREATE:
		return create(m, msg, conversation);
	case EXO_CAP_MEM_ACCEPT:
		return accept_offer(m, msg, conversation);
	case EXO_CAP_MEM_REVOKE:
		return revoke(m, msg, conversation);
	case EXO_CAP_MEM_OFFER:
		status = offer(m, msg);
		break;
	case EXO_CAP_MEM_RELEASE:
		status = release(m, msg);
		break;
	default:
		return -ENOSYS;
	}
	*msg = (struct exo_cap_msg){0};
	return status;
}
