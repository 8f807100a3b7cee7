/* Forks a child that ends at once, again and again, with a gigabyte of memory in small pages. */
#include <sys/mman.h>
#include <sys/wait.h>

#include "load.h"

#define SIZE (1L << 30)

int main(void)
{
	char *memory = mmap(0, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	double forking = 0;
	long forks = 0;

	madvise(memory, SIZE, MADV_NOHUGEPAGE);
	memset(memory, 1, SIZE);
	load_begin();
	while (!ended) {
		double before = now();
		pid_t child = fork();

		if (!child)
			_exit(0);
		forking += now() - before;
		forks++;
		waitpid(child, 0, 0);
		pause_for(0.005);
	}
	printf("forks=%ld forking=%.3f\n", forks, forking);
	return 0;
}
