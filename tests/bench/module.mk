# Programs the benchmarks measure with and against. tests/bench/run uses them.
BENCH_SRCS := $(wildcard tests/bench/*.c)
BENCH_BINS := $(patsubst tests/bench/%.c,$(B)/bench/%,$(BENCH_SRCS))

ifeq ($(MODE),release)
$(eval $(call host_folder,tests/bench,-Ilib))

$(B)/bench/%: $(B)/obj/tests/bench/%.o
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(call host_link,$@,$^,-luring)

.PHONY: bench-programs
bench-programs: $(BENCH_BINS)
endif
