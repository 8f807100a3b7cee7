/* Writes blocks of 64 KiB to its output as fast as that takes them. */
#include "load.h"

int main(void)
{
	static char block[64 << 10];
	double began = now(), waited = 0;

	load_begin();
	while (!ended) {
		double before;

		memset(block, (int)(before = now()), sizeof(block));
		if (write(1, block, sizeof(block)) < 0)
			break;
		waited += now() - before;
	}
	fprintf(stderr, "%.3f\n", waited / (now() - began));
	return 0;
}
