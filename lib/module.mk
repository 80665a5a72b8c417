LIB_SRCS := $(wildcard lib/*.c)
LIB_A := $(B)/lib/libexohost.a

$(eval $(call host_folder,lib,-Ilib))

$(LIB_A): $(call objs,$(LIB_SRCS))
	$(archive)
