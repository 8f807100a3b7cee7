/* Executes its other self again and again: `execs COUNT OTHER`. Built without and with PADDING, and statically at fixed addresses, what is
 * libc in the one is never called code in the other, or is not mapped there. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define KEEP __attribute__((noinline, noclone))

#ifdef PADDING
/* Before libc, and longer than it. */
__asm__(".pushsection .text.padding, \"ax\", @progbits\n"
	".type padding, @function\n"
	"padding:\n"
	".skip 4194304, 0x90\n"
	".size padding, . - padding\n"
	".popsection\n");
#endif

static volatile double sink;

KEEP static void innermost(void)
{
	for (int i = 0; i < 300000; i++)
		sink += i * 0.5;
}

KEEP static int work(char *count, char **words)
{
	innermost();
	snprintf(count, 16, "%d", atoi(words[1]) - 1);
	/* The last one has no other. */
	if (atoi(count) <= 0)
		return 0;
	execv(words[2], (char *[]){words[2], count, words[0], NULL});
	return 1;
}

int main(int argc, char **argv)
{
	char count[16];
	int failed = argc < 3 || work(count, argv);

	return failed;
}
