/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * User stacks by unwind tables: walk_user_stack(ctx) leaves the frames of the current thread in user_scratch.
 *
 * User space packs the tables of programs and libraries (src/unwind) into maps that all objects share. A frame takes three
 * searches: the mapping of the address among those of the process, the page of code, and the row within the page. Each is
 * one step of a global function, which the verifier looks at once and for itself.
 *
 * Code without tables, as what runtimes generate, is followed by its frame pointers, which are right there. A walk says how it
 * ended (enum stack_end), and never guesses: a frame is an address that some executable mapping has.
 */
#ifndef EBREC_UNWIND_H
#define EBREC_UNWIND_H

#include "ebrec.h"

#include "python.h"
#include "stack_types.h"
#include "unwind_types.h"
#include "unwind_walk.h"
#include "unwind_wanted.h"

/* Mappings of one process that are searched: 2^10. */
#define UNWIND_MAPPING_STEPS 10
/* Rows of one page, of which each is of another byte: 2^12. */
#define UNWIND_ROW_STEPS 13
/* Not each step adds a frame: one of an interpreter's loop gives way to those that the loop runs. */
#define UNWIND_STEPS (2 * MAX_USER_FRAMES)
/* A frame pointer that is further from the stack pointer is none. */
#define UNWIND_FRAME_LIMIT (1 << 20)

/* The frame pointer where a function has kept its caller's nowhere. */
#define FRAME_POINTER_LOST 1

/* All are made by user space. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct unwind_chunk);
} unwind_chunks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct unwind_page);
} unwind_pages SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct unwind_rule);
} unwind_rules SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct unwind_mapping);
} unwind_mappings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct unwind_file);
} unwind_files SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct unwind_process);
} unwind_processes SEC(".maps");

#if defined(__TARGET_ARCH_x86)
/* arch/x86/include/asm/segment.h: the code segment of 64-bit programs. */
#define USER_CS 0x33
#endif

static __always_inline bool has_address(struct unwind_mapping *mapping, __u64 address)
{
	return address >= mapping->start && address < mapping->end;
}

/* The mapping of an address: its number, or -1. */
__noinline int unwind_find_mapping(__u64 address)
{
	struct unwind_mapping *mapping;
	struct unwind_walk *walk;
	__u32 zero = 0, low, length, half, at;

	walk = bpf_map_lookup_elem(&unwind_walks, &zero);
	if (!walk)
		return -1;
	/* Functions that call one another are mostly of one file. */
	at = walk->mapping;
	mapping = bpf_map_lookup_elem(&unwind_mappings, &at);
	if (mapping && at - walk->first < walk->count && has_address(mapping, address))
		return at;
	low = walk->first;
	length = walk->count;
	for (int step = 0; step <= UNWIND_MAPPING_STEPS && length > 1; step++) {
		half = length / 2;
		at = low + half;
		mapping = bpf_map_lookup_elem(&unwind_mappings, &at);
		if (!mapping)
			return -1;
		if (mapping->start <= address)
			low = at;
		length -= half;
	}
	if (!length)
		return -1;
	mapping = bpf_map_lookup_elem(&unwind_mappings, &low);
	if (!mapping || !has_address(mapping, address))
		return -1;
	walk->mapping = low;
	return low;
}

/* The number of the rule that holds at a place of a page; 0: none. */
__noinline int unwind_find_rule(__u32 page, __u32 place)
{
	__u32 low, length, half, at, row;
	struct unwind_page *entry;
	struct unwind_chunk *chunk;

	entry = bpf_map_lookup_elem(&unwind_pages, &page);
	if (!entry || !entry->count)
		return 0;
	at = entry->first / UNWIND_CHUNK_ROWS;
	chunk = bpf_map_lookup_elem(&unwind_chunks, &at);
	if (!chunk)
		return 0;
	low = entry->first % UNWIND_CHUNK_ROWS;
	length = entry->count;
	for (int step = 0; step < UNWIND_ROW_STEPS && length > 1; step++) {
		half = length / 2;
		row = chunk->rows[(low + half) % UNWIND_CHUNK_ROWS];
		if ((row & 0xffff) <= place)
			low += half;
		length -= half;
	}
	return chunk->rows[low % UNWIND_CHUNK_ROWS] >> 16;
}

