/*
 * Manifests: every key, what is filled in, and each error with its line. A
 * manifest comes with a program from anywhere, so it is hostile input (H-30).
 */
#include "manifest.h"
#include "text.h"
#include "unit.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct manifest *parse(const char *text)
{
	char why[MANIFEST_WHY_MAX] = "";
	struct manifest *m;
	int err = manifest_parse(text, strlen(text), "/lib/store.exo", &m, why);

	ck_assert_msg(!err, "%s", why);
	return m;
}

START_TEST(empty)
{
	struct manifest *m = parse("");

	ck_assert_str_eq(m->name, "store");
	ck_assert_str_eq(m->file, "/lib/store.elf");
	ck_assert_str_eq(m->path, "/lib/store.exo");
	ck_assert_str_eq(m->label, "untrusted");
	ck_assert_uint_eq(m->cpus, 1);
	ck_assert_uint_eq(m->memory_bytes, 0);
	ck_assert(!m->vsock && !m->rng && !m->on_demand && !m->nuses && !m->args[0] && !m->env[0]);
	ck_assert_int_eq(m->ready, MANIFEST_READY_START);
	ck_assert_int_eq(m->restart, MANIFEST_RESTART_NO);
	ck_assert_uint_eq(m->stop_timeout_ns, 2000000000);
	ck_assert_uint_eq(m->start_timeout_ns, 10000000000);
	ck_assert_uint_eq(m->watchdog_ns, 0);
	manifest_free(m);
}
END_TEST

