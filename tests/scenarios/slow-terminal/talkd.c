/* Does some work, writes a line to the terminal about it, and measures how long that takes. */
#include "load.h"

int main(void)
{
	double began = now(), waited = 0;
	char line[200];

	memset(line, 'x', sizeof(line));
	line[sizeof(line) - 1] = '\n';
	load_begin();
	while (!ended) {
		double before;

		work_for(0.00002);
		before = now();
		if (write(1, line, sizeof(line)) < 0)
			break;
		waited += now() - before;
	}
	fprintf(stderr, "%.3f\n", waited / (now() - began));
	return 0;
}
