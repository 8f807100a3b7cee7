/* Spins for 0.3 s of CPU time in a function of its own, and ends. */
#include <time.h>

static volatile long sink;

__attribute__((noinline)) void a_brief_function(void)
{
	while (clock() < CLOCKS_PER_SEC * 3 / 10)
		for (int i = 0; i < 300000; i++)
			sink += i;
}

int main(void)
{
	a_brief_function();
	return 0;
}