/* The rule that the tables have for an address; NULL: none. */
static __always_inline struct unwind_rule *unwind_rule_of(__u64 address)
{
	struct unwind_mapping *mapping;
	int number = unwind_find_mapping(address);
	__u32 key = number, page;

	if (number < 0)
		return NULL;
	mapping = bpf_map_lookup_elem(&unwind_mappings, &key);
	if (!mapping)
		return NULL;
	address -= mapping->start;
	page = address / UNWIND_PAGE;
	if (page >= mapping->pages)
		return NULL;
	key = unwind_find_rule(mapping->page + page, address % UNWIND_PAGE);
	return key ? bpf_map_lookup_elem(&unwind_rules, &key) : NULL;
}

#if defined(__TARGET_ARCH_x86)
/* The register of a number in unwind tables. */
static __always_inline __u64 unwind_register(struct unwind_registers *registers, __u16 number)
{
	switch (number) {
	case 0:
		return registers->ax;
	case 1:
		return registers->dx;
	case 2:
		return registers->cx;
	case 3:
		return registers->bx;
	case 4:
		return registers->si;
	case 5:
		return registers->di;
	case 8:
		return registers->r8;
	case 9:
		return registers->r9;
	case 10:
		return registers->r10;
	case 11:
		return registers->r11;
	case 12:
		return registers->r12;
	case 13:
		return registers->r13;
	case 14:
		return registers->r14;
	case 15:
		return registers->r15;
	}
	return 0;
}

/* rt_sigframe, when its handler has returned: the stack pointer is at the ucontext, whose registers come after 40 bytes. */
static __always_inline int unwind_signal(struct unwind_walk *walk)
{
	__u64 context = walk->sp + 40;

	if (!read_user(context + 10 * 8, &walk->fp) || !read_user(context + 16 * 8, &walk->pc) ||
	    !read_user(context + 15 * 8, &walk->sp))
		return walk->end = STACK_UNREADABLE;
	walk->is_exact = true;
	return 0;
}

/* mov $15, %rax; syscall: the C libraries' end of a signal handler, for which some have no tables. */
static __always_inline bool is_signal_return(struct unwind_walk *walk)
{
	if (!read_user(walk->pc, &walk->word) || walk->word != 0x0f0000000fc0c748)
		return false;
	return read_user(walk->pc + 1, &walk->word) && walk->word >> 56 == 0x05;
}
#endif

/* Whether an address is behind a call instruction: one that is not is no return address of compiled code. */
static __always_inline bool follows_call(struct unwind_walk *walk, __u64 address)
{
#if defined(__TARGET_ARCH_x86)
	__u64 code;

	if (!read_user(address - 8, &walk->word))
		return false;
	code = walk->word;
/* A call through a register or memory of so many bytes, without its prefix: ff /2. */
#define IS_CALL_OF(bytes) ((code >> 8 * (8 - (bytes)) & 0x38ff) == 0x10ff)
	return (code >> 24 & 0xff) == 0xe8 || IS_CALL_OF(2) || IS_CALL_OF(3) || IS_CALL_OF(4) || IS_CALL_OF(6) ||
	       IS_CALL_OF(7);
#undef IS_CALL_OF
#else
	return true;
#endif
}

/*
 * Whether the call before an address may lead to code that no table describes. One that names a function with a table does not: then the
 * frame pointer is an outer function's, and what was called from there is between. `word` ends with the call.
 */
__noinline int calls_undescribed(__u64 address, __u64 word)
{
#if defined(__TARGET_ARCH_x86)
	struct unwind_rule *rule;

	if ((word >> 24 & 0xff) != 0xe8)
		return 1;
	rule = unwind_rule_of(address + (__s32)(word >> 32));
	return !rule || rule->cfa == CFA_UNKNOWN || rule->cfa == CFA_STUB;
#else
	return 1;
#endif
}

