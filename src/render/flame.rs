//! Flame graphs: stacks by weight as an SVG that answers to the mouse, through inferno.

use anyhow::Context;
use anyhow::Result;
use inferno::flamegraph::Options;
use inferno::flamegraph::TextTruncateDirection;

use crate::render::Document;
use crate::render::FlamePlot;
use crate::units;
use crate::units::Unit;

/// Draws a flame graph. Frames are as wide as their weight; where there is a weight before, red ones grew and blue ones shrank.
///
/// Fails when there is nothing to draw.
pub(super) fn flame(document: &Document, plot: &FlamePlot) -> Result<String> {
    let mut options = Options::default();
    options.title = clean(&plot.title);
    let parts: Vec<String> = [document.subtitle.clone(), gone(plot).unwrap_or_default()]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect();
    options.subtitle = (!parts.is_empty()).then(|| clean(&parts.join("; ")));
    // Nanoseconds are shown as milliseconds: a person reads the number in a frame's title.
    let (name, factor) = match plot.unit {
        Unit::Nanoseconds => ("ms", 1e-6),
        _ => ("samples", 1.0),
    };
    options.count_name = name.to_owned();
    options.factor = factor;
    options.text_truncate_direction = TextTruncateDirection::Right;
    // Colours by name, not by chance: the same recording gives the same picture.
    options.hash = true;
    options.deterministic = true;
    // inferno adds weights up in 64 bits, and only made-up ones are too large for that.
    let weights = plot.stacks.iter().flat_map(|stack| [stack.weight, stack.before.unwrap_or(0)]);
    let total = weights.fold(0u128, |sum, weight| sum + u128::from(weight));
    let scale = u64::try_from(total / u128::from(u64::MAX)).unwrap_or(u64::MAX).saturating_add(1);
    let mut lines: Vec<String> = plot
        .stacks
        .iter()
        .map(|stack| match stack.before {
            Some(before) => format!("{} {} {}", clean(&stack.folded), before / scale, stack.weight / scale),
            None => format!("{} {}", clean(&stack.folded), stack.weight / scale),
        })
        .collect();
    lines.sort_unstable();
    let mut svg = Vec::new();
    inferno::flamegraph::from_lines(&mut options, lines.iter().map(String::as_str), &mut svg)
        .with_context(|| format!("can't draw the flame graph '{}'", plot.name))?;
    String::from_utf8(svg).context("the flame graph is not text")
}

/// What of a difference can't be drawn: frames are as wide as they are after, and what was only before has no width.
fn gone(plot: &FlamePlot) -> Option<String> {
    let gone = plot.stacks.iter().filter(|stack| stack.weight == 0).filter_map(|stack| stack.before);
    let gone = gone.fold(0u64, u64::saturating_add);
    let amount = match plot.unit {
        Unit::Nanoseconds => units::duration(i64::try_from(gone).unwrap_or(i64::MAX)),
        _ => units::count(gone),
    };
    (gone > 0).then(|| format!("not drawn: {amount} of before in stacks that are gone after"))
}

/// A name without characters that would end its line, or that XML can't have.
fn clean(text: &str) -> String {
    text.chars()
        .map(|letter| if letter.is_control() || matches!(letter, '\u{fffe}' | '\u{ffff}') { '?' } else { letter })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::flame;
    use crate::render::Document;
    use crate::render::FlamePlot;
    use crate::render::FlameStack;
    use crate::units::Unit;

    fn plot(stacks: &[(&str, Option<u64>, u64)]) -> FlamePlot {
        let stack = |(folded, before, weight): &(&str, _, _)| FlameStack {
            folded: (*folded).into(),
            before: *before,
            weight: *weight,
        };
        FlamePlot { name: "f".into(), title: "F".into(), unit: Unit::Count, stacks: stacks.iter().map(stack).collect() }
    }

    #[test]
    fn names_out_of_a_file_stay_text() {
        let drawn =
            flame(&Document::new("cpu", "CPU"), &plot(&[("main;<script>alert(1)</script>\n;b", None, 5)])).unwrap();
        assert!(!drawn.contains("<script>alert"));
        assert!(drawn.contains("&lt;script&gt;alert"));
    }

    #[test]
    fn weights_beyond_what_can_be_added_up_are_drawn() {
        let stacks = [("a;b", Some(u64::MAX), u64::MAX), ("a;c", Some(u64::MAX), u64::MAX), ("a;d", Some(1), 1)];
        assert!(flame(&Document::new("cpu", "CPU"), &plot(&stacks)).unwrap().contains("<svg"));
    }

    #[test]
    fn two_recordings_make_a_difference() {
        let drawn = flame(&Document::new("cpu", "CPU"), &plot(&[("a;b", Some(1), 9), ("a;c", Some(9), 1)])).unwrap();
        assert!(drawn.contains("a (") && drawn.contains('%'));
        assert!(!drawn.contains("not drawn"), "{drawn}");
    }

    #[test]
    fn what_only_the_first_recording_has_is_said_since_it_has_no_width() {
        let stacks = [("a;b", Some(1), 9), ("a;c", Some(1_500_000_000), 0), ("d", Some(270_000_000), 0)];
        let plot = FlamePlot { unit: Unit::Nanoseconds, ..plot(&stacks) };
        let drawn = flame(&Document::new("cpu", "CPU"), &plot).unwrap();
        assert!(drawn.contains("not drawn: 1.77 s of before in stacks that are gone after"), "{drawn}");
    }
}
