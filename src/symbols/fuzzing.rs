//! What the fuzz target of symbols calls.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::debug_files;
use super::elf::Elf;
use super::functions;
use super::inlined::InlinedFunctions;
use super::jit;
use super::jitdump;
use super::kernel;
use super::maps;
use crate::demangle::MAX_NAME;
use crate::demangle::demangled;
use crate::host::foreign;

/// Reads a content as one of the things that names of functions come from; `file` writes it into a file.
pub(crate) fn check(which: u8, content: &[u8], file: &dyn Fn() -> PathBuf) {
    let text = String::from_utf8_lossy(content);
    match which {
        b'e' => elf(&file()),
        b'j' => {
            let asked = [0, 0x10, 0x1000, u64::MAX].map(|address| (address, 1));
            let names = jit::look_up(content, &asked);
            assert!(names.len() == asked.len() && names.iter().flatten().all(|name| is_bounded(name)));
        }
        b'd' => {
            let asked = [0, 0x10, 0x1000, u64::MAX];
            let names = jitdump::look_up(std::io::Cursor::new(content), &asked);
            assert!(names.len() == asked.len() && names.iter().flatten().all(|name| is_bounded(name)));
        }
        b'k' => {
            let table = kernel::KernelSymbols::read(content);
            for address in [0, 0x10, 0xffff_ffff_8100_0000, u64::MAX] {
                _ = table.function(address);
            }
        }
        b'm' => {
            let mappings = maps::parse(content);
            _ = mappings.iter().map(|mapping| (mapping.is_file(), mapping.file())).collect::<Vec<_>>();
            _ = maps::at(&mappings, 0x1000);
        }
        _ => {
            let name = demangled(&text);
            assert!(is_bounded(&name), "a name of {} bytes out of one of {}", name.len(), content.len());
        }
    }
}

fn elf(path: &std::path::Path) {
    let Ok(file) = foreign::open(path) else { return };
    let Some(elf) = Elf::read(&file) else { return };
    let mut addresses: BTreeSet<u64> = (0..16).map(|step| 0x1000 + step * 0x40).collect();
    addresses.extend([0, u64::MAX].into_iter().chain((0..0x2000).step_by(0x200).filter_map(|at| elf.address(at))));
    let packed = debug_files::of(&file, &elf, Some(path), 0);
    for source in packed.chain(file.try_clone()) {
        for (address, name) in functions::names(&source, &addresses) {
            assert!(addresses.contains(&address) && is_bounded(&name));
        }
    }
    let mut inlined = InlinedFunctions::default();
    for address in addresses {
        assert!(inlined.at(0, address, || file.try_clone().ok()).iter().all(|name| is_bounded(name)));
    }
}

fn is_bounded(name: &str) -> bool {
    name.len() <= MAX_NAME + '…'.len_utf8()
}