START_TEST(every_key)
{
	struct manifest *m =
		parse("\xef\xbb\xbf# all of them\r\n"
		      "[program]\r\n"
		      "  file = bin/store.elf\n"
		      "name=keeper\n"
		      "args = -v \"two words\" 'a\\b' c\\ d \"q\\\"\" ; a comment\n"
		      "args = more\n"
		      "env = A=1=2\n"
		      "env = B=\n"
		      "memory = 64M\n"
		      "cpus = 2\n"
		      "label = storage\n"
		      "colour = purple\n"
		      "description = Keeps \xc3\xa9verything.\n"
		      "[device]\n"
		      "rng = yes\n"
		      "disk = data.img:ro:direct\n"
		      "disk = /dev/x:ro:rw\n"
		      "vsock = yes\n"
		      "[display]\n"
		      "size = 800x600\n"
		      "windows = 3\n"
		      "memory = 128M\n"
		      "input = touch keyboard mouse\n"
		      "sound = capture playback\n"
		      "[provides]\n"
		      "store = 10 seqpacket\n"
		      "files = 564 stream\n"
		      "[uses]\n"
		      "log = port=514\n"
		      "names =\n"
		      "clock = delegate, lease=1h ,connections=4, buffer = 1M, rate=10M,"
		      "required\n"
		      "[mount]\n"
		      "/ = service:blobs\n"
		      "/src = ../src ro\n"
		      "/src = \"/home/a b\"\n"
		      "/log = service:log ro\n"
		      "[limits]\n"
		      "connections = 64\n"
		      "buffer = 16M\n"
		      "grants = 64M\n"
		      "window = 128M\n"
		      "[lifecycle]\n"
		      "ready = start\n"
		      "start = demand\n"
		      "restart = on-failure\n"
		      "backoff = 50ms\n"
		      "restarts = 3\n"
		      "stop-timeout = 1.5s\n"
		      "watchdog = 5s\n"
		      "start-timeout = 1m");
	static const char *const args[] = {"-v", "two words", "a\\b", "c d", "q\"", "more"};

	ck_assert_str_eq(m->file, "/lib/bin/store.elf");
	ck_assert_str_eq(m->name, "keeper");
	for (size_t i = 0; i < COUNT(args); i++)
		ck_assert_str_eq(m->args[i], args[i]);
	ck_assert_ptr_null(m->args[COUNT(args)]);
	ck_assert_str_eq(m->env[0], "A=1=2");
	ck_assert_str_eq(m->env[1], "B=");
	ck_assert_uint_eq(m->memory_bytes, 64 << 20);
	ck_assert_uint_eq(m->cpus, 2);
	ck_assert_uint_eq(m->colour, 0x8040a0);
	ck_assert_str_eq(m->description, "Keeps \xc3\xa9verything.");
	ck_assert(m->rng && m->vsock);
	ck_assert_uint_eq(m->ndisks, 2);
	ck_assert_str_eq(m->disk[0].path, "/lib/data.img");
	ck_assert(m->disk[0].read_only && m->disk[0].direct);
	ck_assert_str_eq(m->disk[1].path, "/dev/x:ro");
	ck_assert(!m->disk[1].read_only);
	ck_assert_uint_eq(m->nprovides, 2);
	ck_assert(m->provides[0].port == 10 && m->provides[0].seqpacket);
	ck_assert(m->provides[1].port == 564 && !m->provides[1].seqpacket);
	ck_assert(m->display.windows == 3 && m->display.width == 800 && m->display.height == 600);
	ck_assert_uint_eq(m->display.picture_bytes, 128 << 20);
	ck_assert_uint_eq(m->display.inputs, EXO_DPY_HAS_KEYBOARD | EXO_DPY_HAS_MOUSE |
						     EXO_DPY_HAS_TOUCH | EXO_DPY_HAS_PLAYBACK |
						     EXO_DPY_HAS_CAPTURE);
	ck_assert_uint_eq(m->nuses, 5); /* blobs is mounted, desktop shows it, log is there */
	ck_assert(m->uses[0].port == 514 && m->uses[0].rights == EXO_CAP_CONNECT);
	ck_assert(m->uses[2].rights == (EXO_CAP_CONNECT | EXO_CAP_GRANT) && m->uses[2].required);
	ck_assert_uint_eq(m->uses[2].limits.lease_ms, 3600000);
	ck_assert_uint_eq(m->uses[2].limits.max_conns, 4);
	ck_assert_uint_eq(m->uses[2].limits.max_buffer, 1 << 20);
	ck_assert_uint_eq(m->uses[2].limits.max_rate, 10 << 20);
	ck_assert_str_eq(m->uses[3].name, "blobs");
	ck_assert_str_eq(m->uses[4].name, "desktop");
	ck_assert_uint_eq(m->nmounts, 4);
	ck_assert_str_eq(m->mount[0].path, "/");
	ck_assert_str_eq(m->mount[0].service, "blobs");
	ck_assert_str_eq(m->mount[1].source, "/lib/../src");
	ck_assert(m->mount[1].read_only && !m->mount[2].read_only && !m->mount[2].service);
	ck_assert_str_eq(m->mount[2].source, "/home/a b");
	ck_assert_uint_eq(m->max_conns, 64);
	ck_assert_uint_eq(m->max_buffer, 16 << 20);
	ck_assert_uint_eq(m->window_bytes, 128 << 20);
	ck_assert_int_eq(m->ready, MANIFEST_READY_START);
	ck_assert_int_eq(m->restart, MANIFEST_RESTART_ON_FAILURE);
	ck_assert(m->on_demand && m->max_restarts == 3);
	ck_assert_uint_eq(m->stop_timeout_ns, 1500000000);
	ck_assert_uint_eq(m->start_timeout_ns, 60000000000);
	manifest_free(m);
}
END_TEST

START_TEST(display_defaults)
{
	struct manifest *m = parse("[display]\n");

	ck_assert(m->display.windows == 1 && m->display.width == 640 && m->display.height == 480);
	ck_assert_uint_eq(m->display.picture_bytes, 64 << 20);
	ck_assert_uint_eq(m->display.inputs, EXO_DPY_HAS_KEYBOARD | EXO_DPY_HAS_TABLET);
	ck_assert(m->vsock && m->nuses == 1 && m->uses[0].rights == EXO_CAP_CONNECT);
	ck_assert_str_eq(m->uses[0].name, "desktop");
	manifest_free(m);
	m = parse("[uses]\ndesktop = connections=1\n[display]\nwindows = 2\n[program]\n[display]\n"
		  "input =\nmemory = 1M\nsize = 16x16384\n");
	ck_assert(m->display.windows == 2 && !m->display.inputs && m->display.height == 16384);
	ck_assert(m->nuses == 1 && m->uses[0].limits.max_conns == 1);
	manifest_free(m);
	m = parse("[program]\n");
	ck_assert(!m->display.windows && !m->nuses);
	manifest_free(m);
}
END_TEST

