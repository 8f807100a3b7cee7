/* Writes a record fifty times a second, and says how long the longest write took. */
#include <fcntl.h>

#include "load.h"

int main(int argc, char **argv)
{
	int file = open(argv[argc - 1], O_WRONLY | O_CREAT | O_TRUNC, 0600);
	char record[512] = { 0 };
	double longest = 0;

	load_begin();
	while (!ended) {
		double before = now();

		if (pwrite(file, record, sizeof(record), 0) < 0)
			return 1;
		if (now() - before > longest)
			longest = now() - before;
		pause_for(0.02);
	}
	printf("longest=%.3f\n", longest);
	return 0;
}
