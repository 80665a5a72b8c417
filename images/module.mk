# Images, made from Debian's kernel packages (mk/setup fetches them into
# $(BUILD)/kernel): the machine of the nested route, and the minimal Linux guest.
IMAGES := $(BUILD)/images

$(BUILD)/kernel/%.deb:
	@echo "no $@: run \`make setup\` (it needs a network)" >&2; exit 1

$(IMAGES)/%/vmlinux: $(BUILD)/kernel/%.deb images/unpack-kernel
	$(call say,UNPACK,$(@D))
	$(Q)images/unpack-kernel $< $(@D)

# Static programs against musl, in every mode.
$(IMAGES)/%-init: images/%-init.c | $(KINC)/.stamp
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(BASE_CFLAGS) -Os -s -nostdinc -isystem $(MUSL_INC) -isystem $(CC_INC) \
		-isystem $(KINC) \
		-static -nostdlib -nostartfiles -fno-pie -no-pie -fno-stack-protector -o $@ \
		$(MUSL_LIB)/crt1.o $(MUSL_LIB)/crti.o $(filter %.c,$^) -L$(MUSL_LIB) -Wl,--start-group -lc $(LIBGCC) \
		-Wl,--end-group $(MUSL_LIB)/crtn.o

$(IMAGES)/linuxdpy-init: images/linuxdpy-sound.c images/linuxdpy.h

$(IMAGES)/nested.cpio: $(IMAGES)/generic/vmlinux
$(IMAGES)/linux.cpio: $(IMAGES)/cloud/vmlinux
$(IMAGES)/%.cpio: images/%.modules $(IMAGES)/%-init images/make-initramfs
	$(call say,IMAGE,$@)
	$(Q)images/make-initramfs $@ $(IMAGES)/$(if $(filter nested,$*),generic,cloud) $< $(IMAGES)/$*-init

# The same guest with the generic kernel: the cloud flavour has no 9P.
$(IMAGES)/linux9p.cpio: images/linux9p.modules $(IMAGES)/linux-init images/make-initramfs \
		$(IMAGES)/generic/vmlinux
	$(call say,IMAGE,$@)
	$(Q)images/make-initramfs $@ $(IMAGES)/generic $< $(IMAGES)/linux-init

# The generic kernel again, as the cloud flavour has no displays.
$(IMAGES)/linuxdpy.cpio: images/linuxdpy.modules $(IMAGES)/linuxdpy-init images/make-initramfs \
		$(IMAGES)/generic/vmlinux \
		$(wildcard $(IMAGES)/generic/modules/sound/virtio/virtio_snd.ko)
	$(call say,IMAGE,$@)
	$(Q)images/make-initramfs $@ $(IMAGES)/generic $< $(IMAGES)/linuxdpy-init

$(BUILD)/bin/exo-nested: images/exo-nested
	$(call say,COPY,$@)
	$(Q)mkdir -p $(@D)
	$(Q)install -m 755 $< $@

.PHONY: nested linux-guest
nested: $(IMAGES)/nested.cpio $(BUILD)/bin/exo-nested ## the nested machine for exo-nested
linux-guest: $(IMAGES)/linux.cpio $(IMAGES)/linux9p.cpio $(IMAGES)/linuxdpy.cpio ## kernel and initramfs of the Linux guest

ifeq ($(MODE),release)
ALL += $(BUILD)/bin/exo-nested
endif
