/*
 * The configuration message (H-34's counterpart): a good one is taken apart, and
 * each field that is wrong by itself has the whole refused, with no fd left open.
 */
#include "config.h"
#include "unit.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FDS 9

static struct exo_vmm_config msg;
static int fds[EXO_VMM_FDS_MAX];
static unsigned nfds;
static struct config config;
static const char *why;

static unsigned count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void setup(void)
{
	memset(&msg, 0, sizeof(msg));
	msg.h = (struct exo_vmm_header){EXO_VMM_MAGIC, EXO_VMM_CONFIG, sizeof(msg), FDS};
	msg.ram_bytes = 64 << 20;
	msg.cpus = 1;
	msg.program_fd = 0;
	msg.initrd_fd = EXO_VMM_NO_FD;
	msg.args_fd = 1;
	msg.args_bytes = 10;
	msg.argc = 2;
	msg.stdin_fd = EXO_VMM_NO_FD;
	msg.stdout_fd = 2;
	msg.stderr_fd = 3;
	msg.ndisks = 2;
	for (unsigned i = 0; i < 2; i++)
		msg.disk[i] = (struct exo_vmm_disk){4 + i, i ? EXO_VMM_DISK_RO : 0, 512, "disk"};
	msg.flags = EXO_VMM_VSOCK | EXO_VMM_OUTLIVE | EXO_VMM_CHANNELS_OK;
	msg.listen_fd = 6;
	msg.guest_bell_fd = 7;
	msg.vmm_bell_fd = 8;
	msg.window_bytes = 32 << 20;
	msg.picture_fd = msg.display_fd = EXO_VMM_NO_FD;
	strcpy(msg.name, "name");
	nfds = FDS;
}

/* With a display: two more fds. */
static void setup_screen(void)
{
	setup();
	msg.flags |= EXO_VMM_SCREEN;
	msg.picture_fd = FDS;
	msg.display_fd = FDS + 1;
	msg.picture_bytes = 8 << 20;
	msg.scanouts = 2;
	msg.inputs = EXO_DPY_HAS_KEYBOARD | EXO_DPY_HAS_PLAYBACK;
	msg.width = 640;
	msg.height = 480;
	msg.scale = EXO_DPY_SCALE_ONE;
	nfds = msg.h.nfds = FDS + 2;
}

static int decode(size_t len)
{
	for (unsigned i = 0; i < nfds; i++) {
		fds[i] = memfd_create("test", MFD_CLOEXEC);
		ck_assert_int_ge(fds[i], 0);
	}
	return config_decode(&config, &msg, len, fds, nfds, &why);
}

START_TEST(accepted)
{
	ck_assert_int_eq(decode(sizeof(msg)), 0);
	ck_assert_int_eq(config.program_fd, fds[0]);
	ck_assert_int_eq(config.args_fd, fds[1]);
	ck_assert_int_eq(config.initrd_fd, -1);
	ck_assert_int_eq(config.stdin_fd, -1);
	ck_assert_int_eq(config.stdout_fd, fds[2]);
	ck_assert_int_eq(config.disk_fd[1], fds[5]);
	ck_assert_int_eq(config.disk_fd[2], -1);
	ck_assert_int_eq(config.listen_fd, fds[6]);
	ck_assert_int_eq(config.guest_bell_fd, fds[7]);
	ck_assert_int_eq(config.vmm_bell_fd, fds[8]);
	ck_assert_str_eq(config.wire.name, "name");
}
END_TEST

/* Without channels and without a session there are no such fds. */
START_TEST(plain)
{
	nfds = msg.h.nfds = 6;
	msg.flags = 0;
	msg.listen_fd = msg.guest_bell_fd = msg.vmm_bell_fd = EXO_VMM_NO_FD;
	msg.window_bytes = 0;
	ck_assert_int_eq(decode(sizeof(msg)), 0);
	ck_assert_int_eq(config.listen_fd, -1);
	ck_assert_int_eq(config.guest_bell_fd, -1);
	ck_assert_int_eq(config.vmm_bell_fd, -1);
}
END_TEST

START_TEST(screen)
{
	setup_screen();
	ck_assert_int_eq(decode(sizeof(msg)), 0);
	ck_assert_int_eq(config.picture_fd, fds[FDS]);
	ck_assert_int_eq(config.display_fd, fds[FDS + 1]);
	setup_screen();
	msg.display_fd = EXO_VMM_NO_FD;
	nfds = msg.h.nfds = FDS + 1;
	msg.picture_bytes = EXO_DPY_PICTURE_BYTES_MIN;
	ck_assert_int_eq(decode(sizeof(msg)), 0);
	ck_assert_int_eq(config.display_fd, -1);
}
END_TEST

