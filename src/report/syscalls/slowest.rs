//! The slowest calls that were streamed one by one.

use std::cmp::Reverse;

use anyhow::Result;

use crate::render::Field;
use crate::render::Value;
use crate::report::paper::Ranking;
use crate::report::people::People;
use crate::report::source::Source;

pub(super) fn fields() -> Vec<Field> {
    vec![
        Field::new("time_ns", "end").help("When it returned."),
        Field::new("dur_ns", "took"),
        Field::new("name", "call"),
        Field::new("comm", "command"),
        Field::new("pid", "pid"),
        Field::new("tid", "thread"),
        Field::new("ret", "returned").help("Result; empty when it failed."),
        Field::new("errno", "error"),
    ]
}

/// One streamed call; the text is made of those only that are shown.
struct Slow {
    dur: i64,
    at: Option<i64>,
    pid: Option<i64>,
    tid: Option<i64>,
    ret: Option<i64>,
    texts: [Option<String>; 3],
}

/// Adds the slowest calls of a recording that are no waits by design.
pub(super) fn rows(source: &Source, people: &People, table: &mut Ranking, most: usize) -> Result<()> {
    let mut slowest: Vec<Slow> = Vec::new();
    let mut least = i64::MIN;
    let mut cut: u64 = 0;
    // Cut now and then, so that a recording of millions of calls needs no memory for them.
    let room = most.saturating_mul(2).max(1024);
    source.rows("syscall", &["tid", "ret"], &["name", super::ERRNO, super::CLASS], |row| {
        let dur = row.dur().unwrap_or(0);
        if row.text(2) == Some(super::WAIT) {
            return;
        }
        if dur < least {
            cut += 1;
            return;
        }
        let comm = people.of_row(row);
        let texts = [row.text(0), comm, row.text(1)].map(|text| text.map(str::to_owned));
        slowest.push(Slow { dur, at: row.at(), pid: row.pid(), tid: row.int(0), ret: row.int(1), texts });
        if slowest.len() >= room {
            cut += keep(&mut slowest, most);
            least = slowest.last().map_or(i64::MIN, |last| last.dur);
        }
    })?;
    cut += keep(&mut slowest, most);
    table.left_out(cut);
    for Slow { dur, at, pid, tid, ret, texts: [name, comm, errno] } in slowest {
        let ret = ret.filter(|_| errno.is_none()).map_or(Value::Null, Value::Int);
        let cells = vec![
            at.map_or(Value::Null, Value::Time),
            Value::Nanos(dur),
            Value::from(name),
            Value::from(comm),
            Value::id(pid),
            Value::id(tid),
            ret,
            Value::from(errno),
        ];
        table.row(source, cells);
    }
    Ok(())
}

/// Keeps the slowest; returns how many it dropped.
fn keep(slowest: &mut Vec<Slow>, most: usize) -> u64 {
    slowest.sort_by_key(|one| Reverse(one.dur));
    let before = slowest.len();
    slowest.truncate(most);
    (before - slowest.len()) as u64
}
