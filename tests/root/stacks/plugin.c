/* A library that works for a host: what its functions are called is up to who builds it, and all else is the same. */
#define KEEP __attribute__((noinline, noclone))

static volatile double sink;

KEEP static void INNER(int times)
{
	for (int i = 0; i < times; i++)
		sink += i * 0.5;
#ifdef DEEP
	/* Another frame than the other library has. */
	volatile char room[4096];

	room[0] = times;
	room[4095] = room[0];
#endif
}

void OUTER(int times)
{
	INNER(times);
	sink += 1;
}
