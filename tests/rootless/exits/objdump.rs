//! Instructions as binutils decodes them.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use super::built::run;

/// Every instruction of a file: its mnemonic by its address.
pub(crate) fn mnemonics(path: &Path) -> BTreeMap<u64, String> {
    let text = run(Command::new("objdump").args(["-d", "--no-show-raw-insn"]).arg(path));
    text.lines().filter_map(instruction).collect()
}

fn instruction(line: &str) -> Option<(u64, String)> {
    let (address, text) = line.split_once(":\t")?;
    Some((u64::from_str_radix(address.trim(), 16).ok()?, text.trim().to_owned()))
}

/// Whether it is a return, whatever its prefix.
pub(crate) fn is_return(text: &str) -> bool {
    text.split_whitespace().any(|word| word == "ret" || word == "retq")
}
