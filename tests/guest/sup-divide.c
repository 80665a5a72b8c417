/* expect: signal 8 */
/* A division by zero. */
int main(void)
{
	__asm__ volatile("div %%ecx" : : "a"(1), "c"(0) : "rdx");
	return 0;
}
