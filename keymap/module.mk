# Keyboard layouts, for the shell and for guests; the tables are made from xkb-data.
KEYMAP_SRCS := $(wildcard keymap/*.c)