/* What it says begins with "/lib/store.exo:" and this. */
static const char *const errors[][2] = {
	{"\n[programm]\n", "2: unknown section [programm]"},
	{"[program\n", "1: a section without ']'"},
	{"[program] x\n", "1: text after a section"},
	{"name = a\n", "1: a key before the first section"},
	{"[program]\n\nname\n", "3: not KEY = VALUE"},
	{"[program]\nname: a\n", "2: not KEY = VALUE"},
	{"[program]\nna:me = a\n", "2: a ':' before the '='"},
	{"[program]\nna ;me = a\n", "2: not KEY = VALUE"},
	{"[program]\n= a\n", "2: unknown key  in [program]"},
	{"[program]\nmemry = 1M\n", "2: unknown key memry in [program]"},
	{"[device]\nmemory = 1M\n", "2: unknown key memory in [device]"},
	{"[program]\nname = a\n#\nname = b\n", "4: name again, it is in line 2 already"},
	{"[program]\nfile = a\nfile = b\n", "3: file again, it is in line 2 already"},
	{"[program]\n[program]\nname = a\x01\n", "3: a control character (0x1)"},
	{"[program]\nname = \xff\n", "2: not UTF-8"},
	{"[program]\nname = \xc3\xa9\n", "2: \xc3\xa9 is no name of a guest"},
	{"[program]\nname =\n", "2:  is no name of a guest"},
	{"[program]\nname = host\n", "2: name: host means"},
	{"[program]\nname = a/b\n", "2: a/b is no name of a guest"},
	{"[program]\nfile =\n", "2: file: no name of a file"},
	{"[program]\nargs = \"a\n", "2: a quote that does not end"},
	{"[program]\nargs = 'a\n", "2: a quote that does not end"},
	{"[program]\nenv = A\n", "2: env: A is not NAME=value"},
	{"[program]\nenv = 1A=2\n", "2: env: 1A=2 is not NAME=value"},
	{"[program]\nenv = A=1\nenv = A=2\n", "3: env: A again"},
	{"[program]\nenv = EXO_NAME=x\n", "2: env: EXO_NAME is set by the session"},
	{"[program]\nenv = EXO_SLOT_LOG=x\n", "2: env: EXO_SLOT_LOG is set by the session"},
	{"[program]\nmemory = lots\n", "2: memory: lots is no size"},
	{"[program]\nmemory = 1M\n", "2: memory: 1M is too small"},
	{"[program]\nmemory = 2T\n", "2: memory: 2T is too much"},
	{"[program]\nmemory = 99999999T\n", "2: memory: 99999999T is too much"},
	{"[program]\nmemory = 4194305\n", "2: memory: 4194305 is no multiple of 4K"},
	{"[program]\ncpus = 0\n", "2: cpus: 0 is no number from 1 to 16"},
	{"[program]\ncpus = 17\n", "2: cpus: 17 is no number from 1 to 16"},
	{"[program]\nlabel = a b\n", "2: label: a b; use 1 to 31"},
	{"[program]\ncolour = pink\n", "2: colour: pink; write #rrggbb"},
	{"[program]\ncolour = #12345\n", "2: colour: #12345; write"},
	{"[program]\ncolour = #12345g\n", "2: colour: #12345g; write"},
	{"[device]\nrng = maybe\n", "2: rng: maybe is none of: no yes"},
	{"[device]\ndisk =\n", "2: disk: no name of a file"},
	{"[device]\ndisk = a/\n", "2: disk: no name of a file"},
	{"[device]\nvsock = no\n[uses]\na =\n", " vsock = no (line 2)"},
	{"[provides]\na = 10\n", "2: a: write a = PORT stream"},
	{"[provides]\na = 10 dgram\n", "2: a: write a = PORT stream"},
	{"[provides]\na = 10 stream x\n", "2: too many words"},
	{"[provides]\na = 0 stream\n", "2: a: 0 is no number from 1"},
	{"[provides]\na = 4294967295 stream\n", "2: a: 4294967295 is no number from 1"},
	{"[provides]\na = 1 stream\na = 2 stream\n", "3: a is provided above already"},
	{"[provides]\na = 1 stream\nb = 1 stream\n", "3: b: port 1 is a's"},
	{"[provides]\na b = 1 stream\n", "2: a b is no name of a service"},
	{"[uses]\na = loud\n", "2: no option loud"},
	{"[uses]\na = delegate=1\n", "2: no option delegate"},
	{"[uses]\na = port\n", "2: no option port"},
	{"[uses]\na = delegate,,required\n", "2: no option ;"},
	{"[uses]\na = port=1\n", "2: port: 1 is no number from 2"},
	{"[uses]\na = port=16777216\n", "2: port: 16777216 is no number from 2"},
	{"[uses]\na = port=5\nb = port=5\n", "3: b: port 5 is a's"},
	{"[uses]\na =\na =\n", "3: a is used above already"},
	{"[uses]\na = lease=0\n", "2: lease: 0 is too short"},
	{"[uses]\na = lease=soon\n", "2: lease: soon is no time"},
	{"[uses]\na = lease=99999999h\n", "2: lease: 99999999h is too long"},
	{"[uses]\na = connections=0\n", "2: connections: 0 is no number from 1"},
	{"[uses]\na = buffer=4K\n", "2: buffer: 4K is too small"},
	{"[uses]\na = rate=0\n", "2: rate: 0 is too small"},
	{"[provides]\na = 1 stream\n[uses]\na =\n", " uses a, which it provides itself"},
	{"[mount]\nsrc = /a\n", "2: src is no place for a mount"},
	{"[mount]\n/a/../b = /a\n", "2: /a/../b is no place for a mount"},
	{"[mount]\n/a/. = /a\n", "2: /a/. is no place for a mount"},
	{"[mount]\n/a//b = /a\n", "2: /a//b is no place for a mount"},
	{"[mount]\n/a/ = /a\n", "2: /a/ is no place for a mount"},
	{"[mount]\n/a =\n", "2: /a: write /a = service:NAME"},
	{"[mount]\n/a = /b rx\n", "2: /a: write /a = service:NAME"},
	{"[mount]\n/a = service:\n", "2:  is no name of a service"},
	{"[display]\nsize = 640\n", "2: size: 640; write WIDTHxHEIGHT"},
	{"[display]\nsize = 0x1\n", "2: size: 0x1; write WIDTHxHEIGHT"},
	{"[display]\nsize = 1x16385\n", "2: size: 1x16385; write"},
	{"[display]\nsize = 00000000001x1\n", "2: size: 00000000001x1; write"},
	{"[display]\nwindows = 17\n", "2: windows: 17 is no number from 1 to 16"},
	{"[display]\nmemory = 512K\n", "2: memory: 512K is too small"},
	{"[display]\nmemory = 3M\n", "2: memory: 3M is neither 1M nor a multiple of 2M"},
	{"[display]\nmemory = 258M\n", "2: memory: 258M is too much"},
	{"[display]\ninput = playback\n", "2: playback is none of: keyboard tablet"},
	{"[display]\ninput = mouse mouse mouse mouse mouse\n", "2: too many words"},
	{"[display]\nsound = yes\n", "2: yes is none of: playback capture"},
	{"[display]\nsize = 1x1\n[display]\nsize = 1x1\n", "4: size again, it is in line 2"},
	{"[display]\nsize = 4096x4097\n", " [display] size: a picture of 4096x4097 has no room"},
	{"[device]\nvsock = no\n[display]\n", " vsock = no (line 2)"},
	{"[provides]\ndesktop = 1 stream\n", "2: desktop: the service is this computer's own"},
	{"[provides]\ncontrol = 1 stream\n", "2: control: the service is this computer's own"},
	{"[limits]\nconnections = 0\n", "2: connections: 0 is no number from 1"},
	{"[limits]\nbuffer = 1K\n", "2: buffer: 1K is too small"},
	{"[limits]\nwindow = 3M\n", "2: window: 3M is no multiple of 2M"},
	{"[limits]\nwindow = 2M\ngrants = 4M\n", " grants is more than window"},
	{"[lifecycle]\nready = soon\n", "2: ready: soon is none of: notify start"},
	{"[lifecycle]\nrestart = no always\n", "2: restart: no always is none of"},
	{"[lifecycle]\nrestart =\n", "2: restart:  is none of"},
	{"[lifecycle]\nstart = demand\n", " start = demand, but nobody can ask"},
	{"[lifecycle]\nbackoff = 11s\n", "2: backoff: 11s is too long"},
	{"[lifecycle]\nrestarts = 1001\n", "2: restarts: 1001 is no number from 0 to 1000"},
	{"[lifecycle]\nwatchdog = 1ms\n", "2: watchdog: 1ms is too short"},
};

