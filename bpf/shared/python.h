/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Frames of CPython in place of the interpreter's own, for unwind.h.
 *
 * Where a walk comes to the interpreter's loop (python_enter), the frames that this call of the loop runs are added instead
 * (python_step). A thread's frames are a chain; a frame without code, in the C frame of the loop, ends those of one call. So each
 * call of the loop has its own, and what was called in C between two calls stays between them.
 *
 * A frame is the address of its code object and the instruction in it. What the code object is called is copied when a
 * program is first seen to run it (python_tell): user space comes too late to programs that live shortly, and must not
 * wait for memory of others.
 */
#ifndef EBREC_PYTHON_H
#define EBREC_PYTHON_H

#include "ebrec.h"

#include "python_types.h"
#include "unwind_walk.h"

/* Threads and interpreters of a process that are looked through for the current thread. */
#define PYTHON_THREADS 256
/* Owners of frames without code are from here on (FRAME_OWNED_BY_CSTACK of 3.12, FRAME_OWNED_BY_INTERPRETER of 3.14). */
#define PYTHON_NO_CODE 3
/* The addresses of programs; above them, a frame has a part of a hash of its code object, since another may take its place. */
#define PYTHON_ADDRESS ((1ULL << 48) - 1)
/* An instruction that is not within its code object. */
#define PYTHON_NO_INSTRUCTION (~0U)

/* All are made by user space, but the last. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct python_interpreter);
} python_interpreters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct python_thread);
} python_threads SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1);
	__type(key, struct python_seen);
	__type(value, __u32);
} python_told SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} python_codes SEC(".maps");

/* Too large for the stack. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct python_code);
} python_scratch SEC(".maps");

static __always_inline struct python_interpreter *python_interpreter_of(struct unwind_walk *walk)
{
	return bpf_map_lookup_elem(&python_interpreters, &walk->python.interpreter);
}

/* Looks at one thread's state. 1: it is the current thread's; 0: there are more. */
__noinline int python_look_at_thread(void)
{
	struct python_interpreter *interpreter;
	struct python_walk *python;
	struct unwind_walk *walk;
	__u32 zero = 0;

	walk = bpf_map_lookup_elem(&unwind_walks, &zero);
	if (!walk)
		return -1;
	interpreter = python_interpreter_of(walk);
	if (!interpreter)
		return -1;
	python = &walk->python;
	if (!python->state) {
		if (!python->next)
			return -1;
		if (!read_user(python->next + interpreter->threads, &python->state) ||
		    !read_user(python->next + interpreter->next_interpreter, &python->next))
			return -1;
		return 0;
	}
	if (!read_user(python->state + interpreter->thread_id, &walk->word))
		return -1;
	if (walk->word == python->thread_id)
		return 1;
	return read_user(python->state + interpreter->next_thread, &python->state) ? 0 : -1;
}

/* Leaves the current thread's state in the walk; false: it has none. */
__noinline int python_find_thread(void)
{
	struct python_interpreter *interpreter;
	struct python_thread *known, found;
	struct python_walk *python;
	struct unwind_walk *walk;
	__u32 zero = 0, tid = bpf_get_current_pid_tgid();
	int is_found = 0;

	walk = bpf_map_lookup_elem(&unwind_walks, &zero);
	if (!walk)
		return false;
	interpreter = python_interpreter_of(walk);
	if (!interpreter)
		return false;
	python = &walk->python;
	known = bpf_map_lookup_elem(&python_threads, &tid);
	if (known && known->program == walk->program) {
		python->state = known->state;
		/* Its memory may be another thread's by now. */
		if (read_user(python->state + interpreter->thread_id, &walk->word) && walk->word == python->thread_id)
			return true;
	}
	python->state = 0;
	if (!read_user(python->runtime + interpreter->interpreters, &python->next))
		return false;
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < PYTHON_THREADS && !is_found; i++)
		is_found = python_look_at_thread();
	if (is_found <= 0)
		return false;
	found.program = walk->program;
	found.state = python->state;
	bpf_map_update_elem(&python_threads, &tid, &found, BPF_ANY);
	return true;
}

/* Leaves in the walk where the newest frames are. */
static __always_inline bool python_begin(struct unwind_walk *walk, struct python_interpreter *interpreter)
{
	struct python_walk *python = &walk->python;

	python->next = 0;
	if (!python_find_thread() || !read_user(python->state + interpreter->current, &python->next)) {
		python->next = 0;
		return false;
	}
	if (interpreter->entry == PYTHON_LINKED && !read_user(python->next + interpreter->chain_frame, &python->next))
		python->next = 0;
	return python->next;
}

