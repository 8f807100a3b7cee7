/* One chain of calls, whose functions are each a trap for unwinding: no frame pointers, a stack that varies, a stack that is
 * aligned, a signal handler, recursion, and libc between two of them. At its end it burns CPU time, or sleeps. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define KEEP __attribute__((noinline, noclone))

static volatile double sink;
static int asleep;

KEEP static void innermost(void)
{
	struct timespec pause = {0, 1000000};

	if (asleep)
		nanosleep(&pause, NULL);
	else
		for (int i = 0; i < 100000; i++)
			sink += i * 0.5;
	sink += 1;
}

KEEP static void handler(int signal)
{
	innermost();
	sink += signal;
}

KEEP static void signalled(void)
{
	raise(SIGUSR1);
	sink += 1;
}

KEEP static int compare(const void *a, const void *b)
{
	static int calls;

	if (!(calls++ & 1))
		signalled();
	sink += 1;
	return *(const int *)a - *(const int *)b;
}

KEEP static void sorted(int *values, size_t count)
{
	qsort(values, count, sizeof *values, compare);
	sink += values[0];
}

KEEP static void aligned(int *values, size_t count)
{
	double wide[8] __attribute__((aligned(64)));

	memset(wide, 0, sizeof wide);
	sorted(values, count);
	sink += wide[(int)sink & 7];
}

KEEP static void varied(size_t count)
{
	int values[count];

	for (size_t i = 0; i < count; i++)
		values[i] = count - i;
	aligned(values, count);
	sink += values[count / 2];
}

KEEP static void recursive(int depth)
{
	char room[depth * 16 + 8];

	memset(room, depth, sizeof room);
	if (depth)
		recursive(depth - 1);
	else
		varied(2 + (int)sink % 2);
	sink += room[0];
}

int main(int argc, char **argv)
{
	asleep = argc > 1 && !strcmp(argv[1], "asleep");
	signal(SIGUSR1, handler);
	/* A second and a half of CPU time, however busy the machine is; or a thousand sleeps. */
	for (int calls = 0; asleep ? calls < 1000 : clock() < 3 * CLOCKS_PER_SEC / 2; calls++)
		recursive(3);
	return 0;
}
