// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Files: how long each system call on one took, from its entry to its return, in nanoseconds, and how many bytes it
 * moved, by process, operation and file system; opens that failed, by path; files that were made and removed within the
 * window. Calls by descriptor count for regular files and directories only: sockets, pipes and devices are left
 * out.
 */
#include "ebrec.h"
#include "file_calls.h"

/* Returns from here to -1 are errors: MAX_ERRNO of include/linux/err.h. */
#define MAX_ERRNO 4095
#define EFAULT	  14
#define AT_FDCWD  (-100)
/* include/uapi/linux/stat.h, include/uapi/linux/magic.h */
#define S_IFMT		    0170000
#define S_IFREG		    0100000
#define S_IFDIR		    0040000
#define ANON_INODE_FS_MAGIC 0x09041934
/* include/linux/fs.h, since 4.19: this open made the file. */
#define FMODE_CREATED (1 << 20)
/* Longer paths are cut; most are shorter than half of it. */
#define PATH_BYTES 256
/* Programs that look for libraries and modules fail to find a thousand names a second. */
#define FAILED_PATHS 4096

enum files_event {
	FILES_DONE,
	FILES_GONE,
};

enum files_metric {
	FILES_LATENCY,	   /* by process, operation and file system; ns */
	FILES_SIZE,	   /* likewise, of what reads and writes; bytes */
	FILES_FAILED,	   /* counter by process, error and path; made in user space */
	FILES_SHORT_LIVED, /* by process and file system; ns */
};

/* `sub` of the metrics: the file system's device below. */
enum sub_bits {
	SUB_OP_SHIFT = 32,
	SUB_KNOWN_SHIFT = 40, /* 0: the call does not say which file system */
};

struct file_record {
	struct event_header header;
	__u64 took_ns; /* of a file that is gone: how long it was there */
	__s64 ret;
	__u32 dev;
	__u8 op;
	__u8 known; /* dev is */
	__u8 pad[2];
	__u8 comm[TASK_COMM_LEN];
	__u8 path[PATH_BYTES];
};
_Static_assert(sizeof(struct file_record) == 64 + PATH_BYTES, "no holes");

/* An open that failed, or a file that was made. */
struct path_key {
	__u32 pid;   /* 0: the path is absolute, whoever uses it */
	__s32 extra; /* the error, or the directory's descriptor */
	__u8 path[PATH_BYTES];
};

struct file_record *export_file_record;
struct path_key *export_path_key;
enum files_event export_files_event;
enum files_metric export_files_metric;
enum sub_bits export_sub_bits;
enum file_op export_file_op;

/* A call that a thread is in. */
struct call {
	__u64 start; /* 0: none */
	__u32 dev;
	__u32 known;
};
DEFINE_TASK_STATE(struct call)

struct failed_opens {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, FAILED_PATHS);
	__type(key, struct path_key);
	__type(value, __u64);
};

/* Swapped as the cells are. */
struct failed_opens failed_even SEC(".maps");
struct failed_opens failed_odd SEC(".maps");

struct made {
	__u64 at;
	__u32 dev;
	__u32 pad;
};