/* Whether nobody called the code that begins at an address: as it is where coroutines begin, since there is no call before it. */
__noinline int is_outermost_from(__u64 address)
{
	struct unwind_rule *rule = unwind_rule_of(address);

	return rule && rule->cfa == CFA_OUTERMOST;
}

/*
 * By frame pointer, where the code has them: what it generated, and what no table describes. In a file, code that no table describes may use
 * the register for something else; then what is behind the place that it names is hardly ever where a call returns to. Interpreters generate
 * code whose callers are to return elsewhere.
 */
static __always_inline int unwind_by_frame_pointer(struct unwind_walk *walk, __u32 end)
{
	__u64 frame = walk->fp;

	/* The x86-64 ABI marks the outermost frame so. */
	if (!frame && !walk->is_exact)
		return walk->end = STACK_WHOLE;
	if (frame < walk->sp || frame - walk->sp >= UNWIND_FRAME_LIMIT || frame % 8)
		return walk->end = end;
	if (!read_user(frame + 8, &walk->pc) || !read_user(frame, &walk->fp))
		return walk->end = STACK_UNREADABLE;
	if (end == STACK_NO_RULE && (!follows_call(walk, walk->pc) || !calls_undescribed(walk->pc, walk->word)))
		return walk->end = end;
	walk->sp = frame + 16;
	walk->is_exact = false;
	return 0;
}

#if defined(__TARGET_ARCH_x86)
/* Structures of Go's runtime since 1.5 (src/runtime/runtime2.go): g has its thread's m, and the stack pointer of when it was left; m begins with the
 * g of its scheduler. Where threads have their g is the ABI's of Linux. */
#define GO_G		   (-8)
#define GO_G_M		   48
#define GO_G_STACK_POINTER 56

/*
 * The stack pointer of the goroutine whose call a thread of Go's carries out on its own stack; 0: the thread has put the goroutine aside and runs
 * its scheduler, which nobody called; false: it can't be read.
 */
static __always_inline bool goroutine_stack(struct unwind_walk *walk, __s32 current, __u64 *sp)
{
	__u64 g, m;

	if (!read_user(walk->python.thread_id + GO_G, &walk->word))
		return false;
	g = walk->word;
	if (!read_user(g + GO_G_M, &walk->word))
		return false;
	m = walk->word;
	if (!read_user(m, &walk->word) || walk->word != g || !read_user(m + current, &walk->word))
		return false;
	g = walk->word;
	*sp = 0;
	if (!g)
		return true;
	if (!read_user(g + GO_G_STACK_POINTER, &walk->word))
		return false;
	*sp = walk->word;
	return walk->word;
}
#endif

/* Whether a rule needs the frame pointer of its function. */
static __always_inline bool takes_frame_pointer(struct unwind_rule *rule)
{
	return rule->cfa == CFA_FRAME_POINTER || rule->cfa == CFA_OTHER_STACK || rule->cfa == CFA_AT_FRAME_POINTER ||
	       rule->frame_pointer == FP_AT_FRAME_POINTER;
}

