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
/// How often the line is drawn.
const TICK: Duration = Duration::from_millis(200);

/// How many steps are done, and how many there are; `None` while that is not known.
pub type SoFar<'a> = &'a (dyn Fn() -> Option<(u64, u64)> + Sync);

/// Does the work. From a second on, `what` and the time that has passed are shown until it is done, with a bar if it has steps.
pub fn show_while<T>(what: &str, so_far: SoFar<'_>, work: impl FnOnce() -> T) -> T {
    thread::scope(|scope| {
        let (done, waiting) = channel::<()>();
        scope.spawn(move || {
            if waiting.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                let line = line(what);
                let mut has_bar = false;
                // The other end goes when the work is done.
                while waiting.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                    if let Some((position, length)) = so_far() {
                        if !has_bar {
                            line.set_style(style("{msg}  {wide_bar} {percent} %  {elapsed}"));
                            has_bar = true;
                        }
                        line.set_length(length);
                        line.set_position(position);
                    }
                    line.tick();
                }
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
    bar.set_style(style("{spinner} {msg}  {elapsed}"));
    bar.set_message(what.to_owned());
    bar
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

#[cfg(test)]
mod tests {
    use super::show_while;
    use std::time::Duration;
    use std::time::Instant;

    #[test]
    fn short_work_is_not_held_up() {
        let begin = Instant::now();
        assert_eq!(show_while("reading", &|| None, || 7), 7);
        assert!(begin.elapsed() < Duration::from_millis(900));
    }
}