static void check_error(const char *text, size_t bytes, const char *wanted)
{
	char why[MANIFEST_WHY_MAX] = "", start[200];
	struct manifest *m = (struct manifest *)1;
	int err = manifest_parse(text, bytes, "/lib/store.exo", &m, why);

	snprintf(start, sizeof(start), "/lib/store.exo:%s", wanted);
	ck_assert_msg(err == -EINVAL && !m, "%s: accepted", text);
	ck_assert_msg(!strncmp(why, start, strlen(start)), "%s: says \"%s\"", text, why);
	ck_assert_ptr_null(strchr(why, '\n'));
	ck_assert_uint_lt(strlen(why), MANIFEST_WHY_MAX);
}

START_TEST(h30_errors_with_their_line)
{
	check_error(errors[_i][0], strlen(errors[_i][0]), errors[_i][1]);
}
END_TEST

START_TEST(h30_lines_and_lists_are_bounded)
{
	struct text t = {0};
	char line[300];

	memset(line, 'x', sizeof(line));
	text_addf(&t, "[program]\nargs = ");
	text_add(&t, line, sizeof(line));
	check_error(t.data, t.length, "2: longer than");
	t.length = 0;
	text_addf(&t, "[program]\n");
	for (int i = 0; i < 65; i++)
		text_addf(&t, "args = x\n");
	check_error(t.data, t.length, "66: too many words");
	t.length = 0;
	text_addf(&t, "[program]\n");
	for (int i = 0; i < 65; i++)
		text_addf(&t, "env = A%d=\n", i);
	check_error(t.data, t.length, "66: env: more than 64");
	t.length = 0;
	text_addf(&t, "[device]\n");
	for (int i = 0; i < 9; i++)
		text_addf(&t, "disk = a\n");
	check_error(t.data, t.length, "10: disk: more than 8");
	t.length = 0;
	text_addf(&t, "[uses]\n");
	for (int i = 0; i < 64; i++)
		text_addf(&t, "s%d =\n", i);
	text_addf(&t, "[mount]\n/m = service:one-more\n");
	check_error(t.data, t.length, " uses and mounts more than 64 services");
	t.length = 0;
	text_addf(&t, "[uses]\n");
	for (int i = 0; i < 65; i++)
		text_addf(&t, "s%d =\n", i);
	check_error(t.data, t.length, "66: uses more than 64");
	t.length = 0;
	text_addf(&t, "[provides]\n");
	for (int i = 0; i < 65; i++)
		text_addf(&t, "s%d = %d stream\n", i, i + 1);
	check_error(t.data, t.length, "66: provides more than 64");
	t.length = 0;
	text_addf(&t, "[mount]\n");
	for (int i = 0; i < 65; i++)
		text_addf(&t, "/a = /b\n");
	check_error(t.data, t.length, "66: more than 64 mounts");
	text_finish(&t);
	check_error("[program]\nname = a\0b\n", 21, "2: a control character (0)");
}
END_TEST

