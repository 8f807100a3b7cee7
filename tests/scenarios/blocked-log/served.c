/* Writes two lines of a log in a millisecond to a pipe, which blocks while that is full; says for what share of its time. */
#include "load.h"

int main(int argc, char **argv)
{
	double began = now(), blocked = 0;
	int log = atoi(argv[argc - 1]);
	char line[512];

	memset(line, '.', sizeof(line));
	line[sizeof(line) - 1] = '\n';
	load_begin();
	while (!ended) {
		double before;

		pause_for(0.0005);
		before = now();
		if (write(log, line, sizeof(line)) < 0)
			break;
		blocked += now() - before;
	}
	printf("blocked=%.3f\n", blocked / (now() - began));
	return 0;
}
