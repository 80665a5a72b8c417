/*
 * A window of the host's, by SDL2: X11 or Wayland. Frames are composed in the window's surface,
 * of which only what changed is handed over. Events are waited for at the connection with the
 * display server, which SDL itself does not offer as a descriptor; it is asked for by way of
 * the library that SDL has loaded.
 */
#include "sdl_impl.h"

#include <SDL_syswm.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WIDTH 1280
#define HEIGHT 800
#define SIZE_MIN 320
#define POLL_NS 10000000ull /* where no descriptor can be had */

/* ---- the descriptor -------------------------------------------------------------------- */

/* The display server's: int name(display). The library is there: SDL uses it. */
static int ask_fd(const char *library, const char *name, void *display)
{
	void *handle = dlopen(library, RTLD_NOW | RTLD_NOLOAD);
	int (*ask)(void *display) = NULL;
	void *symbol = handle ? dlsym(handle, name) : NULL;
	int fd = -1;

	memcpy(&ask, &symbol, sizeof(ask));
	if (ask)
		fd = ask(display);
	if (handle)
		dlclose(handle);
	return fd;
}

static int find_fd(const struct sdl *s)
{
	SDL_SysWMinfo info;

	SDL_VERSION(&info.version);
	if (!SDL_GetWindowWMInfo(s->window, &info))
		return -1;
#if defined(SDL_VIDEO_DRIVER_X11)
	if (info.subsystem == SDL_SYSWM_X11)
		return ask_fd("libX11.so.6", "XConnectionNumber", info.info.x11.display);
#endif
#if defined(SDL_VIDEO_DRIVER_WAYLAND)
	if (info.subsystem == SDL_SYSWM_WAYLAND)
		return ask_fd("libwayland-client.so.0", "wl_display_get_fd", info.info.wl.display);
#endif
	return -1;
}

/* ---- the window --------------------------------------------------------------------------- */

void sdl_check_size(struct sdl *s)
{
	int width, height, points, lines;
	uint32_t scale;

	SDL_GetWindowSizeInPixels(s->window, &width, &height);
	SDL_GetWindowSize(s->window, &points, &lines);
	if (width <= 0 || height <= 0 || points <= 0)
		return;
	s->ratio = (double)width / points;
	scale = s->scale ? s->scale : (uint32_t)(EXO_DPY_SCALE_ONE * s->ratio + 0.5);
	if (width == s->width && height == s->height && scale == s->output.desktop->scale)
		return;
	s->width = width;
	s->height = height;
	s->fresh = true;
	desktop_resized(s->output.desktop, width, height, scale);
}

static void set_hints(void)
{
	SDL_SetHint(SDL_HINT_NO_SIGNAL_HANDLERS, "1");
	SDL_SetHint(SDL_HINT_FRAMEBUFFER_ACCELERATION, "0");
	SDL_SetHint(SDL_HINT_VIDEO_ALLOW_SCREENSAVER, "1");
	SDL_SetHint(SDL_HINT_TOUCH_MOUSE_EVENTS, "0");
	SDL_SetHint(SDL_HINT_MOUSE_TOUCH_EVENTS, "0");
	SDL_SetHint(SDL_HINT_MOUSE_FOCUS_CLICKTHROUGH, "1");
	SDL_SetHint(SDL_HINT_ALLOW_ALT_TAB_WHILE_GRABBED, "0");
	SDL_SetHint(SDL_HINT_VIDEO_X11_NET_WM_BYPASS_COMPOSITOR, "0");
	SDL_SetHint("SDL_APP_NAME", "Exoshell");
}

static bool make_window(struct sdl *s, const struct output_setup *setup, char why[256])
{
	uint32_t flags = SDL_WINDOW_RESIZABLE | SDL_WINDOW_ALLOW_HIGHDPI |
			 (setup->fullscreen ? SDL_WINDOW_FULLSCREEN_DESKTOP : 0);
	const char *named = getenv("SDL_VIDEODRIVER"), *driver;

	set_hints();
	if (SDL_InitSubSystem(SDL_INIT_VIDEO)) {
		snprintf(why, 256, "no window: %s; without a display: --headless", SDL_GetError());
		return false;
	}
	driver = SDL_GetCurrentVideoDriver();
	if (!named && (!strcmp(driver, "offscreen") || !strcmp(driver, "dummy"))) {
		snprintf(why, 256,
			 "the display does not answer (DISPLAY, WAYLAND_DISPLAY); "
			 "without one: --headless");
		return false; /* SDL's last resort: a window that nobody sees */
	}
	SDL_StopTextInput(); /* keys are what we are after */
	s->window = SDL_CreateWindow(setup->title, SDL_WINDOWPOS_CENTERED, SDL_WINDOWPOS_CENTERED,
				     setup->width ? setup->width : WIDTH,
				     setup->height ? setup->height : HEIGHT, flags);
	if (!s->window) {
		snprintf(why, 256, "no window: %s", SDL_GetError());
		return false;
	}
	SDL_SetWindowMinimumSize(s->window, SIZE_MIN, SIZE_MIN);
	if (setup->fullscreen)
		SDL_SetWindowKeyboardGrab(s->window, SDL_TRUE);
	SDL_EventState(SDL_DROPFILE, SDL_ENABLE);
	return true;
}

static void close_sdl(struct output *o)
{
	struct sdl *s = sdl_of(o);

	if (s->cursor)
		SDL_FreeCursor(s->cursor);
	if (!s->direct)
		free(s->surface.pixels);
	if (s->window)
		SDL_DestroyWindow(s->window);
	SDL_Quit();
	free(s);
}

