/* What only some machines have: a disk, vsock, a terminal. */
#include "selftest.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include <linux/fs.h>
#include <linux/vm_sockets.h>

#define DISK_POINTS 3
#define PART 3000 /* not a multiple of the sector */

static bool writes_unaligned(int fd)
{
	static uint8_t out[PART], in[PART + 200];

	for (unsigned i = 0; i < PART; i++)
		out[i] = (uint8_t)(i * 7 + 1);
	return pwrite(fd, out, PART, 700) == PART && fsync(fd) == 0 &&
	       pread(fd, in, PART + 200, 600) == PART + 200 && memcmp(in + 100, out, PART) == 0;
}

static bool reads_large(int fd, uint64_t size)
{
	size_t len = size < (1 << 20) ? (size_t)size : 1 << 20;
	uint8_t *whole = malloc(len), part[512];
	bool ok = whole && pread(fd, whole, len, 0) == (ssize_t)len &&
		  pread(fd, part, 512, 512) == 512 && memcmp(part, whole + 512, 512) == 0;

	free(whole);
	return ok;
}

static void test_disk(void)
{
	int fd = open("/dev/vda", O_RDWR), ro = fd < 0;
	uint64_t size = 0;

	if (ro)
		fd = open("/dev/vda", O_RDONLY);
	if (fd < 0) {
		for (int i = 0; i < DISK_POINTS; i++)
			skip("no disk", "disk");
		return;
	}
	check(ioctl(fd, BLKGETSIZE64, &size) == 0 && size > 4096 &&
		      lseek(fd, 0, SEEK_END) == (off_t)size && read(fd, &size, 1) == 0,
	      "the disk has a size and an end");
	lseek(fd, 0, SEEK_END);
	ioctl(fd, BLKGETSIZE64, &size);
	if (ro)
		skip("read-only", "the disk takes writes of any size");
	else
		check(writes_unaligned(fd), "the disk takes writes of any size");
	check(reads_large(fd, size), "the disk gives large reads");
	close(fd);
}

static void test_vsock(void)
{
	struct sockaddr_vm a = {.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = 99},
			   any = {.svm_family = AF_VSOCK,
				  .svm_cid = VMADDR_CID_ANY,
				  .svm_port = VMADDR_PORT_ANY},
			   host = {.svm_family = AF_VSOCK,
				   .svm_cid = VMADDR_CID_HOST,
				   .svm_port = 65432},
			   got;
	int s = socket(AF_VSOCK, SOCK_STREAM, 0), t = socket(AF_VSOCK, SOCK_STREAM, 0);
	struct pollfd p = {.fd = s, .events = POLLIN};
	socklen_t len = sizeof(got);

	if (s < 0 || t < 0) {
		skip("no vsock", "bind and listen");
		skip("no vsock", "a port in use is EADDRINUSE");
		skip("no vsock", "a connection that nobody takes is ECONNRESET");
		return;
	}
	check(bind(s, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(s, 4) == 0 &&
		      poll(&p, 1, 0) == 0 && getsockname(s, (struct sockaddr *)&got, &len) == 0 &&
		      got.svm_port == 99,
	      "bind and listen");
	check(bind(t, (struct sockaddr *)&a, sizeof(a)) < 0 && errno == EADDRINUSE &&
		      bind(t, (struct sockaddr *)&any, sizeof(any)) == 0,
	      "a port in use is EADDRINUSE");
	check(connect(t, (struct sockaddr *)&host, sizeof(host)) < 0 && errno == ECONNRESET,
	      "a connection that nobody takes is ECONNRESET");
	close(s);
	close(t);
}

void test_devices(void)
{
	struct winsize ws;
	struct termios t;
	int inet;

	test_disk();
	test_vsock();
	inet = socket(AF_INET, SOCK_STREAM, 0);
	if (inet >= 0)
		skip("not a guest", "other address families are EAFNOSUPPORT");
	else
		check(errno == EAFNOSUPPORT, "other address families are EAFNOSUPPORT");
	if (isatty(STDOUT_FILENO))
		check(ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) == 0 &&
			      tcgetattr(STDOUT_FILENO, &t) == 0,
		      "the terminal has a size and settings");
	else
		check(tcgetattr(STDOUT_FILENO, &t) < 0 && errno == ENOTTY,
		      "what is no terminal says ENOTTY");
}
