/*
 * Burns CPU time in a function of C and in one of assembly that says neither what it is nor how large. It needs no libc, so
 * that it can be built for 32 bits anywhere.
 */
static volatile long sink;

__attribute__((noinline)) void spun_in_c(long count)
{
	for (long i = 0; i < count; i++)
		sink += i;
}

void spun_in_assembly(void);
__asm__(".text\n"
	".globl spun_in_assembly\n"
	"spun_in_assembly:\n"
	"	mov $24000000, %ecx\n"
	"1:	dec %ecx\n"
	"	jnz 1b\n"
	"	ret\n");

void _start(void)
{
	/* No two rounds in turn take the same time: a sampler's period would fall in step with them. */
	for (long round = 0; round < 60; round++) {
		spun_in_c(4000000 + round * 37 % 60 * 100000);
		spun_in_assembly();
	}
#ifdef __i386__
	__asm__ volatile("int $0x80" : : "a"(1), "b"(0));
#else
	__asm__ volatile("syscall" : : "a"(60L), "D"(0L));
#endif
	__builtin_unreachable();
}
