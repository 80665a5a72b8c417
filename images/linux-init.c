/*
 * PID 1 of the minimal Linux guest: an unmodified distribution kernel as a
 * client of our machine. Loads the virtio drivers, tries every device it finds
 * and prints TAP on the virtio console, then powers the machine off by ACPI.
 *
 * Devices that the machine does not have are skipped. A disk is read; it is
 * also written when the kernel command line says exo.disk=rw; vsock needs
 * exo.vsock=echo, the console's input exo.input=WORD, and the kernel's 9P client
 * exo.9p=PORT, where a file server is (tests/nested/test_linux_9p.sh has its files).
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#define SECTOR 512
#define ECHO_PORT 7 /* a vsock port of the host that sends back what it gets */

/* linux/vm_sockets.h, which musl's headers do not come with. */
#define AF_VSOCK_ 40
struct sockaddr_vm_ {
	uint16_t family;
	uint16_t reserved;
	uint32_t port;
	uint32_t cid;
	uint8_t zero[4];
};

static char cmdline[4096];
static int points;

static void point(bool good, const char *name)
{
	printf("%sok %d - %s\n", good ? "" : "not ", ++points, name);
}

static void skip(const char *name, const char *why)
{
	printf("ok %d - %s # SKIP %s\n", ++points, name, why);
}

static bool load_modules(void)
{
	char name[96], path[128];
	FILE *order = fopen("/modules/order", "re");
	bool good = order != NULL;

	while (order && fscanf(order, "%95s", name) == 1) {
		int fd;

		snprintf(path, sizeof(path), "/modules/%s", name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		good = fd >= 0 && syscall(SYS_finit_module, fd, "", 0) == 0 && good;
		if (fd >= 0)
			close(fd);
	}
	if (order)
		fclose(order);
	return good;
}

/* Opens a device as soon as it exists; gives up after half a second. */
static int open_device(const char *path, int flags)
{
	struct timespec tick = {.tv_nsec = 2000000};
	int fd = -1;

	for (int i = 0; i < 250; i++) {
		fd = open(path, flags | O_CLOEXEC);
		if (fd >= 0)
			break;
		nanosleep(&tick, NULL);
	}
	return fd;
}

static void read_text(const char *path, char *out, size_t cap)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, out, cap - 1);

	out[n > 0 ? n : 0] = '\0';
	out[strcspn(out, "\n")] = '\0';
	if (fd >= 0)
		close(fd);
}

static void test_clock(void)
{
	struct timespec a, b, nap = {.tv_nsec = 50000000};
	char source[64];
	int64_t slept;

	read_text("/sys/devices/system/clocksource/clocksource0/current_clocksource", source,
		  sizeof(source));
	printf("# clock source %s\n", source);
	point(strcmp(source, "kvm-clock") == 0 || strcmp(source, "tsc") == 0, "clock source");
	clock_gettime(CLOCK_MONOTONIC, &a);
	nanosleep(&nap, NULL);
	clock_gettime(CLOCK_MONOTONIC, &b);
	slept = (b.tv_sec - a.tv_sec) * 1000000000ll + b.tv_nsec - a.tv_nsec;
	point(slept >= 50000000 && slept < 5000000000ll, "sleeps for as long as it asked");
	clock_gettime(CLOCK_REALTIME, &a);
	printf("# wall clock %lld\n", (long long)a.tv_sec);
}

static void test_rng(void)
{
	uint8_t a[16] = {0}, b[16] = {0};
	int fd = open_device("/dev/hwrng", O_RDONLY);

	if (fd < 0) {
		skip("rng", "no device");
		return;
	}
	point(read(fd, a, sizeof(a)) > 0 && read(fd, b, sizeof(b)) > 0 &&
		      memcmp(a, b, sizeof(a)) != 0,
	      "rng gives bytes that differ");
	close(fd);
}

static void test_disk(void)
{
	_Alignas(4096) static uint8_t buf[SECTOR * 8], back[SECTOR * 8];
	bool writable = strstr(cmdline, "exo.disk=rw") != NULL, good;
	int fd = open("/dev/vda", (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC);

	if (fd < 0) {
		skip("disk", "no device");
		return;
	}
	good = pread(fd, buf, sizeof(buf), 0) == (ssize_t)sizeof(buf);
	point(good, "disk reads");
	printf("# disk begins with \"%.16s\"\n", (const char *)buf);
	if (writable) {
		for (size_t i = 0; i < sizeof(buf); i++)
			buf[i] = (uint8_t)(i * 31 + 7);
		good = pwrite(fd, buf, sizeof(buf), sizeof(buf)) == (ssize_t)sizeof(buf) &&
		       fsync(fd) == 0 && pread(fd, back, sizeof(back), sizeof(back)) > 0 &&
		       memcmp(buf, back, sizeof(buf)) == 0;
		point(good, "disk keeps what is written and flushed");
	}
	close(fd);
}

static void test_vsock(void)
{
	struct sockaddr_vm_ to = {.family = AF_VSOCK_, .port = ECHO_PORT, .cid = 2};
	char back[6] = "";
	int fd;

	if (!strstr(cmdline, "exo.vsock=echo")) {
		skip("vsock", "not asked for");
		return;
	}
	fd = socket(AF_VSOCK_, SOCK_STREAM | SOCK_CLOEXEC, 0);
	point(fd >= 0 && connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0 &&
		      write(fd, "hello", 5) == 5 && read(fd, back, 5) == 5 &&
		      strcmp(back, "hello") == 0,
	      "vsock: what is sent comes back");
	if (fd >= 0)
		close(fd);
}

/* ---- the kernel's own 9P client, over a vsock connection to a file server ------------- */

static bool mount_9p(unsigned port)
{
	struct sockaddr_vm_ to = {.family = AF_VSOCK_, .port = port, .cid = 2};
	int fd = socket(AF_VSOCK_, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char options[160];

	snprintf(options, sizeof(options),
		 "trans=fd,rfdno=%d,wfdno=%d,version=9p2000.L,msize=131072,cache=none", fd, fd);
	mkdir("/mnt", 0755);
	return fd >= 0 && connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0 &&
	       mount("exo", "/mnt", "9p", 0, options) == 0;
}

static bool same_after_writing(const char *path)
{
	enum { BYTES = 1 << 20 };
	uint8_t *out = malloc(BYTES), *in = malloc(BYTES);
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	bool good;

	for (int i = 0; i < BYTES; i++)
		out[i] = (uint8_t)(i * 7 >> 3);
	good = fd >= 0 && write(fd, out, BYTES) == BYTES && fsync(fd) == 0 &&
	       pread(fd, in, BYTES, 0) == BYTES && memcmp(in, out, BYTES) == 0;
	if (fd >= 0)
		close(fd);
	free(out);
	free(in);
	return good;
}

static int entries_of(const char *path)
{
	DIR *d = opendir(path);
	int n = 0;

	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n;
}

static bool locks(const char *path)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 10};
	int fd = open(path, O_RDWR | O_CLOEXEC);
	bool good = fd >= 0 && fcntl(fd, F_SETLK, &lock) == 0;

	lock.l_type = F_UNLCK;
	good = good && fcntl(fd, F_SETLK, &lock) == 0;
	if (fd >= 0)
		close(fd);
	return good;
}

