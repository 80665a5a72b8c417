/*
 * The store's disk log on a disk in memory that can crash: what was written since
 * the last sync is then there or not, sector by sector, as chance has it. What
 * comes back must be what was committed plus a beginning of what was not.
 */
#include "unit.h"

#include "disklog.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DISK_BYTES (1u << 20)
#define SECTOR 512u

static struct fake {
	uint8_t durable[DISK_BYTES], cached[DISK_BYTES];
	bool dirty[DISK_BYTES / SECTOR];
	unsigned fail_after; /* writes and syncs until -EIO; 0: never */
} fake;

static uint64_t seed;

static uint32_t chance(uint32_t n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(seed >> 33) % n;
}

static bool fails(void)
{
	return fake.fail_after && !--fake.fail_after;
}

static int fake_read(void *opaque, uint64_t off, void *to, size_t bytes)
{
	ck_assert(off % SECTOR == 0 && bytes % SECTOR == 0 && off + bytes <= DISK_BYTES);
	memcpy(to, fake.cached + off, bytes);
	return 0;
}

static int fake_write(void *opaque, uint64_t off, const void *from, size_t bytes)
{
	ck_assert(off % SECTOR == 0 && bytes % SECTOR == 0 && off + bytes <= DISK_BYTES);
	if (fails())
		return -EIO;
	memcpy(fake.cached + off, from, bytes);
	memset(fake.dirty + off / SECTOR, 1, bytes / SECTOR);
	return 0;
}

/* The written sectors become durable: all, or after a crash those that were lucky. */
static void settle(bool crash)
{
	for (unsigned i = 0; i < DISK_BYTES / SECTOR; i++) {
		if (!fake.dirty[i])
			continue;
		fake.dirty[i] = false;
		if (crash && chance(2))
			memcpy(fake.cached + i * SECTOR, fake.durable + i * SECTOR, SECTOR);
		else
			memcpy(fake.durable + i * SECTOR, fake.cached + i * SECTOR, SECTOR);
	}
}

static int fake_sync(void *opaque)
{
	if (fails())
		return -EIO;
	settle(false);
	return 0;
}

static const struct disklog_disk disk = {
	.bytes = DISK_BYTES, .read = fake_read, .write = fake_write, .sync = fake_sync};

static void blank(void)
{
	memset(&fake, 0, sizeof(fake));
}

static struct disklog *must_open(void)
{
	struct disklog *l;
	char why[128];
	int err = disklog_open(&l, &disk, why);

	ck_assert_msg(!err, "%s", why);
	return l;
}

START_TEST(hash_is_sha256)
{
	static const uint8_t abc[4] = {0xba, 0x78, 0x16, 0xbf};
	static const uint8_t long_sum[4] = {0xcd, 0xc7, 0x6e, 0x5c}; /* a million times "a" */
	uint8_t sum[32], a[997];
	struct exo_sha256 s;

	exo_sha256_init(&s);
	exo_sha256_add(&s, "abc", 3);
	exo_sha256_end(&s, sum);
	ck_assert_mem_eq(sum, abc, 4);
	memset(a, 'a', sizeof(a));
	exo_sha256_init(&s);
	for (size_t left = 1000000, n; left; left -= n) {
		n = left < sizeof(a) ? left : sizeof(a);
		exo_sha256_add(&s, a, n);
	}
	exo_sha256_end(&s, sum);
	ck_assert_mem_eq(sum, long_sum, 4);
}
END_TEST

START_TEST(objects_come_back)
{
	static uint8_t in[EXO_STORE_DATA_MAX], out[3 * EXO_STORE_DATA_MAX];
	uint8_t hash[3][32], list[32], again[32];
	struct disklog *l;
	uint64_t total;

	blank();
	l = must_open();
	for (unsigned i = 0; i < 3; i++) {
		memset(in, 'a' + (int)i, sizeof(in));
		ck_assert_int_eq(disklog_put(l, in, sizeof(in) - i, false, 0, hash[i]), 0);
	}
	ck_assert_int_eq(disklog_put(l, in, sizeof(in) - 2, false, 0, again), 0);
	ck_assert_mem_eq(again, hash[2], 32);
	ck_assert_int_eq(disklog_put(l, hash, sizeof(hash), true, 0, list), 0);
	ck_assert_int_eq(disklog_put(l, in, sizeof(in) + 1, false, 0, again), -EMSGSIZE);
	ck_assert_int_eq(disklog_put(l, in, 33, true, 0, again), -EINVAL);
	ck_assert_int_eq(disklog_put(l, in, 32, true, 0, again), -ENOENT);
	for (unsigned round = 0; round < 2; round++) {
		ck_assert_int_eq(disklog_get(l, list, 0, out, sizeof(out), &total),
				 3 * sizeof(in) - 3);
		ck_assert_uint_eq(total, 3 * sizeof(in) - 3);
		ck_assert(out[0] == 'a' && out[sizeof(in)] == 'b' && out[total - 1] == 'c');
		ck_assert_int_eq(disklog_get(l, list, sizeof(in) - 1, out, 2, &total), 2);
		ck_assert(out[0] == 'a' && out[1] == 'b');
		ck_assert_int_eq(disklog_get(l, list, total, out, 2, &total), 0);
		ck_assert_int_eq(disklog_commit(l), 0);
		disklog_close(l);
		l = must_open();
	}
	disklog_close(l);
}
END_TEST

