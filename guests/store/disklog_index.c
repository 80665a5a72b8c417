/* What the log holds, in memory: objects by hash, names in order. See disklog.h. */
#include "disklog_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint32_t slot_of(const uint8_t hash[32], uint32_t size)
{
	uint32_t h;

	memcpy(&h, hash, sizeof(h)); /* hashes are random already */
	return h & (size - 1);
}

static struct object *probe(struct object *table, uint32_t size, const uint8_t hash[32])
{
	uint32_t i = slot_of(hash, size);

	while (table[i].bytes != UINT32_MAX && memcmp(table[i].hash, hash, 32))
		i = (i + 1) & (size - 1);
	return &table[i];
}

static struct object *make_table(uint32_t size)
{
	struct object *table = calloc(size, sizeof(*table));

	for (uint32_t i = 0; table && i < size; i++)
		table[i].bytes = UINT32_MAX; /* empty */
	return table;
}

struct object *index_find(const struct disklog *l, const uint8_t hash[32])
{
	struct object *o = l->object ? probe(l->object, l->table_size, hash) : NULL;

	return o && o->bytes != UINT32_MAX ? o : NULL;
}

/* All, or the wanted ones, into a new table of the size. */
static int rehash(struct disklog *l, uint32_t size, bool wanted_only)
{
	struct object *table = make_table(size);

	if (!table)
		return -ENOMEM;
	l->nobjects = 0;
	for (uint32_t i = 0; i < l->table_size; i++) {
		const struct object *o = &l->object[i];

		if (o->bytes == UINT32_MAX || (wanted_only && !o->wanted))
			continue;
		*probe(table, size, o->hash) = *o;
		l->nobjects++;
	}
	free(l->object);
	l->object = table;
	l->table_size = size;
	return 0;
}

struct object *index_add(struct disklog *l, const uint8_t hash[32])
{
	struct object *o;

	if (l->nobjects >= DISKLOG_OBJECTS_MAX)
		return NULL;
	if (4 * (l->nobjects + 1) > 3 * l->table_size &&
	    rehash(l, l->table_size ? 2 * l->table_size : 1024, false))
		return NULL;
	o = probe(l->object, l->table_size, hash);
	memset(o, 0, sizeof(*o));
	memcpy(o->hash, hash, 32);
	l->nobjects++;
	return o;
}

int index_keep_wanted(struct disklog *l)
{
	return l->table_size ? rehash(l, l->table_size, true) : 0;
}

/* ---- names ---------------------------------------------------------------------- */

/* *at: where it is, or belongs. */
struct name *index_name(const struct disklog *l, const char *name, unsigned *at)
{
	unsigned lo = 0, hi = l->nnames;

	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;
		int order = strcmp(l->name[mid].name, name);

		if (order == 0) {
			*at = mid;
			return &l->name[mid];
		}
		if (order < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	*at = lo;
	return NULL;
}

static struct name *add_name(struct disklog *l, const char *name, unsigned at)
{
	char *copy = strdup(name);

	if (copy && l->nnames == l->name_room) {
		unsigned room = l->name_room ? 2 * l->name_room : 64;
		struct name *more = realloc(l->name, room * sizeof(*more));

		if (!more) {
			free(copy);
			return NULL;
		}
		l->name = more;
		l->name_room = room;
	}
	if (!copy)
		return NULL;
	memmove(&l->name[at + 1], &l->name[at], (l->nnames - at) * sizeof(*l->name));
	l->name[at] = (struct name){.name = copy};
	l->nnames++;
	return &l->name[at];
}

int index_set(struct disklog *l, const char *name, const struct version *v)
{
	unsigned at;
	struct name *n = index_name(l, name, &at);

	if (l->nversions >= DISKLOG_VERSIONS_MAX || (!n && !(n = add_name(l, name, at))))
		return -ENOSPC;
	if (n->nversions == n->room) {
		unsigned room = n->room ? 2 * n->room : 2;
		struct version *more = realloc(n->version, room * sizeof(*more));

		if (!more) {
			if (!n->nversions)
				index_unset(l, name);
			return -ENOSPC;
		}
		n->version = more;
		n->room = room;
	}
	n->version[n->nversions++] = *v;
	l->nversions++;
	return 0;
}

void index_unset(struct disklog *l, const char *name)
{
	unsigned at;
	struct name *n = index_name(l, name, &at);

	if (!n)
		return;
	l->nversions -= n->nversions;
	free(n->name);
	free(n->version);
	l->nnames--;
	memmove(n, n + 1, (l->nnames - at) * sizeof(*n));
}

void index_prune(struct disklog *l, const char *name, uint64_t version)
{
	unsigned at, drop = 0;
	struct name *n = index_name(l, name, &at);

	if (!n)
		return;
	while (drop + 1 < n->nversions && n->version[drop].version < version)
		drop++;
	n->nversions -= drop;
	l->nversions -= drop;
	memmove(n->version, n->version + drop, n->nversions * sizeof(*n->version));
}

void index_free(struct disklog *l)
{
	for (unsigned i = 0; i < l->nnames; i++) {
		free(l->name[i].name);
		free(l->name[i].version);
	}
	free(l->name);
	free(l->object);
	l->name = NULL;
	l->object = NULL;
	l->nnames = l->name_room = l->nversions = l->nobjects = l->table_size = 0;
}
