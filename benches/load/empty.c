// SPDX-License-Identifier: Apache-2.0 OR MIT
/*
 * The floor of any tracer of system calls: a pair of programs at their entry and return, attached while a command
 * runs. They do nothing, or read the clock, as they must who want to know how long a call took.
 *
 *     empty COMMAND…
 *     empty clock COMMAND…
 */
#include <linux/bpf.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int bpf(int command, union bpf_attr *attr)
{
	int fd = syscall(SYS_bpf, command, attr, sizeof(*attr));

	if (fd < 0) {
		perror("bpf");
		exit(1);
	}
	return fd;
}

/* [call bpf_ktime_get_ns;] r0 = 0; exit */
static const struct bpf_insn code[] = {
	{.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_ktime_get_ns},
	{.code = BPF_ALU64 | BPF_MOV | BPF_K},
	{.code = BPF_JMP | BPF_EXIT},
};

static void attach(const char *hook, int skipped)
{
	union bpf_attr attr;
	int program;

	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_RAW_TRACEPOINT;
	attr.insns = (uintptr_t)(code + skipped);
	attr.insn_cnt = 3 - skipped;
	attr.license = (uintptr_t) "GPL";
	program = bpf(BPF_PROG_LOAD, &attr);
	memset(&attr, 0, sizeof(attr));
	attr.raw_tracepoint.name = (uintptr_t)hook;
	attr.raw_tracepoint.prog_fd = program;
	/* The descriptor keeps it attached until this process ends. */
	bpf(BPF_RAW_TRACEPOINT_OPEN, &attr);
}

int main(int argc, char **argv)
{
	int status, clock = argc > 1 && !strcmp(argv[1], "clock");

	argv += clock;
	if (argc - clock < 2) {
		fprintf(stderr, "usage: empty [clock] COMMAND\n");
		return 2;
	}
	attach("sys_enter", !clock);
	attach("sys_exit", !clock);
	if (!fork()) {
		execv(argv[1], argv + 1);
		_exit(127);
	}
	wait(&status);
	return WEXITSTATUS(status);
}
