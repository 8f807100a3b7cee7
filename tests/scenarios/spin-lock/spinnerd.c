/* Three threads that want a spin lock beside one that holds it 20 ms of 21. */
#include <stdatomic.h>

#include "load.h"

static atomic_flag lock = ATOMIC_FLAG_INIT;
static volatile uint64_t work;

__attribute__((noinline)) static void spin_acquire(void)
{
	while (atomic_flag_test_and_set_explicit(&lock, memory_order_acquire))
		;
}

static void spin_release(void)
{
	atomic_flag_clear_explicit(&lock, memory_order_release);
}

static void *want(void *unused)
{
	for (;;) {
		spin_acquire();
		work++;
		spin_release();
		pause_for(0.001);
	}
	return unused;
}

int main(void)
{
	pthread_t thread;

	for (int i = 0; i < 3; i++)
		pthread_create(&thread, 0, want, 0);
	for (;;) {
		spin_acquire();
		pause_for(0.02);
		spin_release();
		pause_for(0.001);
	}
}