/* ---- files --------------------------------------------------------------------------- */

static char folder[64];

static void write_file(const char *name, const char *text, size_t length, char path[128])
{
	FILE *f;

	snprintf(path, 128, "%s/%s", folder, name);
	f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite(text, 1, length, f), length);
	fclose(f);
}

START_TEST(files)
{
	char path[128], elf[128], why[MANIFEST_WHY_MAX], big[65537];
	struct manifest *m;

	strcpy(folder, "/tmp/exo-unit.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(elf, sizeof(elf), "%s/a.elf", folder);
	ck_assert_int_eq(manifest_beside(elf, &m, why), -ENOENT);
	ck_assert_ptr_null(m);
	write_file("a.exo", "[program]\n", 10, path);
	ck_assert_int_eq(manifest_beside(elf, &m, why), 0);
	ck_assert_str_eq(m->file, elf);
	ck_assert_str_eq(m->path, path);
	manifest_free(m);
	ck_assert_int_eq(chdir(folder), 0);
	ck_assert_int_eq(manifest_load("a.exo", &m, why), 0);
	ck_assert_str_eq(m->file, elf);
	manifest_free(m);
	memset(big, '\n', sizeof(big));
	write_file("a.exo", big, sizeof(big), path);
	ck_assert_int_eq(manifest_load(path, &m, why), -EINVAL);
	ck_assert_ptr_nonnull(strstr(why, "longer than 64 KiB"));
	write_file("a.exo", big, sizeof(big) - 1, path);
	ck_assert_int_eq(manifest_load(path, &m, why), 0);
	manifest_free(m);
	ck_assert_int_eq(manifest_load(folder, &m, why), -EISDIR);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(mkfifo(path, 0600), 0); /* does not wait for a writer */
	ck_assert_int_eq(manifest_load(path, &m, why), -EINVAL);
	ck_assert_int_eq(unlink(path), 0);
	write_file("bad name.exo", "", 0, path);
	ck_assert_int_eq(manifest_load(path, &m, why), -EINVAL);
	ck_assert_ptr_nonnull(strstr(why, "write name ="));
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(rmdir(folder), 0);
}
END_TEST

/* ---- words ------------------------------------------------------------------------------ */

static void collect(void *opaque, const char *sentence)
{
	text_addf(opaque, "%s\n", sentence);
}

START_TEST(words)
{
	struct manifest *m = parse("[uses]\nlog = connections=1, lease=90s\n[mount]\n/a = /b ro\n"
				   "[lifecycle]\nrestart = always\n[provides]\nx = 7 seqpacket\n"
				   "[display]\nwindows = 2\nsound = capture\n");
	static const char *const wanted[] = {
		"store runs /lib/store.elf.\n",
		"It shows up to 2 windows, the first of 640x480, in 64 MiB of memory.\n",
		"While you look at it, it gets what you do with: keyboard, tablet.\n",
		"It may record sound, if the desktop lets it.\n",
		"It may connect to desktop.\n",
		"It provides x at its port 7, as messages.\n",
		"It may connect to log; at most 1 connection at once; for 90 seconds.\n",
		"It sees this computer's folder /b as /a and may read it.\n",
		"It is ready when it says so, within 10 seconds.\n",
		("It is restarted whenever it ends, after 100 milliseconds at first, at most 10 "
		 "times a minute.\n")};
	struct text t = {0};

	manifest_explain(m, collect, &t);
	for (size_t i = 0; i < COUNT(wanted); i++)
		ck_assert_msg(strstr(t.data, wanted[i]), "%s is not in: %s", wanted[i], t.data);
	text_finish(&t);
	manifest_free(m);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("manifest");
	TCase *c = tcase_create("manifest");

	tcase_add_test(c, empty);
	tcase_add_test(c, every_key);
	tcase_add_test(c, display_defaults);
	tcase_add_loop_test(c, h30_errors_with_their_line, 0, (int)COUNT(errors));
	tcase_add_test(c, h30_lines_and_lists_are_bounded);
	tcase_add_test(c, files);
	tcase_add_test(c, words);
	suite_add_tcase(s, c);
	return unit_run(s);
}
