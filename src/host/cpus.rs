//! The machine's CPUs: how many, of which make, and whether they count cycles.

use crate::host::root::Root;

/// More CPUs than Linux can be built for (`CONFIG_NR_CPUS` tops out at 8,192): a list beyond is nonsense.
const MAX_CPUS: u32 = 1 << 16;

/// The machine's CPUs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cpus {
    /// The numbers of the CPUs that run now, ascending.
    pub online: Vec<u32>,
    /// The numbers of the CPUs that may ever run until the next boot, ascending.
    pub possible: Vec<u32>,
    /// Each CPU's model, where the machine tells; `(cpu, model)`.
    pub models: Vec<(u32, String)>,
    /// The event source that counts cycles, such as `cpu` or `armv8_pmuv3_0`; `None` in most VMs.
    pub pmu: Option<String>,
}

impl Cpus {
    /// Reads them from `/sys/devices/system/cpu`, `/proc/cpuinfo` and `/sys/bus/event_source`.
    pub fn read(root: &Root) -> Cpus {
        let list = |name| parse_list(&root.text(format!("/sys/devices/system/cpu/{name}")).unwrap_or_default());
        Cpus {
            online: list("online"),
            possible: list("possible"),
            models: parse_models(&root.text("/proc/cpuinfo").unwrap_or_default()),
            pmu: root.names("/sys/bus/event_source/devices").into_iter().find(|name| counts_cycles(name)),
        }
    }

    /// Returns the highest CPU number that may ever occur, plus one: the length of a per-CPU table.
    pub fn slots(&self) -> usize {
        self.possible.iter().chain(&self.online).max().map_or(1, |cpu| *cpu as usize + 1)
    }

    /// Returns one name for all CPUs: the different models in order of appearance, joined by ` + `.
    pub fn model(&self) -> Option<String> {
        let mut names: Vec<&str> = Vec::new();
        for (_, model) in &self.models {
            if !names.contains(&model.as_str()) {
                names.push(model);
            }
        }
        (!names.is_empty()).then(|| names.join(" + "))
    }
}

/// Parses a CPU list such as `0-3,8,10-11`; parts that are not numbers are left out.
fn parse_list(text: &str) -> Vec<u32> {
    let mut cpus: Vec<u32> = text
        .split(',')
        .filter_map(|part| {
            let (first, last) = part.trim().split_once('-').unwrap_or((part.trim(), part.trim()));
            let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
            (last < MAX_CPUS).then_some(first..=last)
        })
        .flatten()
        .collect();
    cpus.sort_unstable();
    cpus.dedup();
    cpus
}

fn parse_models(cpuinfo: &str) -> Vec<(u32, String)> {
    cpuinfo.split("\n\n").filter_map(parse_model).collect()
}

fn parse_model(block: &str) -> Option<(u32, String)> {
    let value = |key: &str| {
        block.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            (name.trim() == key).then(|| value.trim())
        })
    };
    let cpu = value("processor")?.parse().ok()?;
    if let Some(model) = value("model name") {
        return Some((cpu, model.to_owned()));
    }
    let implementer = value("CPU implementer")?;
    let part = value("CPU part")?;
    let known = ARM.iter().find(|(number, _)| implementer == "0x41" && part == *number);
    Some((cpu, known.map_or_else(|| format!("ARM {implementer} part {part}"), |(_, name)| (*name).to_owned())))
}

/// Part numbers of the cores that Arm itself designs and that machines with ebrec are likely to have.
///
/// Source: `arch/arm64/include/asm/cputype.h`.
const ARM: [(&str, &str); 17] = [
    ("0xd03", "Cortex-A53"),
    ("0xd04", "Cortex-A35"),
    ("0xd05", "Cortex-A55"),
    ("0xd07", "Cortex-A57"),
    ("0xd08", "Cortex-A72"),
    ("0xd09", "Cortex-A73"),
    ("0xd0a", "Cortex-A75"),
    ("0xd0b", "Cortex-A76"),
    ("0xd0c", "Neoverse-N1"),
    ("0xd0d", "Cortex-A77"),
    ("0xd40", "Neoverse-V1"),
    ("0xd41", "Cortex-A78"),
    ("0xd49", "Neoverse-N2"),
    ("0xd4f", "Neoverse-V2"),
    ("0xd83", "Neoverse-V3AE"),
    ("0xd84", "Neoverse-V3"),
    ("0xd8e", "Neoverse-N3"),
];

