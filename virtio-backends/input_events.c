/* The events of each kind of input device; see input_events.h. */
#include "input_events.h"

#include <linux/input-event-codes.h>

#define REL_MAX_VALUE 32767

static const struct input_range keyboard[] = {
	{EV_KEY, KEY_ESC, KEY_KPDOT}, /* 84 is nothing */
	{EV_KEY, KEY_ZENKAKUHANKAKU, KEY_F24},
	{EV_KEY, KEY_PLAYCD, KEY_MICMUTE},
};

static const struct input_range tablet[] = {
	{EV_KEY, BTN_LEFT, BTN_EXTRA},  {EV_REL, REL_HWHEEL, REL_HWHEEL},
	{EV_REL, REL_WHEEL, REL_WHEEL}, {EV_REL, REL_WHEEL_HI_RES, REL_HWHEEL_HI_RES},
	{EV_ABS, ABS_X, ABS_Y},
};

static const struct input_range mouse[] = {
	{EV_KEY, BTN_LEFT, BTN_EXTRA},
	{EV_REL, REL_X, REL_Y},
	{EV_REL, REL_HWHEEL, REL_HWHEEL},
	{EV_REL, REL_WHEEL, REL_WHEEL},
	{EV_REL, REL_WHEEL_HI_RES, REL_HWHEEL_HI_RES},
};

static const struct input_range touch[] = {
	{EV_KEY, BTN_TOUCH, BTN_TOUCH},
	{EV_ABS, ABS_X, ABS_Y},
	{EV_ABS, ABS_MT_SLOT, ABS_MT_SLOT},
	{EV_ABS, ABS_MT_POSITION_X, ABS_MT_POSITION_Y},
	{EV_ABS, ABS_MT_TRACKING_ID, ABS_MT_TRACKING_ID},
};

static const struct {
	const struct input_range *range;
	size_t n;
} kinds[EXO_DPY_DEVICES] = {
	[EXO_DPY_KEYBOARD] = {keyboard, sizeof(keyboard) / sizeof(keyboard[0])},
	[EXO_DPY_TABLET] = {tablet, sizeof(tablet) / sizeof(tablet[0])},
	[EXO_DPY_MOUSE] = {mouse, sizeof(mouse) / sizeof(mouse[0])},
	[EXO_DPY_TOUCH] = {touch, sizeof(touch) / sizeof(touch[0])},
};

const struct input_range *input_ranges(enum exo_dpy_device kind, size_t *n)
{
	*n = kinds[kind].n;
	return kinds[kind].range;
}

static bool has(enum exo_dpy_device kind, uint16_t type, uint16_t code)
{
	for (size_t i = 0; i < kinds[kind].n; i++) {
		const struct input_range *r = &kinds[kind].range[i];

		if (r->type == type && code >= r->first && code <= r->last)
			return true;
	}
	return false;
}

bool input_axis(enum exo_dpy_device kind, uint16_t code, int32_t *min, int32_t *max)
{
	*min = code == ABS_MT_TRACKING_ID ? -1 : 0;
	*max = code == ABS_MT_TRACKING_ID ? INPUT_TRACKING_ID_MAX
	       : code == ABS_MT_SLOT      ? INPUT_TOUCHES_MAX - 1
					  : EXO_DPY_ABS_MAX;
	return has(kind, EV_ABS, code);
}

bool input_event_valid(enum exo_dpy_device kind, const struct exo_dpy_event *e)
{
	int32_t min = 0, max = 1; /* of keys */

	if (e->type == EV_SYN)
		return e->code == SYN_REPORT && !e->value;
	if (e->type == EV_REL) {
		min = -REL_MAX_VALUE;
		max = REL_MAX_VALUE;
	}
	if (e->type == EV_ABS)
		(void)input_axis(kind, e->code, &min, &max);
	return has(kind, e->type, e->code) && e->value >= min && e->value <= max;
}
