/*
 * A program whose calls end in every way in which calls end. It counts them, and at its end prints for each of left(), deep() and
 * jumped() how many calls began and how many of those returned, a number a line. Its status is 42 if all went as it has to.
 *
 *   exceptions N   every fourth of N calls throws, through a caller that has no handler
 *   longjmp N      every third of N calls is ended by longjmp
 *   recurse D N    deep() calls itself D times, N times; every second time the innermost call throws through all of them
 *   threads T N    T threads of N calls, each of which ends in one call more
 *   signals N      N calls, each interrupted by a signal whose handler calls the same on another stack
 *   fork N         N calls from which parent and child both return; each child makes a call of its own, and ends within another
 *   exec N         N children that execute the program again within a call, which makes a call
 *   coroutines N   N coroutines begin a call in one thread and return from it in another
 *   tail N         jumped() ends by jumping to landed(), which throws every fourth time; others call landed() too
 *   mixed N        all of these
 */
#include <atomic>
#include <csetjmp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define TRACED extern "C" __attribute__((noinline, used, visibility("default")))

enum how { RETURN, THROW, JUMP, END_THREAD, SIGNAL, FORK, END_PROCESS, EXEC, SWITCH };

struct counts {
	std::atomic<long> begun, returned;
};

/* Shared with children. */
static struct shared {
	counts left, deep, jumped;
} * shared;

static jmp_buf landing;
static ucontext_t coroutine, scheduler;
static volatile long sink;
static const char *self;

TRACED int left(int how, int number)
{
	shared->left.begun++;
	switch (how) {
	case THROW:
		throw number;
	case JUMP:
		longjmp(landing, 1);
	case END_THREAD:
		pthread_exit(nullptr);
	case SIGNAL:
		raise(SIGUSR1);
		break;
	case FORK:
		if (pid_t child = fork())
			waitpid(child, nullptr, 0);
		break;
	case END_PROCESS:
		_exit(0);
	case EXEC:
		execl(self, self, "once", nullptr);
		_exit(1);
	case SWITCH:
		swapcontext(&coroutine, &scheduler);
		break;
	}
	return number + 1;
}

static void call(int how, int number)
{
	if (left(how, number) != number + 1)
		_exit(3);
	shared->left.returned++;
}

/* No handler and nothing to clean up: an exception goes through. */
__attribute__((noinline)) static int passed(int how, int number)
{
	call(how, number);
	return ++sink;
}

/* By a pointer, for a compiler makes a loop of what calls itself. */
static int (*volatile again)(int, bool);

TRACED int deep(int depth, bool throws)
{
	int below;

	shared->deep.begun++;
	if (!depth && throws)
		throw depth;
	below = depth ? again(depth - 1, throws) : 0;
	shared->deep.returned++;
	return below + 1;
}

TRACED int landed(int number)
{
	sink += number;
	if (number % 4 == 3)
		throw number;
	return number + 1;
}

TRACED int jumped(int number)
{
	shared->jumped.begun++;
	return landed(number);
}

static void exceptions(int calls)
{
	for (int i = 0; i < calls; i++)
		try {
			passed(i % 4 == 3 ? THROW : RETURN, i);
		} catch (int) {
		}
}

static void longjmps(int calls)
{
	for (volatile int i = 0; i < calls; i = i + 1)
		if (!setjmp(landing))
			call(i % 3 ? RETURN : JUMP, i);
}

static void recursion(int depth, int calls)
{
	for (int i = 0; i < calls; i++)
		try {
			deep(depth, i % 2);
		} catch (int) {
		}
}

static void *in_thread(void *calls)
{
	for (long i = 0; i < (long)calls; i++)
		call(RETURN, i);
	call(END_THREAD, 0);
	return nullptr;
}

static void threads(int count, long calls)
{
	pthread_t thread[64];

	for (int i = 0; i < count && i < 64; i++)
		pthread_create(&thread[i], nullptr, in_thread, (void *)calls);
	for (int i = 0; i < count && i < 64; i++)
		pthread_join(thread[i], nullptr);
}

static void handler(int)
{
	call(RETURN, 7);
}

static void signals(int calls)
{
	stack_t stack = {};
	struct sigaction action = {};

	stack.ss_size = 1 << 16;
	stack.ss_sp = malloc(stack.ss_size);
	sigaltstack(&stack, nullptr);
	action.sa_handler = handler;
	action.sa_flags = SA_ONSTACK;
	sigaction(SIGUSR1, &action, nullptr);
	for (int i = 0; i < calls; i++)
		call(SIGNAL, i);
}

static void forks(int calls)
{
	pid_t parent = getpid();

	for (int i = 0; i < calls; i++) {
		left(FORK, i);
		if (getpid() == parent) {
			shared->left.returned++;
			continue;
		}
		/* It returned from its parent's call, not from one of its own. */
		call(RETURN, i);
		call(END_PROCESS, i);
	}
}

static void execs(int calls)
{
	for (int i = 0; i < calls; i++) {
		pid_t child = fork();
		int status;

		if (!child)
			call(EXEC, i);
		waitpid(child, &status, 0);
		if (status)
			_exit(4);
		/* What the child did as another program. */
		shared->left.begun++;
		shared->left.returned++;
	}
}

static void in_coroutine(int number)
{
	call(SWITCH, number);
}

static void *resume(void *)
{
	swapcontext(&scheduler, &coroutine);
	return nullptr;
}

static void coroutines(int count)
{
	char *stack = static_cast<char *>(malloc(1 << 16));

	for (int i = 0; i < count; i++) {
		pthread_t other;

		getcontext(&coroutine);
		coroutine.uc_stack.ss_sp = stack;
		coroutine.uc_stack.ss_size = 1 << 16;
		coroutine.uc_link = &scheduler;
		makecontext(&coroutine, reinterpret_cast<void (*)()>(in_coroutine), 1, i);
		swapcontext(&scheduler, &coroutine);
		pthread_create(&other, nullptr, resume, nullptr);
		pthread_join(other, nullptr);
	}
}

static void tail_calls(int calls)
{
	for (int i = 0; i < calls; i++) {
		try {
			if (jumped(i) == i + 1)
				shared->jumped.returned++;
		} catch (int) {
		}
		/* Where the stack is as it was when jumped() was called. */
		if (landed(-4 * i) != -4 * i + 1)
			_exit(5);
	}
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	int a = argc > 2 ? atoi(argv[2]) : 0, b = argc > 3 ? atoi(argv[3]) : 0;
	bool all = !strcmp(what, "mixed");

	self = argv[0];
	again = deep;
	shared = static_cast<struct shared *>(
		mmap(nullptr, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	if (!strcmp(what, "once")) {
		call(RETURN, 1);
		return 0;
	}
	if (all || !strcmp(what, "exceptions"))
		exceptions(a);
	if (all || !strcmp(what, "longjmp"))
		longjmps(a);
	if (all || !strcmp(what, "recurse"))
		recursion(all ? 150 : a, all ? a / 10 : b);
	if (all || !strcmp(what, "threads"))
		threads(all ? 8 : a, all ? a : b);
	if (all || !strcmp(what, "signals"))
		signals(a);
	if (all || !strcmp(what, "fork"))
		forks(all ? 20 : a);
	if (all || !strcmp(what, "exec"))
		execs(all ? 10 : a);
	if (all || !strcmp(what, "coroutines"))
		coroutines(all ? 128 : a);
	if (all || !strcmp(what, "tail"))
		tail_calls(a);
	for (counts *one : {&shared->left, &shared->deep, &shared->jumped})
		printf("%ld\n%ld\n", one->begun.load(), one->returned.load());
	return 42;
}
