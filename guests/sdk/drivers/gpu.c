/* virtio-gpu: the device, its commands, modes (gpu.h). Ring 3. */
#include "gpu_impl.h"

#include <linux/virtio_ids.h>
#include <linux/virtio_mmio.h>

#include <exo/display.h>

enum { CONTROL, CURSOR, QUEUES };

#define RING_SIZE 64
#define CURSOR_RING 16
#define SLOTS (RING_SIZE / 2)
#define CURSOR_SLOTS (CURSOR_RING / 2)
#define WANTED (1ull << VIRTIO_GPU_F_EDID | 1ull << VIRTIO_GPU_F_RESOURCE_BLOB)
#define REFRESH_DEFAULT_MHZ 60000

_Static_assert(offsetof(struct virtio_gpu_config, events_clear) == 4, "registers");

struct slot {
	struct gpu_command command;
	bool busy, done;
	uint8_t request[GPU_REQUEST_MAX];
	union {
		struct virtio_gpu_ctrl_hdr h;
		struct virtio_gpu_resp_display_info info;
		struct virtio_gpu_resp_edid edid;
		struct virtio_gpu_resp_map_info map;
	} answer;
};

struct cursor_slot {
	bool busy;
	struct virtio_gpu_update_cursor request;
	struct virtio_gpu_ctrl_hdr answer;
};

APART struct gpu_scanout gpu_scanout[GPU_SCANOUTS_MAX];
unsigned gpu_scanouts;
uint64_t gpu_region, gpu_region_bytes;
const char gpu_chan;

APART static struct {
	bool tried;
	struct virtio_dev *dev;
	struct virtq q[QUEUES];
	struct slot *slot; /* SLOTS */
	struct cursor_slot cursor[CURSOR_SLOTS];
	uint8_t by_head[RING_SIZE];
	uint8_t cursor_by_head[CURSOR_RING];
	bool asking;    /* GET_DISPLAY_INFO is on its way… */
	bool ask_again; /* …and what it says may be old */
	unsigned edids; /* of them on their way */
	bool changed;   /* EXO_DISPLAY_CHANGED is due */
} gpu;

APART static uint8_t rings[VIRTQ_SPACE(RING_SIZE) + VIRTQ_SPACE(CURSOR_RING)]
	__attribute__((aligned(VIRTQ_ALIGN)));

/* ---- commands ---------------------------------------------------------------------- */

bool gpu_broken(void)
{
	return gpu.q[CONTROL].broken;
}

unsigned gpu_room(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < SLOTS; i++)
		n += !gpu.slot[i].busy;
	return n;
}

static struct slot *take_slot(void)
{
	for (unsigned i = 0; i < SLOTS; i++)
		if (!gpu.slot[i].busy)
			return &gpu.slot[i];
	return NULL;
}

static uint32_t answer_bytes(enum gpu_kind kind)
{
	return kind == GPU_INFO   ? sizeof(struct virtio_gpu_resp_display_info)
	       : kind == GPU_EDID ? sizeof(struct virtio_gpu_resp_edid)
				  : sizeof(struct virtio_gpu_resp_map_info);
}

static struct slot *queue(struct gpu_command c, const void *request, uint32_t bytes)
{
	struct slot *s = take_slot();
	struct virtq_buf b[2];
	int head;

	if (!s)
		return NULL;
	s->command = c;
	s->done = false;
	memcpy(s->request, request, bytes);
	s->answer.h.type = 0;
	b[0] = (struct virtq_buf){s->request, bytes};
	b[1] = (struct virtq_buf){&s->answer, answer_bytes(c.kind)};
	head = virtq_add(&gpu.q[CONTROL], b, 1, 1);
	if (head < 0)
		return NULL;
	s->busy = true;
	gpu.by_head[head] = (uint8_t)(s - gpu.slot);
	return s;
}

void gpu_queue(struct gpu_command c, const void *request, uint32_t bytes)
{
	queue(c, request, bytes);
}

