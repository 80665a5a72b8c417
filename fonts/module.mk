# Fonts to be linked in: cut down from Debian's DejaVu; see fonts.h.
FONT_FILES := $(patsubst %,$(B)/gen/fonts/%.ttf,sans bold mono)
FONT_UNICODES := U+20-7E,U+A0-17F,U+192,U+218-21B,U+370-3FF,U+400-45F,U+490-491,U+2010-2027,U+2030-203A,U+20AC,U+2122,U+2190-21FF,U+2200-22FF,U+2318,U+232B,U+23CE-23CF,U+2500-25FF,U+2600-2603,U+2610-2612,U+2660-2667,U+266A-266B,U+26A0,U+2713-2718,U+FFFD
# Debian's own python, which has the package.
FONT_DIR ?= /usr/share/fonts/truetype/dejavu

$(B)/gen/fonts/sans.ttf: $(FONT_DIR)/DejaVuSans.ttf
$(B)/gen/fonts/bold.ttf: $(FONT_DIR)/DejaVuSans-Bold.ttf
$(B)/gen/fonts/mono.ttf: $(FONT_DIR)/DejaVuSansMono.ttf
$(FONT_FILES): fonts/module.mk
	$(call say,FONT,$@)
	$(Q)mkdir -p $(@D)
	$(Q)/usr/bin/python3 -m fontTools.subset $(filter %.ttf,$^) --unicodes=$(FONT_UNICODES) --no-hinting \
		--layout-features='' --output-file=$@ 2>/dev/null

# An object a face, so that a program takes in those that it uses.
FONT_OBJS := $(patsubst %,$(B)/obj/fonts/%.o,sans bold mono)

$(FONT_OBJS): $(B)/obj/fonts/%.o: fonts/font.S $(B)/gen/fonts/%.ttf
	$(call say,AS,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -c -I$(B)/gen -DFACE=$* -o $@ $<
