/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The lines of a header, of which only those are looked at that say where the message ends; a chunk's size; a trailer.
 */
#ifndef EBREC_HTTP_LINES_H
#define EBREC_HTTP_LINES_H

/* Digits after spaces; 18 of them fit. */
static __always_inline void decimal(struct job *job)
{
	job->value = 0;
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < 20; i++) {
		__u8 digit = byte_at(job, job->length_at + i);

		if (digit == ' ' || digit == '\t')
			continue;
		digit -= '0';
		if (digit > 9)
			break;
		job->value = job->value * 10 + digit;
	}
}

static __always_inline void hexadecimal(struct job *job)
{
	job->value = 0;
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < 16; i++) {
		__u8 digit = job->text[i] - '0';

		if (digit > 9) {
			digit = (job->text[i] | 0x20) - 'a';
			if (digit > 5)
				break;
			digit += 10;
		}
		job->value = job->value << 4 | digit;
	}
}

/* Where a message ends, as far as one line of its header says. */
static __always_inline void look_at_line(struct job *job, __u32 line)
{
	__u64 word = word_at(job, line) | EVERY_BYTE * 0x20;

	if (word == WORD('c', 'o', 'n', 't', 'e', 'n', 't', '-')) {
		word = word_at(job, line + 8) | EVERY_BYTE * 0x20;
		if ((word & LOWEST(7)) == WORD('l', 'e', 'n', 'g', 't', 'h', ':', 0))
			job->length_at = line + 15;
	} else if (word == WORD('t', 'r', 'a', 'n', 's', 'f', 'e', 'r')) {
		word = word_at(job, line + 8) | EVERY_BYTE * 0x20;
		if (word == WORD('-', 'e', 'n', 'c', 'o', 'd', 'i', 'n'))
			job->chunked = 1;
	}
}

/* Goes through lines of a header, a chunk's size, or a trailer, from `at` on, to where it stops: at the end or before. */
__noinline int http_lines(__u32 place)
{
	struct job *job = job_of(place);

	if (!job)
		return 0;
	job->length_at = 0;
	job->ended = 0;
#pragma clang loop unroll(disable)
	for (__u32 step = 0; step < HTTP_STEPS; step++) {
		__u32 at = job->at, line = job->line, bytes;
		__u64 word;

		if (at >= job->have)
			break;
		bytes = bytes_to_line_end(job, at);
		if (!bytes) {
			job->at = at + STRIDE;
			continue;
		}
		job->at = at + bytes;
		word = word_at(job, line);
		if (job->in_line) {
			job->in_line = 0;
		} else if ((word & 0xff) == '\n' || (word & 0xffff) == WORD('\r', '\n', 0, 0, 0, 0, 0, 0) ||
			   job->part == PART_CHUNK) {
			job->ended = 1;
			break;
		} else {
			look_at_line(job, line);
		}
		job->line = job->at;
	}
	if (job->at > job->have)
		job->at = job->have;
	/* The rest of a long line is skipped: what it says stands at its beginning. */
	if (!job->ended && !job->in_line && job->at - job->line >= HTTP_CARRY)
		look_at_line(job, job->line);
	if (job->part == PART_CHUNK)
		hexadecimal(job);
	else if (job->length_at)
		decimal(job);
	return 0;
}

/* Keeps the beginning of the line at which the text ends. */
static __always_inline void carry_over(struct job *job, struct direction *way)
{
	__u32 line = job->line, bytes = job->at - line;

	way->carried = 0;
	way->in_line = job->in_line;
	if (way->in_line)
		return;
	if (bytes >= HTTP_CARRY || line > HTTP_TEXT) {
		way->in_line = 1;
		return;
	}
	bpf_probe_read_kernel(way->carry, HTTP_CARRY, job->text + line);
	way->carried = bytes;
}

#endif
