//! `disk`: a process waited for storage, and who kept the device busy meanwhile. Precondition: uninterruptible waits in file calls that
//! were not for the kernel itself. A device is blamed if the process had requests there, or waited for what the kernel writes.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::hist::Histogram;
use crate::report::read::aggregate::Tally;
use crate::report::read::aggregate::count;
use crate::report::read::aggregate::sum;
use crate::report::read::ledger::Sort;
use crate::report::read::ledger::State;
use crate::report::read::metrics;
use crate::report::view::diagnosis::Finding;
use crate::report::view::diagnosis::Group;
use crate::report::view::diagnosis::Rule;
use crate::report::view::diagnosis::Scene;
use crate::report::view::diagnosis::Who;
use crate::report::view::diagnosis::kernel_wait;
use crate::report::view::diagnosis::kernel_wait::Grounds;
use crate::report::view::diagnosis::scene::Victim;
use crate::report::view::diagnosis::scene::others;
use crate::units;

pub(super) static RULE: Rule = Rule { name: "disk", resource: "disk", view: "block", outdoes: &[], find };

const METRICS: [&str; 3] = [metrics::BLOCK_DEVICE, metrics::BLOCK_QUEUE, metrics::BLOCK_SIZE];

/// Who had less than this part of a device's time, in hundredths, did not fill it alone.
const MOST_OF_DEVICE: f64 = 50.0;

/// Requests of one process at one device.
#[derive(Default)]
struct Requests {
    /// Time in the device, in the queue, and sizes.
    metrics: [Histogram; 3],
    by_kernel: bool,
}

impl Requests {
    fn device_ns(&self) -> u64 {
        sum(&self.metrics[0])
    }

    fn queue_ns(&self) -> u64 {
        sum(&self.metrics[1])
    }

    fn bytes(&self) -> u64 {
        sum(&self.metrics[2])
    }
}

type ByProcess = BTreeMap<Who, Requests>;

/// What all requests at a device come to.
struct Whole {
    device_ns: u64,
    queue_ns: u64,
    bytes: u64,
}

impl Whole {
    fn of(by: &ByProcess) -> Whole {
        Whole {
            device_ns: by.values().map(Requests::device_ns).sum(),
            queue_ns: by.values().map(Requests::queue_ns).sum(),
            bytes: by.values().map(Requests::bytes).sum(),
        }
    }

    /// The part of the device's time that requests had, in hundredths. Time in the queue is suffered, not caused.
    fn percent(&self, requests: &Requests) -> f64 {
        100.0 * requests.device_ns() as f64 / self.device_ns.max(1) as f64
    }

    /// How much of the device requests took: some fill it by their number, others by their size, so both count alike.
    fn taken(&self, requests: &Requests) -> f64 {
        self.percent(requests) + 100.0 * requests.bytes() as f64 / self.bytes.max(1) as f64
    }
}

fn find(scene: &Scene<'_>) -> Result<Vec<Finding>> {
    let mut victims = scene.victims(kernel_wait::is_storage);
    if victims.is_empty() {
        return Ok(Vec::new());
    }
    let grounds = kernel_wait::grounds(scene, &victims)?;
    victims.retain(|victim| !grounds.get(victim.who).is_some_and(|own| own.is_kernel(victim)));
    let devices = requests(scene)?;
    // A process that fills the disk waits for itself; what matters is whom it holds up, where there is anybody. One that
    // uses most of a disk with time to spare waits for the device.
    let fills = |victim: &Victim<'_>| {
        let own = device_of(&devices, victim.who).filter(|(_, by)| is_full(scene, &Whole::of(by)));
        own.and_then(|(_, by)| most(by)).is_some_and(|(who, _)| who == victim.who)
    };
    let Some(victim) = victims.iter().find(|victim| !fills(victim)).or_else(|| victims.first()) else {
        return Ok(Vec::new());
    };
    let mut text =
        victim.sentence(scene, &format!("storage ({})", victim.group.causes(kernel_wait::is_storage).join(", ")));
    text.push_str(&format!(", {} each", victim.mean()));
    let mut finding = victim.finding(scene, String::new());
    let mut culprit = None;
    if let Some((dev, by)) = device_of(&devices, victim.who)
        && let Some((who, top)) = most(by)
        && is_to_blame(scene, by, victim, grounds.get(victim.who))
    {
        text.push_str(&format!(". {}", who_filled(scene, dev, by, (who, top), victim)));
        finding.culprit = Some(scene.owner(who));
        finding.culprit_percent = Some(Whole::of(by).percent(top));
        culprit = Some(who);
    }
    let rest = victims.iter().filter(|other| other.who != victim.who && Some(other.who) != culprit);
    text.push_str(&others(scene, rest));
    finding.text = format!("{text}.");
    Ok(vec![finding])
}

