/* /dev/exo/display: the gpu as a file, as exo_devices.h has it. */
#include "files.h"

#include "../drivers/gpu.h"

#include <fcntl.h>

static struct file display; /* ops NULL: not open */

static long display_readv(struct file *f, const struct iovec *iov, int n, int64_t off)
{
	struct exo_display_event e;
	size_t done = 0;

	if (iov_total(iov, n) < sizeof(e))
		return -EINVAL;
	while (!gpu_has_event()) {
		int err;

		if (file_nonblock(f))
			return -EAGAIN;
		err = thread_sleep(&gpu_chan, DEADLINE_NEVER);
		if (err < 0)
			return err;
	}
	while (iov_total(iov, n) - done >= sizeof(e) && gpu_event(&e))
		done += iov_to(iov, n, done, &e, sizeof(e));
	return (long)done;
}

static unsigned display_poll(struct file *f)
{
	return gpu_has_event() ? POLLIN | POLLRDNORM : 0;
}

static long display_ioctl(struct file *f, unsigned long req, unsigned long arg)
{
	void *p = (void *)arg;

	switch (req) {
	case EXO_DISPLAY_INFO:
		gpu_info(p);
		return 0;
	case EXO_DISPLAY_MODE:
		return gpu_mode(p);
	case EXO_DISPLAY_CREATE:
		return gpu_create(p);
	case EXO_DISPLAY_DESTROY:
		return gpu_destroy((uint32_t)arg);
	case EXO_DISPLAY_PRESENT:
		return gpu_present(p);
	case EXO_DISPLAY_CURSOR:
		return gpu_cursor(p);
	case EXO_DISPLAY_HIDE:
		return gpu_hide((uint32_t)arg);
	default:
		return -ENOTTY;
	}
}

static void display_close(struct file *f)
{
	gpu_release();
	display.ops = NULL;
}

static const struct file_ops display_ops = {
	.readv = display_readv,
	.poll = display_poll,
	.ioctl = display_ioctl,
	.close = display_close,
	.mode = S_IFCHR | 0600,
};

int displayfile_open(int flags, struct file **out)
{
	if (!gpu_ready())
		return -ENODEV;
	if (display.ops)
		return -EBUSY;
	display = (struct file){
		.ops = &display_ops, .refs = 1, .flags = O_RDWR | ((unsigned)flags & O_NONBLOCK)};
	*out = &display;
	return 0;
}
