/* The guest's doorbells; see bells.h. */
#include "bells.h"

#include <errno.h>
#include <stddef.h>
#include <unistd.h>

#define AT_ONCE 1u /* a due_ns before every other */

void bells_init(struct bells *b, const struct bells_ops *ops, void *opaque)
{
	b->ops = ops;
	b->opaque = opaque;
	b->n = 0;
	b->last_value = 0;
}

static struct bells_entry *find_key(struct bells *b, uint32_t key)
{
	for (unsigned i = 0; i < b->n; i++) {
		if (b->entry[i].key == key)
			return &b->entry[i];
	}
	return NULL;
}

static struct bells_entry *find_value(struct bells *b, uint32_t value)
{
	for (unsigned i = 0; i < b->n; i++) {
		if (b->entry[i].value == value)
			return &b->entry[i];
	}
	return NULL;
}

static void remove_entry(struct bells *b, struct bells_entry *e)
{
	/* Fails only if KVM does not know it; then there is nothing to remove. */
	(void)b->ops->set(b->opaque, e->fd, e->value, false);
	close(e->fd);
	*e = b->entry[--b->n];
}

/* The entry that nobody counts and that is due first, or NULL. */
static struct bells_entry *first_idle(struct bells *b)
{
	struct bells_entry *first = NULL;

	for (unsigned i = 0; i < b->n; i++) {
		struct bells_entry *e = &b->entry[i];

		if (!e->count && (!first || e->due_ns < first->due_ns))
			first = e;
	}
	return first;
}

static int make(struct bells *b, int fd, uint32_t key, uint32_t *value)
{
	struct bells_entry *idle = b->n == BELLS_MAX ? first_idle(b) : NULL;
	int err;

	if (idle)
		remove_entry(b, idle);
	if (b->n == BELLS_MAX)
		return -ENOSPC;
	do
		*value = ++b->last_value;
	while (!*value || find_value(b, *value));
	err = b->ops->set(b->opaque, fd, *value, true);
	if (!err)
		b->entry[b->n++] = (struct bells_entry){fd, key, *value, 1, 0};
	return err;
}

int bells_get(struct bells *b, int fd, uint32_t key, uint32_t *value)
{
	struct bells_entry *e = find_key(b, key);
	int err;

	if (e) {
		close(fd);
		e->count++;
		*value = e->value;
		return 0;
	}
	err = make(b, fd, key, value);
	if (err)
		close(fd);
	return err;
}

uint64_t bells_put(struct bells *b, uint32_t value, uint64_t now_ns, bool at_once)
{
	struct bells_entry *e = find_value(b, value);

	if (!e || !e->count || --e->count)
		return 0;
	e->due_ns = at_once ? AT_ONCE : now_ns + BELLS_LINGER_NS;
	return first_idle(b)->due_ns;
}

uint64_t bells_sweep(struct bells *b, uint64_t now_ns)
{
	struct bells_entry *e;
	uint64_t soon = now_ns;

	while ((e = first_idle(b)) && e->due_ns == AT_ONCE)
		remove_entry(b, e);
	if (e && e->due_ns <= now_ns) {
		remove_entry(b, e);
		e = first_idle(b);
		soon += BELLS_BETWEEN_NS;
	}
	if (!e)
		return 0;
	return e->due_ns > soon ? e->due_ns : soon;
}
