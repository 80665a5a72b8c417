# Fuzz targets: tests/fuzz/fuzz_*.c, one libFuzzer program each. Other *.c files
# here and the helpers of the unit tests are linked into all of them. Always
# clang, with a build of its own below $(BUILD)/fuzz; tests/fuzz/run runs them.
FUZZ_CC ?= clang-14
FUZZ_B := $(BUILD)/fuzz
FUZZ_CFLAGS := $(BASE_CFLAGS) -O1 -fno-omit-frame-pointer \
	-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all

FUZZ_TARGETS := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_HELPERS := $(filter-out tests/fuzz/fuzz_%.c,$(wildcard tests/fuzz/*.c)) \
	$(filter-out tests/unit/test_%.c,$(wildcard tests/unit/*.c))
FUZZ_VMM := $(wildcard $(addprefix vmm/,acpi.c boot.c boot_regs.c load.c symbols.c \
	bus.c ioapic.c mmio.c platform.c))
FUZZ_HID := $(wildcard hidmux/*.c)
FUZZ_DESK := $(wildcard shell/desktop/screen*.c) shell/desktop/desk_text.c
FUZZ_SHELL := $(filter-out shell/main.c,$(wildcard shell/*.c shell/session/*.c))
FUZZ_SRCS := $(FUZZ_HELPERS) $(BACKEND_SRCS) $(LIB_SRCS) $(FUZZ_VMM) $(FUZZ_SHELL) $(FUZZ_HID) $(FUZZ_DESK) $(wildcard p9/*.c)
FUZZ_BINS := $(addprefix $(FUZZ_B)/,$(FUZZ_TARGETS))

$(FUZZ_B)/obj/%.o: %.c
	$(call say,FUZZ,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(FUZZ_CC) $(FUZZ_CFLAGS) -Iinclude -Ilib -Ivirtio-backends -Ivmm -Ip9 -Ishell \
		-Ishell/session -Ishell/cli -Ihidmux -Ikeymap -Ishell/desktop -Iguests/sdk/include -Itests/unit -Itests/fuzz -c -o $@ $<

# An archive, so that a target takes only what it uses.
$(FUZZ_B)/libfuzzed.a: $(FUZZ_SRCS:%.c=$(FUZZ_B)/obj/%.o)
	$(archive)

$(FUZZ_BINS): $(FUZZ_B)/%: $(FUZZ_B)/obj/tests/fuzz/%.o $(FUZZ_B)/libfuzzed.a
	$(call say,LINK,$@)
	$(Q)$(FUZZ_CC) -fsanitize=fuzzer,address,undefined -o $@ $^ -luring -ljansson -linih

.PHONY: fuzz-targets
fuzz-targets: $(FUZZ_BINS)

-include $(shell find $(FUZZ_B)/obj -name '*.d' 2>/dev/null)
