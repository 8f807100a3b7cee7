/*
 * Sends signals to children whose fate is known, and prints a line for each: NAME PID NUMBER.
 *
 *     handled   takes NUMBER SIGUSR1, one at a time
 *     blocked   is sent SIGUSR2 NUMBER times while it blocks it, for 30 ms at least, and takes it once
 *     deaf      ignores NUMBER SIGHUP
 *     killed, ended, crashed, alarmed   end by SIGKILL, SIGTERM, SIGSEGV of their own, SIGALRM of a timer
 *     threads   four threads that end by one SIGTERM
 *     itself    the sender
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define HANDLED 200
#define BLOCKED 5
#define DEAF 7

static int ready[2];

static void tell(int signal)
{
	(void)!write(ready[1], "x", 1);
}

static void heard(void)
{
	char byte;

	if (read(ready[0], &byte, 1) != 1)
		exit(98);
}

static void *wait_for_ever(void *none)
{
	for (;;)
		pause();
	return none;
}

static void handled(void)
{
	signal(SIGUSR1, tell);
	tell(0);
	wait_for_ever(NULL);
}

static void blocked(void)
{
	struct timespec brief = {.tv_nsec = 30000000};
	sigset_t set;
	char byte;

	signal(SIGUSR2, tell);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, NULL);
	tell(0);
	/* Until it is pending. */
	do {
		sigpending(&set);
	} while (!sigismember(&set, SIGUSR2));
	nanosleep(&brief, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	wait_for_ever(NULL);
}

static void deaf(void)
{
	signal(SIGHUP, SIG_IGN);
	tell(0);
	wait_for_ever(NULL);
}

static void crashed(void)
{
	*(volatile int *)8 = 1;
}

static void alarmed(void)
{
	ualarm(1000, 0);
	wait_for_ever(NULL);
}

static void plain(void)
{
	tell(0);
	wait_for_ever(NULL);
}

static void threads(void)
{
	pthread_t thread;
	int i;

	for (i = 0; i < 3; i++)
		pthread_create(&thread, NULL, wait_for_ever, NULL);
	plain();
}

static pid_t child(void (*life)(void))
{
	pid_t pid = fork();

	if (!pid) {
		life();
		_exit(97);
	}
	return pid;
}

static pid_t child_that_tells(void (*life)(void))
{
	pid_t pid = child(life);

	heard();
	return pid;
}

static void end(const char *name, pid_t pid, int signal, int number)
{
	int status;

	if (signal)
		kill(pid, signal);
	if (waitpid(pid, &status, 0) != pid || !WIFSIGNALED(status))
		exit(96);
	printf("%s %d %d\n", name, pid, number);
}

int main(void)
{
	struct rlimit none = {0, 0};
	pid_t pid;
	int i;

	setrlimit(RLIMIT_CORE, &none);
	if (pipe(ready))
		return 1;
	pid = child_that_tells(handled);
	for (i = 0; i < HANDLED; i++) {
		kill(pid, SIGUSR1);
		heard();
	}
	end("handled", pid, SIGKILL, HANDLED);
	pid = child_that_tells(blocked);
	/* It goes on at the first of them, 30 ms later. */
	for (i = 0; i < BLOCKED; i++)
		kill(pid, SIGUSR2);
	heard();
	end("blocked", pid, SIGKILL, BLOCKED);
	pid = child_that_tells(deaf);
	for (i = 0; i < DEAF; i++)
		kill(pid, SIGHUP);
	end("deaf", pid, SIGKILL, DEAF);
	end("killed", child_that_tells(plain), SIGKILL, SIGKILL);
	end("ended", child_that_tells(plain), SIGTERM, SIGTERM);
	end("threads", child_that_tells(threads), SIGTERM, SIGTERM);
	end("crashed", child(crashed), 0, SIGSEGV);
	end("alarmed", child(alarmed), 0, SIGALRM);
	printf("itself %d 0\n", getpid());
	return 0;
}
