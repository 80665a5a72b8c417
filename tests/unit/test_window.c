/*
 * The shared memory region: pieces appear and go, what goes is unseen at once,
 * fds that could become a SIGBUS are refused, and the allocator against a model.
 */
#include "unit.h"
#include "window.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define PAGE 4096u
#define WINDOW (2u << 20)
#define PAGES (WINDOW / PAGE)

static struct window w;

static void setup(void)
{
	ck_assert_int_eq(window_init(&w, WINDOW), 0);
}

static void teardown(void)
{
	window_finish(&w);
	ck_assert(!window_has(&w, &w));
}

/* A sealed memfd whose first bytes are `tag`. */
static int memory(uint64_t bytes, int seals, uint64_t tag)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, (off_t)bytes), 0);
	if (bytes)
		ck_assert_int_eq(pwrite(fd, &tag, sizeof(tag), 0), sizeof(tag));
	ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

#define SEALED (F_SEAL_SHRINK | F_SEAL_GROW)

static int map(uint64_t bytes, uint64_t tag, uint64_t *offset)
{
	int fd = memory(bytes, SEALED, tag), err = window_map(&w, fd, bytes, false, offset);

	close(fd);
	return err;
}

static uint64_t at(uint64_t offset)
{
	uint64_t value;

	memcpy(&value, w.host + offset, sizeof(value));
	return value;
}

START_TEST(a_piece_comes_and_goes)
{
	int fd = memory(2 * PAGE, SEALED, 0x1234);
	uint64_t offset, value = 77;

	ck_assert_uint_eq(at(0), 0);
	ck_assert_int_eq(window_map(&w, fd, 2 * PAGE, false, &offset), 0);
	ck_assert_uint_eq(offset, 0);
	ck_assert_uint_eq(at(0), 0x1234);
	memcpy(w.host + PAGE, &value, sizeof(value)); /* what is written others see */
	value = 0;
	ck_assert_int_eq(pread(fd, &value, sizeof(value), PAGE), sizeof(value));
	ck_assert_uint_eq(value, 77);
	ck_assert_int_eq(window_unmap(&w, offset), 0);
	ck_assert_uint_eq(at(0), 0);
	ck_assert_uint_eq(at(PAGE), 0);
	value = 78; /* and what is written now nobody does */
	memcpy(w.host + PAGE, &value, sizeof(value));
	ck_assert_int_eq(pread(fd, &value, sizeof(value), PAGE), sizeof(value));
	ck_assert_uint_eq(value, 77);
	ck_assert_int_eq(window_unmap(&w, offset), -ENOENT);
	close(fd);
}
END_TEST

START_TEST(read_only)
{
	int fd = memory(PAGE, SEALED, 5), zero = open("/dev/zero", O_RDONLY);
	uint64_t offset;

	ck_assert_int_eq(window_map(&w, fd, PAGE, true, &offset), 0);
	ck_assert_uint_eq(w.read_only, 1);
	ck_assert_uint_eq(at(offset), 5);
	ck_assert_int_eq(read(zero, w.host + offset, 8), -1); /* the kernel may not write either */
	ck_assert_int_eq(errno, EFAULT);
	ck_assert_int_eq(window_unmap(&w, offset), 0);
	ck_assert_uint_eq(w.read_only, 0);
	ck_assert_int_eq(read(zero, w.host + offset, 8), 8);
	close(zero);
	close(fd);
}
END_TEST

/* H-34's other side: an fd from outside must not be able to kill us later. */
START_TEST(h34_fds_that_are_no_such_memory)
{
	int fds[2], fd;
	uint64_t offset;

	fd = memory(PAGE, F_SEAL_SHRINK, 0);
	ck_assert_int_eq(window_map(&w, fd, PAGE, false, &offset), -EINVAL);
	close(fd);
	fd = memory(PAGE, F_SEAL_GROW, 0);
	ck_assert_int_eq(window_map(&w, fd, PAGE, false, &offset), -EINVAL);
	close(fd);
	fd = memory(PAGE, SEALED, 0);
	ck_assert_int_eq(window_map(&w, fd, 2 * PAGE, false, &offset), -EINVAL);
	ck_assert_int_eq(window_map(&w, fd, 0, false, &offset), -EINVAL);
	ck_assert_int_eq(window_map(&w, fd, 100, false, &offset), -EINVAL);
	close(fd);
	fd = memory(2 * PAGE, SEALED, 0);
	ck_assert_int_eq(window_map(&w, fd, PAGE, false, &offset), -EINVAL);
	close(fd);
	ck_assert_int_eq(pipe(fds), 0);
	ck_assert_int_eq(window_map(&w, fds[0], PAGE, false, &offset), -EINVAL);
	close(fds[0]);
	close(fds[1]);
	ck_assert_int_eq(window_map(&w, fds[0], PAGE, false, &offset), -EBADF);
	ck_assert_uint_eq(w.n, 0);
}
END_TEST

