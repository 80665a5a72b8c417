/* expect: signal 11 */
/* A null pointer, read. */
int main(void)
{
	int *volatile nothing = 0;

	/* cppcheck-suppress nullPointer */
	return *nothing;
}
