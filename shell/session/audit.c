/*
 * The audit log: every grant, use and refusal as a line of JSON in audit.jsonl;
 * when it is long it becomes audit.jsonl.1 and begins anew. A guest can cause
 * events as fast as it likes, so what one guest causes is bounded by a bucket of
 * tokens; what did not fit is counted, and the number is written (H-34).
 */
#include "session.h"

#include "clock.h"
#include "text.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define AUDIT_FILE "audit.jsonl"
#define AUDIT_FILE_OLD "audit.jsonl.1"
#define AUDIT_BYTES_MAX (16u << 20)
#define BURST 1000u /* events of one guest at once */
#define PER_SECOND 100u
#define BUCKETS 64u /* guests that are looked after; then the one that was quiet longest goes */

struct bucket {
	char guest[POLICY_NAME_MAX]; /* "": free */
	uint64_t tokens;             /* in units of an event's billionth */
	uint64_t seen_ns;
	uint64_t suppressed;
};

struct audit {
	bool over;        /* nobody follows any more */
	uint64_t bytes;   /* of the file */
	uint64_t told_ns; /* when the buckets were last looked through */
	struct bucket bucket[BUCKETS];
};

static struct audit *audit_get(struct session *s)
{
	if (!s->audit)
		s->audit = calloc(1, sizeof(struct audit));
	return s->audit;
}

/* ---- lines -------------------------------------------------------------------------------- */