/* What outlives so many files that are made after it is not short-lived, so it may be forgotten. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct path_key);
	__type(value, struct made);
} made_files SEC(".maps");

/* Too large for the stack. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct path_key);
} scratch SEC(".maps");

/* 0 for a call that is not about files. */
static __always_inline __u8 call_of(__u64 number)
{
	return number < SYSCALL_NUMBERS ? file_calls[number & (SYSCALL_NUMBERS - 1)] : 0;
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
	__u8 what = call_of(number);
	struct call *call;
	struct file *file;
	__u32 dev = 0;

	if (!what || !current_in_scope() || task_in_compat_call(current_task(), regs))
		return 0;
	if (!(what & FILE_BY_PATH)) {
		file = file_of(what & FILE_SECOND ? syscall_argument_2(regs) : syscall_argument_1(regs));
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

/* The path argument; the kernel has just read it, so it is in memory. */
static __always_inline bool read_path(void *to, const void *user)
{
	if (bpf_probe_read_user_str(to, PATH_BYTES, user) > 0)
		return true;
	count_loss(LOSS_UNREADABLE);
	return false;
}

/* A path as a key: with who uses it, if it is relative, and from which directory. */
static __always_inline struct path_key *key_of(const void *user, __u32 pid, __s32 directory)
{
	struct path_key *key;
	__u32 zero = 0;

	key = bpf_map_lookup_elem(&scratch, &zero);
	if (!key)
		return NULL;
	__builtin_memset(key, 0, sizeof(*key));
	if (!read_path(key->path, user))
		return NULL;
	if (key->path[0] != '/') {
		key->pid = pid;
		key->extra = directory;
	}
	return key;
}

static __always_inline void count_failed(__u32 pid, __s32 error, const void *path)
{
	void *map = *(volatile __u32 *)&epoch.parity ? (void *)&failed_odd : (void *)&failed_even;
	__u64 one = 1, *count;
	struct path_key *key;
	__u32 zero = 0;

	key = bpf_map_lookup_elem(&scratch, &zero);
	if (!key)
		return;
	__builtin_memset(key, 0, sizeof(*key));
	/* With EFAULT there is no path to read. */
	if (error != EFAULT)
		read_path(key->path, path);
	key->pid = pid;
	key->extra = error;
	count = bpf_map_lookup_elem(map, key);
	if (!count) {
		/* -EEXIST: another CPU made the entry just now. */
		if (!bpf_map_update_elem(map, key, &one, BPF_NOEXIST))
			return;
		count = bpf_map_lookup_elem(map, key);
	}
	if (count)
		__sync_fetch_and_add(count, 1);
	else
		count_loss(LOSS_HISTOGRAM_FULL);
}

static __always_inline struct file_record *new_record(void *ring, __u8 event, __u64 who, __u64 now, __u64 took)
{
	struct file_record *record = ring_reserve(ring, sizeof(*record));

	if (!record)
		return NULL;
	fill_header(&record->header, event, now, who >> 32, who);
	record->took_ns = took;
	record->ret = 0;
	record->pad[0] = record->pad[1] = 0;
	record->path[0] = 0;
	bpf_get_current_comm(record->comm, sizeof(record->comm));
	return record;
}

static __always_inline void gone(__u64 who, __u64 now, struct made *made, struct path_key *key)
{
	struct file_record *record;
	__u64 age = now - made->at;
	void *ring;

	hist_add(FILES_SHORT_LIVED, who >> 32, made->dev | 1ULL << SUB_KNOWN_SHIFT, age);
	if (config.stream == STREAM_NONE)
		return;
	ring = ring_of_this_cpu();
	if (!ring)
		return;
	record = new_record(ring, FILES_GONE, who, now, age);
	if (!record)
		return;
	record->dev = made->dev;
	record->known = 1;
	record->op = FILE_UNLINK;
	bpf_probe_read_kernel(record->path, sizeof(record->path), key->path);
	ring_submit(ring, record);
}

/* A call that worked on a path: a file was made, renamed or removed. */
static __always_inline void follow(__u64 who, __u64 now, __u8 what, struct pt_regs *regs, __u32 dev)
{
	bool at = (what & FILE_AT) == FILE_AT;
	__s32 directory = at ? (__s32)syscall_argument_1(regs) : AT_FDCWD;
	__u64 path = at ? syscall_argument_2(regs) : syscall_argument_1(regs);
	struct made made = {.at = now, .dev = dev}, *known;
	__u8 op = what & FILE_OP_MASK;
	struct path_key *key = key_of((void *)path, who >> 32, directory);

	if (!key)
		return;
	if (op == FILE_OPEN) {
		update_or_count(&made_files, key, &made, LOSS_STATE_FULL);
		return;
	}
	known = bpf_map_lookup_elem(&made_files, key);
	if (!known)
		return;
	if (op == FILE_UNLINK)
		gone(who, now, known, key);
	made = *known;
	bpf_map_delete_elem(&made_files, key);
	if (op != FILE_RENAME)
		return;
	directory = at ? (__s32)syscall_argument_3(regs) : AT_FDCWD;
	path = at ? syscall_argument_4(regs) : syscall_argument_2(regs);
	key = key_of((void *)path, who >> 32, directory);
	if (key)
		update_or_count(&made_files, key, &made, LOSS_STATE_FULL);
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

		read_path(record->path, (void *)(at ? syscall_argument_2(regs) : syscall_argument_1(regs)));
	} else {
		file = file_of(what & FILE_SECOND ? syscall_argument_2(regs) : syscall_argument_1(regs));
		bpf_probe_read_kernel_str(record->path, sizeof(record->path),
					  BPF_CORE_READ(file, f_path.dentry, d_name.name));
	}
	ring_submit(ring, record);
}

SEC("tp_btf/sys_exit")
int BPF_PROG(files_exit, struct pt_regs *regs, long ret)
{
	__u8 what = call_of(syscall_number(regs)), op = what & FILE_OP_MASK;
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
	if (!current_in_scope_as(who >> 32))
		return 0;
	if (op == FILE_OPEN && ret >= 0) {
		file = file_of(ret);
		if (file) {
			call->dev = BPF_CORE_READ(file, f_inode, i_sb, s_dev);
			call->known = 1;
			if (BPF_CORE_READ(file, f_mode) & FMODE_CREATED)
				follow(who, now, what, regs, call->dev);
		}
	} else if (op == FILE_OPEN && ret >= -MAX_ERRNO) {
		count_failed(
			who >> 32, -ret,
			(void *)((what & FILE_AT) == FILE_AT ? syscall_argument_2(regs) : syscall_argument_1(regs)));
	} else if ((op == FILE_UNLINK || op == FILE_RENAME) && !ret) {
		follow(who, now, what, regs, 0);
	}
	sub = call->dev | (__u64)op << SUB_OP_SHIFT | (__u64)call->known << SUB_KNOWN_SHIFT;
	hist_add(FILES_LATENCY, who >> 32, sub, took);
	if (ret > 0 && (op == FILE_READ || op == FILE_WRITE || op == FILE_COPY))
		hist_add(FILES_SIZE, who >> 32, sub, ret);
	if (config.stream == STREAM_ALL || (config.stream == STREAM_SLOW && took >= config.slow_ns))
		stream(who, now, call, took, what, regs, ret);
	return 0;
}