void gpu_kick(void)
{
	virtq_kick(gpu.dev, &gpu.q[CONTROL]);
}

static int error_of(const struct slot *s)
{
	switch (s->answer.h.type) {
	case VIRTIO_GPU_RESP_OK_NODATA:
	case VIRTIO_GPU_RESP_OK_DISPLAY_INFO:
	case VIRTIO_GPU_RESP_OK_EDID:
	case VIRTIO_GPU_RESP_OK_MAP_INFO:
		return 0;
	case VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY:
		return -ENOMEM;
	case VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER:
	case VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID:
	case VIRTIO_GPU_RESP_ERR_INVALID_SCANOUT_ID:
		return -EINVAL;
	default:
		return -EIO;
	}
}

static void collect(void);

int gpu_run(const void *request, uint32_t bytes)
{
	struct slot *s;
	int err;

	while (!(s = queue((struct gpu_command){.kind = GPU_WAITED}, request, bytes))) {
		if (gpu_broken())
			return -EIO;
		thread_sleep_uninterruptible(&gpu, DEADLINE_NEVER);
	}
	gpu_kick();
	while (!s->done && !gpu_broken()) {
		collect();
		if (!s->done && !gpu_broken() && !virtq_irq_on(&gpu.q[CONTROL]))
			thread_sleep_uninterruptible(&gpu, DEADLINE_NEVER);
	}
	err = s->done ? error_of(s) : -EIO;
	s->busy = false;
	return err;
}

bool gpu_send_cursor(const struct virtio_gpu_update_cursor *c)
{
	struct cursor_slot *s = gpu.cursor;
	struct virtq_buf b[2];
	int head;
	uint32_t len;

	while ((head = virtq_pop(&gpu.q[CURSOR], &len)) >= 0)
		gpu.cursor[gpu.cursor_by_head[head]].busy = false;
	while (s < gpu.cursor + CURSOR_SLOTS && s->busy)
		s++;
	if (s == gpu.cursor + CURSOR_SLOTS)
		return false;
	s->request = *c;
	b[0] = (struct virtq_buf){&s->request, sizeof(s->request)};
	b[1] = (struct virtq_buf){&s->answer, sizeof(s->answer)};
	head = virtq_add(&gpu.q[CURSOR], b, 1, 1);
	if (head < 0)
		return false;
	s->busy = true;
	gpu.cursor_by_head[head] = (uint8_t)(s - gpu.cursor);
	virtq_kick(gpu.dev, &gpu.q[CURSOR]);
	return true;
}

/* ---- modes ------------------------------------------------------------------------- */

static void ask_modes(void)
{
	struct virtio_gpu_ctrl_hdr h = {.type = VIRTIO_GPU_CMD_GET_DISPLAY_INFO};

	gpu.ask_again = gpu.asking;
	if (!gpu.asking)
		gpu.asking = queue((struct gpu_command){.kind = GPU_INFO}, &h, sizeof(h)) != NULL;
	gpu.ask_again |= !gpu.asking; /* no room now: when an answer comes */
}

static void ask_edid(unsigned scanout)
{
	struct virtio_gpu_cmd_get_edid r = {.hdr.type = VIRTIO_GPU_CMD_GET_EDID,
					    .scanout = scanout};

	if (queue((struct gpu_command){.kind = GPU_EDID, .scanout = scanout}, &r, sizeof(r)))
		gpu.edids++;
}

static void take_modes(const struct virtio_gpu_resp_display_info *info)
{
	for (unsigned i = 0; i < gpu_scanouts; i++) {
		const struct virtio_gpu_display_one *one = &info->pmodes[i];
		struct exo_display_mode *m = &gpu_scanout[i].mode;

		m->there = one->enabled && one->r.width && one->r.height &&
			   one->r.width <= GPU_SIZE_MAX && one->r.height <= GPU_SIZE_MAX;
		if (!m->there)
			continue;
		m->width = one->r.width;
		m->height = one->r.height;
		if (gpu.dev->features & 1ull << VIRTIO_GPU_F_EDID)
			ask_edid(i);
	}
}

