# Unit tests: tests/unit/test_*.c, one program each (Check, TAP on stdout),
# linked with everything but the programs' main.c. Other *.c files here are
# helpers, linked into all of them. Needs a glibc mode (MODE=asan …): the
# release build's objects are musl's.
UNIT_TESTS := $(patsubst tests/unit/%.c,%,$(wildcard tests/unit/test_*.c))
UNIT_HELPERS := $(filter-out tests/unit/test_%.c,$(wildcard tests/unit/*.c))
UNIT_BINS := $(addprefix $(B)/tests/unit/,$(UNIT_TESTS))

# Those of the desktop are linked with it and its libraries, and nothing else: they bring
# stand-ins for the parts that they leave out.
UNIT_DESK := $(filter test_screen test_compose test_services,$(UNIT_TESTS))

# Parts of guests that are pure enough to be tried here.
UNIT_GUESTS := guests/sdk/lib/sha256.c $(wildcard guests/store/disklog*.c guests/sdk/gui/draw*.c guests/sdk/gui/widgets*.c) guests/sdk/gui/text.c \
	guests/notes/text.c guests/calc/eval.c guests/tetris/game.c guests/mixer-demo/synth.c
UNIT_GUEST_OBJS := $(patsubst %.c,$(B)/obj/host/%.o,$(UNIT_GUESTS))

ifneq ($(MODE),release)
$(B)/obj/host/%.o: %.c
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(HOST_CFLAGS) -Iinclude -Iguests/sdk/include -c -o $@ $<

$(B)/obj/tests/unit/%.o: tests/unit/%.c
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(HOST_CFLAGS) -Iinclude -Ilib -Ivirtio-backends -Ivmm -Ip9 -Ishell -Ishell/session -Ishell/cli \
		-Ihidmux -Ikeymap -Ifonts -Ishell/desktop -Iguests/store -Iguests/calc -Iguests/tetris -Iguests/mixer-demo -Iguests/sdk/include -Iguests/sdk/gui -Itests/unit \
		-I$(B)/gen -c -o $@ $<

$(UNIT_DESK:%=$(B)/tests/unit/%): $(B)/tests/unit/%: $(B)/obj/tests/unit/%.o $(B)/obj/tests/unit/unit.o $(DESK_A)
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(call host_link,$@,$^,$(DESK_PKG_LIBS) -lcheck -lsubunit -lrt)

$(B)/tests/unit/%: $(B)/obj/tests/unit/%.o $(call objs,$(UNIT_HELPERS)) $(UNIT_GUEST_OBJS) $(FONT_OBJS) $(HID_A) $(KEYMAP_A) $(SHELL_A) $(VMM_A) $(BACKEND_A) $(P9_A) $(LIB_A)
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(call host_link,$@,$^,-lcheck -lsubunit -lrt -lm -luring $(JSON_INI))

.PHONY: unit
unit: $(UNIT_BINS)
else
.PHONY: unit
unit:
	$(Q)$(MAKE) MODE=asan unit
endif