/// `fio (32035) filled the disk: 97.8% of vda's time (11.7 of 12.0 requests in flight on average, 3.1 more in the queue),
/// 9.15 GiB of 9.17 GiB`.
fn who_filled(
    scene: &Scene<'_>,
    dev: &str,
    by: &ByProcess,
    (who, top): (&Who, &Requests),
    victim: &Victim<'_>,
) -> String {
    let whole = Whole::of(by);
    // Little's law: what was spent in a second is what was there on average.
    let there = |ns: u64| ns as f64 / scene.span_ns();
    let is_most = whole.percent(top) >= MOST_OF_DEVICE;
    let did = if is_most && is_full(scene, &whole) { "filled the disk" } else { "used the disk most" };
    let it = if who == victim.who { format!("It {did} itself:") } else { format!("{} {did}:", scene.call(who)) };
    let mut text = format!("{it} {} of {dev}'s time", units::percent(whole.percent(top)));
    // Less than a tenth of a request is nothing to compare.
    if there(whole.device_ns) >= 0.1 {
        let (own, all) = (there(top.device_ns()), there(whole.device_ns));
        text.push_str(&format!(" ({own:.1} of {all:.1} requests in flight on average"));
        if there(whole.queue_ns) >= 0.1 {
            text.push_str(&format!(", {:.1} more in the queue", there(whole.queue_ns)));
        }
        text.push(')');
    }
    text.push_str(&format!(", {} of {}", units::bytes(top.bytes()), units::bytes(whole.bytes)));
    if top.by_kernel
        && let Some(writer) = writer(scene)
    {
        text.push_str(&format!("; the kernel writes for others, most for {writer}"));
    }
    if let Some(own) = by.get(victim.who).filter(|_| who != victim.who) {
        let part = units::percent(whole.percent(own));
        let p99 = |times: &Histogram| times.percentile(0.99).map(|ns| units::duration(ns.round() as i64));
        let waits = [("in the queue", p99(&own.metrics[1])), ("in the device", p99(&own.metrics[0]))];
        let waits = waits.into_iter().filter_map(|(place, p99)| p99.map(|p99| format!("{p99} {place}")));
        let waits: Vec<String> = waits.collect();
        text.push_str(&format!("; {} had {part}, p99 {}", victim.who.name, waits.join(", ")));
    }
    text
}

/// Whether the device can have been what a process waited for: one that has time to spare, and that the process hardly used, was not.
/// Nor was any device by what is known of a process without requests that waited in calls which need none, such as `close`.
fn is_to_blame(scene: &Scene<'_>, by: &ByProcess, victim: &Victim<'_>, grounds: Option<&Grounds>) -> bool {
    let whole = Whole::of(by);
    let own = by.get(victim.who).map_or(0.0, |own| whole.percent(own));
    let needs_none = |sort: Sort, state: &State| kernel_wait::is_storage(sort, state) && &*state.cause == "file system";
    let is_doubtful = victim.group.of(needs_none).ns > victim.spent.ns / 2;
    let is_its = own > 0.0 || !is_doubtful || grounds.is_some_and(|own| own.is_device(victim));
    is_its && (is_full(scene, &whole) || own >= 1.0)
}

/// A disk with less than one request on average has time to spare. Those in the queue count: there are devices that take one
/// at a time, and are never seen with more.
fn is_full(scene: &Scene<'_>, whole: &Whole) -> bool {
    whole.device_ns as f64 + whole.queue_ns as f64 >= scene.span_ns()
}

/// Who waited most in writing files: the kernel wrote for it.
fn writer(scene: &Scene<'_>) -> Option<String> {
    let is_write = |_: Sort, state: &State| matches!(&*state.cause, "file write" | "file copy");
    let writes = |group: &Group| group.of(is_write).ns;
    let (who, group) = scene.groups.iter().max_by_key(|(_, group)| writes(group))?;
    (writes(group) > 0).then(|| scene.call(who))
}

/// The device where a process's requests took most; that where all did, for one without requests: others write for it.
fn device_of<'d>(devices: &'d BTreeMap<String, ByProcess>, who: &Who) -> Option<(&'d str, &'d ByProcess)> {
    let own = |by: &ByProcess| by.get(who).map_or(0, Requests::device_ns);
    let device = devices.iter().max_by_key(|(_, by)| (own(by), Whole::of(by).device_ns))?;
    Some((device.0, device.1))
}

fn most(by: &ByProcess) -> Option<(&Who, &Requests)> {
    let whole = Whole::of(by);
    let most = by.iter().max_by(|(_, a), (_, b)| whole.taken(a).total_cmp(&whole.taken(b)))?;
    Some((most.0, most.1))
}

/// The requests of all processes, by device.
fn requests(scene: &Scene<'_>) -> Result<BTreeMap<String, ByProcess>> {
    let tally = Tally::of_all_processes(scene.source, &["dev", "pid", "comm"], |name| METRICS.contains(&name))?;
    let mut devices: BTreeMap<String, ByProcess> = BTreeMap::new();
    tally.each(|dims, metrics| {
        let [dev, pid, comm] = dims else { return };
        let by = devices.entry(dev.word()).or_default();
        let own = by.entry(scene.who(pid, comm)).or_default();
        own.by_kernel |= pid.process().is_some_and(|which| scene.is_kernel(which));
        for (slot, metric) in own.metrics.iter_mut().zip(METRICS) {
            metrics.get(metric).into_iter().for_each(|values| slot.merge(values));
        }
    })?;
    devices.retain(|_, by| by.values().any(|requests| count(&requests.metrics[0]) > 0));
    Ok(devices)
}
