# Unit tests: tests/unit/test_*.c, one program each (Check, TAP on stdout),
# linked with everything but the programs' main.c. Other *.c files here are
# helpers, linked into all of them. Needs a glibc mode (MODE=asan …): the
# release build's objects are musl's.
UNIT_TESTS := $(patsubst tests/unit/%.c,%,$(wildcard tests/unit/test_*.c))
UNIT_HELPERS := $(filter-out tests/unit/test_%.c,$(wildcard tests/unit/*.c))
UNIT_BINS := $(addprefix $(B)/tests/unit/,$(UNIT_TESTS))

ifneq ($(MODE),release)
$(B)/obj/tests/unit/%.o: tests/unit/%.c
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(HOST_CFLAGS) -Iinclude -Ilib -Ivirtio-backends -Ivmm -Ip9 -Ishell -Ishell/session -Ishell/cli \
		-Ihidmux -Iguests/store -Itests/unit \
		-I$(B)/gen -c -o $@ $<

$(B)/tests/unit/%: $(B)/obj/tests/unit/%.o $(call objs,$(UNIT_HELPERS)) $(SHELL_A) $(VMM_A) $(BACKEND_A) $(LIB_A)
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
