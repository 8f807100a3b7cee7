/* Writes to pages of 120 MiB in random order. */
#include "load.h"

#define SIZE (120ul << 20)

int main(void)
{
	volatile char *memory = malloc(SIZE);
	uint64_t random = 1;

	if (!memory)
		return 1;
	for (;;) {
		random = random * 6364136223846793005u + 1442695040888963407u;
		memory[(random >> 20) % SIZE]++;
	}
}
