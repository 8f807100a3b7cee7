/* Traces a process's system calls, as strace does; says how often that stopped. */
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "load.h"

int main(int argc, char **argv)
{
	pid_t pid = atoi(argv[argc - 1]);
	long stops = 0;
	int status;

	load_begin();
	if (ptrace(PTRACE_SEIZE, pid, 0, PTRACE_O_TRACESYSGOOD) || ptrace(PTRACE_INTERRUPT, pid, 0, 0))
		return 1;
	while (!ended && waitpid(pid, &status, 0) == pid) {
		stops++;
		if (ptrace(PTRACE_SYSCALL, pid, 0, 0))
			return 1;
	}
	printf("stops=%ld\n", stops);
	return 0;
}
