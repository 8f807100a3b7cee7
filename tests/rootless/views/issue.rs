//! The summary as Markdown, which fits into an issue.

use std::path::Path;

use ebrec::render;
use ebrec::report::plan::Format;
use ebrec::report::plan::ReportPlan;
use ebrec::report::report;

use crate::synthetic::build::build;
use crate::synthetic::build::hostile;
use crate::synthetic::build::lossy;
use crate::views::Case;

/// The most lines that somebody scrolls.
const LINES: usize = 60;

fn markdown(plan: &ReportPlan) -> String {
    let plan = ReportPlan { format: Format::Markdown, ..plan.clone() };
    render::markdown(&report(&plan).unwrap())
}

/// Rows of tables, their headings left out.
fn rows(text: &str) -> usize {
    let lines = text.lines().filter(|line| line.starts_with('|') && !line.starts_with("| ---")).count();
    lines - text.matches("\n| ---").count()
}

#[test]
fn the_summary_of_any_recording_fits_into_an_issue() {
    let fixtures = ["compile", "fio", "redis", "storm"].map(|name| {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/{name}.parquet"));
        ReportPlan { view: "summary".to_owned(), files: vec![file], width: 120, ..ReportPlan::default() }
    });
    let made = [vec![("a.parquet", build("a"))], vec![("b.parquet", lossy("b"))]];
    let several = (0..12).map(|at| (["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"][at], build("same")));
    let made = made.into_iter().chain([several.collect()]).map(|recordings| Case::new("summary", recordings));
    let made: Vec<Case> = made.collect();
    for plan in fixtures.iter().chain(made.iter().map(|case| &case.plan)) {
        let text = markdown(plan);
        assert!(text.lines().count() <= LINES, "{} lines:\n{text}", text.lines().count());
        assert!(text.starts_with("# ") && text.contains("complete"), "{text}");
        assert!(text.matches("\n| ---").count() <= 3 && text.contains("\n## Processes that matter\n"), "{text}");
    }
}

#[test]
fn more_rows_are_there_for_those_who_ask() {
    let case = Case::new("summary", vec![("a.parquet", build("a"))]);
    let all = ReportPlan { top: Some(0), ..case.plan.clone() };
    let one = ReportPlan { top: Some(1), ..case.plan.clone() };
    let counts = [&one, &case.plan, &all].map(|plan| rows(&markdown(plan)));
    assert!(counts[0] < counts[1] && counts[1] <= counts[2], "{counts:?}");
    assert!(markdown(&one).contains("more (`--top 0` shows all)"));
}

#[test]
fn names_in_an_issue_are_no_markup() {
    let (comm, text) = ("@all#1|`<b>", "</td><script>x</script> [a](http://b) www.c.d GH-1 @all");
    let case = Case::new("summary", vec![("a.parquet", hostile("@host#2", comm, text))]);
    let written = markdown(&case.plan);
    for line in written.lines().filter(|line| line.starts_with('|')) {
        // What stands between backticks is code, where nothing acts.
        let outside: String = line.split('`').step_by(2).collect();
        assert!(outside.matches('|').count() > 3 && !outside.contains("<script") && !outside.contains("<b>"), "{line}");
        assert_eq!(line.matches('`').count() % 2, 0, "{line}");
    }
    let prose: Vec<&str> = written.lines().filter(|line| !line.starts_with('|')).collect();
    for part in ["@all", "@host", "#1", "#2", "www.c", "http:", "<script", "GH-1", "](h"] {
        assert!(!prose.iter().any(|line| line.contains(part)), "{part} in {prose:#?}");
    }
}
