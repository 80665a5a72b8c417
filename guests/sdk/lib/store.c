/* Clients of the store service; see exo_store.h. */
#include <exo_store.h>

#include <errno.h>
#include <stdlib.h>
#include <stdbool.h>
#include <string.h>
#include <sys/uio.h>

#define HASH EXO_SHA256_BYTES
#define LIST_MAX (EXO_STORE_DATA_MAX / HASH) /* pieces in one list */

void exo_store_init(struct exo_store *s)
{
	*s = (struct exo_store){.next_id = 1, .timeout_ms = -1};
	exo_link_init(&s->link, "store", SOCK_SEQPACKET | SOCK_CLOEXEC);
}

void exo_store_close(struct exo_store *s)
{
	exo_link_close(&s->link);
}

/* One try. 1: answered, with *got bytes of data; 0: the connection is lost; -1 with errno. */
static int try_once(struct exo_store *s, struct exo_store_msg *m, const void *data, size_t bytes,
		    void *to, size_t room, size_t *got)
{
	struct exo_store_msg request = *m;
	struct iovec out[2] = {{&request, sizeof(request)}, {NULL, bytes}};
	struct iovec in[2] = {{m, sizeof(*m)}, {to, room}};
	struct msghdr msg = {.msg_iov = out, .msg_iovlen = bytes ? 2 : 1};
	int fd = exo_link_get(&s->link, s->timeout_ms, NULL);
	ssize_t n;

	if (fd < 0)
		return -1;
	memcpy(&out[1].iov_base, &data, sizeof(data)); /* sendmsg only reads it */
	if (sendmsg(fd, &msg, MSG_NOSIGNAL) < 0)
		return 0;
	msg = (struct msghdr){.msg_iov = in, .msg_iovlen = room ? 2 : 1};
	do
		n = recvmsg(fd, &msg, 0);
	while (n < 0 && errno == EINTR);
	if (n < (ssize_t)sizeof(*m) || m->id != request.id || m->op != request.op) {
		*m = request;
		return 0;
	}
	*got = (size_t)n - sizeof(*m);
	return 1;
}

/* Sends until there is an answer. 0, or -1 with errno. */
static int ask(struct exo_store *s, struct exo_store_msg *m, const void *data, size_t bytes,
	       void *to, size_t room, size_t *got)
{
	size_t none;
	int done;

	m->id = s->next_id++;
	while (!(done = try_once(s, m, data, bytes, to, room, got ? got : &none)))
		exo_link_lost(&s->link);
	if (done < 0)
		return -1;
	errno = -m->status;
	return m->status ? -1 : 0;
}

static int put_piece(struct exo_store *s, const void *data, size_t bytes, bool list,
		     uint8_t hash[HASH])
{
	struct exo_store_msg m = {.op = EXO_STORE_PUT, .flags = list ? EXO_STORE_LIST : 0};

	if (ask(s, &m, data, bytes, NULL, 0, NULL))
		return -1;
	memcpy(hash, m.hash, HASH);
	return 0;
}

/* Lists of the n hashes, lists of those lists…, until there is one. */
static int put_lists(struct exo_store *s, uint8_t *hashes, size_t n, uint8_t hash[HASH])
{
	while (n > 1) {
		size_t lists = 0;

		for (size_t i = 0; i < n; i += LIST_MAX, lists++) {
			size_t part = n - i < LIST_MAX ? n - i : LIST_MAX;
			uint8_t *at = hashes + lists * HASH;

			if (put_piece(s, hashes + i * HASH, part * HASH, true, at))
				return -1;
		}
		n = lists;
	}
	memcpy(hash, hashes, HASH);
	return 0;
}

