# The guest SDK (a sysroot in lib/exo, as exo-cc expects it) and the guests
# built with it. Every folder beside sdk/ and include/ is one program;
# every file in tests/guest is one as well.
SDK := $(B)/lib/exo
EXO_CC := $(B)/bin/exo-cc
SDK_RING0 := guests/sdk/sup.c guests/sdk/sup_pt.c
SDK_SRCS := guests/sdk/sup_begin.c $(wildcard guests/sdk/posix/*.c guests/sdk/drivers/*.c)
SDK_ASM := $(wildcard guests/sdk/*.S guests/sdk/posix/*.S)
SDK_OBJS := $(patsubst %,$(B)/obj/%.o,$(basename $(SDK_RING0) $(SDK_SRCS) $(SDK_ASM)))
SDK_HEADERS := $(wildcard include/exo/*.h guests/sdk/include/*.h guests/sdk/include/*/*.h)

# The layer below the C library: the program's SSE registers, stack protector
# and thread pointer are not its own.
SDK_CFLAGS := $(BASE_CFLAGS) -O2 -fno-pic -fno-pie -ffreestanding -mgeneral-regs-only \
	-mno-red-zone -fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables \
	-ffunction-sections -fdata-sections -nostdinc -isystem $(MUSL_INC) -isystem $(CC_INC) \
	-isystem $(KINC) -Iinclude -Iguests/sdk -Iguests/sdk/posix -Iguests/sdk/drivers -Iguests/sdk/include

