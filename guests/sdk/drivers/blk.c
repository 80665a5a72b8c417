/* virtio-blk: requests in flight, disks by name (blk.h). Ring 3. */
#include "blk.h"

#include "virtio.h"

#include "../posix/posix.h"

#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>

#define DISKS_MAX 8
#define RING_SIZE 128
#define DEPTH 32 /* requests in flight a disk: three descriptors each */
#define CHUNK (256u << 10)
#define SPIN_NS 40000          /* looked at that long before an interrupt is asked for */
#define LOOK_AGAIN_NS 50000000 /* looked at that often even without an interrupt */

struct request {
	struct virtio_blk_outhdr header;
	uint8_t status;
	bool busy, done;
};

struct disk {
	struct virtio_dev *dev; /* NULL: no such disk */
	bool ready;
	uint64_t sectors;
	char serial[VIRTIO_BLK_ID_BYTES + 1];
	struct virtq q;
	struct request request[DEPTH];
	uint8_t by_head[RING_SIZE]; /* which request */
	uint8_t ring[VIRTQ_SPACE(RING_SIZE)] __attribute__((aligned(VIRTQ_ALIGN)));
};

APART static struct disk disks[DISKS_MAX];
static bool enumerated;

static void collect(struct disk *d)
{
	uint32_t len;
	int head;

	while ((head = virtq_pop(&d->q, &len)) >= 0) {
		struct request *r = &d->request[d->by_head[head] % DEPTH];

		r->done = true;
		thread_wake(r);
	}
	for (unsigned i = 0; d->q.broken && i < DEPTH; i++)
		thread_wake(&d->request[i]);
}

static bool anything_flying(const struct disk *d)
{
	for (unsigned i = 0; i < DEPTH; i++)
		if (d->request[i].busy && !d->request[i].done)
			return true;
	return false;
}

/* The ring interrupts once for each time it was asked to; others may still sleep. */
static void on_interrupt(void *arg)
{
	struct disk *d = arg;

	virtio_ack(d->dev);
	do
		collect(d);
	while (!d->q.broken && anything_flying(d) && virtq_irq_on(&d->q));
}

/* Queues one request; its number, or -1 while all are taken. */
static int submit(struct disk *d, uint32_t type, uint64_t sector, void *p, uint32_t len)
{
	bool in = type != VIRTIO_BLK_T_OUT;
	struct virtq_buf b[3];
	unsigned i = 0, n = 0;
	int head;

	while (i < DEPTH && d->request[i].busy)
		i++;
	if (i == DEPTH)
		return -1;
	d->request[i] = (struct request){
		.header = {.type = type, .sector = sector}, .status = 0xff, .busy = true};
	b[n++] = (struct virtq_buf){&d->request[i].header, sizeof(d->request[i].header)};
	if (len)
		b[n++] = (struct virtq_buf){p, len};
	b[n++] = (struct virtq_buf){&d->request[i].status, 1};
	if (len)
		head = virtq_add(&d->q, b, in ? 1 : 2, in ? 2 : 1);
	else
		head = virtq_add(&d->q, b, 1, 1);
	if (head < 0) {
		d->request[i].busy = false;
		return -1;
	}
	d->by_head[head] = (uint8_t)i;
	return (int)i;
}

static int await(struct disk *d, int i)
{
	struct request *r = &d->request[i];
	uint64_t start;

	collect(d);
	for (start = clock_ns(); !r->done && clock_ns() - start < SPIN_NS; collect(d)) {
		if (thread_others_runnable())
			break;
		__asm__ volatile("pause");
	}
	/*
	 * Look now and then without an interrupt: in the nested machine about one in
	 * ten thousand was seen to go missing after the host had raised it.
	 */
	for (; !r->done && !d->q.broken; collect(d))
		if (!virtq_irq_on(&d->q))
			thread_sleep_uninterruptible(r, clock_ns() + LOOK_AGAIN_NS);
	r->busy = false;
	thread_wake(d); /* somebody may wait for a free request */
	if (r->done && r->status == VIRTIO_BLK_S_OK)
		return 0;
	return r->status == VIRTIO_BLK_S_UNSUPP ? -ENOTSUP : -EIO;
}

