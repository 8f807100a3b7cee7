/* Writes lines of a log that is opened with O_SYNC; says for what share of its time. */
#include <fcntl.h>

#include "load.h"

int main(int argc, char **argv)
{
	int file = open(argv[argc - 1], O_WRONLY | O_CREAT | O_APPEND | O_SYNC, 0600);
	double began = now(), waited = 0;
	char line[120];

	memset(line, '.', sizeof(line));
	load_begin();
	while (!ended) {
		double before;

		work_for(0.0002);
		before = now();
		if (write(file, line, sizeof(line)) < 0)
			return 1;
		waited += now() - before;
	}
	printf("share=%.3f\n", waited / (now() - began));
	return 0;
}
