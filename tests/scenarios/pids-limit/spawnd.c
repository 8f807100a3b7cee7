/* Starts a child fifty times a second that sleeps for a second; says how often it got none. */
#include <errno.h>
#include <sys/wait.h>

#include "load.h"

int main(void)
{
	long refused = 0;

	load_begin();
	while (!ended) {
		pid_t child = fork();

		if (!child) {
			pause_for(1);
			_exit(0);
		}
		refused += child < 0 && errno == EAGAIN;
		while (waitpid(-1, 0, WNOHANG) > 0)
			;
		pause_for(0.02);
	}
	printf("refused=%ld\n", refused);
	return 0;
}
