/* Touches page after page of memory that a thread of its own fills 30 ms after each fault. Prints what share of its time that took. */
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "load.h"

#define PAGE 4096L
#define PAGES 4096L

static int faults;

static void *server(void *unused)
{
	static char page[PAGE];
	struct uffd_msg fault;

	while (read(faults, &fault, sizeof(fault)) > 0) {
		struct uffdio_copy copy = { .dst = fault.arg.pagefault.address & ~(PAGE - 1), .src = (long)page, .len = PAGE };

		pause_for(0.03);
		ioctl(faults, UFFDIO_COPY, &copy);
	}
	return unused;
}

int main(void)
{
	struct uffdio_register all = { .range.len = PAGES * PAGE, .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct uffdio_api api = { .api = UFFD_API };
	double waiting = 0, began = now(), before;
	pthread_t thread;
	char *memory;

	faults = syscall(SYS_userfaultfd, O_CLOEXEC);
	memory = mmap(0, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	all.range.start = (long)memory;
	if (faults < 0 || ioctl(faults, UFFDIO_API, &api) || ioctl(faults, UFFDIO_REGISTER, &all))
		return 1;
	pthread_create(&thread, 0, server, 0);
	load_begin();
	puts("began");
	fflush(stdout);
	for (long i = 0; !ended && i < PAGES; i++) {
		before = now();
		memory[i * PAGE]++;
		waiting += now() - before;
	}
	printf("share=%.3f\n", waiting / (now() - began));
	return 0;
}
