/* Is a saved state what we wrote? Every field, before any of it is used; see state.h. */
#include "state.h"

#include <string.h>

static bool is_in(const json_t *v, json_int_t low, json_int_t high)
{
	return json_is_integer(v) && json_integer_value(v) >= low && json_integer_value(v) <= high;
}

static bool has_number(const json_t *o, const char *key, json_int_t low, json_int_t high)
{
	return is_in(json_object_get(o, key), low, high);
}

static bool has_name(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s && policy_name_is_valid(s);
}

static bool is_path_or_null(const json_t *v)
{
	return json_is_null(v) || (json_is_string(v) && *json_string_value(v) == '/');
}

static bool is_grant(const json_t *g)
{
	return json_object_size(g) == 15 && has_number(g, "id", 1, UINT32_MAX) &&
	       has_number(g, "parent", 0, UINT32_MAX) && has_name(g, "guest") &&
	       has_name(g, "service") && has_number(g, "rights", 1, 3) &&
	       has_number(g, "fixed_port", 0, 0xffffff) &&
	       has_number(g, "origin", POLICY_MANIFEST, POLICY_GUEST) &&
	       has_number(g, "lease_ms", 0, INT64_MAX) &&
	       has_number(g, "expires_ms", 0, INT64_MAX) &&
	       has_number(g, "max_conns", 0, UINT32_MAX) &&
	       has_number(g, "max_buffer", 0, INT64_MAX) &&
	       has_number(g, "max_rate", 0, INT64_MAX) && has_number(g, "port", 0, UINT32_MAX) &&
	       has_number(g, "uses", 0, INT64_MAX) && has_number(g, "refusals", 0, INT64_MAX) &&
	       !json_integer_value(json_object_get(g, "expires_ms")) ==
		       !json_integer_value(json_object_get(g, "lease_ms"));
}

static bool are_generations(const json_t *list)
{
	const json_t *one;
	size_t i;

	if (!json_is_array(list) || json_array_size(list) > EXO_SLOTS_MAX)
		return false;
	json_array_foreach(list, i, one)
	{
		if (!is_in(one, 0, 0xffff))
			return false;
	}
	return true;
}

static bool are_strings(const json_t *list)
{
	const json_t *one;
	size_t i;

	if (!json_is_array(list))
		return false;
	json_array_foreach(list, i, one)
	{
		if (!json_is_string(one))
			return false;
	}
	return true;
}

static bool are_services(const json_t *list)
{
	const json_t *one;
	size_t i;

	if (!json_is_array(list) || json_array_size(list) > MANIFEST_LIST_MAX)
		return false;
	json_array_foreach(list, i, one)
	{
		if (json_object_size(one) != 3 || !has_name(one, "service") ||
		    !has_number(one, "port", 1, UINT32_MAX) ||
		    !json_is_boolean(json_object_get(one, "seqpacket")))
			return false;
	}
	return true;
}

static bool is_guest(const json_t *g)
{
	const json_t *options = json_object_get(g, "options");
	const char *label = json_string_value(json_object_get(g, "label"));

	return json_object_size(g) == 13 && has_name(g, "name") &&
	       has_number(g, "number", 1, INT64_MAX) && label && strlen(label) < POLICY_LABEL_MAX &&
	       is_path_or_null(json_object_get(g, "manifest")) &&
	       is_path_or_null(json_object_get(g, "program")) &&
	       are_strings(json_object_get(g, "args")) &&
	       (json_is_null(options) || json_is_object(options)) &&
	       json_is_boolean(json_object_get(g, "added")) &&
	       json_is_boolean(json_object_get(g, "ready")) && has_number(g, "pid", 0, INT32_MAX) &&
	       has_number(g, "restarts", 0, UINT32_MAX) &&
	       are_services(json_object_get(g, "serves")) &&
	       are_generations(json_object_get(g, "generations"));
}

bool state_is_sound(const json_t *root)
{
	const json_t *grants = json_object_get(root, "grants");
	const json_t *guests = json_object_get(root, "guests"), *one;
	size_t i;

	if (json_object_size(root) != 7 ||
	    !has_number(root, "version", STATE_VERSION, STATE_VERSION) ||
	    !has_number(root, "serial", 1, INT64_MAX - 1) ||
	    !has_number(root, "next_number", 1, INT64_MAX) ||
	    !has_number(root, "next_grant", 0, UINT32_MAX) ||
	    !has_number(root, "next_conn", 0, UINT32_MAX) || !json_is_array(grants) ||
	    !json_is_array(guests) || json_array_size(grants) > POLICY_GRANTS_MAX ||
	    json_array_size(guests) > SESSION_MACHINES_MAX)
		return false;
	json_array_foreach(grants, i, one)
	{
		if (!is_grant(one))
			return false;
	}
	json_array_foreach(guests, i, one)
	{
		if (!is_guest(one))
			return false;
	}
	return true;
}

bool state_line_is_sound(const json_t *line)
{
	return json_object_size(line) == 1 &&
	       (has_number(line, "end", 1, UINT32_MAX) || is_grant(json_object_get(line, "grant")));
}
