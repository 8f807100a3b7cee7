/* Waits for a file by trying to open it again and again. */
#include <fcntl.h>

#include "load.h"

int main(int argc, char **argv)
{
	long failed = 0;

	load_begin();
	while (!ended) {
		int file = open(argv[argc - 1], O_RDONLY);

		if (file >= 0)
			return 1;
		failed++;
	}
	printf("failed=%ld\n", failed);
	return 0;
}