START_TEST(names_have_versions)
{
	uint8_t a[32], b[32], none[32] = {0};
	struct exo_store_ref ref;
	struct disklog *l;
	uint64_t v;

	blank();
	l = must_open();
	ck_assert_int_eq(disklog_put(l, "a", 1, false, 0, a), 0);
	ck_assert_int_eq(disklog_put(l, "bb", 2, false, 0, b), 0);
	ck_assert_int_eq(disklog_set(l, "x", none, 0, 7, &v), -ENOENT);
	ck_assert_int_eq(disklog_set(l, "x", a, 0, 7, &v), 0);
	ck_assert_uint_eq(v, 1);
	ck_assert_int_eq(disklog_set(l, "x", b, 0, 8, &v), -EEXIST);
	ck_assert_int_eq(disklog_set(l, "x", b, 1, 8, &v), 0);
	ck_assert_int_eq(disklog_set(l, "x", a, EXO_STORE_ANY, 9, &v), 0);
	ck_assert_int_eq(disklog_set(l, "w/y", a, EXO_STORE_ANY, 9, &v), 0);
	ck_assert_int_eq(disklog_lookup(l, "x", 2, &ref), 0);
	ck_assert(ref.bytes == 2 && ref.time_ns == 8 && !memcmp(ref.hash, b, 32));
	ck_assert_int_eq(disklog_lookup(l, "x", 0, &ref), 0);
	ck_assert_uint_eq(ref.version, 3);
	ck_assert_int_eq(disklog_next(l, "", &ref), 0);
	ck_assert_str_eq(ref.name, "w/y");
	ck_assert_int_eq(disklog_next(l, "w/y", &ref), 0);
	ck_assert_int_eq(disklog_next(l, "x", &ref), -ENOENT);
	ck_assert_int_eq(disklog_prune(l, "x", 3, 0), 0);
	ck_assert_int_eq(disklog_lookup(l, "x", 2, &ref), -ENOENT);
	ck_assert_int_eq(disklog_commit(l), 0);
	disklog_close(l);
	l = must_open();
	ck_assert_int_eq(disklog_lookup(l, "x", 2, &ref), -ENOENT);
	ck_assert_int_eq(disklog_lookup(l, "x", 3, &ref), 0);
	ck_assert_int_eq(disklog_unset(l, "x", 2, 0), -EEXIST);
	ck_assert_int_eq(disklog_unset(l, "x", 3, 0), 0);
	ck_assert_int_eq(disklog_lookup(l, "x", 0, &ref), -ENOENT);
	disklog_close(l);
}
END_TEST

START_TEST(refuses_what_is_not_its_own)
{
	struct disklog_disk tiny = disk;
	struct disklog *l;
	char why[128];

	blank();
	fake.cached[1000] = 1;
	ck_assert_int_eq(disklog_open(&l, &disk, why), -EINVAL);
	ck_assert_ptr_nonnull(strstr(why, "something else"));
	tiny.bytes = 65536;
	ck_assert_int_eq(disklog_open(&l, &tiny, why), -EINVAL);
}
END_TEST

/* Old objects make room for new ones; those with names and the young stay. */
START_TEST(room_is_made)
{
	static uint8_t data[EXO_STORE_DATA_MAX];
	const uint64_t minute = 60 * 1000000000ull;
	uint8_t kept[32], hash[32];
	struct disklog *l;
	uint64_t v, total, now = 0;
	int err = 0;

	blank();
	l = must_open();
	ck_assert_int_eq(disklog_put(l, "kept", 4, false, now, kept), 0);
	ck_assert_int_eq(disklog_set(l, "kept", kept, 0, 0, &v), 0);
	for (unsigned i = 0; i < 200; i++, now += 2 * minute) {
		memset(data, (int)i, sizeof(data));
		ck_assert_int_eq(disklog_put(l, data, sizeof(data), false, now, hash), 0);
	}
	ck_assert_int_eq(disklog_get(l, kept, 0, data, 4, &total), 4);
	for (unsigned i = 0; i < 200 && !err; i++) { /* all young: they fill it */
		memset(data, (int)i, sizeof(data));
		data[0] = 1;
		err = disklog_put(l, data, sizeof(data), false, now, hash);
	}
	ck_assert_int_eq(err, -ENOSPC);
	ck_assert_int_eq(disklog_commit(l), 0);
	disklog_close(l);
	l = must_open();
	ck_assert_int_eq(disklog_get(l, kept, 0, data, 4, &total), 4);
	disklog_close(l);
}
END_TEST

