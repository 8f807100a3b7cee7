/*
 * A process that ends before it waits for its dead child: the child's end is told to their next parent, this program.
 *
 *     orphan    prints what siginfo says of the first SIGCHLD, and the dead child: one id
 *
 * The dead child's exit code is 3, its late parent's is 4.
 */
#define _GNU_SOURCE
#include <err.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void)
{
	siginfo_t told, end;
	sigset_t child;
	int ids[2], go[2];
	pid_t dead;
	char byte;

	/* In a PID namespace of its own it is the next parent in any case. */
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) || pipe(ids) || pipe(go))
		err(1, "can't begin");
	signal(SIGCHLD, SIG_DFL);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	if (!fork()) {
		pid_t id = fork();

		if (!id) {
			prctl(PR_SET_NAME, "dead-child");
			_exit(3);
		}
		/* It is dead, and nobody has waited for it. */
		waitid(P_PID, id, &end, WEXITED | WNOWAIT);
		prctl(PR_SET_NAME, "late-parent");
		if (write(ids[1], &id, sizeof(id)) < 0 || read(go[0], &byte, 1) < 0)
			err(1, "pipe");
		_exit(4);
	}
	if (read(ids[0], &dead, sizeof(dead)) < 0 || write(go[1], "", 1) < 0)
		err(1, "pipe");
	if (sigwaitinfo(&child, &told) != SIGCHLD)
		err(1, "sigwaitinfo");
	printf("%d %d\n", told.si_pid, dead);
	while (wait(NULL) > 0)
		;
	return 0;
}
