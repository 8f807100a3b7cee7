//! Whether this is a virtual machine or a container, and of which make.
//!
//! The rules follow `src/basic/virt.c` of systemd, but a container is believed only where a namespace confirms it.

use std::fmt;

use crate::host::locked;
use crate::host::namespaces::Namespaces;
use crate::host::root::Root;

/// Bytes of the first process's environment.
const MAX_ENVIRONMENT: usize = 1 << 20;

/// What stands between this process and the hardware.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Virtualisation {
    /// The hypervisor under the kernel, such as `kvm`; `vm` when only its presence shows.
    pub machine: Option<String>,
    /// The container manager around this process, such as `docker`.
    pub container: Option<String>,
}

impl Virtualisation {
    /// Reads the marks that hypervisors and container managers leave.
    pub fn read(root: &Root, namespaces: Namespaces) -> Virtualisation {
        Virtualisation { machine: machine(root), container: container(root, namespaces) }
    }

    /// Returns it in a few words, such as `docker in kvm`, or `None` on bare metal.
    pub fn describe(&self) -> Option<String> {
        (*self != Virtualisation::default()).then(|| self.to_string())
    }
}

impl fmt::Display for Virtualisation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.container, &self.machine) {
            (Some(container), Some(machine)) => write!(f, "{container} in {machine}"),
            (Some(name), None) | (None, Some(name)) => f.write_str(name),
            (None, None) => f.write_str("none"),
        }
    }
}

/// Starts of firmware's names for the machine, and the hypervisor each stands for.
const FIRMWARE: [(&str, &str); 17] = [
    ("KVM", "kvm"),
    ("OpenStack", "kvm"),
    ("KubeVirt", "kvm"),
    ("Google Compute Engine", "google"),
    ("Amazon EC2", "amazon"),
    ("QEMU", "qemu"),
    ("VMware", "vmware"),
    ("VMW", "vmware"),
    ("innotek GmbH", "virtualbox"),
    ("VirtualBox", "virtualbox"),
    ("Xen", "xen"),
    ("Bochs", "bochs"),
    ("Parallels", "parallels"),
    ("BHYVE", "bhyve"),
    ("Hyper-V", "hyper-v"),
    ("Virtual Machine", "hyper-v"),
    ("Apple Virtualization", "apple"),
];

/// Clock sources that only one hypervisor offers.
const CLOCKS: [(&str, &str); 3] = [("kvm-clock", "kvm"), ("hyperv_clocksource", "hyper-v"), ("xen", "xen")];

fn machine(root: &Root) -> Option<String> {
    let release = root.text("/proc/sys/kernel/osrelease").unwrap_or_default();
    if release.contains("microsoft-standard") {
        return Some("wsl".to_owned());
    }
    let cpuinfo = root.text("/proc/cpuinfo").unwrap_or_default();
    if cpuinfo.contains("User Mode Linux") {
        return Some("uml".to_owned());
    }
    let named = firmware(root).or_else(|| clock(root)).or_else(|| device_tree(root));
    named.map(str::to_owned).or_else(|| root.text("/sys/hypervisor/type").filter(|kind| !kind.is_empty())).or_else(
        || {
            let flags = cpuinfo.lines().find(|line| line.starts_with("flags"))?;
            flags.split_whitespace().any(|flag| flag == "hypervisor").then(|| "vm".to_owned())
        },
    )
}

fn firmware(root: &Root) -> Option<&'static str> {
    let product = root.text("/sys/class/dmi/id/product_name").unwrap_or_default();
    // The largest instances of EC2 are the bare machine, with the same vendor.
    if product.ends_with(".metal") || product.contains(".metal-") {
        return None;
    }
    ["product_name", "sys_vendor", "board_vendor", "bios_vendor", "product_version"].iter().find_map(|field| {
        let text = root.text(format!("/sys/class/dmi/id/{field}"))?;
        let (_, name) = FIRMWARE.iter().find(|(start, _)| text.starts_with(start))?;
        Some(*name)
    })
}

fn clock(root: &Root) -> Option<&'static str> {
    let clocks = root.text("/sys/devices/system/clocksource/clocksource0/available_clocksource")?;
    let (_, name) = CLOCKS.iter().find(|(start, _)| clocks.split_whitespace().any(|clock| clock.starts_with(start)))?;
    Some(name)
}

/// aarch64 has no CPU flag for it; QEMU's and Firecracker's machines name themselves in the device tree.
fn device_tree(root: &Root) -> Option<&'static str> {
    if root.text("/proc/device-tree/hypervisor/compatible").is_some_and(|text| text.starts_with("linux,kvm")) {
        return Some("kvm");
    }
    let machine = root.text("/proc/device-tree/compatible")?;
    machine.split('\0').any(|name| name == "linux,dummy-virt" || name == "qemu,pseries").then_some("vm")
}

