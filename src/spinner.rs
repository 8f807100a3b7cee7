//! A line on standard error while something large is read, on a terminal only.

use std::sync::mpsc::RecvTimeoutError;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use indicatif::ProgressBar;
use indicatif::ProgressDrawTarget;
use indicatif::ProgressStyle;

/// Work that is done sooner needs no line.
const PATIENCE: Duration = Duration::from_secs(1);

/// Does the work. From a second on, `what` and the time that has passed are shown until it is done.
pub fn show_while<T>(what: &str, work: impl FnOnce() -> T) -> T {
    thread::scope(|scope| {
        let (done, waiting) = channel::<()>();
        scope.spawn(move || {
            if waiting.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                let line = line(what);
                // The other end goes when the work is done.
                let _ = waiting.recv();
                line.finish_and_clear();
            }
        });
        let result = work();
        drop(done);
        result
    })
}

fn line(what: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_elapsed(PATIENCE);
    let style = ProgressStyle::with_template("{spinner} {msg}  {elapsed}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    bar.set_message(what.to_owned());
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

#[cfg(test)]
mod tests {
    use super::show_while;
    use std::time::Duration;
    use std::time::Instant;

    #[test]
    fn short_work_is_not_held_up() {
        let begin = Instant::now();
        assert_eq!(show_while("reading", || 7), 7);
        assert!(begin.elapsed() < Duration::from_millis(900));
    }
}
