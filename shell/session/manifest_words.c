/* What a manifest says, in sentences; see manifest.h. */
#include "manifest.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct speech {
	void (*say)(void *opaque, const char *sentence);
	void *opaque;
};

__attribute__((format(printf, 2, 3))) static void say(const struct speech *to, const char *format,
						      ...)
{
	char sentence[1024];
	va_list ap;

	va_start(ap, format);
	vsnprintf(sentence, sizeof(sentence), format, ap);
	va_end(ap);
	to->say(to->opaque, sentence);
}

void manifest_size_words(uint64_t bytes, char out[32])
{
	static const char units[] = "KMGT";
	int unit = -1;

	while (unit < 3 && bytes && bytes % 1024 == 0) {
		bytes /= 1024;
		unit++;
	}
	if (unit < 0)
		snprintf(out, 32, "%llu bytes", (unsigned long long)bytes);
	else
		snprintf(out, 32, "%llu %ciB", (unsigned long long)bytes, units[unit]);
}

void manifest_time_words(uint64_t ns, char out[32])
{
	static const struct {
		uint64_t ns;
		const char *name;
	} units[] = {{86400000000000ull, "day"},
		     {3600000000000ull, "hour"},
		     {60000000000ull, "minute"},
		     {1000000000ull, "second"},
		     {1000000ull, "millisecond"}};
	size_t i = 0;

	while (i < 4 && (ns < units[i].ns || ns % units[i].ns))
		i++;
	ns /= units[i].ns;
	snprintf(out, 32, "%llu %s%s", (unsigned long long)ns, units[i].name, ns == 1 ? "" : "s");
}

/* The rest of a lease is an odd number of milliseconds; a person wants two digits or three. */
static uint64_t rounded_ns(uint64_t ms)
{
	uint64_t unit = ms > 600000 ? 60000 : ms > 10000 ? 1000 : 1;

	ms = ms / unit * unit + (ms % unit ? unit : 0);
	return ms > UINT64_MAX / 1000000 ? UINT64_MAX : ms * 1000000;
}

void manifest_limit_words(const struct policy_limits *l, char out[MANIFEST_LIMITS_MAX])
{
	char size[32];
	size_t n = 0;

	out[0] = '\0';
	if (l->max_conns)
		n += (size_t)snprintf(out, MANIFEST_LIMITS_MAX, "; at most %u connection%s at once",
				      l->max_conns, l->max_conns == 1 ? "" : "s");
	if (l->max_buffer) {
		manifest_size_words(l->max_buffer, size);
		n += (size_t)snprintf(out + n, MANIFEST_LIMITS_MAX - n, "; at most %s of buffers",
				      size);
	}
	if (l->max_rate) {
		manifest_size_words(l->max_rate, size);
		n += (size_t)snprintf(out + n, MANIFEST_LIMITS_MAX - n,
				      "; at most %s a second in each connection", size);
	}
	if (l->lease_ms) {
		manifest_time_words(rounded_ns(l->lease_ms), size);
		snprintf(out + n, MANIFEST_LIMITS_MAX - n, "; for %s", size);
	}
}

static void say_program(const struct speech *to, const struct manifest *m)
{
	char size[32] = "the usual amount";

	say(to, "%s runs %s%s.", m->name, m->file, m->args[0] ? " with arguments" : "");
	if (m->description && *m->description)
		say(to, "It says of itself: %s", m->description);
	for (char **arg = m->args; *arg; arg++)
		say(to, "Argument: %s", *arg);
	for (char **env = m->env; *env; env++)
		say(to, "Its environment has %s.", *env);
	if (m->memory_bytes)
		manifest_size_words(m->memory_bytes, size);
	say(to, "It gets %s of memory and %u CPU%s.", size, m->cpus, m->cpus == 1 ? "" : "s");
	say(to, "Its label is %s, its colour #%06x.", m->label, m->colour);
	if (m->rng)
		say(to, "It gets a source of random numbers.");
	for (unsigned i = 0; i < m->ndisks; i++)
		say(to, "It may read%s the disk %s%s.", m->disk[i].read_only ? "" : " and write",
		    m->disk[i].path, m->disk[i].direct ? ", past the host's cache" : "");
}

