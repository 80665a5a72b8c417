/* One font file made below $(B)/gen/fonts (-I says where): FACE is sans, bold or mono. */
#define PASTE_(a, b) a##b
#define PASTE(a, b) PASTE_(a, b)
#define STRING_(a) #a
#define STRING(a) STRING_(a)
#define BEGIN PASTE(font_, FACE)
#define END PASTE(BEGIN, _end)

	.section .rodata.font, "a", @progbits
	.balign 16
	.globl BEGIN, END
BEGIN:
	.incbin STRING(fonts/FACE.ttf)
END:
	.byte 0

	.section .note.GNU-stack, "", @progbits
