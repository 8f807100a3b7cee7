/* Opens a file again and again; says what part of its time that took. */
#include <fcntl.h>

#include "load.h"

int main(int argc, char **argv)
{
	double began = now(), waited = 0;

	load_begin();
	while (!ended) {
		double before = now();
		int file = open(argv[argc - 1], O_CREAT | O_RDWR, 0600);

		waited += now() - before;
		if (file < 0)
			return 1;
		close(file);
		work_for(0.0002);
	}
	printf("share=%.3f\n", waited / (now() - began));
	return 0;
}
