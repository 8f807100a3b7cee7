/* Touches pages of a mapped file in random order, and drops them from the cache now and then. */
#include <fcntl.h>
#include <sys/mman.h>

#include "load.h"

#define SIZE (200ul << 20)

int main(int argc, char **argv)
{
	int file = open(argv[argc - 1], O_RDONLY);
	volatile char *map = mmap(0, SIZE, PROT_READ, MAP_SHARED, file, 0);
	uint64_t random = 1;
	long sum = 0;

	if (map == MAP_FAILED)
		return 1;
	madvise((void *)map, SIZE, MADV_RANDOM);
	for (long reads = 1;; reads++) {
		random = random * 6364136223846793005u + 1442695040888963407u;
		sum += map[(random >> 20) % SIZE];
		if (reads % 2000 == 0) {
			madvise((void *)map, SIZE, MADV_DONTNEED);
			posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
		}
	}
}
