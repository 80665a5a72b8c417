/*
 * The standard streams as files. On a terminal the host's line discipline
 * edits, echoes and makes signals; what a program sets with tcsetattr travels to
 * it as three flags. Every other setting is kept and given back unchanged.
 */
#include "files.h"

#include "../drivers/console.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <termios.h>

#define KERNEL_TERMIOS 36 /* bytes of the kernel's struct termios: musl's without its tail */

static struct {
	bool known;
	uint16_t rows, cols;
	struct termios settings;
} tty;

static const uint32_t tty_flag[3] = {EXO_BOOT_TTY_IN, EXO_BOOT_TTY_OUT, EXO_BOOT_TTY_ERR};

static unsigned stream_of(const struct file *f)
{
	return (unsigned)f->dev - 1;
}

static bool is_terminal(const struct file *f)
{
	/* Other monitors do not say: their console is taken for a terminal. */
	return !boot || boot->flags & tty_flag[stream_of(f)];
}

static long tty_readv(struct file *f, const struct iovec *iov, int n, int64_t off)
{
	return console_read(iov, n, file_nonblock(f));
}

static long tty_writev(struct file *f, const struct iovec *iov, int n, int64_t off)
{
	return console_write(stream_of(f) == 2, iov, n, file_nonblock(f));
}

static unsigned tty_poll_in(struct file *f)
{
	return console_readable() ? POLLIN | POLLRDNORM : 0;
}

static unsigned tty_poll_out(struct file *f)
{
	return console_writable(stream_of(f) == 2) ? POLLOUT | POLLWRNORM : 0;
}

void tty_resized(uint16_t rows, uint16_t cols)
{
	tty.rows = rows;
	tty.cols = cols;
}

static void tty_learn(void)
{
	if (tty.known)
		return;
	tty.known = true;
	if (boot && !tty.rows)
		tty_resized(boot->tty_rows, boot->tty_cols);
	tty.settings = (struct termios){
		.c_iflag = ICRNL | IXON,
		.c_oflag = OPOST | ONLCR,
		.c_cflag = B38400 | CS8 | CREAD,
		.c_lflag = ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN,
		.c_cc = {[VINTR] = 3,
			 [VQUIT] = 28,
			 [VERASE] = 127,
			 [VKILL] = 21,
			 [VEOF] = 4,
			 [VMIN] = 1,
			 [VSTART] = 17,
			 [VSTOP] = 19,
			 [VSUSP] = 26},
	};
}

static long tty_set(const struct termios *t)
{
	uint32_t flags = (t->c_lflag & ECHO ? EXO_TTY_ECHO : 0) |
			 (t->c_lflag & ICANON ? EXO_TTY_CANON : 0) |
			 (t->c_lflag & ISIG ? EXO_TTY_ISIG : 0);

	memcpy(&tty.settings, t, KERNEL_TERMIOS);
	return boot ? console_control(EXO_CTL_TERMIOS, flags) : 0;
}

static long tty_ioctl(struct file *f, unsigned long req, unsigned long arg)
{
	if (!is_terminal(f))
		return -ENOTTY;
	tty_learn();
	switch (req) {
	case TIOCGWINSZ:
		*(struct winsize *)arg = (struct winsize){.ws_row = tty.rows, .ws_col = tty.cols};
		return 0;
	case TCGETS:
		memcpy((void *)arg, &tty.settings, KERNEL_TERMIOS);
		return 0;
	case TCSETS:
	case TCSETSW:
	case TCSETSF:
		return tty_set((const struct termios *)arg);
	case TIOCGPGRP:
		*(int *)arg = 1;
		return 0;
	default:
		return -EINVAL;
	}
}

/* The last descriptor of a stream is closed: the host's end is too, as a process's would be. */
static void tty_close(struct file *f)
{
	console_close(stream_of(f) == 2);
}

static const struct file_ops in_ops = {
	.readv = tty_readv,
	.poll = tty_poll_in,
	.ioctl = tty_ioctl,
	.mode = S_IFCHR | 0600,
};

static const struct file_ops out_ops = {
	.writev = tty_writev,
	.poll = tty_poll_out,
	.ioctl = tty_ioctl,
	.close = tty_close,
	.mode = S_IFCHR | 0600,
};

struct file tty_file[3] = {
	{.ops = &in_ops, .refs = 1, .flags = O_RDONLY, .dev = 1},
	{.ops = &out_ops, .refs = 1, .flags = O_WRONLY, .dev = 2},
	{.ops = &out_ops, .refs = 1, .flags = O_WRONLY, .dev = 3},
};

static long both_readv(struct file *f, const struct iovec *iov, int n, int64_t off)
{
	return console_read(iov, n, file_nonblock(f));
}

static unsigned both_poll(struct file *f)
{
	return tty_poll_in(f) | tty_poll_out(f);
}

static const struct file_ops both_ops = {
	.readv = both_readv,
	.writev = tty_writev,
	.poll = both_poll,
	.ioctl = tty_ioctl,
	.mode = S_IFCHR | 0600,
};

/* /dev/tty: both directions of port 0. */
static struct file both_file = {.ops = &both_ops, .refs = 1, .flags = O_RDWR, .dev = 1};

struct file *tty_open_controlling(void)
{
	if (!is_terminal(&both_file))
		return NULL;
	both_file.refs++;
	return &both_file;
}

struct file *tty_open(unsigned stream)
{
	struct file *f = &tty_file[stream];

	if (f->refs == 0)
		return NULL; /* closed for good */
	f->refs++;
	return f;
}

void tty_flush(void)
{
	console_flush();
}

void tty_report(const char *text, size_t len)
{
	struct iovec iov = {(char *)(uintptr_t)text, len};

	console_write(1, &iov, 1, false);
}
