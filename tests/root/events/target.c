/*
 * A program whose functions are known: what they are called with, how often, and how long they take.
 *
 *   calls N       called(i, -i, "name i", &point, address, socket address) N times; gives 3 * i. The address is
 *                 2001:db8::5:i, the socket's [2001:db8::5:i]:8000+i; see there for the point
 *   threads T N   T threads call() N times each
 *   recurse D N   recursed(D), which calls itself down to 0, N times
 *   sleep MS N    slept(MS) N times; prints each call's nanoseconds as it measured them
 *   jump N        left() N times, which longjmp ends, and each time landed() once
 *   tail N        first() N times, which ends by jumping to second()
 *   usdt N        the static probe ebrec:fired with (i, "text i", -i as 16 bits, a constant) N times, and while someone
 *                 listens ebrec:named with (a variable by its name that is -i, an element of an array that is
 *                 10 * (i % 4), a floating-point number)
 *   texts N LEN   told() with a text of LEN characters, all 'x' but the last one: 'a', 'b', 'c' in turn
 *   absent N      told() with a text across two pages that are in the program's file but not in its memory
 *   open N        opens a file that there is not N times, its path in memory as before
 *   red N         leaf(i, 2 * i), which keeps both below its stack pointer across ebrec:red; prints how many sums were wrong
 *
 * With WAIT set, each begins when a line comes on standard input.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define TRACED __attribute__((noinline, used, visibility("default")))

struct point {
	char tag;
	int x;
	long y;
	struct point *next;
	unsigned flags : 3;
	signed level : 5;
};

static volatile long sink;

TRACED long called(int number, long negative, const char *name, const struct point *point,
		   const struct in6_addr *address, const struct sockaddr *socket)
{
	sink += number + negative + name[0] + point->x + address->s6_addr[15] + socket->sa_family;
	return 3L * number;
}

TRACED int call(int number)
{
	sink += number;
	return number;
}

/* By pointers, for a compiler makes loops of what calls itself. */
static long (*volatile again)(int);
static void (*volatile deeper)(int);

TRACED long recursed(int depth)
{
	return depth ? again(depth - 1) + 1 : 0;
}

static int64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

TRACED int slept(int ms)
{
	struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};

	nanosleep(&time, NULL);
	return ms;
}

static jmp_buf landing;

TRACED void left(int calls)
{
	if (calls)
		deeper(calls - 1);
	longjmp(landing, 1);
}

TRACED int landed(int number)
{
	sink += number;
	return number;
}

TRACED int second(int number)
{
	sink += number;
	return number + 1;
}

TRACED int first(int number)
{
	sink ^= number;
	return second(number);
}

/* A note as <sys/sdt.h> makes it, without asking for that header. */
#define NOTE(name, semaphore, operands)                                                                                \
	".pushsection .note.stapsdt,\"\",\"note\"\n"                                                                   \
	".balign 4\n"                                                                                                  \
	".4byte 992f-991f, 994f-993f, 3\n"                                                                             \
	"991: .asciz \"stapsdt\"\n"                                                                                    \
	"992: .balign 4\n"                                                                                             \
	"993: .8byte 990b\n"                                                                                           \
	".8byte _.stapsdt.base\n"                                                                                      \
	".8byte " semaphore "\n"                                                                                       \
	".asciz \"ebrec\"\n"                                                                                           \
	".asciz \"" name "\"\n"                                                                                        \
	".asciz \"" operands "\"\n"                                                                                    \
	"994: .balign 4\n"                                                                                             \
	".popsection\n"                                                                                                \
	".ifndef _.stapsdt.base\n"                                                                                     \
	".pushsection .stapsdt.base,\"aG\",\"progbits\",.stapsdt.base,comdat\n"                                        \
	".weak _.stapsdt.base\n"                                                                                       \
	".hidden _.stapsdt.base\n"                                                                                     \
	"_.stapsdt.base: .space 1\n"                                                                                   \
	".size _.stapsdt.base, 1\n"                                                                                    \
	".popsection\n"                                                                                                \
	".endif\n"

/* Not 0 while someone listens. */
volatile unsigned short named_semaphore __attribute__((section(".probes")));

static volatile int variable;
static volatile short array[4] = {0, 10, 20, 30};

TRACED void fire(long number, const char *text, short negative)
{
#if defined(__x86_64__)
#define OPERANDS "-8@%%rdi 8@%%rsi -2@%%dx 4@$77"
	register long first asm("rdi") = number;
	register const char *second asm("rsi") = text;
	register short third asm("rdx") = negative;
#else
#define OPERANDS "-8@x0 8@x1 -2@x2 4@77"
	register long first asm("x0") = number;
	register const char *second asm("x1") = text;
	register short third asm("x2") = negative;
#endif
	asm volatile("990: nop\n" NOTE("fired", "0", OPERANDS)::"r"(first), "r"(second), "r"(third) : "memory");
}

