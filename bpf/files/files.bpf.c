// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Files: how long each system call on one took, from its entry to its return, in nanoseconds, and how many bytes it
 * moved, by process, operation and file system; opens that failed, by path; files that were made and removed within the
 * window. Calls by descriptor count for regular files and directories only: sockets, pipes and devices are left
 * out, as is opening a FIFO.
 */
/* One of them counts, and the kernel runs none within itself. */
#define HOOKS_DO_NOT_NEST
#include "ebrec.h"
#include "unfinished.h"
#include "calls.h"
#include "records.h"
#include "paths.h"

/* 0 for a call that is not about files. */
static __always_inline __u8 call_of(struct pt_regs *regs, __u64 number)
{
	if (number >= SYSCALL_NUMBERS)
		return 0;
	number &= SYSCALL_NUMBERS - 1;
	return task_in_compat_call(current_task(), regs) ? compat_file_calls[number] : file_calls[number];
}

/* Only of open files that are on a file system: FILE_OPEN takes directories and devices too. */
static __always_inline struct file *file_of(__u32 fd)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	struct file *file = NULL, **files;

	if (fd >= BPF_CORE_READ(table, max_fds))
		return NULL;
	files = BPF_CORE_READ(table, fd);
	bpf_probe_read_kernel(&file, sizeof(file), files + fd);
	return file;
}

/* Directories have no data to read, but are synced. */
static __always_inline bool is_counted(struct file *file, __u32 *dev)
{
	struct inode *inode = BPF_CORE_READ(file, f_inode);
	__u16 type = BPF_CORE_READ(inode, i_mode) & S_IFMT;
	struct super_block *super;

	if (type != S_IFREG && type != S_IFDIR)
		return false;
	super = BPF_CORE_READ(inode, i_sb);
	*dev = BPF_CORE_READ(super, s_dev);
	/* 6.16, commit cfd86ef7e8e7: what has no file behind it claims to be a regular one. */
	return BPF_CORE_READ(super, s_magic) != ANON_INODE_FS_MAGIC;
}

/* The current thread's call; there is none before it made its first one in the window. */
static __always_inline struct call *call_of_current(bool create)
{
	struct task_struct *task = current_task();
	static const struct call none = {};
	__u32 tid = bpf_get_current_pid_tgid();
	struct call *call;

	if (config.task_storage && task)
		return state_of(task, create);
	call = bpf_map_lookup_elem(&state_by_tid, &tid);
	if (!call && create) {
		update_or_count(&state_by_tid, &tid, &none, LOSS_STATE_FULL);
		call = bpf_map_lookup_elem(&state_by_tid, &tid);
	}
	return call;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(files_enter, struct pt_regs *regs, long number)
{
	__u8 what = call_of(regs, number);
	struct call *call;
	struct file *file;
	__u32 dev = 0;

	if (!what || !current_in_scope())
		return 0;
	if (!(what & FILE_BY_PATH)) {
		file = file_of(what & FILE_SECOND ? call_argument(regs, 2) : call_argument(regs, 1));
		if (!file || !is_counted(file, &dev))
			return 0;
	}
	call = call_of_current(true);
	if (!call)
		return 0;
	call->dev = dev;
	call->known = !(what & FILE_BY_PATH);
	call->start = bpf_ktime_get_ns();
	return 0;
}

/* Only where calls are in a hash: task storage goes with its task, which may have ended inside a call. */
SEC("tp_btf/sched_process_free")
int BPF_PROG(files_free, struct task_struct *task)
{
	state_forget(task);
	return 0;
}

static __always_inline void stream(__u64 who, __u64 now, struct call *call, __u64 took, __u8 what, struct pt_regs *regs,
				   long ret)
{
	struct file_record *record;
	void *ring = ring_of_this_cpu();
	struct file *file;

	if (!ring)
		return;
	record = new_record(ring, FILES_DONE, who, now, took);
	if (!record)
		return;
	record->ret = ret;
	record->dev = call->dev;
	record->known = call->known;
	record->op = what & FILE_OP_MASK;
	if (what & FILE_BY_PATH) {
		bool at = (what & FILE_AT) == FILE_AT;

		read_path(record->path, (void *)(at ? call_argument(regs, 2) : call_argument(regs, 1)));
	} else {
		file = file_of(what & FILE_SECOND ? call_argument(regs, 2) : call_argument(regs, 1));
		bpf_probe_read_kernel_str(record->path, sizeof(record->path),
					  BPF_CORE_READ(file, f_path.dentry, d_name.name));
	}
	ring_submit(ring, record);
}

SEC("tp_btf/sys_exit")
int BPF_PROG(files_exit, struct pt_regs *regs, long ret)
{
	__u8 what = call_of(regs, syscall_number(regs)), op = what & FILE_OP_MASK;
	__u64 who, now, took, sub;
	struct call *call;
	struct file *file;

	if (!what)
		return 0;
	call = call_of_current(false);
	if (!call || !call->start)
		return 0;
	now = bpf_ktime_get_ns();
	took = now - call->start;
	call->start = 0;
	who = bpf_get_current_pid_tgid();
	if (!current_in_scope_as(who >> 32)) {
		if (!window_start())
			count_unfinished();
		return 0;
	}
	if (op == FILE_OPEN && ret >= 0) {
		file = file_of(ret);
		/* It waited for somebody to open the other end. */
		if (file && (BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) == S_IFIFO)
			return 0;
		if (file) {
			call->dev = BPF_CORE_READ(file, f_inode, i_sb, s_dev);
			call->known = 1;
			if (BPF_CORE_READ(file, f_mode) & FMODE_CREATED)
				follow(who, now, what, regs, call->dev);
		}
	} else if (op == FILE_OPEN && (ret == -EINTR || ret == -ERESTARTSYS)) {
		/* Disks are waited for whatever signals come: it was a FIFO or a device. */
		return 0;
	} else if (op == FILE_OPEN && ret >= -MAX_ERRNO) {
		count_failed(who >> 32, -ret,
			     (void *)((what & FILE_AT) == FILE_AT ? call_argument(regs, 2) : call_argument(regs, 1)));
	} else if ((op == FILE_UNLINK || op == FILE_RENAME) && !ret) {
		follow(who, now, what, regs, 0);
	}
	sub = call->dev | (__u64)op << SUB_OP_SHIFT | (__u64)call->known << SUB_KNOWN_SHIFT;
	hist_add(FILES_LATENCY, who >> 32, sub, took);
	if (ret > 0 && (op == FILE_READ || op == FILE_WRITE || op == FILE_COPY))
		hist_add(FILES_SIZE, who >> 32, sub, ret);
	if ((config.stream == STREAM_ALL && row_is_drawn()) || (config.stream == STREAM_SLOW && took >= config.slow_ns))
		stream(who, now, call, took, what, regs, ret);
	return 0;
}

/* After the window: a word for each thread that is in a call which began in it. */
SEC("iter/task")
int files_walk(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct call *call;

	if (!task)
		return 0;
	call = state_of(task, false);
	if (!call || !call->start)
		return 0;
	/* A full buffer: again, with an empty one. */
	return bpf_seq_write(ctx->meta->seq, &call->start, sizeof(call->start)) ? 1 : 0;
}