static int run(struct disk *d, uint32_t type, uint64_t sector, void *p, uint32_t len)
{
	int i;

	while ((i = submit(d, type, sector, p, len)) < 0) {
		if (d->q.broken)
			return -EIO;
		thread_sleep_uninterruptible(d, DEADLINE_NEVER);
		collect(d);
	}
	virtq_kick(d->dev, &d->q);
	return await(d, i);
}

int blk_transfer(struct disk *d, bool write, uint64_t sector, void *p, uint64_t len)
{
	uint32_t type = write ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN;
	int flying[DEPTH], err = 0;
	unsigned first = 0, n = 0;
	uint8_t *at = p;

	if (len <= CHUNK)
		return len ? run(d, type, sector, p, (uint32_t)len) : 0;
	while (len || n) {
		while (len && n < DEPTH) {
			uint32_t part = (uint32_t)MIN(len, CHUNK);
			int i = submit(d, type, sector, at, part);

			if (i < 0)
				break;
			flying[(first + n++) % DEPTH] = i;
			sector += part / BLK_SECTOR;
			at += part;
			len -= part;
		}
		virtq_kick(d->dev, &d->q);
		if (n) {
			int e = await(d, flying[first++ % DEPTH]);

			n--;
			err = err ? err : e;
		} else if (d->q.broken) {
			return -EIO;
		} else { /* other threads have them all */
			thread_sleep_uninterruptible(d, DEADLINE_NEVER);
			collect(d);
		}
	}
	return err;
}

int blk_flush(struct disk *d)
{
	if (!(d->dev->features & (1ull << VIRTIO_BLK_F_FLUSH)))
		return 0; /* no cache to flush (5.2.6.2) */
	return run(d, VIRTIO_BLK_T_FLUSH, 0, NULL, 0);
}

static bool disk_ready(struct disk *d)
{
	struct virtq *rings[] = {&d->q};

	if (!d->dev || d->ready)
		return d->ready;
	if (virtio_negotiate(d->dev, 1ull << VIRTIO_BLK_F_RO | 1ull << VIRTIO_BLK_F_FLUSH) < 0) {
		d->dev = NULL;
		return false;
	}
	virtio_config_read(d->dev, 0, &d->sectors, sizeof(d->sectors));
	virtq_init(&d->q, 0, d->ring, RING_SIZE,
		   d->dev->features & (1ull << VIRTIO_RING_F_EVENT_IDX));
	event_on_gsi(d->dev->gsi, on_interrupt, d);
	virtio_setup_rings(d->dev, rings, 1);
	d->ready = true;
	if (d->dev->name[0])
		memcpy(d->serial, d->dev->name, sizeof(d->dev->name));
	else
		run(d, VIRTIO_BLK_T_GET_ID, 0, d->serial, VIRTIO_BLK_ID_BYTES);
	return true;
}

struct disk *blk_open(const char *name)
{
	if (!enumerated) {
		enumerated = true;
		for (unsigned i = 0; i < DISKS_MAX; i++)
			disks[i].dev = virtio_find(VIRTIO_ID_BLOCK, i);
	}
	if (name[0] == 'v' && name[1] == 'd') {
		unsigned i = (unsigned)name[2] - 'a';

		return i < DISKS_MAX && !name[3] && disk_ready(&disks[i]) ? &disks[i] : NULL;
	}
	if (strncmp(name, "disk/", 5) != 0 || !name[5])
		return NULL;
	for (unsigned i = 0; i < DISKS_MAX; i++)
		if (disk_ready(&disks[i]) && strcmp(disks[i].serial, name + 5) == 0)
			return &disks[i];
	return NULL;
}

uint64_t blk_bytes(const struct disk *d)
{
	return d->sectors > INT64_MAX / BLK_SECTOR ? INT64_MAX & ~511ull : d->sectors * BLK_SECTOR;
}

bool blk_read_only(const struct disk *d)
{
	return d->dev->features & (1ull << VIRTIO_BLK_F_RO);
}

unsigned blk_index(const struct disk *d)
{
	return (unsigned)(d - disks);
}