static void refused(size_t len)
{
	unsigned before = count_fds();

	ck_assert_int_eq(decode(len), -EINVAL);
	ck_assert_ptr_nonnull(why);
	ck_assert_ptr_null(strchr(why, '\n'));
	ck_assert_uint_eq(count_fds(), before);
}

START_TEST(lengths)
{
	static const size_t bad[] = {0, 1, 16, sizeof(msg) - 1, sizeof(msg) + 1, EXO_VMM_MSG_MAX};
	static uint8_t big[EXO_VMM_MSG_MAX];

	memcpy(big, &msg, sizeof(msg));
	nfds = 0;
	ck_assert_int_eq(config_decode(&config, big, bad[_i], fds, 0, &why), -EINVAL);
}
END_TEST

#define FIELDS 56

/* One 32-bit field at a time. */
START_TEST(fields)
{
	static const struct {
		size_t off;
		uint32_t value;
	} bad[] = {
#define F(field, value) {offsetof(struct exo_vmm_config, field), value}
		F(h.magic, 1),
		F(h.type, EXO_VMM_KILL),
		F(h.type, 0),
		F(h.size, sizeof(msg) - 4),
		F(h.size, 0xffffffff),
		F(h.nfds, FDS - 1),
		F(h.nfds, 0xffffffff),
		F(ram_bytes, 4097),
		F(ram_bytes, 0),
		F(ram_bytes, 4096),
		F(cpus, 0),
		F(cpus, EXO_VMM_CPUS_MAX + 1),
		F(cpus, 0xffffffff),
		F(flags, 1u << 31),
		F(flags, 256),
		F(flags, 0), /* and yet there is a socket to listen on */
		F(flags, EXO_VMM_OUTLIVE),
		F(flags, EXO_VMM_OUTLIVE | EXO_VMM_VSOCK),
		F(flags, EXO_VMM_OUTLIVE | EXO_VMM_CHANNELS_OK), /* on which device? */
		F(flags, EXO_VMM_VSOCK | EXO_VMM_CHANNELS_OK),
		F(boot_flags, EXO_BOOT_MSI_EDGE), /* ours to say */
		F(boot_flags, 1u << 31),
		F(listen_fd, 0),
		F(listen_fd, EXO_VMM_NO_FD),
		F(guest_bell_fd, EXO_VMM_NO_FD),
		F(guest_bell_fd, 8),
		F(vmm_bell_fd, EXO_VMM_NO_FD),
		F(vmm_bell_fd, FDS),
		F(window_bytes, 0),
		F(window_bytes, 1 << 20),
		F(window_bytes, (2 << 20) + 4096),
		F(window_bytes, 258 << 20),
		F(window_bytes, 0xffe00000),
		F(program_fd, EXO_VMM_NO_FD),
		F(program_fd, FDS),
		F(program_fd, 1), /* twice */
		F(args_fd, EXO_VMM_NO_FD),
		F(args_fd, 0x80000000),
		F(stdout_fd, 3),
		F(stdout_fd, EXO_VMM_NO_FD), /* one is left over */
		F(initrd_fd, 32),
		F(args_bytes, EXO_VMM_ARGS_MAX + 1),
		F(args_bytes, 1), /* fewer bytes than strings */
		F(argc, 0xffffffff),
		F(envc, 9),
		F(envc, 0xfffffffe),
		F(tty_rows, 0x10000),
		F(tty_cols, 0xffffffff),
		F(ndisks, EXO_VMM_DISKS_MAX + 1),
		F(ndisks, 0xffffffff),
		F(ndisks, 3),
		F(disk[0].flags, 2),
		F(disk[0].bytes, 0),
		F(disk[0].bytes, 511),
		F(disk[1].fd, EXO_VMM_NO_FD),
		F(disk[1].fd, 4),
#undef F
	};

	ck_assert_uint_eq(sizeof(bad) / sizeof(bad[0]), FIELDS);
	memcpy((char *)&msg + bad[_i].off, &bad[_i].value, 4);
	refused(sizeof(msg));
}
END_TEST

#define SCREEN_FIELDS 22