static void take_answer(struct slot *s, uint32_t len)
{
	struct gpu_scanout *o = &gpu_scanout[s->command.scanout];
	bool ok = len >= sizeof(s->answer.h) && !error_of(s);

	switch (s->command.kind) {
	case GPU_WAITED:
		s->done = true;
		return;
	case GPU_INFO:
		gpu.asking = false;
		if (ok && len >= sizeof(s->answer.info))
			take_modes(&s->answer.info);
		gpu.changed = true;
		break;
	case GPU_EDID:
		gpu.edids--;
		if (ok && len >= sizeof(s->answer.edid))
			gpu_read_edid(s->answer.edid.edid,
				      MIN(s->answer.edid.size, sizeof(s->answer.edid.edid)),
				      &o->mode);
		gpu.changed = true;
		break;
	case GPU_FLUSH:
		o->flying--;
		/* Answers may come in any order; what is older than one that was seen never will
		 * be. */
		if ((int32_t)(s->command.sequence - o->seen) > 0)
			o->seen = s->command.sequence;
		o->seen_fresh = true;
		o->error = ok ? o->error : EIO;
		break;
	case GPU_QUIET:
		o->error = ok ? o->error : EIO;
		break;
	}
	s->busy = false;
}

static void collect(void)
{
	uint32_t len;
	int head;

	while ((head = virtq_pop(&gpu.q[CONTROL], &len)) >= 0)
		take_answer(&gpu.slot[gpu.by_head[head]], len);
	if (gpu.ask_again && !gpu.asking)
		ask_modes();
	gpu_kick();
	thread_wake(&gpu);
	thread_wake(&gpu_chan);
}

/* Has the device more to say than answers? (5.7.4.1) */
static void look_at_events(void)
{
	const uint32_t reg = VIRTIO_MMIO_CONFIG;
	unsigned at;

	batch_begin();
	at = batch_read(gpu.dev, reg + offsetof(struct virtio_gpu_config, events_read));
	batch_run();
	if (!(batch_value(at) & VIRTIO_GPU_EVENT_DISPLAY))
		return;
	batch_begin();
	batch_write(gpu.dev, reg + offsetof(struct virtio_gpu_config, events_clear),
		    VIRTIO_GPU_EVENT_DISPLAY);
	batch_run();
	ask_modes();
}

static void on_interrupt(void *arg)
{
	virtio_ack(gpu.dev);
	look_at_events();
	do
		collect();
	while (virtq_irq_on(&gpu.q[CONTROL]));
}

/* ---- set-up ------------------------------------------------------------------------ */

/* Where shared memory is (4.2.2, 5.7.6.8). Outside its place: not used. */
static void find_region(void)
{
	static const uint32_t reg[] = {VIRTIO_MMIO_SHM_BASE_LOW, VIRTIO_MMIO_SHM_BASE_HIGH,
				       VIRTIO_MMIO_SHM_LEN_LOW, VIRTIO_MMIO_SHM_LEN_HIGH};
	uint64_t base, bytes;
	unsigned at[4];

	if (!(gpu.dev->features >> VIRTIO_GPU_F_RESOURCE_BLOB & 1))
		return;
	batch_begin();
	batch_write(gpu.dev, VIRTIO_MMIO_SHM_SEL, VIRTIO_GPU_SHM_ID_HOST_VISIBLE);
	for (unsigned i = 0; i < 4; i++)
		at[i] = batch_read(gpu.dev, reg[i]);
	batch_run();
	base = batch_value(at[0]) | (uint64_t)batch_value(at[1]) << 32;
	bytes = batch_value(at[2]) | (uint64_t)batch_value(at[3]) << 32;
	if (base < EXO_PICTURE_GPA || bytes > EXO_DPY_PICTURE_BYTES_MAX ||
	    base - EXO_PICTURE_GPA > EXO_DPY_PICTURE_BYTES_MAX - bytes)
		return;
	gpu_region = base;
	gpu_region_bytes = bytes;
}