/// Tells whether an event source is a CPU's own: `cpu` on x86, `cpu_core` and `cpu_atom` on hybrid ones, `armv8_…` and
/// `apple_…_pmu` on aarch64. `cpum_…` is s390's.
fn counts_cycles(source: &str) -> bool {
    source == "cpu"
        || ["cpu_", "cpum_", "armv"].iter().any(|prefix| source.starts_with(prefix))
        || (source.starts_with("apple_") && source.ends_with("_pmu"))
}

#[cfg(test)]
mod tests {
    use super::Cpus;
    use super::parse_list;
    use crate::host::fixture::Machine;

    #[test]
    fn cpu_lists_are_ranges_and_single_numbers() {
        assert_eq!(parse_list("0-1\n"), [0, 1]);
        assert_eq!(parse_list("0-3,8,10-11"), [0, 1, 2, 3, 8, 10, 11]);
        assert_eq!(parse_list("5"), [5]);
        assert_eq!(parse_list("2,0-2"), [0, 1, 2]);
        assert_eq!(parse_list(""), Vec::<u32>::new());
    }

    #[test]
    fn a_nonsensical_list_does_not_eat_memory() {
        assert_eq!(parse_list("0-4294967295,3"), [3]);
        assert_eq!(parse_list("a-b,7-,-"), Vec::<u32>::new());
        assert_eq!(parse_list("5-2"), Vec::<u32>::new());
    }

    #[test]
    fn an_offline_cpu_still_has_a_slot_because_its_map_values_exist() {
        let machine = Machine::with(&[
            ("/sys/devices/system/cpu/online", "0-1\n"),
            ("/sys/devices/system/cpu/possible", "0-7\n"),
        ]);
        let cpus = Cpus::read(&machine.root());
        assert_eq!(cpus.online, [0, 1]);
        assert_eq!(cpus.slots(), 8);
    }

    #[test]
    fn a_machine_that_tells_nothing_has_one_slot() {
        assert_eq!(Cpus::read(&Machine::new().root()).slots(), 1);
    }

    #[test]
    fn an_x86_cpu_is_named_by_its_model() {
        let machine = Machine::with(&[(
            "/proc/cpuinfo",
            "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel\t\t: 167\nmodel name\t: Intel(R) Xeon(R) Processor\n\n\
             processor\t: 1\nmodel name\t: Intel(R) Xeon(R) Processor\n\n",
        )]);
        let cpus = Cpus::read(&machine.root());
        assert_eq!(cpus.models.len(), 2);
        assert_eq!(cpus.models[1], (1, "Intel(R) Xeon(R) Processor".to_owned()));
        assert_eq!(cpus.model().as_deref(), Some("Intel(R) Xeon(R) Processor"));
    }

    #[test]
    fn arm_cores_are_named_by_their_part_and_unlike_ones_are_both_named() {
        let core = |cpu, implementer, part| {
            format!("processor\t: {cpu}\nBogoMIPS\t: 50.00\nCPU implementer\t: {implementer}\nCPU part\t: {part}\n\n")
        };
        let machine = Machine::new();
        machine.file(
            "/proc/cpuinfo",
            [core(0, "0x41", "0xd03"), core(1, "0x41", "0xd08"), core(2, "0x61", "0x22")].concat(),
        );
        assert_eq!(
            Cpus::read(&machine.root()).model().as_deref(),
            Some("Cortex-A53 + Cortex-A72 + ARM 0x61 part 0x22")
        );
    }

    #[test]
    fn a_vm_without_a_pmu_has_only_software_event_sources() {
        let machine = Machine::new();
        for source in ["breakpoint", "msr", "software", "tracepoint", "uprobe"] {
            machine.directory(&format!("/sys/bus/event_source/devices/{source}"));
        }
        assert_eq!(Cpus::read(&machine.root()).pmu, None);
        machine.directory("/sys/bus/event_source/devices/cpu");
        assert_eq!(Cpus::read(&machine.root()).pmu.as_deref(), Some("cpu"));
    }

    #[test]
    fn an_arm_pmu_counts() {
        let machine = Machine::new();
        machine.directory("/sys/bus/event_source/devices/armv8_pmuv3_0");
        assert_eq!(Cpus::read(&machine.root()).pmu.as_deref(), Some("armv8_pmuv3_0"));
    }
}
