# exo-desktop: the process with the windows, which `exo desktop` starts. Not a static
# musl binary as the others: SDL2 loads the desktop's own libraries. So what it shares with them
# is compiled once more.
DESK_LIBS := sdl2 pixman-1 freetype2 vterm libpng
DESK_OWN := $(wildcard shell/desktop/*.c)
DESK_SRCS := $(DESK_OWN) $(wildcard hidmux/*.c keymap/*.c) lib/loop.c lib/fdmsg.c \
	shell/session/manifest.c shell/session/manifest_values.c shell/session/manifest_channels.c \
	shell/session/policy_name.c shell/guest_display.c shell/text.c shell/opts.c
DESK_OBJS := $(DESK_SRCS:%.c=$(B)/obj/desk/%.o)
DESK_MAIN := $(B)/obj/desk/shell/desktop/main.o
DESK_A := $(B)/lib/libdesktop.a
DESK_PKG_CFLAGS = $(shell pkg-config --cflags $(DESK_LIBS) 2>/dev/null)
DESK_PKG_LIBS = $(shell pkg-config --libs $(DESK_LIBS) 2>/dev/null) -ljansson -linih -lm -pthread
DESK_CFLAGS := $(BASE_CFLAGS) $(if $(SAN_$(MODE)),-O1 $(SAN_$(MODE)),-O2 -fstack-protector-strong) -fPIE

$(B)/obj/desk/%.o: %.c
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(DESK_CFLAGS) $(patsubst -I%,-isystem %,$(DESK_PKG_CFLAGS)) -Iinclude -Ilib -Ihidmux \
		-Ikeymap -Ifonts -Ishell/desktop -I$(B)/gen -c -o $@ $<

# What it shares with the session: how manifests are read.
$(B)/obj/desk/shell/desktop/programs.o: DESK_CFLAGS += -Ishell -Ishell/session
$(B)/obj/desk/shell/session/%.o $(B)/obj/desk/shell/guest_display.o $(B)/obj/desk/shell/text.o $(B)/obj/desk/shell/opts.o \
$(DESK_MAIN): DESK_CFLAGS += -Ishell -Ishell/session

$(DESK_A): $(filter-out $(DESK_MAIN),$(DESK_OBJS)) $(FONT_OBJS)
	$(archive)

ifneq ($(wildcard shell/desktop/main.c),)
$(B)/bin/exo-desktop: $(DESK_MAIN) $(DESK_A)
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(SAN_$(MODE)) -pie -Wl,-z,relro,-z,now -o $@ $^ $(DESK_PKG_LIBS)

$(B)/share/exo/demo.exoscript: shell/desktop/demo.exoscript
	$(Q)mkdir -p $(@D)
	$(Q)cp $< $@

ALL += $(B)/bin/exo-desktop $(B)/share/exo/demo.exoscript
INSTALL_BINS += $(B)/bin/exo-desktop
endif
