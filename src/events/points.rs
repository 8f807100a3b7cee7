//! The kernel's tracepoints, and the fields of their records.

use std::path::Path;
use std::path::PathBuf;

use super::code::Content;
use super::code::Field;
use super::kernel::Refusal;
use super::types::Shape;
use super::types::Types;
use crate::failure::did_you_mean;
use crate::glob;
use crate::host::tracefs::Tracefs;
use crate::text::nearest;

/// The fields that every record begins with.
const COMMON: &str = "common_";

/// Where tracepoints are listed.
///
/// # Errors
/// It is not mounted, or may not be read.
pub(super) fn directory(tracefs: &Tracefs) -> Result<PathBuf, Refusal> {
    match tracefs {
        Tracefs::Mounted(place) => Ok(place.join("events")),
        Tracefs::Unreadable(place) => {
            Err(Refusal::new(format!("'{}' can't be read, so tracepoints are unknown", place.display())).hint("sudo"))
        }
        Tracefs::NotMounted => Err(Refusal::new("tracefs is not mounted, so tracepoints are unknown")
            .hint(format!("{}, or 'rawtp:NAME', which needs none", Tracefs::MOUNT))),
        Tracefs::Unsupported => Err(Refusal::new("this kernel has no tracefs, so it has no tracepoints")),
    }
}

/// The tracepoints that two names or patterns mean, as (category, name).
///
/// # Errors
/// There is none; the bool tells that the category is at fault.
pub(super) fn find(directory: &Path, category: &str, name: &str) -> Result<Vec<(String, String)>, (bool, Refusal)> {
    let categories = directories(directory);
    let of = matching(&categories, category);
    if of.is_empty() {
        return Err((true, absent("tracepoint category", category, &categories)));
    }
    let mut found = Vec::new();
    let mut known = Vec::new();
    for category in of {
        let names = directories(&directory.join(&category));
        found.extend(matching(&names, name).into_iter().map(|name| (category.clone(), name)));
        known.extend(names);
    }
    if found.is_empty() {
        return Err((false, absent(&format!("tracepoint in '{category}'"), name, &known)));
    }
    Ok(found)
}

fn matching(names: &[String], pattern: &str) -> Vec<String> {
    names.iter().filter(|name| glob::matches(pattern, name)).cloned().collect()
}

/// What is not there, with what is.
pub(super) fn absent(what: &str, wanted: &str, all: &[String]) -> Refusal {
    if glob::is_glob(wanted) {
        return Refusal::new(format!("no {what} matches '{wanted}'"));
    }
    let near = nearest(wanted, all.iter().map(String::as_str));
    let refusal = Refusal::new(format!("there is no {what} named '{wanted}'"));
    let few: Vec<&str> = if all.len() <= 40 { all.iter().map(String::as_str).collect() } else { Vec::new() };
    if near.is_empty() && few.is_empty() { refusal } else { refusal.hint(did_you_mean(&near, &few)) }
}

