/*
 * Generates code that burns CPU time, and says what it is called only when it ends, as compilers do that buffer what they write.
 *
 *     late dump DIRECTORY    in a jitdump file, which is there from the start and mapped
 *     late map               in /tmp/perf-PID.map, which is there from the start
 */
#include <err.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096

/* mov $200000000, %ecx; dec %ecx; jnz -4; ret */
static const unsigned char code[] = {0xb9, 0x00, 0xc2, 0xeb, 0x0b, 0xff, 0xc9, 0x75, 0xfc, 0xc3};

struct header {
	uint32_t magic, version, size, machine, pad, pid;
	uint64_t time, flags;
};

struct load {
	uint32_t kind, size;
	uint64_t time;
	uint32_t pid, tid;
	uint64_t vma, address, bytes, number;
};

static FILE *begin(const char *name, int is_dump)
{
	struct header header = {0x4a695444, 1, sizeof(header), 62, 0, getpid(), 0, 0};
	FILE *file = fopen(name, "w+");

	if (!file)
		err(1, "%s", name);
	if (is_dump && (fwrite(&header, sizeof(header), 1, file) != 1 || fflush(file)))
		err(1, "%s", name);
	if (is_dump && mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, fileno(file), 0) == MAP_FAILED)
		err(1, "mmap");
	return file;
}

int main(int argc, char **argv)
{
	static const char function[] = "a_function_named_late";
	struct load load = {
		0, sizeof(load) + sizeof(function) + sizeof(code), 0, getpid(), getpid(), 0, 0, sizeof(code), 1};
	int is_dump = argc > 2 && !strcmp(argv[1], "dump");
	char name[4096];
	FILE *file;
	void *place = mmap(NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (place == MAP_FAILED)
		err(1, "mmap");
	memcpy(place, code, sizeof(code));
	if (is_dump)
		snprintf(name, sizeof(name), "%s/jit-%d.dump", argv[2], getpid());
	else
		snprintf(name, sizeof(name), "/tmp/perf-%d.map", getpid());
	file = begin(name, is_dump);
	for (int round = 0; round < 30; round++)
		((void (*)(void))place)();
	load.vma = load.address = (uint64_t)place;
	if (is_dump) {
		fwrite(&load, sizeof(load), 1, file);
		fwrite(function, sizeof(function), 1, file);
		fwrite(code, sizeof(code), 1, file);
	} else {
		fprintf(file, "%lx %zx %s\n", (unsigned long)place, sizeof(code), function);
	}
	if (fclose(file))
		err(1, "%s", name);
	if (!is_dump)
		remove(name);
	return 0;
}