/*
 * At a call of the interpreter's loop, whose C frame is from `low` to the walk's stack pointer: the frames that it runs follow, in
 * place of the one that was added last. Where it runs none yet, or none any more, that one stays.
 */
__noinline int python_enter(__u64 low)
{
	struct python_interpreter *interpreter;
	struct python_walk *python;
	struct user_stack *stack;
	struct unwind_walk *walk;
	__u32 zero = 0, last;

	walk = bpf_map_lookup_elem(&unwind_walks, &zero);
	stack = bpf_map_lookup_elem(&user_scratch, &zero);
	if (!walk || !stack)
		return 0;
	interpreter = python_interpreter_of(walk);
	if (!interpreter)
		return 0;
	python = &walk->python;
	if (!python->has_begun) {
		python->has_begun = true;
		if (!python_begin(walk, interpreter))
			return 0;
	}
	python->frame = python->next;
	if (interpreter->entry == PYTHON_MARKED) {
		if (python->next < low || python->next >= walk->sp)
			python->frame = 0;
		else if (!read_user(python->next + interpreter->chain_frame, &python->frame) ||
			 !read_user(python->next + interpreter->chain_previous, &python->next))
			python->frame = 0;
	}
	if (!python->frame)
		return 0;
	last = (stack->count - 1) % MAX_USER_FRAMES;
	python->native = stack->frames[last];
	python->first = last;
	python->low = low;
	stack->count = last;
	return 0;
}

/* Takes the frames back that were added for a call of the loop. */
static __always_inline int python_give_up(struct python_walk *python, struct user_stack *stack)
{
	stack->frames[python->first % MAX_USER_FRAMES] = python->native;
	stack->count = python->first + 1;
	python->frame = 0;
	return 0;
}

/* Copies a text; `from` is where it begins. */
static __always_inline void python_copy(struct python_text *text, void *to, __u32 room, __u64 from)
{
	__u64 bytes = (__u64)text->length * text->width;

	text->bytes = 0;
	if (bytes > room)
		bytes = room;
	/* Of the verifier's: it has forgotten the bound. */
	bytes &= 2 * room - 1;
	if (bytes <= room && !bpf_probe_read_user(to, bytes, (void *)from))
		text->bytes = bytes;
}

/* PyUnicode: its length is behind the reference count and the type, its state is 16 bytes further. */
static __always_inline void python_copy_text(struct unwind_walk *walk, struct python_interpreter *interpreter,
					     struct python_text *text, void *to, __u32 room, __u64 from)
{
	__u32 state;

	*text = (struct python_text){};
	if (!read_user(from + 16, &walk->word))
		return;
	text->length = walk->word > room ? room + 1 : walk->word;
	if (!read_user(from + 32, &walk->word))
		return;
	/* Above two bits that do not matter: bytes of a character (3 bits), whether the text is compact, and whether it is ASCII. */
	state = walk->word >> 2;
	text->width = state & 7;
	python_copy(text, to, room, from + (state & 16 ? interpreter->ascii : interpreter->wide));
}

/* Copies what the code object in the walk is called. */
__noinline int python_tell(void)
{
	struct python_interpreter *interpreter;
	struct python_seen seen = {};
	struct python_walk *python;
	struct python_code *code;
	struct unwind_walk *walk;
	__u32 zero = 0, size;

	walk = bpf_map_lookup_elem(&unwind_walks, &zero);
	code = bpf_map_lookup_elem(&python_scratch, &zero);
	if (!walk || !code)
		return 0;
	interpreter = python_interpreter_of(walk);
	if (!interpreter)
		return 0;
	python = &walk->python;
	seen.program = walk->program;
	seen.code = python->code;
	if (bpf_map_lookup_elem(&python_told, &seen))
		return 0;
	code->code = python->code;
	code->pid = bpf_get_current_pid_tgid() >> 32;
	if (!read_user((python->code & PYTHON_ADDRESS) + interpreter->first_line, &walk->word))
		return 0;
	code->first_line = walk->word;
	python_copy_text(walk, interpreter, &code->file, code->file_bytes, PYTHON_FILE_BYTES, python->names[0]);
	python_copy_text(walk, interpreter, &code->name, code->name_bytes, PYTHON_NAME_BYTES, python->names[2]);
	/* PyBytes: its length is where that of a text is. */
	code->lines = (struct python_text){};
	if (read_user(python->names[3] + 16, &walk->word)) {
		code->lines.length = walk->word > PYTHON_LINE_BYTES ? PYTHON_LINE_BYTES + 1 : walk->word;
		code->lines.width = 1;
		python_copy(&code->lines, code->line_bytes, PYTHON_LINE_BYTES, python->names[3] + 32);
	}
	size = sizeof(*code) - PYTHON_LINE_BYTES + code->lines.bytes;
	if (size > sizeof(*code))
		size = sizeof(*code);
	/* Where there is no room, the next stack that has it tells. */
	if (!bpf_ringbuf_output(&python_codes, code, size, BPF_RB_NO_WAKEUP))
		bpf_map_update_elem(&python_told, &seen, &zero, BPF_ANY);
	return 0;
}