static bool leads_nowhere(void)
{
	int fd = open("/mnt/outside", O_RDONLY | O_CLOEXEC);
	bool good = fd < 0 && errno == ENOENT;

	fd = open("/mnt/fifo", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd >= 0)
		close(fd);
	return good && fd >= 0;
}

static void test_9p(void)
{
	const char *port = strstr(cmdline, "exo.9p=");
	char text[64], link[64] = "";
	struct statfs fs;
	struct stat st;

	if (!port) {
		skip("9p", "not asked for");
		return;
	}
	point(mount_9p((unsigned)atoi(port + strlen("exo.9p="))), "9p: mounts");
	read_text("/mnt/hello", text, sizeof(text));
	point(strcmp(text, "hello from host") == 0, "9p: reads");
	point(entries_of("/mnt/many") == 300, "9p: lists a folder of 300");
	point(same_after_writing("/mnt/made"), "9p: writes 1 MiB, syncs, reads it");
	point(truncate("/mnt/made", 1000) == 0 && chmod("/mnt/made", 0600) == 0 &&
		      stat("/mnt/made", &st) == 0 && st.st_size == 1000 &&
		      st.st_mode == (S_IFREG | 0600),
	      "9p: truncate, chmod, stat");
	point(locks("/mnt/made"), "9p: locks");
	point(rename("/mnt/made", "/mnt/many/moved") == 0 && unlink("/mnt/many/moved") == 0 &&
		      mkdir("/mnt/folder", 0755) == 0 && rmdir("/mnt/folder") == 0,
	      "9p: rename, unlink, mkdir, rmdir");
	point(symlink("hello", "/mnt/link") == 0 && readlink("/mnt/link", link, 63) == 5 &&
		      strcmp(link, "hello") == 0 && unlink("/mnt/link") == 0,
	      "9p: symlink, readlink");
	point(statfs("/mnt", &fs) == 0 && fs.f_blocks > 0, "9p: statfs");
	point(leads_nowhere(), "9p: a link means our own files, a FIFO is our own");
	point(mknod("/mnt/device", S_IFCHR | 0600, 0x103) < 0 && errno == EPERM,
	      "9p: no device nodes");
	point(umount("/mnt") == 0, "9p: unmounts");
}

/* Keys, or what stands for them: a line with the word that the command line names. */
static void test_input(void)
{
	const char *word = strstr(cmdline, "exo.input=");
	char line[64];

	if (!word) {
		skip("console input", "not asked for");
		return;
	}
	word += strlen("exo.input=");
	point(fgets(line, sizeof(line), stdin) && strcspn(line, "\n") == strcspn(word, " ") &&
		      strncmp(line, word, strcspn(word, " ")) == 0,
	      "console input");
}

static void use_console(bool wanted)
{
	int fd = wanted ? open_device("/dev/hvc0", O_RDWR) : -1;

	if (fd < 0)
		return;
	dup2(fd, 0);
	dup2(fd, 1);
	dup2(fd, 2);
	if (fd > 2)
		close(fd);
}

int main(void)
{
	struct utsname un;
	char cpus[64];
	bool loaded;

	mount("dev", "/dev", "devtmpfs", 0, NULL);
	mount("proc", "/proc", "proc", 0, NULL);
	mount("sys", "/sys", "sysfs", 0, NULL);
	read_text("/proc/cmdline", cmdline, sizeof(cmdline));
	loaded = load_modules();
	/* Elsewhere the kernel's own console may be a serial port: stay there. */
	use_console(strstr(cmdline, "exo.console=kernel") == NULL);
	setvbuf(stdout, NULL, _IONBF, 0);
	uname(&un);
	printf("# Linux %s, command line: %s\n", un.release, cmdline);
	read_text("/sys/devices/system/cpu/online", cpus, sizeof(cpus));
	printf("# CPUs %s\n", cpus);
	point(loaded, "drivers load");
	test_clock();
	test_rng();
	test_disk();
	test_vsock();
	test_9p();
	test_input();
	printf("1..%d\n", points);
	sync();
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}
