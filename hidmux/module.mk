# The multiplexer of input and display: pure logic, see hidmux.h. Also linked by exo-desktop.
HID_SRCS := $(wildcard hidmux/*.c)
HID_A := $(B)/lib/libhidmux.a

$(eval $(call host_folder,hidmux,-Ihidmux))

$(HID_A): $(call objs,$(HID_SRCS))
	$(archive)
