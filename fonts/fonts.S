/* The font files made below $(B)/gen/fonts (-I says where). */
	.section .rodata
	.macro font name, file
	.balign 16
	.globl font_\name, font_\name\()_end
font_\name:
	.incbin "\file"
font_\name\()_end:
	.byte 0
	.endm

	font sans, "fonts/sans.ttf"
	font bold, "fonts/bold.ttf"
	font mono, "fonts/mono.ttf"

	.section .note.GNU-stack, "", @progbits
