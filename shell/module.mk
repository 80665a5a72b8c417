# The exo command. shell/*.c: exo run, test and doctor, and what a start needs;
# session/: the session and its policy; cli/: the commands that talk with one.
SHELL_SRCS := $(filter-out shell/main.c,$(wildcard shell/*.c shell/session/*.c shell/cli/*.c))
SHELL_A := $(B)/lib/libshell.a

$(eval $(call host_folder,shell,-Ilib -Ishell -Ihidmux -Ishell/session -Ishell/cli))

$(SHELL_A): $(call objs,$(SHELL_SRCS))
	$(archive)

$(B)/bin/exo: $(call objs,shell/main.c) $(SHELL_A) $(LIB_A)
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(call host_link,$@,$^,$(JSON_INI))

ALL += $(B)/bin/exo
INSTALL_BINS += $(B)/bin/exo
