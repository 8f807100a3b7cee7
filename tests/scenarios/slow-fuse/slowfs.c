/* A file system in user space with one file, `data`, whose reads take 100 ms; speaks the kernel's protocol itself. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "load.h"

#define FILE_NODE 2
#define FILE_SIZE (1ull << 30)

static char request[1 << 17], answer[1 << 17];

static struct fuse_attr attributes(uint64_t node)
{
	return (struct fuse_attr){
		.ino = node, .nlink = 1, .blksize = 4096, .size = node == FILE_NODE ? FILE_SIZE : 0,
		.mode = node == FILE_NODE ? S_IFREG | 0644 : S_IFDIR | 0755,
	};
}

static void reply(int device, uint64_t unique, int error, const void *body, size_t size)
{
	struct fuse_out_header header = { .len = sizeof(header) + size, .error = -error, .unique = unique };

	memcpy(answer, &header, sizeof(header));
	if (size)
		memmove(answer + sizeof(header), body, size);
	if (write(device, answer, header.len) < 0 && errno != ENOENT)
		exit(1);
}

static void serve(int device, const struct fuse_in_header *header, const void *body)
{
	switch (header->opcode) {
	case FUSE_INIT: {
		const struct fuse_init_in *in = body;
		struct fuse_init_out out = {
			.major = FUSE_KERNEL_VERSION, .minor = in->minor < FUSE_KERNEL_MINOR_VERSION ? in->minor : FUSE_KERNEL_MINOR_VERSION,
			.max_write = 65536, .max_background = 8, .congestion_threshold = 6,
		};
		reply(device, header->unique, 0, &out, sizeof(out));
		break;
	}
	case FUSE_LOOKUP: {
		struct fuse_entry_out out = { .nodeid = FILE_NODE, .attr_valid = 60, .entry_valid = 60, .attr = attributes(FILE_NODE) };
		int found = !strcmp(body, "data");
		reply(device, header->unique, found ? 0 : ENOENT, &out, found ? sizeof(out) : 0);
		break;
	}
	case FUSE_GETATTR: {
		struct fuse_attr_out out = { .attr_valid = 60, .attr = attributes(header->nodeid) };
		reply(device, header->unique, 0, &out, sizeof(out));
		break;
	}
	case FUSE_OPEN: {
		struct fuse_open_out out = { .open_flags = FOPEN_DIRECT_IO };
		reply(device, header->unique, 0, &out, sizeof(out));
		break;
	}
	case FUSE_READ: {
		static const char zeros[65536];
		const struct fuse_read_in *in = body;
		pause_for(0.1);
		reply(device, header->unique, 0, zeros, in->size < sizeof(zeros) ? in->size : sizeof(zeros));
		break;
	}
	case FUSE_RELEASE:
	case FUSE_FLUSH:
		reply(device, header->unique, 0, 0, 0);
		break;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		break;
	default:
		reply(device, header->unique, ENOSYS, 0, 0);
	}
}

int main(int argc, char **argv)
{
	char options[128];
	int device = open("/dev/fuse", O_RDWR);

	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", device);
	if (device < 0 || argc < 2 || mount("slowfs", argv[1], "fuse.slowfs", MS_NOSUID | MS_NODEV, options)) {
		perror("slowfs");
		return 1;
	}
	while (read(device, request, sizeof(request)) > 0)
		serve(device, (struct fuse_in_header *)request, request + sizeof(struct fuse_in_header));
	return 0;
}
