# Exoshell. `make help` lists the targets; docs/building.md says more.
#
# Everything is built below $(BUILD), never beside the sources. The release
# build goes to build/{bin,guests,…}; MODE=asan|ubsan|tsan|cov to build/MODE/….
# Each folder adds its part in a module.mk; sources are found by wildcard.

MODE   ?= release
BUILD  ?= build
ifeq ($(origin CC),default)
CC := gcc
endif
V      ?= 0
PREFIX ?= /usr/local
DESTDIR ?=

ifneq ($(filter-out release asan ubsan tsan cov,$(MODE)),)
$(error MODE=$(MODE) is not one of release, asan, ubsan, tsan, cov)
endif

ifeq ($(MODE),release)
B := $(BUILD)
else
B := $(BUILD)/$(MODE)
endif

Q := $(if $(filter 1,$(V)),,@)
say = @printf '  %-7s %s\n' '$(1)' '$(patsubst $(B)/%,%,$(2))'

MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := all
.SUFFIXES:
.SECONDARY:
.DELETE_ON_ERROR:

include mk/flags.mk

ALL :=
INSTALL_BINS :=
include lib/module.mk
include virtio-backends/module.mk
include vmm/module.mk
include hidmux/module.mk
include fonts/module.mk
include keymap/module.mk
include shell/module.mk
include shell/desktop/module.mk
include guests/module.mk
include p9/module.mk
include images/module.mk
include tests/module.mk

.PHONY: all
all: $(ALL) ## build the programs and the guests

include mk/targets.mk

-include $(shell find $(B)/obj -name '*.d' 2>/dev/null)
