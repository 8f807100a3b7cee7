// SPDX-License-Identifier: Apache-2.0 OR MIT
/*
 * The parser of the http probe as ordinary C: a conversation goes in, call by call, and what the probe would tell comes out.
 *
 * The conversation is steps, each a byte that chooses what it is, a byte for the size of its pieces, two with the length of
 * its bytes, and the bytes. As a program it reads one from its standard input and prints what came of it. As a fuzz target
 * (-DFUZZ) it plays each twice, the second time with other calls for the same bytes, and compares.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "machine.h"

/* What user space sets before a program is loaded, a test sets, too. */
#define const
#undef bool
#undef NULL
#include "../../bpf/http/http.bpf.c"
#undef const

#define FD	     3
#define SSL	     0x1000
#define MOST_BYTES   (1 << 17)
#define MOST_VECTORS 160

enum step {
	STEP_READ,
	STEP_WRITE,
	STEP_READV,
	STEP_WRITEV,
	STEP_RECVMSG,
	STEP_SENDMSG,
	STEP_SENDFILE,
	STEP_SSL_READ,
	STEP_SSL_WRITE,
	STEP_DATAGRAM,
	STEP_CLOSE,
	STEPS,
};

/* By the numbers of x86_64, whatever the machine. */
static const struct {
	__u16 number;
	__u8 call;
} calls[] = {
	[STEP_READ] = {0, CALL_BUFFER},
	[STEP_WRITE] = {1, CALL_BUFFER | CALL_OUT},
	[STEP_READV] = {19, CALL_VECTOR},
	[STEP_WRITEV] = {20, CALL_VECTOR | CALL_OUT},
	[STEP_RECVMSG] = {47, CALL_MESSAGE},
	[STEP_SENDMSG] = {46, CALL_MESSAGE | CALL_OUT},
	[STEP_SENDFILE] = {40, CALL_SENDFILE | CALL_OUT},
	[STEP_DATAGRAM] = {44, CALL_BUFFER_FLAGS | CALL_OUT},
};

static char *reasons[UNPARSED_REASONS] = {
	[UNPARSED_HTTP2] = "http2",
	[UNPARSED_UPGRADED] = "upgraded",
	[UNPARSED_NO_REQUEST] = "no-request",
	[UNPARSED_PIPELINE] = "pipeline",
	[UNPARSED_OUT_OF_STEP] = "out-of-step",
	[UNPARSED_MANY_PARTS] = "many-parts",
	[UNPARSED_TLS] = "tls",
	[UNPARSED_RING] = "ring",
	[UNPARSED_QUIC] = "quic",
	[UNPARSED_COMPAT] = "compat",
	[UNPARSED_UNSEEN] = "unseen",
};

static const struct native_map maps[] = {
	NATIVE_MAP(losses),
	NATIVE_MAP(scope_tasks),
	NATIVE_CELLS(cells_even),
	NATIVE_CELLS(cells_odd),
	NATIVE_MAP(conns),
	NATIVE_MAP(http_calls),
	NATIVE_MAP(methods),
	NATIVE_MAP(routes),
	NATIVE_MAP(route_scratches),
	NATIVE_MAP(frames),
	NATIVE_MAP(frame_owners),
	NATIVE_MAP(frame_owners_gone),
	NATIVE_MAP(tls_threads),
	NATIVE_MAP(told),
	NATIVE_MAP(quic_seen),
	NATIVE_MAP(state_by_tid),
	{.map = &state_by_task,
	 .name = "state_by_task",
	 .key_size = 8,
	 .value_size = sizeof(struct call_start),
	 .max_entries = 1,
	 .type = BPF_MAP_TYPE_HASH},
	{.map = &rings, .name = "rings", .key_size = 4, .value_size = 4, .max_entries = 1, .type = BPF_MAP_TYPE_ARRAY},
	{},
};

static struct inode___io inode = {.i_mode = HTTP_S_IFSOCK};
static struct sock___http stream_sk, datagram_sk;
static struct socket___http stream_socket = {.sk = &stream_sk}, datagram_socket = {.sk = &datagram_sk};
static struct file___io stream_file = {.f_inode = &inode, .private_data = &stream_socket};
static struct file___io datagram_file = {.f_inode = &inode, .private_data = &datagram_socket};
static struct file *files[FD + 2] = {[FD] = (void *)&stream_file, [FD + 1] = (void *)&datagram_file};
static struct fdtable table = {.max_fds = FD + 2, .fd = files};
static struct files_struct open_files = {.fdt = &table};
static struct task_struct task = {.files = &open_files, .pid = 11, .tgid = 10, .group_leader = &task};

/* What was said. */
static char said[1 << 20];
static size_t said_size;
static size_t answered_count, unanswered_count;
/* Something was no HTTP: where the probe takes it up again depends on the calls. */
static bool is_strange;
static __u64 metrics[3][UNPARSED_REASONS];

static void check(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "does not hold: %s\n", what);
	abort();
}

