# Compiler flags. Host programs (exo, exo-vmm) are static musl binaries in a
# release build: they start in a third of the time of static glibc ones, which
# matters when a launch is a millisecond. The other modes use the system's
# glibc, which the sanitizers need; so the sources build with both.

# Messages with a flexible array stand in larger structs (clang's last one; gcc has no such word).
WARN := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	-Wpointer-arith -Wcast-qual -Wwrite-strings -Wvla -Wundef -Wimplicit-fallthrough \
	-Wno-unused-parameter -Wno-missing-field-initializers \
	-Wno-gnu-variable-sized-type-not-at-end

BASE_CFLAGS := -std=gnu17 -g -fno-common -fno-strict-aliasing -D_GNU_SOURCE -MMD -MP $(WARN)

MUSL_INC ?= /usr/include/x86_64-linux-musl
MUSL_LIB ?= /usr/lib/x86_64-linux-musl
# Quiet where there is no compiler yet: `make setup` installs it.
CC_INC := $(shell $(CC) -print-file-name=include 2>/dev/null)
LIBGCC := $(shell $(CC) -print-libgcc-file-name 2>/dev/null)

# Kernel and library headers that are free of libc, for the musl builds.
KINC := $(B)/obj/include

ifeq ($(MODE),release)
HOST_CFLAGS := $(BASE_CFLAGS) -O2 -fPIE -fstack-protector-strong -nostdinc \
	-isystem $(MUSL_INC) -isystem $(CC_INC) -isystem $(KINC)
# $(call host_link,out,objects,libraries)
host_link = $(CC) -static-pie -nostdlib -nostartfiles -Wl,-z,relro,-z,now,-z,noexecstack,--gc-sections \
	-o $(1) $(MUSL_LIB)/rcrt1.o $(MUSL_LIB)/crti.o $(2) $(3) -L$(MUSL_LIB) -Wl,--start-group -lc $(LIBGCC) \
	-Wl,--end-group $(MUSL_LIB)/crtn.o
HOST_DEPS := $(KINC)/.stamp
# Debian's static libraries are compiled for glibc: lib/glibc_compat.c has the rest.
JSON_INI = $(shell $(CC) -print-file-name=libjansson.a) $(shell $(CC) -print-file-name=libinih.a) \
	$(LIB_A)
else
SAN_asan  := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
SAN_ubsan := -fsanitize=undefined -fno-sanitize-recover=all
# gcc's does not model fences (exo/ring.h has two) and says so.
SAN_tsan  := -fsanitize=thread $(if $(findstring clang,$(CC)),,-Wno-tsan)
SAN_cov   := --coverage
HOST_CFLAGS := $(BASE_CFLAGS) -O1 $(SAN_$(MODE))
host_link = $(CC) $(SAN_$(MODE)) -o $(1) $(2) $(3) -pthread
HOST_DEPS :=
JSON_INI := -ljansson -linih
endif

$(KINC)/.stamp: mk/flags.mk
	$(call say,LINKS,$(KINC))
	$(Q)mkdir -p $(KINC)
	$(Q)ln -sfn /usr/include/linux $(KINC)/linux
	$(Q)ln -sfn /usr/include/asm-generic $(KINC)/asm-generic
	$(Q)ln -sfn /usr/include/video $(KINC)/video
	$(Q)ln -sfn /usr/include/sound $(KINC)/sound
	$(Q)ln -sfn /usr/include/x86_64-linux-gnu/asm $(KINC)/asm
	$(Q)ln -sfn /usr/include/liburing $(KINC)/liburing
	$(Q)ln -sfn /usr/include/liburing.h $(KINC)/liburing.h
	$(Q)ln -sfn /usr/include/stb $(KINC)/stb
	$(Q)ln -sfn /usr/include/jansson.h $(KINC)/jansson.h
	$(Q)ln -sfn /usr/include/jansson_config.h $(KINC)/jansson_config.h
	$(Q)ln -sfn /usr/include/ini.h $(KINC)/ini.h
	$(Q)touch $@

# $(call host_objs,folder,extra -I flags): a rule for folder/*.c and the
# folder's include path. Each folder sees what style.md allows, no more.
define host_folder
$(B)/obj/$(1)/%.o: $(1)/%.c $(HOST_DEPS)
	$$(call say,CC,$$<)
	$$(Q)mkdir -p $$(@D)
	$$(Q)$(CC) $(HOST_CFLAGS) -Iinclude $(2) -c -o $$@ $$<
endef

# $(call objs,sources)
objs = $(patsubst %.c,$(B)/obj/%.o,$(1))

define archive
	$(call say,AR,$@)
	$(Q)mkdir -p $(@D)
	$(Q)rm -f $@
	$(Q)ar rcs $@ $^
endef

# Build-time tools always run here: plain system compiler.
TOOL_CFLAGS := $(BASE_CFLAGS) -O1 -Imk
