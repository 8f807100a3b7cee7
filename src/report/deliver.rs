//! Documents on their way out: to stdout, into a file, or as pictures into a directory.

use std::io;
use std::io::Write;
use std::path::Path;

use anyhow::Context;
use anyhow::Result;

use crate::failure::Failure;
use crate::failure::did_you_mean;
use crate::output::stdout;
use crate::output::whole_file;
use crate::render;
use crate::render::Block;
use crate::render::Document;
use crate::render::Table;
use crate::render::TextStyle;
use crate::render::escaped::Escaped;
use crate::report::plan::Destination;
use crate::report::plan::Format;
use crate::text::nearest;

/// Renders a document and writes it where it should go.
///
/// A file is replaced whole or not at all. Fails with a closed pipe as `std::io::Error` when stdout's reader has gone.
pub fn deliver(document: &Document, format: Format, style: TextStyle, destination: &Destination) -> Result<()> {
    if let Some(dir) = &destination.svg_dir {
        return pictures(document, dir);
    }
    let write: WriteTo<'_> = match format {
        // Colours are for the terminal that a file never is.
        Format::Text => {
            let color = style.color && destination.file.is_none();
            Box::new(move |out| render::write_text(document, &TextStyle { color, ..style }, out))
        }
        Format::Svg => {
            let drawn = render::svg(document)?;
            Box::new(move |out| out.write_all(drawn.as_bytes()))
        }
        Format::Html => Box::new(|out| render::write_html(document, out)),
        Format::Markdown => Box::new(|out| render::write_markdown(document, out)),
        Format::Json => Box::new(|out| render::write_json(document, out)),
        Format::Csv => {
            let table = table(document, destination.table.as_deref())?;
            let to_terminal = destination.file.is_none() && stdout::is_terminal();
            Box::new(move |out| match to_terminal {
                true => {
                    let mut escaped = Escaped::new(out);
                    render::write_csv(table, &mut escaped)?;
                    escaped.flush()
                }
                false => render::write_csv(table, out),
            })
        }
    };
    match &destination.file {
        Some(path) => whole_file::write(path, write),
        None => whole_file::to_stdout(write),
    }
}

/// What writes a document in some format.
type WriteTo<'d> = Box<dyn FnOnce(&mut dyn Write) -> io::Result<()> + 'd>;

/// The table that is written as CSV.
fn table<'d>(document: &'d Document, name: Option<&str>) -> Result<&'d Table> {
    if let Some(table) = document.table(name) {
        return Ok(table);
    }
    let tables = document.blocks.iter().filter_map(|block| match block {
        Block::Table(table) => Some(table.name.as_str()),
        _ => None,
    });
    let names: Vec<&str> = tables.collect();
    match name {
        Some(name) => {
            let near = nearest(name, names.iter().copied());
            let unknown = Failure::usage(format!("'{name}' is not a table of the view '{}'", document.name));
            Err(unknown.hint(did_you_mean(&near, &names)).into())
        }
        None => Err(Failure::run(format!("the view '{}' has no table here", document.name)).into()),
    }
}

fn is_plot(block: &Block) -> bool {
    match block {
        Block::Histogram(plot) => plot.series.iter().any(|(_, histogram)| !histogram.is_empty()),
        Block::Timeline(plot) => plot.series.iter().any(|(_, line)| !line.is_empty()),
        Block::Heatmap(plot) => plot.columns.iter().any(|column| !column.values.is_empty()),
        Block::Flame(plot) => !plot.stacks.is_empty(),
        Block::Bars(bars) => !bars.rows.is_empty(),
        _ => false,
    }
}

/// Every plot as `NAME.svg`; what was written is listed on stdout, one path a line.
fn pictures(document: &Document, dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir).with_context(|| format!("can't make the directory '{}'", dir.display()))?;
    let mut written = String::new();
    for block in document.blocks.iter().filter(|block| is_plot(block)) {
        let mut block = block.clone();
        let Some(name) = block.plot_name() else { continue };
        let path = dir.join(file_name(name));
        let page = Document { blocks: vec![block], ..document.clone() };
        let drawn = render::svg(&page)?;
        whole_file::write(&path, |out| out.write_all(drawn.as_bytes()))?;
        written.push_str(&format!("{}\n", path.display()));
    }
    if written.is_empty() {
        return Err(Failure::run(format!("the view '{}' has nothing to draw here", document.name)).into());
    }
    stdout::write(written.as_bytes())
}

/// A plot's name without what could leave the directory.
fn file_name(plot: &str) -> String {
    let safe = |letter: char| if letter.is_ascii_alphanumeric() || "._-".contains(letter) { letter } else { '_' };
    let name: String = plot.chars().map(safe).collect();
    format!("{}.svg", name.trim_start_matches('.'))
}
