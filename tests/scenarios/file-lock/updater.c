/* Four processes that work under an flock; says what share of their time they waited for it by their own clocks. */
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "load.h"

#define PROCESSES 4

static double update(void)
{
	int file = open("state.lock", O_CREAT | O_RDWR, 0600);
	double began = now(), waited = 0;

	while (!ended) {
		double before = now();

		if (flock(file, LOCK_EX))
			break;
		waited += now() - before;
		work_for(0.02);
		pause_for(0.03);
		flock(file, LOCK_UN);
		pause_for(0.001);
	}
	return waited / (now() - began);
}

int main(void)
{
	double *shares = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), sum = 0;
	pid_t children[PROCESSES];

	load_begin();
	for (int i = 0; i < PROCESSES; i++) {
		children[i] = fork();
		if (!children[i]) {
			shares[i] = update();
			_exit(0);
		}
	}
	while (!ended)
		pause();
	for (int i = 0; i < PROCESSES; i++)
		kill(children[i], SIGTERM);
	for (int i = 0; i < PROCESSES; i++) {
		waitpid(children[i], 0, 0);
		sum += shares[i] / PROCESSES;
	}
	printf("waited=%.3f\n", sum);
	return 0;
}