static void init_rings(bool event_idx)
{
	virtq_init(&gpu.q[CONTROL], CONTROL, rings, RING_SIZE, event_idx);
	virtq_init(&gpu.q[CURSOR], CURSOR, rings + VIRTQ_SPACE(RING_SIZE), CURSOR_RING, event_idx);
	virtq_irq_on(&gpu.q[CONTROL]);
}

static bool set_up(void)
{
	struct virtq *all[] = {&gpu.q[CONTROL], &gpu.q[CURSOR]};
	struct virtio_gpu_config config;

	gpu.dev = virtio_find(VIRTIO_ID_GPU, 0);
	if (!gpu.dev)
		return false;
	gpu.slot = mem_pages(SLOTS * sizeof(*gpu.slot));
	if (!gpu.slot || virtio_negotiate(gpu.dev, WANTED) < 0)
		return false;
	virtio_config_read(gpu.dev, 0, &config, sizeof(config));
	gpu_scanouts = MIN(config.num_scanouts, GPU_SCANOUTS_MAX);
	for (unsigned i = 0; i < gpu_scanouts; i++)
		gpu_scanout[i].mode = (struct exo_display_mode){.scanout = i,
								.scale = EXO_DPY_SCALE_ONE,
								.refresh_mhz = REFRESH_DEFAULT_MHZ};
	find_region();
	init_rings(gpu.dev->features & (1ull << VIRTIO_RING_F_EVENT_IDX));
	event_on_gsi(gpu.dev->gsi, on_interrupt, NULL);
	ask_modes();
	virtio_setup_rings(gpu.dev, all, QUEUES);
	return gpu_scanouts != 0;
}

bool gpu_ready(void)
{
	if (gpu.tried)
		return gpu.dev != NULL;
	gpu.tried = true;
	if (!set_up()) {
		gpu.dev = NULL;
		return false;
	}
	while ((gpu.asking || gpu.edids) && !gpu_broken()) {
		collect();
		if ((gpu.asking || gpu.edids) && !virtq_irq_on(&gpu.q[CONTROL]))
			thread_sleep_uninterruptible(&gpu, DEADLINE_NEVER);
	}
	gpu.changed = false;
	return true;
}

void gpu_info(struct exo_display_info *info)
{
	*info = (struct exo_display_info){.scanouts = gpu_scanouts,
					  .shared_bytes = gpu_region_bytes};
}

int gpu_mode(struct exo_display_mode *mode)
{
	if (mode->scanout >= gpu_scanouts)
		return -EINVAL;
	*mode = gpu_scanout[mode->scanout].mode;
	return 0;
}

/* ---- events ------------------------------------------------------------------------ */

bool gpu_has_event(void)
{
	if (gpu.changed && !gpu.asking && !gpu.edids)
		return true;
	for (unsigned i = 0; i < gpu_scanouts; i++)
		if (gpu_scanout[i].seen_fresh)
			return true;
	return false;
}

bool gpu_event(struct exo_display_event *e)
{
	*e = (struct exo_display_event){.type = EXO_DISPLAY_CHANGED};
	if (gpu.changed && !gpu.asking && !gpu.edids) {
		gpu.changed = false;
		return true;
	}
	for (unsigned i = 0; i < gpu_scanouts; i++) {
		struct gpu_scanout *o = &gpu_scanout[i];

		if (!o->seen_fresh)
			continue;
		*e = (struct exo_display_event){EXO_DISPLAY_SEEN, i, o->seen, o->error};
		o->seen_fresh = false;
		o->error = 0;
		return true;
	}
	return false;
}
