/* Loads libraries by turns, at one address, and works in each: `plugins MILLISECONDS NAME LIBRARY NAME LIBRARY`. Says how many were elsewhere. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define KEEP __attribute__((noinline, noclone))

static volatile double sink;

KEEP static void first_turn(void (*work)(int))
{
	work(100000);
	sink += 1;
}

KEEP static void second_turn(void (*work)(int))
{
	work(100000);
	sink += 2;
}

int main(int argc, char **argv)
{
	int elsewhere = 0, turns = 0, slice = argc > 1 ? atoi(argv[1]) : 0;
	void *before = NULL;

	if (argc < 6)
		return 1;
	while (clock() < 3 * CLOCKS_PER_SEC) {
		for (int turn = 0; turn < 2; turn++) {
			clock_t end = clock() + slice * (CLOCKS_PER_SEC / 1000);
			void *library = dlopen(argv[3 + 2 * turn], RTLD_NOW | RTLD_LOCAL);
			void *work = library ? dlsym(library, argv[2 + 2 * turn]) : NULL;
			Dl_info where;

			if (!work || !dladdr(work, &where))
				return 1;
			elsewhere += before && before != where.dli_fbase;
			before = where.dli_fbase;
			while (clock() < end)
				(turn ? second_turn : first_turn)(work);
			dlclose(library);
			turns++;
		}
	}
	printf("%d of %d elsewhere\n", elsewhere, turns);
	return 0;
}