static void tell(const char *format, ...)
{
	__builtin_va_list arguments;
	int size;

	__builtin_va_start(arguments, format);
	size = vsnprintf(said + said_size, sizeof(said) - said_size, format, arguments);
	__builtin_va_end(arguments);
	check(size >= 0 && said_size + size < sizeof(said), "there is room for what is said");
	said_size += size;
}

static void take_record(const void *bytes, size_t size)
{
	static const char *names[] = {"?",	 "GET",	    "HEAD",  "POST",  "PUT",  "DELETE",
				      "CONNECT", "OPTIONS", "TRACE", "PATCH", "other"};
	const struct http_record *record = bytes;
	__u32 sub = record->header.pad, method = sub & HTTP_SUB_METHOD;
	bool is_answered = record->header.event == HTTP_ANSWERED;

	check(size == sizeof(*record), "a record has its size");
	check(method < sizeof(names) / sizeof(*names) || method >= METHOD_NAMED, "a method has a name");
	check(method < METHOD_NAMED || record->path_bytes <= HTTP_PATH - HTTP_METHOD_BYTES, "a name has its room");
	check(record->path_bytes <= HTTP_PATH, "a path has its bound");
	check(record->took_ns < 1ULL << 40, "nothing ends before it began");
	*(is_answered ? &answered_count : &unanswered_count) += 1;
	tell("%s %.*s %u %s%s %llu ", is_answered ? "answered" : "unanswered", HTTP_METHOD_BYTES,
	     method < METHOD_NAMED ? names[method] : (const char *)record->path + HTTP_PATH - HTTP_METHOD_BYTES,
	     sub >> HTTP_SUB_STATUS_SHIFT, sub & HTTP_SUB_CLIENT ? "client" : "server",
	     sub & HTTP_SUB_TLS ? "+tls" : "", record->bytes);
	for (__u32 i = 0; i < record->path_bytes && record->path[i] > ' '; i++)
		tell(record->path[i] < 127 && record->path[i] != '%' ? "%c" : "%%%02x", record->path[i]);
	tell("\n");
}

static void add_cell(const void *key, const void *value)
{
	const struct cell_key *at = key;
	const struct cell *cell = value;
	__u32 metric = at->head >> HEAD_METRIC_SHIFT & 0x3f;

	check(metric < 3, "a metric is known");
	metrics[metric][metric == HTTP_UNPARSED ? at->sub : 0] += cell->count;
	if (metric == HTTP_UNPARSED)
		metrics[metric][at->sub] += cell->sum - cell->count;
}

static void check_conn(const void *key, const void *value)
{
	const struct conn *conn = value;

	check(conn->tail - conn->head <= HTTP_WAITING, "no more requests wait than there is room for");
	check(conn->role <= ROLE_TLS, "a connection has a role");
	is_strange |= conn->tries || conn->role >= ROLE_OTHER;
	for (int i = 0; i < 2; i++) {
		check(conn->direction[i].part <= PART_REST, "a direction has a part");
		check(conn->direction[i].carried < HTTP_CARRY, "what is carried has its bound");
	}
}

static void begin(void)
{
	struct sock_common___http common = {
		.skc_family = HTTP_AF_INET, .skc_state = HTTP_STATE_ESTABLISHED, .skc_dport = 0x901f, .skc_num = 80};

	native_reset(maps);
	native_record = take_record;
	native_thread.who = (__u64)task.tgid << 32 | task.pid;
	native_thread.task = &task;
	stream_sk.__sk_common = datagram_sk.__sk_common = common;
	datagram_sk.__sk_common.skc_num = QUIC_PORT;
	stream_sk.sk_protocol = HTTP_TCP;
	datagram_sk.sk_protocol = HTTP_UDP;
	epoch.open_ns = epoch.start_ns = 1;
	config.stream = STREAM_ALL;
	config.task_storage = 1;
	knobs.routes = 1;
	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		if (calls[i].call)
			knobs.calls[calls[i].number] = calls[i].call;
	said_size = answered_count = unanswered_count = 0;
	said[0] = 0;
	is_strange = false;
	memset(metrics, 0, sizeof(metrics));
}

/* Where the vectors of a call are, with the bytes behind them in pieces. */
static void *vectors(const __u8 *bytes, size_t size, size_t piece)
{
	struct user_vector array[MOST_VECTORS] = {};
	size_t count = 0;
	__u8 *data;
	void *at;

	if (size / piece >= MOST_VECTORS)
		piece = size / (MOST_VECTORS - 1) + 1;
	at = native_put(array, sizeof(array));
	data = native_put(bytes, size);
	for (size_t from = 0; from < size; from += piece) {
		array[count].base = (__u64)data + from;
		array[count++].length = size - from < piece ? size - from : piece;
	}
	memcpy(at, array, sizeof(array));
	return at;
}

