/*
 * Split virtqueues, driver side (VIRTIO 1.2, 2.7). Memory is mapped
 * one-to-one, so a pointer is an address for the device.
 *
 * The compiler barriers and fences below are what x86 needs: stores are seen
 * in order, but the store of an index and the load of the other side's event
 * index need a full fence between them (2.7.10, 2.7.7.2).
 */
#include "virtio.h"

#include <linux/virtio_mmio.h>

#include <string.h>

#define NO_DESC 0xffff

void virtq_init(struct virtq *r, unsigned index, void *mem, uint16_t size, bool event_idx)
{
	uint8_t *p = mem;

	*r = (struct virtq){
		.desc = mem,
		.avail = (struct vring_avail *)(void *)(p + 16 * size),
		.used = (struct vring_used *)(void *)(p + ((16 * size + 6 + 2 * size + 3) & ~3)),
		.size = size,
		.index = (uint16_t)index,
		.nfree = size,
		.event_idx = event_idx,
	};
	for (unsigned i = 0; i < size; i++)
		r->desc[i].next = (uint16_t)(i + 1);
	virtq_irq_off(r);
}

int virtq_add(struct virtq *r, const struct virtq_buf *bufs, unsigned out, unsigned in)
{
	unsigned n = out + in;
	uint16_t head = r->free_head, at = head, last = head;

	if (r->broken || n == 0 || n > r->nfree)
		return -1;
	for (unsigned i = 0; i < n; i++) {
		struct vring_desc *d = &r->desc[at];

		d->addr = (uintptr_t)bufs[i].p;
		d->len = bufs[i].len;
		d->flags = (uint16_t)((i >= out ? VRING_DESC_F_WRITE : 0) |
				      (i + 1 < n ? VRING_DESC_F_NEXT : 0));
		last = at;
		at = d->next;
	}
	r->free_head = r->desc[last].next;
	r->nfree = (uint16_t)(r->nfree - n);
	r->avail->ring[r->avail_idx & (r->size - 1)] = head;
	r->avail_idx++;
	return head;
}

bool virtq_publish(struct virtq *r)
{
	uint16_t old = r->kicked_idx;

	if (r->broken || r->avail_idx == old)
		return false;
	/* Release: descriptors and ring entries before the index that shows them. */
	__atomic_store_n(&r->avail->idx, r->avail_idx, __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	r->kicked_idx = r->avail_idx;
	if (r->event_idx) {
		/* avail_event sits behind the used ring. */
		uint16_t event = *(volatile __virtio16 *)(void *)&r->used->ring[r->size];

		return (uint16_t)(r->avail_idx - event - 1) < (uint16_t)(r->avail_idx - old);
	}
	return !(*(volatile __virtio16 *)&r->used->flags & VRING_USED_F_NO_NOTIFY);
}

void virtq_kick(const struct virtio_dev *d, struct virtq *r)
{
	if (virtq_publish(r))
		*(volatile uint32_t *)(uintptr_t)(d->gpa + VIRTIO_MMIO_QUEUE_NOTIFY) = r->index;
}

bool virtq_has_used(const struct virtq *r)
{
	/* Acquire: what the device wrote before it moved the index. */
	return !r->broken && __atomic_load_n(&r->used->idx, __ATOMIC_ACQUIRE) != r->used_seen;
}

int virtq_pop(struct virtq *r, uint32_t *len)
{
	struct vring_used_elem e;
	uint32_t room = 0;
	unsigned n = 1;
	uint16_t at;

	if (!virtq_has_used(r))
		return -1;
	e = r->used->ring[r->used_seen & (r->size - 1)];
	if (e.id >= r->size)
		goto broken;
	for (at = (uint16_t)e.id;; at = r->desc[at].next, n++) {
		if (at >= r->size || n > r->size)
			goto broken;
		if (r->desc[at].flags & VRING_DESC_F_WRITE)
			room += r->desc[at].len;
		if (!(r->desc[at].flags & VRING_DESC_F_NEXT))
			break;
	}
	r->desc[at].next = r->free_head;
	r->free_head = (uint16_t)e.id;
	r->nfree = (uint16_t)(r->nfree + n);
	r->used_seen++;
	*len = e.len < room ? e.len : room;
	return (int)e.id;
broken:
	r->broken = true;
	return -1;
}

static volatile __virtio16 *used_event(const struct virtq *r)
{
	return &r->avail->ring[r->size];
}

bool virtq_irq_on(struct virtq *r)
{
	if (r->event_idx)
		*used_event(r) = r->used_seen;
	else
		*(volatile __virtio16 *)&r->avail->flags = 0;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return virtq_has_used(r);
}

void virtq_irq_off(struct virtq *r)
{
	if (r->event_idx)
		*used_event(r) = (uint16_t)(r->used_seen - 1);
	else
		*(volatile __virtio16 *)&r->avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
}