/* By a rule of the tables; other than 0: that was the last. */
static __always_inline int unwind_by_rule(struct unwind_walk *walk, struct unwind_rule *rule, bool is_innermost)
{
	__u64 cfa = 0;

	if (walk->fp == FRAME_POINTER_LOST && takes_frame_pointer(rule))
		return walk->end = STACK_NO_RULE;
	switch (rule->cfa) {
	case CFA_OUTERMOST:
		return walk->end = STACK_WHOLE;
	case CFA_SIGNAL:
#if defined(__TARGET_ARCH_x86)
		return unwind_signal(walk);
#else
		return walk->end = STACK_NO_RULE;
#endif
	case CFA_STACK_POINTER:
		cfa = walk->sp + rule->offset;
		break;
	case CFA_FRAME_POINTER:
		cfa = walk->fp + rule->offset;
		break;
	case CFA_OTHER_STACK:
		cfa = walk->fp + rule->offset;
		/* It may be below this one. */
		walk->sp = cfa - 8;
		break;
	case CFA_AT_STACK_POINTER:
		if (!read_user(walk->sp + rule->offset, &walk->word))
			return walk->end = STACK_UNREADABLE;
		cfa = walk->word + rule->more;
		break;
	case CFA_AT_FRAME_POINTER:
		if (!read_user(walk->fp + rule->offset, &walk->word))
			return walk->end = STACK_UNREADABLE;
		cfa = walk->word + rule->more;
		break;
	case CFA_GOROUTINE:
#if defined(__TARGET_ARCH_x86)
		if (!goroutine_stack(walk, rule->offset, &cfa))
			return walk->end = STACK_NO_RULE;
		if (!cfa)
			return walk->end = STACK_WHOLE;
		cfa += rule->more;
		/* It may be below this one. */
		walk->sp = cfa - 8;
		break;
#else
		return walk->end = STACK_NO_RULE;
#endif
	case CFA_STUB:
		cfa = walk->sp + 8 + ((walk->pc & 15) >= rule->offset ? 8 : 0);
		break;
	case CFA_REGISTER:
		if (!is_innermost)
			return walk->end = STACK_NO_RULE;
#if defined(__TARGET_ARCH_x86)
		cfa = unwind_register(&walk->registers, rule->reg) + rule->offset;
#endif
		break;
	case CFA_RETURN_IN_REGISTER:
		if (!is_innermost)
			return walk->end = STACK_NO_RULE;
#if defined(__TARGET_ARCH_x86)
		walk->pc = unwind_register(&walk->registers, rule->reg);
#endif
		walk->sp += rule->offset;
		walk->is_exact = false;
		return 0;
	default:
		return walk->end = STACK_NO_RULE;
	}
	/* The stack grows down: a caller's part of it is above. */
	if (cfa <= walk->sp)
		return walk->end = STACK_NO_RULE;
	if (!read_user(cfa - 8, &walk->pc))
		return walk->end = STACK_UNREADABLE;
	if (rule->frame_pointer == FP_AT_CFA && !read_user(cfa + rule->frame_pointer_offset, &walk->fp))
		return walk->end = STACK_UNREADABLE;
	if (rule->frame_pointer == FP_AT_FRAME_POINTER && !read_user(walk->fp + rule->frame_pointer_offset, &walk->fp))
		return walk->end = STACK_UNREADABLE;
	if (rule->frame_pointer == FP_LOST)
		walk->fp = FRAME_POINTER_LOST;
	walk->sp = cfa;
	walk->is_exact = false;
	return 0;
}

/* Whether a place in a file is the loop of the interpreter that the file has; then the walk is told of it. */
static __always_inline bool is_python(struct unwind_walk *walk, struct unwind_file *file, __u64 base, __u64 place)
{
	struct python_interpreter *interpreter = bpf_map_lookup_elem(&python_interpreters, &file->python);

	if (!interpreter)
		return false;
	for (int part = 0; part < PYTHON_PARTS; part++) {
		if (place >= interpreter->starts[part] && place < interpreter->ends[part]) {
			walk->python.interpreter = file->python;
			walk->python.runtime = base + interpreter->runtime;
			return true;
		}
	}
	return false;
}

