# 9P2000.L: codec and server (p9/*.c, pure C), three times: for host programs, for
# guest programs (libexo9p.a, exo_9p.h), and the codec for the SDK's own client.
# Then exo-fs, the host's file server. After guests/module.mk, whose SDK it extends.
P9_SRCS := $(wildcard p9/*.c)
P9_A := $(B)/lib/libp9.a

$(eval $(call host_folder,p9,-Ip9))

$(P9_A): $(call objs,$(P9_SRCS))
	$(archive)

# ---- for guests -----------------------------------------------------------------

P9_GUEST_OBJS := $(P9_SRCS:p9/%.c=$(B)/obj/p9/guest/%.o)

$(B)/obj/p9/guest/%.o: p9/%.c $(KINC)/.stamp
	$(call say,GUEST,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(BASE_CFLAGS) -O2 -fno-pic -fno-pie -fno-stack-protector -ffunction-sections \
		-nostdinc -isystem $(MUSL_INC) -isystem $(CC_INC) -Iinclude -Ip9 -c -o $@ $<

$(SDK)/libexo9p.a: $(P9_GUEST_OBJS)
	$(archive)

P9_HEADERS := $(patsubst %,$(SDK)/include/%,exo_9p.h p9_server.h p9_wire.h)

$(P9_HEADERS): $(SDK)/include/%: p9/% $(SDK)/include/.stamp
	$(Q)cp $< $@

$(EXO_CC): $(SDK)/libexo9p.a $(P9_HEADERS)

# The codec inside the SDK: without SSE, as all there.
SDK_CFLAGS += -Ip9

$(B)/obj/p9/sdk/%.o: p9/%.c $(KINC)/.stamp
	$(call say,SDK,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(SDK_CFLAGS) -c -o $@ $<

$(SDK)/libexosdk.a: $(B)/obj/p9/sdk/p9_wire.o

# ---- exo-fs ------------------------------------------------------------------------

FS_SRCS := $(wildcard shell/fs/*.c)

$(eval $(call host_folder,shell/fs,-Ilib -Ip9 -Ishell/fs -I$(B)/gen))

$(B)/bin/exo-fs: $(call objs,$(FS_SRCS)) $(P9_A) $(LIB_A)
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(call host_link,$@,$^,)

$(B)/tools/seccomp-gen-fs: shell/fs/tools/seccomp-gen-fs.c mk/seccomp_emit.h
	$(call say,TOOL,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(TOOL_CFLAGS) -o $@ $< -lseccomp

$(B)/gen/fs_seccomp.h: $(B)/tools/seccomp-gen-fs
	$(call say,GEN,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$< $(MODE) > $@

$(B)/obj/shell/fs/fs_sandbox.o: $(B)/gen/fs_seccomp.h

# For the tests: every system call under the same filter.
$(B)/obj/shell/fs/tools/fs-probe.o: shell/fs/tools/fs-probe.c $(HOST_DEPS)
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(HOST_CFLAGS) -Ip9 -Ishell/fs -c -o $@ $<

$(B)/tools/fs-probe: $(B)/obj/shell/fs/tools/fs-probe.o $(call objs,shell/fs/fs_sandbox.c)
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(call host_link,$@,$^,)

ALL += $(B)/tools/fs-probe
ALL += $(B)/bin/exo-fs
INSTALL_BINS += $(B)/bin/exo-fs