/* A word of the frame that was read. */
static __always_inline __u64 python_word(struct python_walk *python, __u32 place)
{
	return python->words[place / 8 % PYTHON_WORDS];
}

static __always_inline __u8 python_byte(struct python_walk *python, __u32 place)
{
	return python_word(python, place) >> place % 8 * 8;
}

/* Of a code object: all of it that tells it from another. */
static __always_inline __u64 python_hash(struct python_walk *python)
{
	__u64 hash = python->names[0];

	hash = (hash ^ python->names[1]) * 0x9e3779b97f4a7c15ULL;
	hash = (hash ^ hash >> 32 ^ python->names[2]) * 0x9e3779b97f4a7c15ULL;
	hash = (hash ^ hash >> 32 ^ python->names[3]) * 0x9e3779b97f4a7c15ULL;
	return hash & ~PYTHON_ADDRESS;
}

/* Adds a frame of the interpreter's. Other than 0: there is no more. */
__noinline int python_step(void)
{
	struct python_interpreter *interpreter;
	struct python_walk *python;
	struct user_frame *frame;
	struct user_stack *stack;
	struct unwind_walk *walk;
	__u64 code, instruction;
	__u32 zero = 0;
	bool is_last;

	walk = bpf_map_lookup_elem(&unwind_walks, &zero);
	stack = bpf_map_lookup_elem(&user_scratch, &zero);
	if (!walk || !stack)
		return 1;
	python = &walk->python;
	interpreter = python_interpreter_of(walk);
	if (!interpreter)
		return 1;
	if (bpf_probe_read_user(python->words, PYTHON_FRAME_WORDS * 8, (void *)python->frame))
		return python_give_up(python, stack);
	is_last = interpreter->entry == PYTHON_MARKED && python_byte(python, interpreter->owner);
	if (interpreter->entry != PYTHON_MARKED && python_byte(python, interpreter->owner) >= PYTHON_NO_CODE) {
		if (python->frame < python->low || python->frame >= walk->sp) {
			/* That of another call, or of none. */
			python->frame = python_word(python, interpreter->previous);
			return python->frame ? 0 : python_give_up(python, stack);
		}
		if (stack->count == python->first)
			return python_give_up(python, stack);
		python->next = python_word(python, interpreter->previous);
		python->frame = 0;
		return 0;
	}
	if (stack->count >= MAX_USER_FRAMES)
		return walk->end = STACK_TOO_DEEP;
	/* 3.14 marks pointers in their lowest bits. */
	code = python_word(python, interpreter->code) & PYTHON_ADDRESS & ~3ULL;
	instruction = python_word(python, interpreter->instruction) - code - interpreter->instructions;
	frame = &stack->frames[stack->count % MAX_USER_FRAMES];
	stack->count++;
	frame->status = FRAME_IS_PYTHON | FRAME_IS_ADDRESS;
	frame->file = instruction >> 24 ? PYTHON_NO_INSTRUCTION : instruction;
	python->code = code;
	if (!bpf_probe_read_user(python->names, sizeof(python->names), (void *)(code + interpreter->names))) {
		python->code |= python_hash(python);
		python_tell();
	}
	frame->offset = python->code;
	python->frame = is_last ? 0 : python_word(python, interpreter->previous);
	if (!python->frame && !is_last)
		return python_give_up(python, stack);
	return 0;
}

#endif
