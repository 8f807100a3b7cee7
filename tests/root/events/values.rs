//! Addresses and fields that events keep, against those that a program passed and a socket has.

use std::net::IpAddr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;

use super::target::Target;
use super::target::is_whole;
use super::target::kernel_functions;
use crate::common::Recorder;
use crate::common::Taken;

/// Both ends of a connection on the loopback: where it was accepted, and where it comes from.
fn connection(listener: &TcpListener) -> (SocketAddr, SocketAddr) {
    let server = listener.local_addr().unwrap();
    let stream = TcpStream::connect(server).unwrap();
    (server, stream.local_addr().unwrap())
}

/// Records an event of this process while it connects.
fn of_connections(event: &str, to: &str, times: usize) -> (Taken, Vec<(SocketAddr, SocketAddr)>) {
    let listener = TcpListener::bind(to).unwrap();
    let event = event.replace("OURS", &format!("pid=={}", std::process::id()));
    let running = Recorder::new("-p events -e").word(&event).start();
    let made = (0..times).map(|_| connection(&listener)).collect();
    let taken = running.finish();
    is_whole(&taken);
    (taken, made)
}

#[test]
#[ignore = "root: attaches probes"]
fn addresses_are_those_that_a_function_was_called_with() {
    let target = Target::build();
    let (taken, _) = target.recorded("uprobe:FILE:called(ipv6(arg4),sockaddr(arg5))", "calls 300");
    is_whole(&taken);
    let rows = taken.rows("event", &["str_0", "str_1"]);
    assert_eq!(rows.count(), 300);
    for (number, row) in (0u16..).zip(rows.iter()) {
        let address = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 5, number);
        let socket = SocketAddr::new(IpAddr::V6(address), 8000 + number);
        assert_eq!(row.text("str_0"), Some(&*address.to_string()));
        assert_eq!(row.text("str_1"), Some(&*socket.to_string()));
    }
}

#[test]
#[ignore = "root: attaches probes"]
fn fields_are_those_of_the_struct_that_a_function_was_called_with() {
    let target = Target::build();
    // By offsets, as `struct point` of target.c lies in memory; and by a struct that the kernel has, too.
    let event = "uprobe:FILE:called(tag=*(u8 *)arg3,x=*(s32 *)(arg3+4),y=*(s64 *)(arg3+8),next=*(s64 *)(*(u64 *)(arg3+16)+8),\
                 ((struct sockaddr_in6 *)arg5)->sin6_port,((struct sockaddr_in6 *)arg5)->sin6_addr)";
    let (taken, _) = target.recorded(event, "calls 100");
    is_whole(&taken);
    let rows = taken.rows("event", &["arg_0", "arg_1", "arg_2", "arg_3", "arg_4", "str_0"]);
    assert_eq!(rows.count(), 100);
    for (number, row) in (0i64..).zip(rows.iter()) {
        let fields: Vec<i64> = (0..5).map(|at| row.int(&format!("arg_{at}"))).collect();
        assert_eq!(fields, [i64::from(b'p'), number, 1 << 40, -100 - number, 8000 + number]);
        let address = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 5, number as u16);
        assert_eq!(row.text("str_0"), Some(&*address.to_string()));
    }
}

#[test]
#[ignore = "root: attaches probes"]
fn a_system_call_gives_the_socket_address_that_it_got() {
    for to in ["[::1]:0", "127.0.0.1:0"] {
        let event = "tracepoint:syscalls:sys_enter_connect(sockaddr(uservaddr),addrlen)/OURS/";
        let (taken, made) = of_connections(event, to, 20);
        let rows = taken.rows("event", &["str_0", "arg_0"]);
        assert_eq!(rows.count(), made.len());
        for (row, (server, _)) in rows.iter().zip(&made) {
            let length = if server.is_ipv6() { 28 } else { 16 };
            assert_eq!((row.text("str_0"), row.int("arg_0")), (Some(&*server.to_string()), length));
        }
    }
}

#[test]
#[ignore = "root: attaches probes"]
fn a_trace_point_of_sockets_gives_both_ends() {
    for (to, addresses) in [("[::1]:0", "ipv6(saddr_v6),ipv6(daddr_v6)"), ("127.0.0.1:0", "ipv4(saddr),ipv4(daddr)")] {
        let event = format!(
            "tracepoint:sock:inet_sock_set_state({addresses},sport,dport)/OURS&&oldstate==TCP_SYN_SENT&&newstate==TCP_ESTABLISHED/"
        );
        let (taken, made) = of_connections(&event, to, 20);
        are_the_ends(&taken, &made);
    }
}

#[test]
#[ignore = "root: attaches probes"]
fn members_of_the_kernels_structs_are_those_of_the_socket() {
    let event = "rawtp:inet_sock_set_state(sk->__sk_common.skc_v6_rcv_saddr,sk->__sk_common.skc_v6_daddr,sk->__sk_common.skc_num,\
                 sk->__sk_common.skc_dport)/OURS&&oldstate==TCP_SYN_SENT&&newstate==TCP_ESTABLISHED/";
    let (taken, made) = of_connections(event, "[::1]:0", 20);
    are_the_ends(&taken, &made);
}

/// The connecting end's address and port in str_0 and arg_0, the other's in str_1 and arg_1.
fn are_the_ends(taken: &Taken, made: &[(SocketAddr, SocketAddr)]) {
    let rows = taken.rows("event", &["str_0", "str_1", "arg_0", "arg_1"]);
    assert_eq!(rows.count(), made.len());
    for (row, (server, client)) in rows.iter().zip(made) {
        let kept = (row.text("str_0"), row.int("arg_0"), row.text("str_1"), row.int("arg_1"));
        let (from, to) = (client.ip().to_string(), server.ip().to_string());
        assert_eq!(kept, (Some(&*from), i64::from(client.port()), Some(&*to), i64::from(server.port())));
    }
}

#[test]
#[ignore = "root: attaches probes"]
fn functions_of_the_kernel_give_socket_addresses_and_members() {
    if !kernel_functions("functions_of_the_kernel_give_socket_addresses_and_members") {
        return;
    }
    for event in
        ["kprobe:tcp_v6_connect(sockaddr(arg1),arg2)/OURS/", "fentry:tcp_v6_connect(sockaddr(uaddr),addr_len)/OURS/"]
    {
        let (taken, made) = of_connections(event, "[::1]:0", 10);
        let rows = taken.rows("event", &["str_0", "arg_0"]);
        let kept: Vec<_> = rows.iter().map(|row| (row.text("str_0").unwrap().to_owned(), row.int("arg_0"))).collect();
        let passed: Vec<_> = made.iter().map(|(server, _)| (server.to_string(), 28)).collect();
        assert_eq!(kept, passed, "{event}");
    }
    let event = "fexit:tcp_v6_connect(sk->__sk_common.skc_v6_rcv_saddr,sk->__sk_common.skc_v6_daddr,sk->__sk_common.skc_num,\
                 sk->__sk_common.skc_dport,retval)/OURS/";
    let (taken, made) = of_connections(event, "[::1]:0", 10);
    are_the_ends(&taken, &made);
    assert!(taken.rows("event", &["arg_2"]).iter().all(|row| row.int("arg_2") == 0));
}