/* Adds one frame and goes to its caller. Other than 0: there is no more. */
__noinline int unwind_step(void)
{
	struct unwind_mapping *mapping;
	struct unwind_rule *rule = NULL;
	struct unwind_file *file = NULL;
	struct user_frame *frame;
	struct user_stack *stack;
	struct unwind_walk *walk;
	__u32 zero = 0, key, page, depth;
	__u64 at, place, low;
	int number, end;

	walk = bpf_map_lookup_elem(&unwind_walks, &zero);
	stack = bpf_map_lookup_elem(&user_scratch, &zero);
	if (!walk || !stack)
		return 1;
	if (walk->python.frame)
		return python_step();
	depth = stack->count;
	if (depth >= MAX_USER_FRAMES)
		return walk->end = STACK_TOO_DEEP;
	if (depth && !walk->pc)
		return walk->end = STACK_WHOLE;
	/* A call that never returns may be the last instruction of its function. */
	at = walk->is_exact ? walk->pc : walk->pc - 1;
	number = unwind_find_mapping(at);
	if (number < 0)
		return walk->end = STACK_NO_MAPPING;
	frame = &stack->frames[depth % MAX_USER_FRAMES];
	stack->count = depth + 1;
	frame->status = FRAME_IS_ADDRESS;
	frame->file = 0;
	/* User space takes one off all but the innermost. */
	frame->offset = at + (depth ? 1 : 0);
	key = number;
	mapping = bpf_map_lookup_elem(&unwind_mappings, &key);
	if (!mapping)
		return 1;
	place = at - mapping->start;
	if (mapping->kind == MAPPING_FILE || mapping->kind == MAPPING_FILE_UNREAD || mapping->kind == MAPPING_NO_ROOM) {
		key = mapping->file;
		file = bpf_map_lookup_elem(&unwind_files, &key);
	}
	if (file && file->status == FRAME_IS_IN_FILE) {
		frame->status = FRAME_IS_IN_FILE;
		frame->file = key;
		frame->offset += mapping->offset - mapping->start;
	}
	if (mapping->kind == MAPPING_FILE_UNREAD)
		return walk->end = STACK_NO_TABLE;
	if (mapping->kind == MAPPING_NO_ROOM)
		return walk->end = STACK_NO_ROOM;
	page = place / UNWIND_PAGE;
	if (mapping->kind == MAPPING_GENERATED || page >= mapping->pages)
		return unwind_by_frame_pointer(walk, STACK_GENERATED);
	key = unwind_find_rule(mapping->page + page, place % UNWIND_PAGE);
	rule = bpf_map_lookup_elem(&unwind_rules, &key);
	if (!rule)
		return 1;
	/* No call comes before what a signal handler or a coroutine returns to: it begins at the very address. */
	if (rule->cfa == CFA_UNKNOWN) {
#if defined(__TARGET_ARCH_x86)
		if (is_signal_return(walk)) {
			frame->offset += !walk->is_exact;
			return unwind_signal(walk);
		}
#endif
		if (!walk->is_exact && is_outermost_from(walk->pc)) {
			frame->offset++;
			return walk->end = STACK_WHOLE;
		}
		return unwind_by_frame_pointer(walk, STACK_NO_RULE);
	}
	if (rule->cfa == CFA_SIGNAL)
		frame->offset += !walk->is_exact;
	low = walk->sp;
	end = unwind_by_rule(walk, rule, !depth);
	if (!end && file && file->python &&
	    is_python(walk, file, mapping->start - mapping->offset, place + mapping->offset))
		python_enter(low);
	return end;
}

/* Goes from the registers up, and gives how the walk ended. */
__noinline int unwind_walk(void)
{
	struct unwind_walk *walk;
	__u32 zero = 0;

#pragma clang loop unroll(disable)
	for (__u32 step = 0; step <= UNWIND_STEPS; step++)
		if (unwind_step())
			break;
	walk = bpf_map_lookup_elem(&unwind_walks, &zero);
	return walk ? walk->end : STACK_NO_TABLE;
}

/*
 * Whether the current thread is in execve: from its call to its first instruction in the new program, or from its start where the kernel
 * started it. In between it gets its new memory, and its new registers after that.
 */
__noinline int in_exec(void)
{
	struct pt_regs *regs = current_registers();
	int number = BPF_CORE_READ(regs, REGS_SYSCALL_FIELD);

	if (number < 0)
		return false;
#if defined(__TARGET_ARCH_x86)
	if (task_in_compat_call(NULL, regs))
		return number == 11 || number == 358;
	return number == 59 || number == 322 || !BPF_CORE_READ(regs, ip);
#elif defined(__TARGET_ARCH_arm64)
	if (BPF_CORE_READ(regs, pstate) & PSR_MODE32_BIT)
		return number == 11 || number == 387;
	return number == 221 || number == 281 || !BPF_CORE_READ(regs, pc);
#else
	return false;
#endif
}

