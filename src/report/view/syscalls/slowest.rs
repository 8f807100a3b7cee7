//! The slowest calls that were streamed one by one.

use anyhow::Result;

use crate::render::Field;
use crate::render::Value;
use crate::report::read::input::Source;
use crate::report::read::processes::People;
use crate::report::table::ranking::Ranking;

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

/// Adds the slowest calls of a recording that are no waits by design.
pub(super) fn rows(source: &Source, people: &People, table: &mut Ranking) -> Result<()> {
    source.rows("syscall", &["tid", "ret"], &["name", super::ERRNO, super::CLASS], |row| {
        if row.text(2) == Some(super::WAIT) {
            return;
        }
        let dur = row.dur().unwrap_or(0);
        table.weighed(source, Some(dur), || {
            let errno = row.text(1);
            vec![
                row.at().map_or(Value::Null, Value::Time),
                Value::Nanos(dur),
                Value::from(row.text(0)),
                Value::from(people.of_row(row)),
                Value::id(row.pid()),
                Value::id(row.int(0)),
                row.int(1).filter(|_| errno.is_none()).map_or(Value::Null, Value::Int),
                Value::from(errno),
            ]
        });
    })
}