TRACED void name(long index)
{
#if defined(__x86_64__)
	register const volatile short *elements asm("rdx") = array;
	register long which asm("rcx") = index;

	asm volatile("990: nop\n" NOTE("named", "named_semaphore",
				       "-4@variable(%%rip) -2@(%%rdx,%%rcx,2) 8f@%%xmm0")::"r"(elements),
		     "r"(which)
		     : "memory");
#else
	register const volatile short *elements asm("x2") = array;
	register long which asm("x1") = index;

	/* The assembler of aarch64 writes no names. */
	asm volatile("990: nop\n" NOTE("named", "named_semaphore", "-2@[x2, x1, lsl 1] 8f@d0")::"r"(elements),
		     "r"(which)
		     : "memory");
#endif
}

/* A leaf that keeps values below its stack pointer, which x86_64 allows, with a nop of five bytes between. */
TRACED long leaf(long a, long b)
{
#if defined(__x86_64__)
	long sum;

	asm volatile("mov %1, -8(%%rsp)\n"
		     "mov %2, -16(%%rsp)\n"
		     "990: .byte 0x0f, 0x1f, 0x44, 0, 0\n"
		     "mov -8(%%rsp), %0\n"
		     "add -16(%%rsp), %0\n" NOTE("red", "0", "8@%%rdi")
		     : "=&r"(sum)
		     : "r"(a), "r"(b)
		     : "memory");
	return sum;
#else
	return a + b;
#endif
}

TRACED int told(const char *text)
{
	sink += (long)text;
	return 0;
}

/* Two pages in a file's second and third, which the process has mapped again and not touched. */
static void absent(int times, const char *text, bool is_path)
{
	size_t length = strlen(text) + 1;
	long page = sysconf(_SC_PAGESIZE);
	FILE *file = tmpfile();

	if (!file || ftruncate(fileno(file), 3 * page) ||
	    pwrite(fileno(file), text, length, 2 * page - 6) != (ssize_t)length)
		exit(3);
	for (int i = 0; i < times; i++) {
		char *mapped = mmap(NULL, 3 * page, PROT_READ, MAP_PRIVATE, fileno(file), 0);

		/* Nothing is mapped around what is touched. */
		if (mapped == MAP_FAILED || madvise(mapped, 3 * page, MADV_RANDOM))
			exit(4);
		if (is_path)
			open(mapped + 2 * page - 6, O_RDONLY);
		else
			told(mapped + 2 * page - 6);
		munmap(mapped, 3 * page);
	}
	fclose(file);
}

static void *caller(void *number)
{
	for (long i = 0; i < (long)number; i++)
		call(i);
	return NULL;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	int a = argc > 2 ? atoi(argv[2]) : 0, b = argc > 3 ? atoi(argv[3]) : 0;
	struct sockaddr_in6 socket = {.sin6_family = AF_INET6};
	char line[8], text[64];

	if (getenv("WAIT") && !fgets(line, sizeof(line), stdin))
		return 1;
	again = recursed;
	deeper = left;
	inet_pton(AF_INET6, "2001:db8::5:0", &socket.sin6_addr);
	if (!strcmp(what, "calls")) {
		for (int i = 0; i < a; i++) {
			struct point next = {.x = 100 + i, .y = -100L - i};
			struct point point = {'p', i, 1L << 40, &next, i & 7, -(i & 15)};

			socket.sin6_addr.s6_addr[14] = i >> 8;
			socket.sin6_addr.s6_addr[15] = i;
			socket.sin6_port = htons(8000 + i);
			snprintf(text, sizeof(text), "name %d", i);
			called(i, -i, text, &point, &socket.sin6_addr, (struct sockaddr *)&socket);
		}
	} else if (!strcmp(what, "threads")) {
		pthread_t threads[64];

		for (int i = 0; i < a && i < 64; i++)
			pthread_create(&threads[i], NULL, caller, (void *)(long)b);
		for (int i = 0; i < a && i < 64; i++)
			pthread_join(threads[i], NULL);
	} else if (!strcmp(what, "recurse")) {
		for (int i = 0; i < b; i++)
			recursed(a);
	} else if (!strcmp(what, "sleep")) {
		for (int i = 0; i < b; i++) {
			int64_t start = now();

			slept(a);
			printf("%lld\n", (long long)(now() - start));
		}
	} else if (!strcmp(what, "jump")) {
		for (volatile int i = 0; i < a; i++) {
			if (!setjmp(landing))
				left(2);
			landed(i);
		}
	} else if (!strcmp(what, "tail")) {
		for (int i = 0; i < a; i++)
			first(i);
	} else if (!strcmp(what, "usdt")) {
		for (int i = 0; i < a; i++) {
			snprintf(text, sizeof(text), "text %d", i);
			fire(i, text, -i);
			variable = -i;
			if (named_semaphore)
				name(i % 4);
		}
	} else if (!strcmp(what, "texts")) {
		char *long_text = malloc(b + 1);

		memset(long_text, 'x', b);
		long_text[b] = 0;
		for (int i = 0; i < a; i++) {
			long_text[b - 1] = 'a' + i % 3;
			told(long_text);
		}
	} else if (!strcmp(what, "absent")) {
		absent(a, "across two pages", false);
	} else if (!strcmp(what, "open")) {
		absent(a, "/no/such/file/of/ebrec", true);
	} else if (!strcmp(what, "red")) {
		int wrong = 0;

		for (long i = 0; i < a; i++)
			wrong += leaf(i, 2 * i) != 3 * i;
		printf("%d\n", wrong);
	} else {
		return 2;
	}
	printf("%d\n", getpid());
	return 0;
}
