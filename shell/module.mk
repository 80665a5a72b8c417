SHELL_SRCS := $(filter-out shell/main.c,$(wildcard shell/*.c))
SHELL_A := $(B)/lib/libshell.a

$(eval $(call host_folder,shell,-Ilib -Ishell -Ihidmux))

$(SHELL_A): $(call objs,$(SHELL_SRCS))
	$(archive)

$(B)/bin/exo: $(call objs,shell/main.c) $(SHELL_A) $(LIB_A)
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(call host_link,$@,$^,)

ALL += $(B)/bin/exo
INSTALL_BINS += $(B)/bin/exo