static struct output *open_sdl(struct desktop *d, const struct output_setup *setup, char why[256])
{
	struct sdl *s = calloc(1, sizeof(*s));

	if (!s) {
		snprintf(why, 256, "no memory");
		return NULL;
	}
	s->output = (struct output){.cls = &output_sdl, .desktop = d};
	s->direct = true;
	s->scale = setup->scale;
	if (!make_window(s, setup, why)) {
		close_sdl(&s->output);
		return NULL;
	}
	sdl_check_size(s);
	s->fd = find_fd(s);
	if (s->fd < 0) {
		s->output.poll_ns = POLL_NS;
		notice(d, d->theme.danger,
		       "SDL's driver “%s” has no descriptor to wait for: it is polled",
		       SDL_GetCurrentVideoDriver());
	}
	return &s->output;
}

/* ---- frames --------------------------------------------------------------------------------- */

/* The window's surface, if it is as our canvases are; else one of ours. */
static void take_surface(struct sdl *s, const SDL_Surface *surface)
{
	if (!s->direct)
		free(s->surface.pixels);
	s->surface = (struct canvas){0};
	s->direct = surface->format->format == SDL_PIXELFORMAT_RGB888 && surface->pitch % 4 == 0;
	s->surface.width = surface->w;
	s->surface.height = surface->h;
	s->surface.stride = s->direct ? surface->pitch / 4 : surface->w;
	s->surface.pixels =
		s->direct ? surface->pixels
			  : calloc((size_t)surface->w * (size_t)surface->h, sizeof(uint32_t));
	if (!s->surface.pixels)
		s->surface = (struct canvas){0};
}

static struct canvas begin_sdl(struct output *o, unsigned *age)
{
	struct sdl *s = sdl_of(o);
	const SDL_Surface *surface = SDL_GetWindowSurface(s->window);
	bool same = surface && s->surface.pixels && surface->w == s->surface.width &&
		    surface->h == s->surface.height &&
		    (!s->direct || surface->pixels == s->surface.pixels);

	if (surface && (!same || s->fresh))
		take_surface(s, surface);
	*age = same && !s->fresh ? 1 : 0;
	s->fresh = false;
	return surface ? s->surface : (struct canvas){0};
}

static void convert(struct sdl *s, SDL_Surface *to, const SDL_Rect *r)
{
	(void)SDL_ConvertPixels(r->w, r->h, SDL_PIXELFORMAT_RGB888,
				s->surface.pixels + (ptrdiff_t)r->y * s->surface.stride + r->x,
				s->surface.stride * 4, to->format->format,
				(uint8_t *)to->pixels + (ptrdiff_t)r->y * to->pitch +
					(ptrdiff_t)r->x * to->format->BytesPerPixel,
				to->pitch);
}

static void present_sdl(struct output *o, const struct hid_rect *rects, unsigned n)
{
	struct sdl *s = sdl_of(o);
	SDL_Surface *surface = SDL_GetWindowSurface(s->window);
	SDL_Rect r[HID_RECTS_MAX];

	if (!surface)
		return;
	for (unsigned i = 0; i < n; i++) {
		r[i] = (SDL_Rect){rects[i].x, rects[i].y, rects[i].width, rects[i].height};
		if (!s->direct)
			convert(s, surface, &r[i]);
	}
	(void)SDL_UpdateWindowSurfaceRects(s->window, r, (int)n);
}

/* SDL's cursors are not premultiplied. */
static uint32_t straight(uint32_t p)
{
	uint32_t a = p >> 24, out = a << 24;

	for (unsigned shift = 0; a && shift < 24; shift += 8) {
		uint32_t v = (p >> shift & 0xff) * 255 / a;

		out |= (v > 255 ? 255 : v) << shift;
	}
	return out;
}

static void cursor_sdl(struct output *o, const uint32_t *pixels, int hot_x, int hot_y)
{
	const int size = (int)EXO_DPY_CURSOR_SIZE;
	struct sdl *s = sdl_of(o);
	SDL_Cursor *last = s->cursor;
	SDL_Surface *surface =
		SDL_CreateRGBSurfaceWithFormat(0, size, size, 32, SDL_PIXELFORMAT_ARGB8888);

	s->cursor = NULL;
	for (int i = 0; pixels && surface && i < size * size; i++)
		((uint32_t *)surface->pixels)[i / size * surface->pitch / 4 + i % size] =
			straight(pixels[i]);
	if (pixels && surface)
		s->cursor = SDL_CreateColorCursor(surface, hot_x, hot_y);
	SDL_SetCursor(s->cursor ? s->cursor : SDL_GetDefaultCursor());
	if (surface)
		SDL_FreeSurface(surface);
	if (last)
		SDL_FreeCursor(last);
}

static void poll_sdl(struct output *o)
{
	sdl_take_events(sdl_of(o));
}

static int fd_sdl(const struct output *o)
{
	const struct sdl *s = (const struct sdl *)(const void *)o;

	return s->fd;
}

static uint64_t frame_ns_sdl(const struct output *o)
{
	return HID_FRAME_NS;
}

static void resize_sdl(struct output *o, int width, int height)
{
	struct sdl *s = sdl_of(o);

	SDL_SetWindowSize(s->window, (int)(width / s->ratio), (int)(height / s->ratio));
	sdl_check_size(s);
}

const struct output_class output_sdl = {
	.name = "sdl",
	.open = open_sdl,
	.close = close_sdl,
	.begin = begin_sdl,
	.present = present_sdl,
	.cursor = cursor_sdl,
	.poll = poll_sdl,
	.fd = fd_sdl,
	.frame_ns = frame_ns_sdl,
	.resize = resize_sdl,
};
