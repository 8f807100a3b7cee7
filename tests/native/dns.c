// SPDX-License-Identifier: Apache-2.0 OR MIT
/*
 * The parser of the dns probe as ordinary C: packets and calls go in, and what the probe would tell comes out.
 *
 * Input is packets, each a byte with flags, two with its length, and its bytes from the network header on; or calls on a connection
 * by TCP, with the bytes that they moved. As a program it reads them from its standard input and prints what came of them; -DFUZZ makes it a fuzz target.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "machine.h"

/* What user space sets before a program is loaded, a test sets, too. */
#define const
#undef bool
#undef NULL
#include "../../bpf/dns/dns.bpf.c"
#undef const

/* Of the byte before a packet. */
#define FLAG_RECEIVED 0x01
#define FLAG_IPV6     0x02
#define FLAG_ETHERNET 0x04 /* the device's header stands before it */
#define FLAG_CUT      0x08 /* half of it isn't beside the head */
#define FLAG_CALL     0x10 /* no packet: what a call on a connection by TCP moved */
#define FLAG_VECTORS  0x20 /* of a call: in two vectors */

static const struct native_map maps[] = {
	NATIVE_MAP(losses),
	NATIVE_MAP(scope_tasks),
	NATIVE_CELLS(cells_even),
	NATIVE_CELLS(cells_odd),
	NATIVE_MAP(queries),
	NATIVE_MAP(names),
	NATIVE_MAP(scratch_query),
	NATIVE_MAP(streams),
	NATIVE_MAP(moved_by_place),
	{.map = &rings, .name = "rings", .key_size = 4, .value_size = 4, .max_entries = 1, .type = BPF_MAP_TYPE_ARRAY},
	{},
};

static struct net net = {.ns = {.inum = 4026531840}};
static struct net_device device = {.nd_net = {.net = &net}};
/* Behind it is room for what the compiler knows no size of: see struct in6_addr. */
static struct {
	struct sock sk;
	__u8 addresses[32];
} here = {.sk.__sk_common.skc_net.net = &net};
static struct sock *const sk = &here.sk;
static struct socket socket_of_sk = {.sk = &here.sk};
static struct inode___io inode = {.i_mode = S_IFSOCK};
static struct file___io file = {.f_inode = &inode, .private_data = &socket_of_sk};
static struct file *files[1] = {(void *)&file};
static struct fdtable table = {.max_fds = 1, .fd = files};
static struct files_struct open_files = {.fdt = &table};
static struct task_struct task = {.files = &open_files, .pid = 11, .tgid = 10, .group_leader = &task};
static size_t answered_count;
static __u64 metrics[DNS_UNREAD + 1];

static void check(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "does not hold: %s\n", what);
	abort();
}

static void take_record(const void *bytes, size_t size)
{
	static const char *events[] = {"answered", "unanswered", "tcp"};
	const struct dns_record *record = bytes;
	const struct dns_name *name = &record->query.name;

	check(size == sizeof(*record), "a record has its size");
	check(record->header.event <= DNS_TCP, "an event has a name");
	check(record->dur_ns < 1ULL << 40, "no answer comes before its query");
	check(name->length <= QUESTION_SIZE, "a question has its bound");
	answered_count += record->header.event == DNS_ANSWERED;
	printf("%s%s id %04x code %u port %u ", record->key.tcp && record->header.event != DNS_TCP ? "tcp " : "",
	       events[record->header.event], __builtin_bswap16(record->key.id), record->flags & 0xf, record->key.port);
	for (__u32 i = 0; i < name->length; i++)
		printf("%02x", name->question[i]);
	printf("\n");
}

static void add_cell(const void *key, const void *value)
{
	const struct cell_key *at = key;
	const struct cell *cell = value;
	__u32 metric = at->head >> HEAD_METRIC_SHIFT & 0x3f;

	check(metric <= DNS_UNREAD, "a metric is known");
	metrics[metric] += cell->count;
}

static void packet(__u8 flags, const __u8 *bytes, size_t size)
{
	static const __u8 ethernet[14];
	struct sk_buff skb = {.sk = sk, .dev = &device, .len = size};

	native_forget();
	skb.head = native_put(ethernet, sizeof(ethernet));
	skb.network_header = sizeof(ethernet);
	native_put(bytes, size);
	skb.data = skb.head + skb.network_header;
	if (flags & FLAG_CUT)
		skb.data_len = size / 2;
	skb.protocol = bpf_htons(flags & FLAG_IPV6 ? ETH_P_IPV6 : ETH_P_IP);
	if (flags & FLAG_RECEIVED) {
		dns_receive(&skb);
		return;
	}
	if (flags & FLAG_ETHERNET) {
		skb.data -= sizeof(ethernet);
		skb.len += sizeof(ethernet);
	}
	dns_send(&skb);
}

