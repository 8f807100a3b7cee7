use super::CPU_STAT;
use super::Counter;
use super::NETWORK;
use super::Quota;
use super::Socket;
use super::dropping;
use super::keyed;
use super::listeners;
use super::pressure;
use super::softnet;
use super::steal;
use super::tables;
use super::time_wait;

fn value(counters: &[Counter], name: &str) -> Option<u64> {
    counters.iter().find(|counter| counter.name.to_string() == name).map(|counter| counter.value)
}

#[test]
fn throttled_time_is_in_nanoseconds_whichever_version_tells_it() {
    let v2 = keyed("cpu", "usage_usec 9\nnr_periods 110\nnr_throttled 108\nthrottled_usec 2500\n", &CPU_STAT);
    assert_eq!(value(&v2, "cpu.nr_throttled"), Some(108));
    assert_eq!(value(&v2, "cpu.throttled_usec"), Some(2_500_000));
    let v1 = keyed("cpu", "nr_periods 110\nnr_throttled 108\nthrottled_time 2500000\nburst_time 0\n", &CPU_STAT);
    assert_eq!(value(&v1, "cpu.throttled_time"), Some(2_500_000));
    assert_eq!(v1.len(), 3);
}

#[test]
fn counters_of_a_table_are_found_by_name_whatever_their_place() {
    let text = "TcpExt: SyncookiesSent ListenOverflows ListenDrops\nTcpExt: 1 2 3\nIpExt: InOctets\nIpExt: 9\n";
    let counters = tables(text, &NETWORK);
    assert_eq!(value(&counters, "TcpExt.ListenOverflows"), Some(2));
    assert_eq!(value(&counters, "TcpExt.ListenDrops"), Some(3));
    assert_eq!(counters.len(), 2);
    // MaxConn is -1, which is not a counter.
    let snmp = "Tcp: MaxConn OutSegs RetransSegs\nTcp: -1 100 7\nUdp: RcvbufErrors\nUdp: 4\n";
    assert_eq!(value(&tables(snmp, &NETWORK), "Tcp.RetransSegs"), Some(7));
    assert_eq!(value(&tables(snmp, &NETWORK), "Udp.RcvbufErrors"), Some(4));
}

#[test]
fn what_is_no_table_has_no_counters() {
    for text in [
        "",
        "TcpExt",
        "TcpExt: ListenOverflows",
        "TcpExt: ListenOverflows\nTcpExt:",
        "a\nb\nc",
        "TcpExt: ListenOverflows\nTcp: 4",
    ] {
        assert_eq!(tables(text, &NETWORK), [], "{text}");
    }
    assert_eq!(keyed("cpu", "nr_periods\nnr_throttled x\n", &CPU_STAT), []);
    assert_eq!(pressure("cpu.pressure", "some\nfull avg10=1\n"), []);
}

#[test]
fn pressure_is_the_total_and_a_missing_line_is_no_zero() {
    let text =
        "some avg10=4.82 avg60=1.52 avg300=5.16 total=36587869542\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=7\n";
    let counters = pressure("cpu.pressure", text);
    assert_eq!(value(&counters, "cpu.pressure.some"), Some(36_587_869_542_000));
    assert_eq!(value(&counters, "cpu.pressure.full"), Some(7000));
    // irq.pressure has one line only, before 5.13 cpu.pressure too.
    let counters = pressure("irq.pressure", "full avg10=0.00 avg60=0.00 avg300=0.00 total=5");
    assert_eq!((counters.len(), value(&counters, "irq.pressure.full")), (1, Some(5000)));
}

#[test]
fn stolen_time_is_the_eighth_number_of_all_cpus() {
    let text = "cpu  100 2 300 4000 5 0 7 88 0 0\ncpu0 50 1 150 2000 2 0 3 44 0 0\n";
    assert_eq!(steal(text, 100).map(|counter| counter.value), Some(880_000_000));
    assert_eq!(steal("cpu 1 2 3\n", 100), None);
}

#[test]
fn dropped_packets_are_added_up_over_cpus_and_are_hexadecimal() {
    let text = "0000c1a9 0000000a 00000001 0 0\n00000001 00000010 00000000 0 0\n";
    let counters = softnet(text);
    assert_eq!(value(&counters, "softnet.dropped"), Some(26));
    assert_eq!(value(&counters, "softnet.time_squeeze"), Some(1));
}

#[test]
fn no_limit_is_no_quota() {
    assert_eq!(Quota::v2("max 100000\n"), None);
    assert_eq!(Quota::v1("-1\n", "100000\n"), None);
    let fifth = Some(Quota { quota_ns: 20_000_000, period_ns: 100_000_000 });
    assert_eq!(Quota::v2("20000 100000\n"), fifth);
    assert_eq!(Quota::v1("20000\n", "100000\n"), fifth);
    assert_eq!(Quota::v2("18446744073709551615 1"), None);
}

#[test]
fn sockets_that_listen_are_told_with_their_queues_and_the_rest_is_left() {
    let text = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1538 00000000:0000 0A 00000000:00000081 00:00000000 00000000     0        0 4711 1 0000000000000000 100 0 0 10 0
   1: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4712 1 0000000000000000 100 0 0 10 0
   2: 0100007F:1538 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 4713 1 0000000000000000 100 0 0 10 0
";
    let listeners = listeners(text);
    assert_eq!(listeners.len(), 2);
    assert_eq!(listeners[0], Socket { port: 5432, inode: 4711, figure: 129 });
}

#[test]
fn sockets_that_dropped_datagrams_are_told_with_how_many() {
    let text = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  410: 0100007F:2328 00000000:0000 07 00000000:00001400 00:00000000 00000000     0        0 12345 2 0000000000000000 9721
  411: 0100007F:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 12346 2 0000000000000000 0
";
    assert_eq!(dropping(text), [Socket { port: 9000, inode: 12345, figure: 9721 }]);
    assert_eq!(dropping("header\n410: 0100007F:2328\n"), []);
}

#[test]
fn connections_in_time_wait_are_found() {
    let text = "sockets: used 300\nTCP: inuse 5 orphan 0 tw 28000 alloc 9 mem 1\nUDP: inuse 2 mem 0\n";
    assert_eq!(time_wait(text), Some(28000));
    assert_eq!(time_wait("TCP: inuse 5\n"), None);
}
