/* Functions that unwind tables describe badly, or not at all. The first argument says which of them is called; each burns CPU time for
 * half a second. With PART defined it is the object whose tables are among the debug information only. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define KEEP __attribute__((noinline, noclone))

extern volatile double sink;
void part_inner(void), part_outer(void), innermost(void);

#ifdef PART
KEEP void part_inner(void)
{
	innermost();
	sink += 1;
}

KEEP void part_outer(void)
{
	part_inner();
	sink += 1;
}
#else
volatile double sink;

KEEP void innermost(void)
{
	for (int i = 0; i < 100000; i++)
		sink += i * 0.5;
}

/* The frame pointer is kept in a register, and has another use meanwhile: it is the address of an array of return addresses. */
void lost_register(void (*call)(void), void *array);
asm(".text\n"
    ".globl lost_register\n"
    ".type lost_register, @function\n"
    "lost_register:\n"
    "	.cfi_startproc\n"
    "	push %r12\n"
    "	.cfi_def_cfa_offset 16\n"
    "	.cfi_offset r12, -16\n"
    "	mov %rbp, %r12\n"
    "	.cfi_register rbp, r12\n"
    "	mov %rsi, %rbp\n"
    "	call *%rdi\n"
    "	mov %r12, %rbp\n"
    "	.cfi_restore rbp\n"
    "	pop %r12\n"
    "	.cfi_def_cfa_offset 8\n"
    "	ret\n"
    "	.cfi_endproc\n"
    ".size lost_register, .-lost_register\n");

/* Two functions without tables; that of the second is a label of the file's own. */
void bare(void), calls_label(void);
asm(".text\n"
    ".globl bare\n"
    "bare:\n"
    "	mov $3000000, %ecx\n"
    "0:	dec %ecx\n"
    "	jnz 0b\n"
    "	ret\n"
    ".globl calls_label\n"
    "calls_label:\n"
    "	call local_label\n"
    "	ret\n"
    "local_label:\n"
    "	mov $3000000, %ecx\n"
    "0:	dec %ecx\n"
    "	jnz 0b\n"
    "	ret\n");

KEEP void never_called(void)
{
	innermost();
	sink += 1;
}

KEEP void inner(void (*call)(void))
{
	call();
	sink += 1;
}

/* Its stack varies: its frame pointer is its own. */
KEEP void outer(void (*call)(void), int size)
{
	void *returns[16];
	volatile char *memory = __builtin_alloca(size);

	for (int i = 0; i < 16; i++)
		returns[i] = (char *)never_called + 9;
	memory[0] = 1;
	if (call)
		inner(call);
	else
		lost_register(innermost, returns);
	sink += memory[0] + (returns[3] != NULL);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	struct timespec begin, now;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	do {
		if (!strcmp(what, "lost"))
			outer(NULL, (int)sink % 100 + 10);
		else if (!strcmp(what, "bare"))
			outer(bare, (int)sink % 100 + 10);
		else if (!strcmp(what, "label"))
			calls_label();
		else
			part_outer();
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while ((now.tv_sec - begin.tv_sec) * 1000000000L + now.tv_nsec - begin.tv_nsec < 500000000L);
	return 0;
}
#endif