START_TEST(screen_fields)
{
	static const struct {
		size_t off;
		uint32_t value;
	} bad[] = {
#define F(field, value) {offsetof(struct exo_vmm_config, field), value}
		F(flags, EXO_VMM_VSOCK | EXO_VMM_OUTLIVE | EXO_VMM_CHANNELS_OK),
		F(picture_fd, EXO_VMM_NO_FD),
		F(picture_fd, 0),
		F(picture_fd, FDS + 2),
		F(display_fd, FDS),
		F(display_fd, EXO_VMM_NO_FD), /* one is left over */
		F(picture_bytes, 0),
		F(picture_bytes, 1 << 19),
		F(picture_bytes, 3 << 20), /* not the least, and not a multiple of 2 MiB */
		F(picture_bytes, 258 << 20),
		F(scanouts, 0),
		F(scanouts, EXO_DPY_SCANOUTS_MAX + 1),
		F(inputs, 64),
		F(inputs, 0xffffffff),
		F(width, 0),
		F(width, EXO_DPY_SIZE_MAX + 1),
		F(height, 0),
		F(height, 0xffffffff),
		F(scale, 0),
		F(scale, EXO_DPY_SCALE_MIN - 1),
		F(scale, EXO_DPY_SCALE_MAX + 1),
		F(reserved, 1),
#undef F
	};

	ck_assert_uint_eq(sizeof(bad) / sizeof(bad[0]), SCREEN_FIELDS);
	setup_screen();
	memcpy((char *)&msg + bad[_i].off, &bad[_i].value, 4);
	refused(sizeof(msg));
}
END_TEST

/* Nothing of a display in a guest that has none. */
START_TEST(no_screen)
{
	uint32_t *const field[] = {&msg.scanouts, &msg.inputs, &msg.width,
				   &msg.height,   &msg.scale,  &msg.reserved};

	for (unsigned i = 0; i < sizeof(field) / sizeof(field[0]); i++) {
		setup();
		*field[i] = 1;
		refused(sizeof(msg));
	}
	setup();
	msg.picture_bytes = 8 << 20;
	refused(sizeof(msg));
	setup();
	msg.display_fd = 0;
	refused(sizeof(msg));
}
END_TEST

/* Slots of virtio-mmio are 16: console, rng, vsock, gpu, four inputs, sound leave seven disks. */
START_TEST(too_many_devices)
{
	setup_screen();
	msg.flags |= EXO_VMM_RNG;
	msg.inputs = 63;
	msg.ndisks = 7;
	for (unsigned i = 0; i < 8; i++)
		msg.disk[i] = (struct exo_vmm_disk){i < 2 ? 4 + i : FDS + i, 0, 512, "disk"};
	nfds = msg.h.nfds = FDS + 7;
	ck_assert_int_eq(decode(sizeof(msg)), 0);
	msg.ndisks = 8;
	nfds = msg.h.nfds = FDS + 8;
	refused(sizeof(msg));
	ck_assert_ptr_nonnull(strstr(why, "16 devices"));
}
END_TEST

START_TEST(large_fields)
{
	msg.ram_bytes = 1ull << 63;
	refused(sizeof(msg));
	setup();
	msg.disk[0].bytes = 1ull << 63;
	refused(sizeof(msg));
	setup();
	msg.window_bytes = 1ull << 32 | 32 << 20;
	refused(sizeof(msg));
}
END_TEST

START_TEST(text_without_end)
{
	memset(msg.name, 'x', sizeof(msg.name));
	refused(sizeof(msg));
	setup();
	memset(msg.cmdline, 'x', sizeof(msg.cmdline));
	refused(sizeof(msg));
	setup();
	memset(msg.disk[0].name, 'x', sizeof(msg.disk[0].name));
	refused(sizeof(msg));
}
END_TEST

/* Every bit of the fixed part flipped: taken or refused, but fds never leak. */
START_TEST(flipped_bits)
{
	size_t fixed = offsetof(struct exo_vmm_config, cmdline);

	for (size_t bit = 0; bit < 8 * fixed; bit++) {
		unsigned before;

		setup();
		((uint8_t *)&msg)[bit / 8] ^= 1u << bit % 8;
		before = count_fds();
		if (decode(sizeof(msg)) == 0) {
			for (unsigned i = 0; i < nfds; i++)
				close(fds[i]);
		}
		ck_assert_uint_eq(count_fds(), before);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("config");
	TCase *tc = tcase_create("config");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, accepted);
	tcase_add_test(tc, plain);
	tcase_add_loop_test(tc, lengths, 0, 6);
	tcase_add_loop_test(tc, fields, 0, FIELDS);
	tcase_add_test(tc, screen);
	tcase_add_loop_test(tc, screen_fields, 0, SCREEN_FIELDS);
	tcase_add_test(tc, no_screen);
	tcase_add_test(tc, too_many_devices);
	tcase_add_test(tc, large_fields);
	tcase_add_test(tc, text_without_end);
	tcase_add_test(tc, flipped_bits);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
