/* expect: signal 11 */
/* A privileged instruction. */
int main(void)
{
	__asm__ volatile("cli");
	return 0;
}
