//! SQL views over recordings, for engines that read Parquet: DuckDB, ClickHouse, Spark and Trino.
//!
//! The views have one source, `sql/views.sql`; [`Dialect`] holds what the engines write differently. The directory `sql/` of the
//! tree has the scripts as [`script`] makes them.

mod dialect;
mod percentiles;
mod source;
mod template;
mod views;

use crate::failure::Failure;

pub use self::dialect::Dialect;
pub use self::source::Place;
pub use self::views::View;
pub use self::views::views;

/// Returns the script that creates the views over recordings.
///
/// Without places the script reads `*.parquet` in the engine's working directory; for Trino, a bucket to be filled in.
///
/// # Errors
/// The dialect can't express these places.
pub fn script(dialect: Dialect, recordings: &[Place]) -> Result<String, Failure> {
    let words = dialect.words();
    let mut text = format!(
        "-- Views over ebrec's recordings for {}; 'ebrec sql --dialect {}' prints this script.\n\
         -- 'man ebrec-recording' describes the rows of 'ebrec', which all views read.\n\n{}",
        words.engine,
        dialect.name(),
        source::statements(dialect, recordings)?
    );
    for view in views() {
        text.push_str(&format!("\n{}\n-- {}\n", view.comment, view.example));
        text.push_str(&format!("{} {} as\n{};\n", words.create, view.name, view.query(dialect)));
    }
    Ok(text)
}