/// Files that container managers leave in the root file system.
const MARKERS: [(&str, &str); 3] =
    [("/run/.containerenv", "podman"), ("/.dockerenv", "docker"), ("/run/secrets/kubernetes.io", "kubernetes")];

/// Returns the container manager, believed only where some namespace isn't the machine's own: VM images are often made
/// out of container images and keep their markers.
fn container(root: &Root, namespaces: Namespaces) -> Option<String> {
    if namespaces.any_other == Some(false) {
        return None;
    }
    let named = root.text("/run/systemd/container").or_else(|| root.text("/run/host/container-manager"));
    if let Some(name) = named.filter(|name| !name.is_empty()) {
        return Some(name);
    }
    if let Some((_, name)) = MARKERS.iter().find(|(path, _)| root.exists(path)) {
        return Some((*name).to_owned());
    }
    let environment = locked::read_one(1, &root.path("/proc/1/environ"), MAX_ENVIRONMENT)?;
    let name = environment.split(|byte| *byte == 0).find_map(|variable| variable.strip_prefix(b"container="))?;
    (!name.is_empty()).then(|| String::from_utf8_lossy(name).into_owned())
}

#[cfg(test)]
mod tests {
    use super::Virtualisation;
    use crate::host::fixture::Machine;
    use crate::host::namespaces::Namespaces;

    fn described(machine: &Machine) -> Option<String> {
        let root = machine.root();
        Virtualisation::read(&root, Namespaces::read(&root)).describe()
    }

    #[test]
    fn bare_metal_is_nothing_in_particular() {
        let machine = Machine::with(&[
            ("/sys/class/dmi/id/sys_vendor", "Dell Inc.\n"),
            ("/sys/class/dmi/id/product_name", "PowerEdge R650\n"),
            ("/proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu vme de pse tsc\n"),
            ("/sys/devices/system/clocksource/clocksource0/available_clocksource", "tsc hpet acpi_pm \n"),
        ]);
        assert_eq!(described(&machine), None);
    }

    #[test]
    fn clouds_are_known_by_their_firmware() {
        for (field, text, expected) in [
            ("sys_vendor", "QEMU", "qemu"),
            ("product_name", "Google Compute Engine", "google"),
            ("sys_vendor", "Amazon EC2", "amazon"),
            ("product_name", "Virtual Machine", "hyper-v"),
            ("product_name", "VMware7,1", "vmware"),
            ("product_name", "VirtualBox", "virtualbox"),
        ] {
            let machine = Machine::new();
            machine.file(&format!("/sys/class/dmi/id/{field}"), text);
            assert_eq!(described(&machine).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn a_metal_instance_is_not_called_a_vm() {
        let machine = Machine::with(&[
            ("/sys/class/dmi/id/sys_vendor", "Amazon EC2\n"),
            ("/sys/class/dmi/id/product_name", "m5.metal\n"),
        ]);
        assert_eq!(described(&machine), None);
    }

    #[test]
    fn a_laptop_by_the_maker_of_a_cloud_is_no_vm() {
        let machine =
            Machine::with(&[("/sys/class/dmi/id/sys_vendor", "Google\n"), ("/sys/class/dmi/id/product_name", "Eve\n")]);
        assert_eq!(described(&machine), None);
    }

    #[test]
    fn a_micro_vm_without_firmware_is_known_by_its_clock_or_its_cpu_flag() {
        let clock = Machine::with(&[(
            "/sys/devices/system/clocksource/clocksource0/available_clocksource",
            "tsc kvm-clock \n",
        )]);
        assert_eq!(described(&clock).as_deref(), Some("kvm"));
        let flag = Machine::with(&[("/proc/cpuinfo", "flags\t\t: fpu cpuid rdrand hypervisor lahf_lm\n")]);
        assert_eq!(described(&flag).as_deref(), Some("vm"));
    }

    #[test]
    fn an_arm_vm_is_known_by_its_device_tree() {
        let machine = Machine::with(&[("/proc/device-tree/compatible", "linux,dummy-virt\0")]);
        assert_eq!(described(&machine).as_deref(), Some("vm"));
    }

    #[test]
    fn a_container_in_a_vm_is_both() {
        let machine = Machine::with(&[("/.dockerenv", ""), ("/sys/hypervisor/type", "xen\n")]);
        machine.link("/proc/self/ns/pid", "pid:[4026532451]");
        assert_eq!(described(&machine).as_deref(), Some("docker in xen"));
    }

    #[test]
    fn a_vm_image_made_from_a_container_image_is_no_container() {
        let machine = Machine::with(&[("/.dockerenv", "")]);
        machine.link("/proc/self/ns/pid", "pid:[4026531836]");
        assert_eq!(described(&machine), None);
    }

    #[test]
    fn a_container_without_marker_files_is_known_by_the_first_process() {
        let machine = Machine::with(&[("/proc/1/environ", "PATH=/bin\0container=lxc\0TERM=linux\0")]);
        assert_eq!(described(&machine).as_deref(), Some("lxc"));
    }
}
