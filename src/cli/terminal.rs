//! Where the output goes, as far as it decides colours and width.

use std::io::IsTerminal;

/// What is known of stdout, stderr and the environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terminal {
    /// Whether stdout is a terminal.
    pub stdout: bool,
    /// Columns of stderr, if it is a terminal.
    pub stderr: Option<usize>,
    /// Columns of the terminal, or what COLUMNS says.
    pub columns: Option<usize>,
    /// Whether the environment asks for no colours: NO_COLOR is set to anything, or TERM is `dumb`.
    pub plain: bool,
}

/// Columns of a page that is not a terminal: wide enough for a table, narrow enough for a ticket.
const PAGE: usize = 120;
/// The least that a table can be fitted into.
const NARROWEST: usize = 40;

impl Terminal {
    /// Looks at this process's streams and environment.
    pub fn of_this_process() -> Terminal {
        let stdout = std::io::stdout().is_terminal();
        let asked = std::env::var("COLUMNS")
            .ok()
            .and_then(|columns| columns.trim().parse().ok())
            .filter(|columns| *columns > 0);
        let real = || terminal_size::terminal_size().map(|(columns, _)| usize::from(columns.0));
        Terminal {
            stdout,
            stderr: terminal_size::terminal_size_of(std::io::stderr()).map(|(columns, _)| usize::from(columns.0)),
            columns: asked.or_else(|| if stdout { real() } else { None }),
            plain: std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
                || std::env::var_os("TERM").is_some_and(|term| term == "dumb"),
        }
    }

    /// Columns to fit text into.
    pub fn width(&self) -> usize {
        self.columns.unwrap_or(PAGE).max(NARROWEST)
    }
}

#[cfg(test)]
mod tests {
    use super::Terminal;

    #[test]
    fn a_page_has_its_own_width_and_a_tiny_terminal_the_least_one() {
        assert_eq!(Terminal::default().width(), 120);
        assert_eq!(Terminal { columns: Some(80), ..Terminal::default() }.width(), 80);
        assert_eq!(Terminal { columns: Some(3), ..Terminal::default() }.width(), 40);
    }
}
