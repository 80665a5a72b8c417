/* The shell's colours, light and dark, and sizes at the screen's scale. */
#include "desktop.h"

static const struct theme dark_theme = {
	.dark = true,
	.background = 0xff1d2230,
	.panel = 0xff262c3a,
	.panel_text = 0xffe8eaf0,
	.dim_text = 0xff98a0b4,
	.accent = 0xff5b9dff,
	.border = 0xff3c4458,
	.field = 0xff1a1f2b,
	.danger = 0xffe5534b,
	.strip = 0xff12151d,
	.strip_text = 0xffdfe3ec,
};

static const struct theme light_theme = {
	.dark = false,
	.background = 0xffc3ccdb,
	.panel = 0xfff6f7fa,
	.panel_text = 0xff1b1f29,
	.dim_text = 0xff626b7d,
	.accent = 0xff1f6feb,
	.border = 0xffc4cad6,
	.field = 0xffffffff,
	.danger = 0xffc62f27,
	.strip = 0xffe6eaf1,
	.strip_text = 0xff1b1f29,
};

void theme_set(struct theme *t, bool dark)
{
	*t = dark ? dark_theme : light_theme;
}

int desktop_px(const struct desktop *d, int n)
{
	int64_t scaled = (int64_t)n * (d->scale ? d->scale : EXO_DPY_SCALE_ONE);

	return (int)((scaled + (n < 0 ? -60 : 60)) / 120);
}
