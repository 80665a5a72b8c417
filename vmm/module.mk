# exo-vmm. vmm/main.c is the program; everything else is also linked by the
# unit tests, so it lives in an archive of its own.
VMM_SRCS := $(filter-out vmm/main.c,$(wildcard vmm/*.c))
VMM_A := $(B)/lib/libvmm.a

$(eval $(call host_folder,vmm,-Ilib -Ivirtio-backends -Ivmm -I$(B)/gen))

$(VMM_A): $(call objs,$(VMM_SRCS))
	$(archive)

$(B)/bin/exo-vmm: $(call objs,vmm/main.c) $(VMM_A) $(BACKEND_A) $(LIB_A)
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(call host_link,$@,$^,-luring)

ALL += $(B)/bin/exo-vmm
INSTALL_BINS += $(B)/bin/exo-vmm

# The seccomp filters are compiled by libseccomp when we build, not at each start.
$(B)/tools/seccomp-gen: vmm/tools/seccomp-gen.c vmm/sandbox_priv.h mk/seccomp_emit.h
	$(call say,TOOL,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(TOOL_CFLAGS) -Iinclude -Ivmm -o $@ $< -lseccomp

$(B)/gen/seccomp_filters.h: $(B)/tools/seccomp-gen
	$(call say,GEN,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$< $(MODE) > $@

$(B)/obj/vmm/sandbox.o: $(B)/gen/seccomp_filters.h

# For the tests: the same sandbox, with every system call tried inside it.
$(B)/obj/vmm/tools/sandbox-probe.o: vmm/tools/sandbox-probe.c $(HOST_DEPS)
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(HOST_CFLAGS) -Ivmm -c -o $@ $<

$(B)/tools/sandbox-probe: $(B)/obj/vmm/tools/sandbox-probe.o $(call objs,vmm/sandbox.c)
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(call host_link,$@,$^,)

ALL += $(B)/tools/sandbox-probe