/* ---- crashes --------------------------------------------------------------------- */

#define NAMES 8
#define OPS 64

struct model {
	uint64_t version[NAMES]; /* 0: no such name */
	uint32_t value[NAMES];
};

/* The content that stands for a value: bytes, all different from value to value. */
static uint32_t fill(uint8_t to[8192], uint32_t value)
{
	uint32_t bytes = 4 + value % 8000;

	for (uint32_t i = 0; i < bytes; i++)
		to[i] = (uint8_t)(value >> i % 4 * 8) ^ (uint8_t)(i >> 9);
	return bytes;
}

static bool matches(struct disklog *l, const struct model *m)
{
	for (unsigned i = 0; i < NAMES; i++) {
		struct exo_store_ref ref;
		uint8_t value[8192], want[8192];
		char name[8];
		uint64_t total;
		uint32_t bytes = fill(want, m->value[i]);
		int err;

		snprintf(name, sizeof(name), "n%u", i);
		err = disklog_lookup(l, name, 0, &ref);
		if (err ? m->version[i] != 0 : ref.version != m->version[i])
			return false;
		if (err)
			continue;
		if (disklog_get(l, ref.hash, 0, value, sizeof(value), &total) != bytes ||
		    total != bytes || memcmp(value, want, bytes))
			return false;
	}
	return true;
}

/* One random change to log and model. False: the log is broken. */
static bool change(struct disklog *l, struct model *m, uint64_t now)
{
	unsigned i = chance(NAMES);
	uint8_t value[8192], hash[32];
	char name[8];
	int err;

	snprintf(name, sizeof(name), "n%u", i);
	if (!chance(8) && m->version[i]) {
		if (disklog_unset(l, name, m->version[i], now))
			return false;
		m->version[i] = 0;
		return true;
	}
	m->value[i] = chance(1u << 30);
	err = disklog_put(l, value, fill(value, m->value[i]), false, now, hash);
	if (!err)
		err = disklog_set(l, name, hash, m->version[i], now, &m->version[i]);
	if (!err && chance(4)) /* or it fills up with history */
		err = disklog_prune(l, name, m->version[i], now);
	ck_assert_int_ne(err, -ENOSPC);
	return !err;
}

static void crash_rounds(unsigned rounds, bool faults)
{
	struct model committed = {0}, at[OPS + 1];
	struct disklog *l;
	uint64_t now = 0;

	blank();
	l = must_open();
	for (unsigned round = 0; round < rounds; round++) {
		unsigned n = 0, found;
		bool good = true;

		at[0] = committed;
		if (faults && !chance(3))
			fake.fail_after = 1 + chance(6);
		for (unsigned left = chance(OPS); good && left; left--, now += 30 * 1000000000ull) {
			at[n + 1] = at[n];
			good = change(l, &at[n + 1], now);
			n++; /* even so, it may have reached the disk */
			if (good && !chance(6)) {
				good = disklog_commit(l) == 0;
				if (good) {
					at[0] = at[n];
					n = 0;
				}
			}
		}
		fake.fail_after = 0;
		settle(true);
		disklog_close(l);
		l = must_open();
		for (found = 0; found <= n && !matches(l, &at[found]); found++)
			;
		ck_assert_msg(found <= n, "round %u: no state between commit and crash", round);
		committed = at[found];
	}
	disklog_close(l);
}

START_TEST(crashes_lose_nothing_committed)
{
	seed = 1 + (uint64_t)_i;
	crash_rounds(60, false);
}
END_TEST

START_TEST(failing_disks_lose_nothing_committed)
{
	seed = 1001 + (uint64_t)_i;
	crash_rounds(60, true);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("store");
	TCase *t = tcase_create("disklog");

	tcase_set_timeout(t, 120);
	tcase_add_test(t, hash_is_sha256);
	tcase_add_test(t, objects_come_back);
	tcase_add_test(t, names_have_versions);
	tcase_add_test(t, refuses_what_is_not_its_own);
	tcase_add_test(t, room_is_made);
	tcase_add_loop_test(t, crashes_lose_nothing_committed, 0, 6);
	tcase_add_loop_test(t, failing_disks_lose_nothing_committed, 0, 6);
	suite_add_tcase(s, t);
	return unit_run(s);
}
