//! The progress line, on a terminal only.

use std::io::IsTerminal;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use indicatif::ProgressBar;
use indicatif::ProgressDrawTarget;
use indicatif::ProgressStyle;

use crate::host::usage;
use crate::record::state::Shared;
use crate::units;

/// One line: elapsed and window, events, events per second, lost, file size, own CPU.
pub(super) struct Progress {
    bar: ProgressBar,
    begin: Instant,
    window: Option<Duration>,
    /// How much of it is kept, where not all is.
    kept: Option<Duration>,
    last: Last,
}

/// The figures at the last drawing, for rates.
struct Last {
    at: Instant,
    events: u64,
    cpu_ns: u64,
}

impl Progress {
    /// Begins the line. It is not drawn when standard error is not a terminal, nor when `hidden`: when nothing is to be said, or
    /// when a command writes to the same terminal.
    pub(super) fn begin(window: Option<Duration>, kept: Option<Duration>, hidden: bool) -> Progress {
        let target = if hidden || !std::io::stderr().is_terminal() {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr()
        };
        let bar = ProgressBar::with_draw_target(None, target);
        bar.set_style(ProgressStyle::with_template("{wide_msg}").unwrap_or_else(|_| ProgressStyle::default_spinner()));
        let now = Instant::now();
        let last = Last { at: now, events: 0, cpu_ns: usage::cpu_ns() };
        Progress { bar, begin: now, window, kept, last }
    }

    /// Whether there is a line to be drawn.
    pub(super) fn is_visible(&self) -> bool {
        !self.bar.is_hidden()
    }

    /// Redraws the line.
    pub(super) fn draw(&mut self, shared: &Shared) {
        let now = Instant::now();
        let events = shared.events.load(Ordering::Relaxed);
        let cpu_ns = usage::cpu_ns();
        let seconds = now.duration_since(self.last.at).as_secs_f64().max(1e-9);
        let figures = Figures {
            elapsed: now.duration_since(self.begin),
            window: self.window,
            kept: self.kept,
            events,
            per_second: events.saturating_sub(self.last.events) as f64 / seconds,
            lost: shared.lost.load(Ordering::Relaxed),
            bytes: shared.bytes.load(Ordering::Relaxed),
            cpu_percent: cpu_ns.saturating_sub(self.last.cpu_ns) as f64 / 1e7 / seconds,
        };
        self.bar.set_message(line(&figures));
        // A rate over a second reads steadier than one over a tick.
        if seconds >= 1.0 {
            self.last = Last { at: now, events, cpu_ns };
        }
    }

    /// Says what is being done now that the window is over.
    pub(super) fn finishing(&self) {
        self.bar.set_message("finishing: detaching probes, writing the file (Ctrl-C leaves it to 'ebrec recover')");
    }

    /// Takes the line away.
    pub(super) fn end(self) {
        self.bar.finish_and_clear();
    }
}

struct Figures {
    elapsed: Duration,
    window: Option<Duration>,
    kept: Option<Duration>,
    events: u64,
    per_second: f64,
    lost: u64,
    bytes: u64,
    cpu_percent: f64,
}

fn line(figures: &Figures) -> String {
    let window = figures.window.map_or_else(String::new, |window| format!("/{}", seconds(window)));
    let kept = figures.kept.map_or_else(String::new, |kept| format!(", keeps {}", seconds(kept)));
    format!(
        "{}{window}{kept}  {} events  {}/s  {} lost  {}  {:.1}% CPU",
        seconds(figures.elapsed),
        units::count(figures.events),
        units::count(figures.per_second as u64),
        units::count(figures.lost),
        units::bytes(figures.bytes),
        figures.cpu_percent,
    )
}

/// Whole seconds are enough for a long window; short ones show tenths.
fn seconds(time: Duration) -> String {
    if time < Duration::from_secs(100) { format!("{:.1}s", time.as_secs_f64()) } else { format!("{}s", time.as_secs()) }
}

#[cfg(test)]
mod tests {
    use super::Figures;
    use super::line;
    use std::time::Duration;

    #[test]
    fn the_line_has_every_figure_and_fits_80_columns() {
        let line = line(&Figures {
            elapsed: Duration::from_millis(3200),
            window: Some(Duration::from_secs(30)),
            kept: None,
            events: 12_345_678,
            per_second: 1_234_567.0,
            lost: 0,
            bytes: 10 << 20,
            cpu_percent: 12.34,
        });
        assert_eq!(line, "3.2s/30.0s  12,345,678 events  1,234,567/s  0 lost  10.0 MiB  12.3% CPU");
        assert!(line.len() < 80);
    }
}