START_TEST(full)
{
	uint64_t offset, whole;

	ck_assert_int_eq(map(WINDOW + PAGE, 1, &offset), -ENOSPC);
	ck_assert_int_eq(map(WINDOW, 1, &whole), 0);
	ck_assert_int_eq(map(PAGE, 1, &offset), -ENOSPC);
	ck_assert_int_eq(window_unmap(&w, whole), 0);
	ck_assert_int_eq(map(PAGE, 1, &offset), 0);
	ck_assert_uint_eq(offset, 0);
}
END_TEST

START_TEST(as_many_pieces_as_there_may_be)
{
	struct window big = {0};
	int fd = memory(PAGE, SEALED, 9);
	uint64_t offset;

	ck_assert_int_eq(window_init(&big, 16u << 20), 0);
	for (unsigned i = 0; i < WINDOW_PIECES_MAX; i++)
		ck_assert_int_eq(window_map(&big, fd, PAGE, false, &offset), 0);
	ck_assert_int_eq(window_map(&big, fd, PAGE, false, &offset), -ENOSPC);
	ck_assert_int_eq(window_unmap(&big, 17 * PAGE), 0);
	ck_assert_int_eq(window_map(&big, fd, PAGE, false, &offset), 0);
	ck_assert_uint_eq(offset, 17 * PAGE);
	window_finish(&big);
	close(fd);
}
END_TEST

START_TEST(what_is_in_the_window)
{
	ck_assert(window_has(&w, w.host));
	ck_assert(window_has(&w, w.host + WINDOW - 1));
	ck_assert(!window_has(&w, w.host + WINDOW));
	ck_assert(!window_has(&w, w.host - 1));
	ck_assert(!window_has(&w, NULL));
}
END_TEST

/* ---- against a model: which page has which tag, 0: none ------------------------ */

static uint64_t model[PAGES];

static int model_place(unsigned pages)
{
	for (unsigned i = 0; i + pages <= PAGES; i++) {
		unsigned run = 0;

		while (run < pages && !model[i + run])
			run++;
		if (run == pages)
			return (int)i;
	}
	return -1;
}

static void model_fill(unsigned first, unsigned pages, uint64_t tag)
{
	for (unsigned i = 0; i < pages; i++)
		model[first + i] = tag;
}

START_TEST(random_against_model)
{
	struct {
		unsigned first, pages;
	} piece[PAGES];
	unsigned n = 0;
	uint64_t offset;

	memset(model, 0, sizeof(model));
	srand(_i + 1);
	for (uint64_t tag = 1; tag <= 3000; tag++) {
		bool add = rand() % 100 < (tag / 500 % 2 ? 30 : 70); /* fills up and empties */

		if (add) {
			unsigned pages = rand() % 8 ? 1 + rand() % 5 : 1 + rand() % 200;
			int place = model_place(pages), err = map(pages * PAGE, tag, &offset);

			ck_assert_int_eq(err, place < 0 ? -ENOSPC : 0);
			if (err)
				continue;
			ck_assert_uint_eq(offset, (uint64_t)place * PAGE);
			model_fill(place, pages, tag);
			piece[n].first = place;
			piece[n++].pages = pages;
		} else if (n) {
			unsigned i = rand() % n;

			ck_assert_int_eq(window_unmap(&w, (uint64_t)piece[i].first * PAGE), 0);
			model_fill(piece[i].first, piece[i].pages, 0);
			piece[i] = piece[--n];
		}
		ck_assert_uint_eq(w.n, n);
		for (unsigned i = 0; i < n && tag % 50 == 0; i++) {
			offset = (uint64_t)piece[i].first * PAGE;
			ck_assert_uint_eq(at(offset), model[piece[i].first]);
		}
		for (unsigned i = 0; i < PAGES && tag % 500 == 0; i++)
			ck_assert(model[i] || !at((uint64_t)i * PAGE));
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("window");
	TCase *tc = tcase_create("window");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, a_piece_comes_and_goes);
	tcase_add_test(tc, read_only);
	tcase_add_test(tc, h34_fds_that_are_no_such_memory);
	tcase_add_test(tc, full);
	tcase_add_test(tc, as_many_pieces_as_there_may_be);
	tcase_add_test(tc, what_is_in_the_window);
	tcase_add_loop_test(tc, random_against_model, 0, 4);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