static void open_file(struct session *s, struct audit *a)
{
	struct stat st;

	if (s->audit_fd >= 0 || s->directory_fd < 0)
		return;
	s->audit_fd =
		openat(s->directory_fd, AUDIT_FILE,
		       O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	a->bytes = s->audit_fd >= 0 && !fstat(s->audit_fd, &st) ? (uint64_t)st.st_size : 0;
}

static void rotate(struct session *s, struct audit *a)
{
	if (a->bytes < AUDIT_BYTES_MAX || s->audit_fd < 0)
		return;
	close(s->audit_fd);
	s->audit_fd = -1;
	(void)renameat(s->directory_fd, AUDIT_FILE, s->directory_fd, AUDIT_FILE_OLD);
	open_file(s, a);
}

/* Takes over `line`. A full disk loses lines, nothing else. */
static void write_line(struct session *s, struct audit *a, json_t *line)
{
	char *text = line ? json_dumps(line, JSON_COMPACT) : NULL;

	open_file(s, a);
	if (text && s->audit_fd >= 0) {
		size_t length = strlen(text);

		text[length++] = '\n'; /* in place of the terminator */
		if (!text_write(s->audit_fd, text, length))
			a->bytes += length;
		rotate(s, a);
	}
	free(text);
	if (line && !a->over)
		control_audit(s, line);
	else
		json_decref(line);
}

static void time_words(char out[40])
{
	struct timespec now;
	struct tm utc;
	char seconds[24];

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	strftime(seconds, sizeof(seconds), "%Y-%m-%dT%H:%M:%S", &utc);
	snprintf(out, 40, "%s.%03ldZ", seconds, now.tv_nsec / 1000000);
}

static void add_number(json_t *line, const char *key, uint64_t n)
{
	if (n)
		json_object_set_new(line, key, json_integer((json_int_t)n));
}

static void add_string(json_t *line, const char *key, const char *value)
{
	if (value && *value)
		json_object_set_new(line, key, json_string(value));
}

static json_t *begin_line(const char *event, const char *guest)
{
	char now[40];
	json_t *line;

	time_words(now);
	line = json_pack("{s:s s:s}", "time", now, "event", event);
	if (line)
		add_string(line, "guest", guest);
	return line;
}

static json_t *encode(struct session *s, const struct policy_event *e)
{
	static const char *const kinds[] = {
		[POLICY_EVENT_GRANT] = "grant",     [POLICY_EVENT_DELEGATE] = "delegate",
		[POLICY_EVENT_REVOKE] = "revoke",   [POLICY_EVENT_EXPIRE] = "expire",
		[POLICY_EVENT_CONNECT] = "connect", [POLICY_EVENT_REFUSE] = "refuse",
		[POLICY_EVENT_CLOSE] = "close"};
	static const char *const origins[] = {"manifest", "person", "guest"};
	struct policy_grant_info grant, parent;
	json_t *line = begin_line(kinds[e->kind], e->subject);

	if (!line)
		return NULL;
	add_string(line, "service", e->service);
	add_string(line, "provider", e->provider);
	add_number(line, "grant", e->grant);
	add_number(line, "conn", e->conn);
	if (e->reason)
		add_string(line, "reason", wire_reason_word(e->reason));
	add_number(line, "port", e->port);
	if (e->kind > POLICY_EVENT_DELEGATE || policy_grant_info(s->policy, e->grant, &grant))
		return line;
	add_string(line, "origin", origins[grant.origin]);
	if (grant.rights & EXO_CAP_GRANT)
		json_object_set_new(line, "delegate", json_true());
	add_number(line, "lease_ms", grant.limits.lease_ms);
	add_number(line, "parent", grant.parent);
	if (grant.parent && !policy_grant_info(s->policy, grant.parent, &parent))
		add_string(line, "by", parent.grantee);
	return line;
}

/* ---- how much ------------------------------------------------------------ */

static void tell_suppressed(struct session *s, struct audit *a, struct bucket *b)
{
	uint64_t n = b->suppressed;
	json_t *line;

	if (!n)
		return;
	b->suppressed = 0;
	line = begin_line("suppressed", b->guest);
	if (line)
		add_number(line, "count", n);
	write_line(s, a, line);
}

static struct bucket *bucket_of(struct session *s, struct audit *a, const char *guest,
				uint64_t now_ns)
{
	struct bucket *oldest = a->bucket;

	for (unsigned i = 0; i < BUCKETS; i++) {
		struct bucket *b = &a->bucket[i];

		if (!strcmp(b->guest, guest))
			return b;
		if (b->seen_ns < oldest->seen_ns)
			oldest = b;
	}
	tell_suppressed(s, a, oldest);
	*oldest = (struct bucket){.tokens = BURST * 1000000000ull, .seen_ns = now_ns};
	snprintf(oldest->guest, sizeof(oldest->guest), "%s", guest);
	return oldest;
}

static bool is_allowed(struct session *s, struct audit *a, const char *guest, uint64_t now_ns)
{
	struct bucket *b = bucket_of(s, a, guest, now_ns);
	uint64_t passed_ns = now_ns - b->seen_ns;

	/* Ten seconds fill it. */
	b->tokens += passed_ns > 10000000000ull ? BURST * 1000000000ull : passed_ns * PER_SECOND;
	if (b->tokens > BURST * 1000000000ull)
		b->tokens = BURST * 1000000000ull;
	b->seen_ns = now_ns;
	if (b->tokens < 1000000000ull) {
		b->suppressed++;
		return false;
	}
	b->tokens -= 1000000000ull;
	return true;
}

/* Once a second at most: what was left out so far. */
static void tell_all(struct session *s, struct audit *a, uint64_t now_ns)
{
	if (now_ns - a->told_ns < 1000000000ull)
		return;
	a->told_ns = now_ns;
	for (unsigned i = 0; i < BUCKETS; i++)
		tell_suppressed(s, a, &a->bucket[i]);
}

void audit_event(struct session *s, const struct policy_event *e)
{
	struct audit *a = audit_get(s);
	uint64_t now_ns = clock_now_ns();

	if (!a)
		return;
	tell_all(s, a, now_ns);
	/* A person's and a manifest's grants are not the guest's doing. */
	if (e->kind == POLICY_EVENT_GRANT || is_allowed(s, a, e->subject, now_ns))
		write_line(s, a, encode(s, e));
}

void audit_finish(struct session *s)
{
	struct audit *a = s->audit;

	if (a)
		a->over = true;
	for (unsigned i = 0; a && i < BUCKETS; i++)
		tell_suppressed(s, a, &a->bucket[i]);
	if (s->audit_fd >= 0)
		close(s->audit_fd);
	s->audit_fd = -1;
	free(a);
	s->audit = NULL;
}
