/*
 * Looks like CPython 3.11 to a reader, and has in its interpreter's places what should mislead a reader: the first argument
 * says what. Works for as many milliseconds as the second says.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WORD(place, offset) (*(uint64_t *)((char *)(place) + (offset)))

__attribute__((section(".PyRuntime"), used)) char _PyRuntime[4096] = {1};
const uint32_t Py_Version = 0x030b02f0;

static char interpreter[4096], thread[4096], other[4096], frame[4096], code[4096], text[4096], lines[4096];
static volatile uint64_t sum;

__attribute__((noinline)) void work(long milliseconds)
{
	struct timespec now;
	long end;

	clock_gettime(CLOCK_MONOTONIC, &now);
	end = now.tv_sec * 1000 + now.tv_nsec / 1000000 + milliseconds;
	do {
		for (int i = 0; i < 100000; i++)
			sum += i;
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec * 1000 + now.tv_nsec / 1000000 < end);
}

/* The interpreter's loop, with a link to the newest frame on the stack. */
__attribute__((noinline)) void _PyEval_EvalFrameDefault(long milliseconds)
{
	volatile uint64_t link[3] = {0, (uint64_t)frame, 0};

	WORD(thread, 56) = (uint64_t)link;
	work(milliseconds);
	sum += link[1];
}

int main(int count, char **words)
{
	const char *what = count > 1 ? words[1] : "";

	WORD(_PyRuntime, 40) = (uint64_t)interpreter;
	WORD(interpreter, 16) = (uint64_t)thread;
	WORD(thread, 152) = pthread_self();
	WORD(frame, 32) = (uint64_t)code;
	WORD(code, 112) = WORD(code, 120) = WORD(code, 128) = (uint64_t)text;
	WORD(code, 136) = (uint64_t)lines;
	/* A text of ASCII: its length and its state. */
	WORD(text, 16) = 4;
	WORD(text, 32) = 1 << 2 | 1 << 5 | 1 << 6;
	strcpy(text + 48, "fake");
	frame[68] = 1;
	if (!strcmp(what, "cycle")) {
		/* A frame without end that calls itself. */
		frame[68] = 0;
		WORD(frame, 48) = (uint64_t)frame;
	} else if (!strcmp(what, "threads")) {
		WORD(thread, 152) = 1;
		WORD(thread, 8) = (uint64_t)other;
		WORD(other, 8) = (uint64_t)thread;
	} else if (!strcmp(what, "nowhere")) {
		frame[68] = 0;
		WORD(frame, 48) = 8;
	} else if (!strcmp(what, "kernel")) {
		WORD(frame, 32) = 0xffffffff81000000;
	} else if (!strcmp(what, "endless")) {
		/* Texts of more characters than there is memory, each of seven bytes. */
		WORD(text, 16) = -1ULL;
		WORD(text, 32) = 7 << 2 | 1 << 5 | 1 << 6;
		WORD(lines, 16) = -1ULL;
		memset(lines + 32, 0xff, sizeof(lines) - 32);
		WORD(frame, 56) = (uint64_t)code + 184 + 4000;
	}
	_PyEval_EvalFrameDefault(atol(words[2]));
	return 0;
}