static void say_display(const struct speech *to, const struct manifest *m)
{
	static const uint32_t sounds = EXO_DPY_HAS_PLAYBACK | EXO_DPY_HAS_CAPTURE;
	const struct guest_display *d = &m->display;
	char size[32], list[64] = "";
	const char *word;

	if (!d->windows)
		return;
	manifest_size_words(d->picture_bytes, size);
	say(to, "It shows up to %u window%s, the first of %ux%u, in %s of memory.", d->windows,
	    d->windows == 1 ? "" : "s", d->width, d->height, size);
	for (unsigned i = 0; (word = guest_display_word(d->inputs & ~sounds, i)); i++)
		snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s%s", i ? ", " : "",
			 word);
	say(to, "While you look at it, it gets what you do with: %s.", *list ? list : "nothing");
	if (d->inputs & EXO_DPY_HAS_PLAYBACK)
		say(to, "It may play sound.");
	if (d->inputs & EXO_DPY_HAS_CAPTURE)
		say(to, "It may record sound, if the desktop lets it.");
}

static void say_channels(const struct speech *to, const struct manifest *m)
{
	char limits[MANIFEST_LIMITS_MAX], port[48];

	for (unsigned i = 0; i < m->nprovides; i++)
		say(to, "It provides %s at its port %u, as %s.", m->provides[i].name,
		    m->provides[i].port, m->provides[i].seqpacket ? "messages" : "a stream");
	for (unsigned i = 0; i < m->nuses; i++) {
		const struct manifest_uses *u = &m->uses[i];

		manifest_limit_words(&u->limits, limits);
		port[0] = '\0';
		if (u->port)
			snprintf(port, sizeof(port), ", also as port %u", u->port);
		say(to, "It may connect to %s%s%s%s.", u->name, port,
		    u->rights & EXO_CAP_GRANT ? ", and hand that on" : "", limits);
		if (u->required)
			say(to, "It is started only once %s is ready.", u->name);
	}
	for (unsigned i = 0; i < m->nmounts; i++) {
		const struct manifest_mount *t = &m->mount[i];

		say(to, "It sees %s %s as %s and may %s it.",
		    t->service ? "the files of the service" : "this computer's folder",
		    t->service ? t->service : t->source, t->path,
		    t->read_only ? "read" : "read and change");
	}
	if (!m->nuses && !m->nmounts)
		say(to, "It can't connect to anybody.");
}

static void say_limits(const struct speech *to, const struct manifest *m)
{
	char size[32];

	if (m->max_conns)
		say(to, "It may have %u connection%s open at once.", m->max_conns,
		    m->max_conns == 1 ? "" : "s");
	if (m->max_buffer) {
		manifest_size_words(m->max_buffer, size);
		say(to, "Its connections may have %s of buffers.", size);
	}
	if (m->max_grants) {
		manifest_size_words(m->max_grants, size);
		say(to, "It may create %s of memory to share.", size);
	}
	if (m->window_bytes) {
		manifest_size_words(m->window_bytes, size);
		say(to, "All shared memory it sees has room in %s.", size);
	}
}

static void say_lifecycle(const struct speech *to, const struct manifest *m)
{
	static const char *const restarts[] = {"It is not restarted when it ends",
					       "It is restarted when it fails",
					       "It is restarted whenever it ends"};
	char first[32], second[32];

	if (m->on_demand)
		say(to, "It is started when somebody connects to what it provides.");
	manifest_time_words(m->start_timeout_ns, first);
	if (m->ready == MANIFEST_READY_START)
		say(to, "It is ready as soon as it runs.");
	else
		say(to, "It is ready when it says so, within %s.", first);
	manifest_time_words(m->backoff_ns, first);
	if (m->restart == MANIFEST_RESTART_NO)
		say(to, "%s.", restarts[m->restart]);
	else
		say(to, "%s, after %s at first, at most %u times a minute.", restarts[m->restart],
		    first, m->max_restarts);
	manifest_time_words(m->stop_timeout_ns, first);
	say(to, "When it is to stop it has %s.", first);
	if (!m->watchdog_ns)
		return;
	manifest_time_words(m->watchdog_ns, second);
	say(to, "It must say every %s that it is alive, or it is killed.", second);
}

void manifest_explain(const struct manifest *m, void (*say_one)(void *opaque, const char *sentence),
		      void *opaque)
{
	const struct speech to = {say_one, opaque};

	say_program(&to, m);
	say_display(&to, m);
	say_channels(&to, m);
	say_limits(&to, m);
	say_lifecycle(&to, m);
}
