# Keyboard layouts, for the shell and for guests; the tables are made from xkb-data.
KEYMAP_SRCS := $(wildcard keymap/*.c)
KEYMAP_A := $(B)/lib/libkeymap.a

$(B)/tools/mkkeymap: keymap/tools/mkkeymap.c
	$(call say,TOOL,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(filter-out -MMD -MP,$(TOOL_CFLAGS)) -o $@ $< -lxkbcommon

$(B)/gen/keymap_tables.h: $(B)/tools/mkkeymap
	$(call say,GEN,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$< >$@

# Compiled for the shell (lib), the desktop (shell/desktop/module.mk), guests (guests/module.mk).
$(addsuffix /keymap/keymap.o,$(B)/obj $(B)/obj/desk $(B)/obj/guests): $(B)/gen/keymap_tables.h

$(eval $(call host_folder,keymap,-Ikeymap -I$(B)/gen))

$(KEYMAP_A): $(call objs,$(KEYMAP_SRCS))
	$(archive)