/* The registers of a call, as the programs look for them. */
static struct pt_regs call_registers(__u64 number, void *buffer, __u64 size)
{
#if defined(__TARGET_ARCH_x86)
	return (struct pt_regs){.orig_ax = number, .si = (__u64)buffer, .dx = size};
#else
	return (struct pt_regs){.syscallno = number, .regs = {0, (__u64)buffer, size}};
#endif
}

/* A call on the connection moves bytes. Where TCP is with them lies where the addresses of IPv4 do: nobody asks for those. */
static void call(__u8 flags, const __u8 *bytes, size_t size)
{
	struct tcp_sock___dns *tcp = (void *)sk;
	struct user_vector vectors[2] = {};
	bool in = flags & FLAG_RECEIVED;
	struct pt_regs regs;
	void *at;

	native_forget();
	if (flags & FLAG_VECTORS) {
		at = native_put(vectors, sizeof(vectors));
		vectors[0].length = size / 3;
		vectors[1].length = size - size / 3;
		vectors[0].base = (__u64)native_put(bytes, vectors[0].length);
		vectors[1].base = (__u64)native_put(bytes + vectors[0].length, vectors[1].length);
		memcpy(at, vectors, sizeof(vectors));
	} else {
		at = native_put(bytes, size);
	}
	regs = call_registers((flags & FLAG_VECTORS ? 4 : 2) + in, at, size);
	native_thread.regs = &regs;
	sk->__sk_common.skc_family = AF_INET6;
	sk->__sk_common.skc_num = 4000;
	if (in)
		tcp->copied_seq += size;
	else
		tcp->write_seq += size;
	in ? dns_received(sk, size, 0) : dns_sent(sk, size);
}

static void play(const __u8 *input, size_t size)
{
	struct tcp_sock___dns *tcp = (void *)sk;

	native_reset(maps);
	native_record = take_record;
	native_thread.who = (__u64)task.tgid << 32 | task.pid;
	native_thread.task = &task;
	epoch.open_ns = epoch.start_ns = 1;
	config.stream = STREAM_ALL;
	answered_count = 0;
	memset(metrics, 0, sizeof(metrics));
	knobs.calls[2] = CALL_BUFFER | CALL_OUT;
	knobs.calls[3] = CALL_BUFFER;
	knobs.calls[4] = CALL_VECTOR | CALL_OUT;
	knobs.calls[5] = CALL_VECTOR;
	sk->sk_protocol = IPPROTO_TCP;
	sk->__sk_common.skc_dport = bpf_htons(DNS_PORT);
	tcp->copied_seq = tcp->write_seq = 1000;
	while (size >= 3) {
		__u8 flags = input[0];
		size_t length = input[1] | input[2] << 8;

		input += 3;
		size -= 3;
		if (length > size)
			length = size;
		flags &FLAG_CALL ? call(flags, input, length) : packet(flags, input, length);
		input += length;
		size -= length;
	}
	/* The compiler knows no size of an address of IPv6: see struct in6_addr. */
	sk->__sk_common.skc_family = AF_INET;
	dns_state(sk, TCP_CLOSE, TCP_SYN_SENT);
	dns_state(sk, TCP_ESTABLISHED, TCP_CLOSE);
	check(!native_count(&streams), "nothing is kept of a connection that is closed");
	native_each(&cells_even, add_cell);
	check(metrics[DNS_LATENCY] == answered_count, "each answer is in the histogram and among the records");
	check(metrics[DNS_BY_TCP] == 1, "a connect to the port is counted");
	check(metrics[DNS_UNREAD] <= 2, "a direction is given up once");
	check(metrics[DNS_FAILURES] <= answered_count, "what failed was answered");
}

#ifdef FUZZ
int LLVMFuzzerInitialize(int *count, char ***words)
{
	/* What is told is of no interest. */
	return !freopen("/dev/null", "w", stdout);
}

int LLVMFuzzerTestOneInput(const __u8 *input, size_t size)
{
	play(input, size);
	return 0;
}
#else
int main(void)
{
	static __u8 input[1 << 20];

	play(input, fread(input, 1, sizeof(input), stdin));
	return 0;
}
#endif