/* The registers of a system call, as the programs look for them. */
static struct pt_regs call_registers(__u64 number, __u64 fd, void *buffer, __u64 size)
{
#if defined(__TARGET_ARCH_x86)
	return (struct pt_regs){.orig_ax = number, .di = fd, .si = (__u64)buffer, .dx = size};
#else
	return (struct pt_regs){.syscallno = number, .orig_x0 = fd, .regs = {fd, (__u64)buffer, size}};
#endif
}

/* Those of a function of libssl: at its entry, and at its return. */
static struct pt_regs___http function_registers(__u64 ssl, void *buffer)
{
#if defined(__TARGET_ARCH_x86)
	return (struct pt_regs___http){.di = ssl, .si = (__u64)buffer};
#else
	return (struct pt_regs___http){.regs = {ssl, (__u64)buffer}};
#endif
}

/* The members that find a call's frame lie where those of the arguments do: its stack pointer is the SSL here. */
static struct pt_regs___http result_registers(__u64 ssl, __u64 result)
{
#if defined(__TARGET_ARCH_x86)
	return (struct pt_regs___http){.di = ssl, .ax = result};
#else
	return (struct pt_regs___http){.regs = {result}};
#endif
}

static void call(enum step step, const __u8 *bytes, size_t size, size_t piece)
{
	struct user_message message = {};
	struct pt_regs regs;
	void *at;

	native_forget();
	if (step == STEP_READV || step == STEP_WRITEV) {
		at = vectors(bytes, size, piece);
	} else if (step == STEP_RECVMSG || step == STEP_SENDMSG) {
		at = native_put(&message, sizeof(message));
		message.vectors = (__u64)vectors(bytes, size, piece);
		memcpy(at, &message, sizeof(message));
	} else {
		at = native_put(bytes, size);
	}
	/* The third argument of recvmsg and sendmsg is flags. */
	regs = call_registers(calls[step].number, step == STEP_DATAGRAM ? FD + 1 : FD, at,
			      step == STEP_RECVMSG || step == STEP_SENDMSG ? 0 : size);
	native_thread.regs = &regs;
	if (calls[step].call & CALL_OUT)
		http_enter(&regs, calls[step].number);
	http_exit(&regs, size);
}

static void tls_call(bool out, const __u8 *bytes, size_t size)
{
	struct pt_regs___http entry, result = result_registers(SSL, size);

	native_forget();
	entry = function_registers(SSL, native_put(bytes, size));
	out ? ssl_write((void *)&entry) : ssl_read((void *)&entry);
	ssl_done((void *)&result);
}

static void close_all(void)
{
	struct pt_regs___http registers = function_registers(SSL, NULL);

	http_state(&stream_sk, HTTP_STATE_ESTABLISHED, HTTP_STATE_CLOSE);
	ssl_free((void *)&registers);
}

/* In calls of at most `most` bytes. */
static void move(enum step step, const __u8 *bytes, size_t size, size_t piece, size_t most)
{
	for (size_t from = 0, part; from < size; from += part) {
		part = size - from < most ? size - from : most;
		if (step == STEP_SSL_READ || step == STEP_SSL_WRITE)
			tls_call(step == STEP_SSL_WRITE, bytes + from, part);
		else
			call(step, bytes + from, part, piece);
		native_each(&conns, check_conn);
	}
}

/* Plays a conversation. `most`: bytes of a call; 0: as many as it says. */
static void play(const __u8 *input, size_t size, size_t most)
{
	begin();
	while (size >= 4) {
		enum step step = input[0] % STEPS;
		size_t piece = input[1] + 1, length = input[2] | input[3] << 8;

		input += 4;
		size -= 4;
		if (length > size)
			length = size;
		if (step == STEP_CLOSE)
			close_all();
		else
			move(step, input, length, piece, most && step != STEP_DATAGRAM ? most : MOST_BYTES);
		input += length;
		size -= length;
	}
	close_all();
	native_each(&cells_even, add_cell);
	check(metrics[HTTP_LATENCY][0] == answered_count, "each answer is in the histogram and among the records");
	check(metrics[HTTP_UNANSWERED_COUNT][0] == unanswered_count,
	      "each request without one is counted and recorded");
	for (int i = 0; i < UNPARSED_REASONS; i++)
		if (metrics[HTTP_UNPARSED][i])
			tell("unparsed %s %llu\n", reasons[i], metrics[HTTP_UNPARSED][i]);
}

#ifdef FUZZ
int LLVMFuzzerTestOneInput(const __u8 *input, size_t size)
{
	static char before[sizeof(said)];

	play(input, size, 0);
	memcpy(before, said, said_size + 1);
	if (is_strange)
		return 0;
	play(input, size, size ? input[0] / STEPS + 1 : 1);
	if (strcmp(before, said)) {
		fprintf(stderr, "in calls as given:\n%sin other calls:\n%s", before, said);
		abort();
	}
	return 0;
}
#else
int main(void)
{
	static __u8 input[1 << 24];
	size_t size = fread(input, 1, sizeof(input), stdin);

	play(input, size, 0);
	fputs(said, stdout);
	return 0;
}
#endif