fn directories(place: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(place) else { return Vec::new() };
    let directories = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let mut names: Vec<String> = directories.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// The fields of a tracepoint's record.
///
/// # Errors
/// Its format can't be read.
pub(super) fn fields(
    directory: &Path,
    category: &str,
    name: &str,
    types: Option<&Types>,
) -> Result<Vec<Field>, Refusal> {
    let path = directory.join(category).join(name).join("format");
    let text = std::fs::read_to_string(&path)
        .map_err(|error| Refusal::new(format!("can't read '{}': {error}", path.display())))?;
    Ok(text.lines().filter_map(|line| field(line, types)).collect())
}

/// `field:unsigned int nr_sector; offset:24; size:4; signed:0;`
fn field(line: &str, types: Option<&Types>) -> Option<Field> {
    let mut parts = line.trim().split(';').map(str::trim);
    let declaration = parts.next()?.strip_prefix("field:")?;
    let mut number = |key: &str| parts.next()?.strip_prefix(key)?.parse::<u32>().ok();
    let (offset, size, signed) = (number("offset:")?, number("size:")?, number("signed:")? != 0);
    let end = declaration.rfind(' ')?;
    let (kind, mut name) = (declaration.get(..end)?.trim(), declaration.get(end + 1..)?);
    let mut element = kind;
    let mut count = None;
    if let Some(bracket) = name.find('[') {
        let inner = name.get(bracket + 1..)?.strip_suffix(']')?;
        // Not always a number: it may be an expression of the kernel's source.
        count = Some(inner.parse::<usize>().unwrap_or(0));
        name = name.get(..bracket)?;
    }
    if name.starts_with(COMMON) {
        return None;
    }
    let moved = kind.strip_prefix("__data_loc ").map(|rest| (rest, Content::Elsewhere));
    let moved = moved.or_else(|| kind.strip_prefix("__rel_loc ").map(|rest| (rest, Content::Behind)));
    if let Some((rest, content)) = moved {
        return Some(Field { name: name.to_owned(), type_name: rest.to_owned(), offset, content });
    }
    if let Some(bracket) = element.find('[') {
        element = element.get(..bracket)?.trim();
    }
    let type_name = count.map_or_else(|| kind.to_owned(), |count| format!("{element}[{count}]"));
    let shape = match count {
        Some(count) => {
            let count = if count == 0 { size as usize } else { count };
            let each = u8::try_from(size as usize / count.max(1)).ok()?;
            let of = shape(element, each, signed || element == "char", types);
            Shape::Array { of: Box::new(of), count }
        }
        None => shape(element, u8::try_from(size).unwrap_or(0), signed, types),
    };
    Some(Field { name: name.to_owned(), type_name, offset, content: Content::Here(shape) })
}

/// What a field is: of the size that the record has for it, or less where its type is smaller, as in system calls' records,
/// which have eight bytes for each argument.
fn shape(element: &str, size: u8, signed: bool, types: Option<&Types>) -> Shape {
    if let Some(to) = element.strip_suffix('*') {
        let to = to.trim().trim_start_matches("const ").trim();
        let known = match (to.strip_prefix("struct "), types) {
            (Some(name), Some(types)) => types.composite(name, true).map(Shape::Composite),
            _ if matches!(to, "char" | "unsigned char") => {
                Some(Shape::Int { size: 1, signed: true, big_endian: false })
            }
            _ => None,
        };
        return known.map_or_else(Shape::void_pointer, |to| Shape::Pointer(Box::new(to)));
    }
    let written = super::parse::INTEGERS.iter().find(|known| known.0 == element);
    let declared = match written {
        Some((_, size, signed)) => Some(Shape::Int { size: *size, signed: *signed, big_endian: false }),
        None => types.and_then(|types| types.typedef(element)),
    };
    match declared {
        Some(Shape::Int { size: own, signed, big_endian }) if own <= size => {
            Shape::Int { size: own, signed, big_endian }
        }
        Some(other @ Shape::Composite(_)) => other,
        _ if matches!(size, 1 | 2 | 4 | 8) => Shape::Int { size, signed, big_endian: false },
        _ => {
            Shape::Array { of: Box::new(Shape::Int { size: 1, signed: false, big_endian: false }), count: size.into() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Content;
    use super::Shape;
    use super::field;
    use super::find;

    fn content(line: &str) -> (String, String, u32, Content) {
        let field = field(line, None).unwrap();
        (field.name, field.type_name, field.offset, field.content)
    }

    fn int(size: u8, signed: bool) -> Shape {
        Shape::Int { size, signed, big_endian: false }
    }

    #[test]
    fn fields_are_read_as_the_kernel_describes_them() {
        assert_eq!(field("\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;", None), None);
        assert_eq!(
            content("\tfield:unsigned int nr_sector;\toffset:24;\tsize:4;\tsigned:0;"),
            ("nr_sector".to_owned(), "unsigned int".to_owned(), 24, Content::Here(int(4, false)))
        );
        let (name, kind, _, here) = content("\tfield:char rwbs[10];\toffset:34;\tsize:10;\tsigned:0;");
        let chars = Shape::Array { of: Box::new(int(1, true)), count: 10 };
        assert_eq!((name.as_str(), kind.as_str(), here), ("rwbs", "char[10]", Content::Here(chars)));
        let (name, kind, offset, there) = content("\tfield:__data_loc char[] cmd;\toffset:60;\tsize:4;\tsigned:0;");
        assert_eq!((name.as_str(), kind.as_str(), offset, there), ("cmd", "char[]", 60, Content::Elsewhere));
        // A system call's argument of four bytes has eight in the record.
        assert_eq!(content("\tfield:int dfd;\toffset:16;\tsize:8;\tsigned:0;").3, Content::Here(int(4, true)));
        let pointer = content("\tfield:const char * filename;\toffset:24;\tsize:8;\tsigned:0;");
        assert_eq!(pointer.3, Content::Here(Shape::Pointer(Box::new(int(1, true)))));
        assert_eq!(pointer.0, "filename");
    }

    #[test]
    fn trace_points_are_found_by_name_and_by_pattern() {
        let place = tempfile::tempdir().unwrap();
        for point in ["block/block_rq_issue", "block/block_rq_complete", "sched/sched_switch"] {
            std::fs::create_dir_all(place.path().join(point)).unwrap();
        }
        let names = |category: &str, name: &str| {
            find(place.path(), category, name).map_err(|error| (error.0, error.1.why, error.1.hint))
        };
        let point = |category: &str, name: &str| (category.to_owned(), name.to_owned());
        assert_eq!(names("sched", "sched_switch"), Ok(vec![point("sched", "sched_switch")]));
        assert_eq!(names("b*", "*_rq_*").unwrap().len(), 2);
        let (category, why, hint) = names("blok", "x").unwrap_err();
        assert!(category && why == "there is no tracepoint category named 'blok'", "{why}");
        assert_eq!(hint.as_deref(), Some("did you mean 'block'?"));
        let (category, _, hint) = names("block", "block_rq_isue").unwrap_err();
        assert!(!category && hint.is_some_and(|hint| hint.contains("'block_rq_issue'")));
        assert_eq!(names("block", "x*").unwrap_err().1, "no tracepoint in 'block' matches 'x*'");
    }
}