/* Whether an address is in the code of the program itself, and not in a library or in generated code. */
__noinline int is_of_program(__u64 address)
{
	struct task_struct___unwind *task = (void *)bpf_get_current_task();
	struct mm_struct___unwind *mm = BPF_CORE_READ(task, mm);

	return address >= BPF_CORE_READ(mm, start_code) && address < BPF_CORE_READ(mm, end_code);
}

/*
 * Whether a process has the memory that its parent has, or a copy. Its number of execs would not tell: it may have got as many as its
 * parent, or another parent.
 */
static __always_inline bool is_copy(struct mm_struct___unwind *own, struct mm_struct___unwind *parents)
{
	return own == parents || (BPF_CORE_READ(own, start_stack) == BPF_CORE_READ(parents, start_stack) &&
				  BPF_CORE_READ(own, start_code) == BPF_CORE_READ(parents, start_code) &&
				  BPF_CORE_READ(own, end_code) == BPF_CORE_READ(parents, end_code));
}

/*
 * The mappings of the current process; those of a child are its parent's until it runs another program. Within execve they are the old
 * program's, and NULL once the memory is not: its number of execs is raised after that, and the end of its code is noted when all is mapped.
 */
static __always_inline struct unwind_process *unwind_process_of(struct task_struct___unwind *task, __u32 pid,
								__u64 program, bool in_exec)
{
	struct unwind_process *process = bpf_map_lookup_elem(&unwind_processes, &pid);
	struct mm_struct___unwind *mm = BPF_CORE_READ(task, mm);
	struct task_struct___unwind *parent;

	if (in_exec && !BPF_CORE_READ(mm, end_code))
		return NULL;
	if (process && process->program == program) {
		if (!in_exec && process->exec_vm != BPF_CORE_READ(mm, exec_vm))
			want_mappings(pid, program);
		return process;
	}
	if (!in_exec)
		want_mappings(pid, program);
	parent = BPF_CORE_READ(task, real_parent);
	if (!is_copy(mm, BPF_CORE_READ(parent, mm)))
		return NULL;
	pid = BPF_CORE_READ(parent, tgid);
	process = bpf_map_lookup_elem(&unwind_processes, &pid);
	return process && process->program == program_of(parent) ? process : NULL;
}

/*
 * The stack of the current thread by unwind tables: frames are in user_scratch. Gives how the walk ended; STACK_NO_TABLE and no
 * frame where the process's mappings are not here, STACK_BY_FRAME_POINTER and no frame where its code has no such tables.
 */
__noinline int walk_user_stack(void)
{
#if defined(__TARGET_ARCH_x86)
	struct task_struct___unwind *task = (void *)bpf_get_current_task();
	__u32 zero = 0, pid = bpf_get_current_pid_tgid() >> 32;
	__u64 program = program_of(task);
	bool is_in_exec = in_exec();
	struct unwind_process *process;
	struct unwind_walk *walk;
	int end;

	walk = bpf_map_lookup_elem(&unwind_walks, &zero);
	if (!walk)
		return STACK_NO_TABLE;
	if (bpf_probe_read_kernel(&walk->registers, sizeof(walk->registers), current_registers()))
		return STACK_BY_FRAME_POINTER;
	if (walk->registers.cs != USER_CS)
		return STACK_BY_FRAME_POINTER;
	process = unwind_process_of(task, pid, program, is_in_exec);
	if (!process)
		return is_in_exec ? STACK_IN_EXEC : STACK_NO_TABLE;
	walk->first = process->first;
	walk->count = process->count;
	walk->mapping = process->first;
	walk->pc = walk->registers.ip;
	walk->sp = walk->registers.sp;
	walk->fp = walk->registers.bp;
	walk->is_exact = true;
	walk->end = STACK_TOO_DEEP;
	walk->program = program;
	walk->python.frame = 0;
	walk->python.has_begun = false;
	/* In glibc and musl, what pthread_self() gives. */
	walk->python.thread_id = BPF_CORE_READ(task, thread.fsbase);
	end = unwind_walk();
	if (end == STACK_NO_MAPPING)
		want_mappings(pid, program);
	return end;
#else
	return STACK_BY_FRAME_POINTER;
#endif
}

#endif
