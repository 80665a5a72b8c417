/* /dev/exo/input: keyboards, pointers and touch screens as a file (exo_devices.h). */
#include "files.h"

#include "../drivers/input.h"

#include <fcntl.h>

static struct file input; /* ops NULL: not open */

static long input_readv(struct file *f, const struct iovec *iov, int n, int64_t off)
{
	struct exo_input_event e;
	size_t done = 0;

	if (iov_total(iov, n) < sizeof(e))
		return -EINVAL;
	while (!input_has_event()) {
		int err;

		if (file_nonblock(f))
			return -EAGAIN;
		if (input_listen())
			break;
		err = thread_sleep(&input_chan, DEADLINE_NEVER);
		if (err < 0)
			return err;
	}
	while (iov_total(iov, n) - done >= sizeof(e) && input_event(&e))
		done += iov_to(iov, n, done, &e, sizeof(e));
	return (long)done;
}

static unsigned input_poll(struct file *f)
{
	return input_has_event() ? POLLIN | POLLRDNORM : 0;
}

/* Who polls looks once more after this. */
static void input_poll_prepare(struct file *f)
{
	input_listen();
}

static long input_ioctl(struct file *f, unsigned long req, unsigned long arg)
{
	return req == EXO_INPUT_INFO ? input_info((struct exo_input_info *)arg) : -ENOTTY;
}

static void input_close(struct file *f)
{
	input.ops = NULL;
}

static const struct file_ops input_ops = {
	.readv = input_readv,
	.poll = input_poll,
	.poll_prepare = input_poll_prepare,
	.ioctl = input_ioctl,
	.close = input_close,
	.mode = S_IFCHR | 0400,
};

int inputfile_open(int flags, struct file **out)
{
	if (!input_ready())
		return -ENODEV;
	if (input.ops)
		return -EBUSY;
	input = (struct file){
		.ops = &input_ops, .refs = 1, .flags = O_RDONLY | ((unsigned)flags & O_NONBLOCK)};
	*out = &input;
	return 0;
}