int exo_store_put(struct exo_store *s, const void *data, size_t bytes, uint8_t hash[HASH])
{
	size_t n = (bytes + EXO_STORE_DATA_MAX - 1) / EXO_STORE_DATA_MAX;
	uint8_t *hashes;
	int err = 0;

	if (n <= 1)
		return put_piece(s, data, bytes, false, hash);
	hashes = malloc(n * HASH);
	if (!hashes)
		return -1;
	for (size_t i = 0; !err && i < n; i++) {
		size_t at = i * EXO_STORE_DATA_MAX;
		size_t part = bytes - at < EXO_STORE_DATA_MAX ? bytes - at : EXO_STORE_DATA_MAX;

		err = put_piece(s, (const uint8_t *)data + at, part, false, hashes + i * HASH);
	}
	if (!err)
		err = put_lists(s, hashes, n, hash);
	free(hashes);
	return err;
}

ssize_t exo_store_get(struct exo_store *s, const uint8_t hash[HASH], uint64_t offset, void *buf,
		      size_t bytes, uint64_t *total)
{
	size_t done = 0, got = 0;

	do {
		struct exo_store_msg m = {
			.op = EXO_STORE_GET, .offset = offset + done, .bytes = bytes - done};

		memcpy(m.hash, hash, HASH);
		if (ask(s, &m, NULL, 0, (uint8_t *)buf + done, bytes - done, &got))
			return -1;
		if (total)
			*total = m.bytes;
		done += got;
	} while (got && done < bytes);
	return (ssize_t)done;
}

static int ask_name(struct exo_store *s, struct exo_store_msg *m, const char *name)
{
	size_t len = strlen(name);

	if (len >= sizeof(m->name)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(m->name, name, len + 1);
	return ask(s, m, NULL, 0, NULL, 0, NULL);
}

static void take_ref(struct exo_store_ref *ref, const struct exo_store_msg *m)
{
	*ref = (struct exo_store_ref){
		.version = m->version, .time_ns = m->time_ns, .bytes = m->bytes};
	memcpy(ref->hash, m->hash, HASH);
	memcpy(ref->name, m->name, sizeof(ref->name));
	ref->name[sizeof(ref->name) - 1] = 0;
}

/*
 * A request that was carried out, and whose answer was lost with the store, is sent
 * again and meets its own result: that is success.
 */
static bool was_ours(struct exo_store *s, const char *name, const uint8_t hash[HASH],
		     uint64_t before, uint64_t *version)
{
	struct exo_store_ref ref;

	if (before == EXO_STORE_ANY || exo_store_lookup(s, name, 0, &ref) ||
	    ref.version != before + 1 || memcmp(ref.hash, hash, HASH))
		return false;
	*version = ref.version;
	return true;
}

int exo_store_set(struct exo_store *s, const char *name, const uint8_t hash[HASH],
		  uint64_t *version)
{
	struct exo_store_msg m = {.op = EXO_STORE_SET, .version = *version};
	uint64_t before = *version;

	memcpy(m.hash, hash, HASH);
	if (!ask_name(s, &m, name)) {
		*version = m.version;
		return 0;
	}
	if (errno != EEXIST)
		return -1;
	if (was_ours(s, name, hash, before, version))
		return 0;
	errno = EEXIST;
	return -1;
}

int exo_store_lookup(struct exo_store *s, const char *name, uint64_t version,
		     struct exo_store_ref *ref)
{
	struct exo_store_msg m = {.op = EXO_STORE_LOOKUP, .version = version};

	if (ask_name(s, &m, name))
		return -1;
	take_ref(ref, &m);
	return 0;
}

int exo_store_next(struct exo_store *s, const char *after, struct exo_store_ref *ref)
{
	struct exo_store_msg m = {.op = EXO_STORE_NEXT};

	if (ask_name(s, &m, after))
		return -1;
	take_ref(ref, &m);
	return 0;
}

int exo_store_unset(struct exo_store *s, const char *name)
{
	struct exo_store_msg m = {.op = EXO_STORE_UNSET, .version = EXO_STORE_ANY};

	return ask_name(s, &m, name);
}
