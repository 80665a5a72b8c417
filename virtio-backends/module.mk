BACKEND_SRCS := $(filter-out virtio-backends/backend_main.c,$(wildcard virtio-backends/*.c))
BACKEND_A := $(B)/lib/libbackends.a

$(eval $(call host_folder,virtio-backends,-Ilib -Ivirtio-backends))

$(BACKEND_A): $(call objs,$(BACKEND_SRCS))
	$(archive)
