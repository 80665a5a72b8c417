# Programs the benchmarks measure with and against. tests/bench/run uses them.
BENCH_SRCS := $(wildcard tests/bench/*.c)
BENCH_BINS := $(patsubst tests/bench/%.c,$(B)/bench/%,$(BENCH_SRCS)) $(B)/bench/ping $(B)/bench/fsread

ifeq ($(MODE),release)
$(eval $(call host_folder,tests/bench,-Ilib))

$(B)/bench/%: $(B)/obj/tests/bench/%.o
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(call host_link,$@,$^,-luring)

# The same source as the guest's: the other side of the comparison.
$(B)/bench/ping $(B)/bench/fsread: $(B)/bench/%: $(B)/obj/tests/bench/guest/%.o
	$(call say,LINK,$@)
	$(Q)$(call host_link,$@,$^,)

BENCH_GUESTS := $(patsubst tests/bench/guest/%.c,$(B)/guests/bench/%.elf,$(wildcard tests/bench/guest/*.c))

$(BENCH_GUESTS): $(B)/guests/bench/%.elf: tests/bench/guest/%.c $(EXO_CC)
	$(call say,GUEST,$@)
	$(Q)mkdir -p $(@D)
	$(Q)CC=$(CC) $(EXO_CC) $(GUEST_CFLAGS) -o $@ $<

# The scene of guests/meter without a machine around it, by the desktop's own library.
$(B)/bench/sdlscene: tests/bench/sdl/sdlscene.c guests/meter/scene.c
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(DESK_CFLAGS) $(shell pkg-config --cflags sdl2) -Iguests/meter -o $@ $(filter %.c,$^) \
		$(shell pkg-config --libs sdl2)

.PHONY: bench-programs
bench-programs: $(BENCH_BINS) $(BENCH_GUESTS) $(B)/bench/sdlscene
endif
