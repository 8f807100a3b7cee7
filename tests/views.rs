//! Every view over recordings whose numbers are known.

#[path = "synthetic/build.rs"]
mod build;
#[path = "synthetic/recording.rs"]
mod recording;

use std::path::Path;

use build::build;
use ebrec::report::plan::Format;
use ebrec::report::plan::ReportPlan;
use ebrec::report::plan::RowFilter;
use ebrec::report::report;

#[test]
fn dump() {
    let dir = tempfile::tempdir().unwrap();
    let path = Path::new("/tmp/demo/run.parquet");
    let _ = std::fs::remove_file(path);
    build("builder").write(path);
    let _ = std::fs::remove_file("/tmp/demo/lossy.parquet");
    build::lossy("lossy").write(Path::new("/tmp/demo/lossy.parquet"));
    let _ = (
        dir,
        ReportPlan {
            view: String::new(),
            files: vec![],
            metric: None,
            by: vec![],
            filter: RowFilter::default(),
            top: None,
            tree: false,
            format: Format::Json,
            width: 100,
        },
    );
    let _ = report;
}
