/*
 * Small objects of the layer (files, sockets, threads): free lists of a few
 * sizes, carved from pages that are never given back.
 */
#include "posix.h"

#define SMALLEST 64
#define CLASSES 6 /* 64 … 2048 */

struct free_object {
	struct free_object *next;
};

static struct free_object *free_lists[CLASSES];

static unsigned class_of(size_t bytes)
{
	unsigned c = 0;

	while (c < CLASSES && ((size_t)SMALLEST << c) < bytes)
		c++;
	return c;
}

void *mem_alloc(size_t bytes)
{
	unsigned c = class_of(bytes);
	size_t size = (size_t)SMALLEST << c;
	struct free_object *o;
	uint8_t *p;

	if (c == CLASSES)
		return mem_pages(bytes);
	if (!free_lists[c]) {
		p = mem_pages(4096);
		for (size_t at = 0; p && at < 4096; at += size)
			mem_free(p + at, size);
	}
	o = free_lists[c];
	if (!o)
		return NULL;
	free_lists[c] = o->next;
	return memset(o, 0, size);
}

void mem_free(void *p, size_t bytes)
{
	unsigned c = class_of(bytes);
	struct free_object *o = p;

	if (!p)
		return;
	if (c == CLASSES) {
		mem_pages_free(p, bytes);
		return;
	}
	o->next = free_lists[c];
	free_lists[c] = o;
}