$(B)/obj/guests/sdk/%.o: guests/sdk/%.c $(KINC)/.stamp
	$(call say,SDK,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(SDK_CFLAGS) -c -o $@ $<
	$(if $(filter $<,$(SDK_RING0)),$(Q)objcopy --prefix-alloc-sections=.sup $@)

$(B)/obj/guests/sdk/%.o: guests/sdk/%.S $(KINC)/.stamp
	$(call say,SDK,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(SDK_CFLAGS) -c -o $@ $<

# One object whose names are its own, but for exo_*: a program may call its
# functions what it likes.
$(SDK)/libexosdk.a: $(SDK_OBJS)
	$(call say,AR,$@)
	$(Q)mkdir -p $(@D)
	$(Q)ld -r -z noexecstack -o $(B)/obj/guests/sdk/exosdk.o $^
	$(Q)objcopy --wildcard --keep-global-symbol='exo_*' $(B)/obj/guests/sdk/exosdk.o
	$(Q)rm -f $@
	$(Q)ar rcs $@ $(B)/obj/guests/sdk/exosdk.o

# Libraries for programs: ordinary code over the C library, taken in as far as it is used.
SDK_LIB_OBJS := $(patsubst %.c,$(B)/obj/%.o,$(wildcard guests/sdk/lib/*.c))

# Windows, drawing, sound: the same, in a library of its own; with the keyboard layouts.
SDK_GUI_OBJS := $(patsubst %.c,$(B)/obj/%.o,$(wildcard guests/sdk/gui/*.c)) \
	$(patsubst %.c,$(B)/obj/guests/%.o,$(KEYMAP_SRCS))
# All of it below the sysroot, where exo-cc takes every libexo*.a.
SDK_LIBS := $(SDK)/libexosdk.a $(SDK)/libexochannel.a $(SDK)/libexogui.a $(SDK)/libexofont.a

SDK_LIB_CFLAGS := $(BASE_CFLAGS) -O2 -fno-pic -fno-pie -fno-stack-protector -ffunction-sections \
	-fdata-sections -D__exoshell__=1 -nostdinc -isystem $(MUSL_INC) -isystem $(CC_INC) \
	-isystem $(KINC) -Iinclude -Iguests/sdk/include

$(B)/obj/guests/sdk/lib/%.o: guests/sdk/lib/%.c $(KINC)/.stamp
	$(call say,GUEST,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(SDK_LIB_CFLAGS) -c -o $@ $<

$(B)/obj/guests/sdk/gui/%.o: guests/sdk/gui/%.c $(KINC)/.stamp
	$(call say,GUEST,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(SDK_LIB_CFLAGS) -Iguests/sdk/gui -Ikeymap -Ifonts -c -o $@ $<

$(B)/obj/guests/keymap/%.o: keymap/%.c $(KINC)/.stamp
	$(call say,GUEST,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(SDK_LIB_CFLAGS) -Ikeymap -I$(B)/gen -c -o $@ $<

$(SDK)/libexochannel.a: $(SDK_LIB_OBJS)
	$(archive)

$(SDK)/libexogui.a: $(SDK_GUI_OBJS)
	$(archive)

# One object a face: a program carries the faces that it opens.
$(SDK)/libexofont.a: $(FONT_OBJS)
	$(archive)

$(SDK)/exo.ld: guests/sdk/exo.ld
	$(Q)mkdir -p $(@D)
	$(Q)cp $< $@

$(SDK)/bin/exo-mkpt: guests/sdk/tools/exo-mkpt.c guests/sdk/sup.h guests/sdk/sup_int.h \
		include/exo/machine.h
	$(call say,TOOL,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(filter-out -MMD -MP,$(TOOL_CFLAGS)) -Iinclude -o $@ $<

$(SDK)/include/.stamp: $(SDK_HEADERS)
	$(call say,HEADERS,$(@D))
	$(Q)rm -rf $(@D)
	$(Q)mkdir -p $(@D)/exo
	$(Q)cp include/exo/*.h $(@D)/exo/
	$(Q)[ -z "$(wildcard guests/sdk/include/*)" ] || cp -R guests/sdk/include/* $(@D)/
	$(Q)ln -s /usr/include/linux $(@D)/linux
	$(Q)ln -s /usr/include/asm-generic $(@D)/asm-generic
	$(Q)ln -s /usr/include/x86_64-linux-gnu/asm $(@D)/asm
	$(Q)touch $@

$(EXO_CC): guests/sdk/tools/exo-cc $(SDK_LIBS) $(SDK)/exo.ld $(SDK)/bin/exo-mkpt $(SDK)/include/.stamp
	$(call say,SDK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)install -m 755 $< $@

# ---- programs -----------------------------------------------------------------

GUESTS := $(filter-out sdk include,$(notdir $(patsubst %/,%,$(wildcard guests/*/))))
GUEST_ELFS := $(patsubst %,$(B)/guests/%.elf,$(GUESTS))
# Manifests go beside the programs that they are for.
GUEST_MANIFESTS := $(wildcard guests/*/*.exo)
GUEST_EXOS := $(patsubst %,$(B)/guests/%,$(notdir $(GUEST_MANIFESTS)))
GUEST_TESTS := $(patsubst tests/guest/%.c,$(B)/guests/test/%.elf,$(wildcard tests/guest/*.c))
GUEST_CFLAGS := -std=gnu17 -D_GNU_SOURCE -fno-common $(WARN)

# term speaks the control socket's JSON: Debian's jansson, which was compiled for glibc.
$(B)/guests/term.elf: lib/glibc_compat.c
$(B)/guests/term.elf $(B)/guests/paint.elf $(B)/guests/gallery.elf: GUEST_MORE = -isystem $(KINC)
$(B)/guests/term.elf: GUEST_LIBS = $(shell $(CC) -print-file-name=libjansson.a)

.SECONDEXPANSION:
$(GUEST_ELFS): $(B)/guests/%.elf: $$(wildcard guests/%/*.c guests/%/*.h) $(EXO_CC)
	$(call say,GUEST,$@)
	$(Q)mkdir -p $(@D)
	$(Q)CC=$(CC) $(EXO_CC) $(GUEST_CFLAGS) $(GUEST_MORE) -o $@ $(filter %.c,$^) $(GUEST_LIBS)

$(GUEST_TESTS): $(B)/guests/test/%.elf: tests/guest/%.c $(wildcard tests/guest/*.h) $(EXO_CC)
	$(call say,GUEST,$@)
	$(Q)mkdir -p $(@D)
	$(Q)CC=$(CC) $(EXO_CC) $(GUEST_CFLAGS) -o $@ $<

vpath %.exo $(sort $(dir $(GUEST_MANIFESTS)))
$(GUEST_EXOS): $(B)/guests/%.exo: %.exo
	$(Q)mkdir -p $(@D)
	$(Q)cp $< $@

.PHONY: sdk guests install-sdk
sdk: $(EXO_CC) ## build the guest SDK alone
guests: $(GUEST_ELFS) $(GUEST_EXOS) $(GUEST_TESTS) ## build the guest programs

install-sdk: $(EXO_CC)
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/exo/bin
	install -m 755 $(EXO_CC) $(DESTDIR)$(PREFIX)/bin
	install -m 755 $(SDK)/bin/exo-mkpt $(DESTDIR)$(PREFIX)/lib/exo/bin
	install -m 644 $(SDK)/libexo*.a $(SDK)/exo.ld $(DESTDIR)$(PREFIX)/lib/exo
	rm -rf $(DESTDIR)$(PREFIX)/lib/exo/include
	cp -R $(SDK)/include $(DESTDIR)$(PREFIX)/lib/exo/include

ALL += $(EXO_CC) $(GUEST_ELFS) $(GUEST_EXOS) $(GUEST_TESTS)
