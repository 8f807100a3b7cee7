//! From what the user asks for to which probes run, and how.

use std::time::Duration;

use anyhow::Result;

use crate::failure::Failure;
use crate::failure::did_you_mean;
use crate::probe::Hertz;
use crate::probe::Mode;
use crate::probe::ProbeInfo;
use crate::probe::Settings;
use crate::record::plan::ProbeBase;
use crate::record::plan::ProbeRequest;
use crate::record::plan::ProbeSelection;
use crate::text;
use crate::units;

/// A probe that is to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chosen {
    /// Its place in the registry.
    pub(super) index: usize,
    /// How it runs.
    pub(super) settings: Settings,
    /// The user named it, so not being able to run it is an error.
    pub(super) named: bool,
}

/// The probe that records what `-e` asks for, and whether that is anything.
#[derive(Debug, Clone, Copy)]
pub(super) struct CustomEvents {
    /// Its place in the registry.
    pub(super) index: Option<usize>,
    /// There are events for it.
    pub(super) asked: bool,
}

/// Chooses among `probes`, in their order.
///
/// # Errors
/// A name, mode or setting that no probe has; the probe for events of the user's own where there are none.
pub(super) fn choose(
    selection: &ProbeSelection,
    probes: &[&'static ProbeInfo],
    own: CustomEvents,
) -> Result<Vec<Chosen>> {
    let names = selection.requests.iter().map(|request| &request.name).chain(&selection.removed);
    for name in names {
        known(name, probes)?;
    }
    let mut chosen = Vec::new();
    for (index, info) in probes.iter().enumerate() {
        let request = selection.requests.iter().rev().find(|request| request.name == info.name);
        let in_base = match selection.base {
            ProbeBase::Default => info.default_on,
            ProbeBase::All => true,
            ProbeBase::Listed => false,
        };
        let removed = selection.removed.iter().any(|name| name == info.name);
        if own.index == Some(index) {
            if request.is_some() && !own.asked {
                let problem = format!("the probe '{}' needs an event (-e), and none is given", info.name);
                return Err(Failure::usage(problem).hint("give an event, as -e rawtp:sched_switch").into());
            }
            if own.asked {
                chosen.push(Chosen { index, settings: settings(info, request)?, named: true });
            }
            continue;
        }
        if request.is_some() || (in_base && !removed) {
            chosen.push(Chosen { index, settings: settings(info, request)?, named: request.is_some() });
        }
    }
    if chosen.is_empty() {
        return Err(Failure::usage("no probe is left to record").hint("see 'ebrec probes'").into());
    }
    Ok(chosen)
}

fn known(name: &str, probes: &[&'static ProbeInfo]) -> Result<()> {
    if probes.iter().any(|info| info.name == name) {
        return Ok(());
    }
    let all: Vec<&str> = probes.iter().map(|info| info.name).collect();
    let near = text::nearest(name, all.iter().copied());
    Err(Failure::usage(format!("there is no probe '{name}'")).hint(did_you_mean(&near, &all)).into())
}

fn settings(info: &ProbeInfo, request: Option<&ProbeRequest>) -> Result<Settings> {
    let slow = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let mut settings = Settings {
        mode: info.default_mode,
        slow_ns: info.slow.map_or(0, slow),
        hertz: info.hertz.map_or(0, |hertz| hertz.default),
        switched_on: 0,
    };
    let Some(request) = request else { return Ok(settings) };
    for (key, value) in &request.settings {
        if let Some(place) = info.switches.iter().position(|switch| switch.name == key) {
            let bit = 1 << place;
            match value.as_str() {
                "on" => settings.switched_on |= bit,
                "off" => settings.switched_on &= !bit,
                _ => return Err(Failure::usage(format!("'{key}' is 'on' or 'off', not '{value}'")).into()),
            }
            continue;
        }
        if let Some(most) = info.hertz.filter(|_| key == "hz") {
            settings.hertz = rate(value, most)?;
            continue;
        }
        if key != "slow" {
            let problem = format!("the probe '{}' has no setting '{key}'", info.name);
            let rates = info.hertz.map_or("", |_| ", hz=NUMBER");
            let switches: String = info.switches.iter().map(|switch| format!(", {}=on", switch.name)).collect();
            let hint = format!("it has: slow=DURATION, as {}:slow=5ms{rates}{switches}", info.name);
            return Err(Failure::usage(problem).hint(hint).into());
        }
        let threshold = units::parse_duration(value).map_err(|error| Failure::usage(error.to_string()))?;
        settings = Settings { mode: Mode::Slow, slow_ns: slow(threshold), ..settings };
    }
    if let Some(mode) = request.mode {
        settings.mode = mode;
    }
    if request.mode == Some(Mode::Slow) && info.slow.is_none() && request.settings.is_empty() {
        let problem = format!("the probe '{}' has no threshold of its own", info.name);
        return Err(Failure::usage(problem).hint(format!("give one: {}:slow=100ms", info.name)).into());
    }
    Ok(settings)
}

fn rate(value: &str, hertz: Hertz) -> Result<u32> {
    match value.parse() {
        Ok(rate) if (1..=hertz.most).contains(&rate) => Ok(rate),
        _ => {
            let problem = format!("'hz' is a number of samples a second from 1 to {}, not '{value}'", hertz.most);
            Err(Failure::usage(problem).hint(format!("the default is {}", hertz.default)).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Chosen;
    use super::CustomEvents;
    use super::choose;
    use crate::probe::Hertz;
    use crate::probe::Mode;
    use crate::probe::ProbeInfo;
    use crate::probe::Switch;
    use crate::record::plan::ProbeBase;
    use crate::record::plan::ProbeRequest;
    use crate::record::plan::ProbeSelection;
    use std::time::Duration;

    const fn info(name: &'static str, default_on: bool, slow: Option<Duration>) -> ProbeInfo {
        ProbeInfo {
            name,
            default_on,
            default_mode: Mode::Hist,
            slow,
            hertz: Some(Hertz { default: 99, most: 5_000 }),
            switches: &[Switch { name: "loud", help: "" }],
            ..ProbeInfo::PLAIN
        }
    }

    static DISK: ProbeInfo = info("disk", true, Some(Duration::from_millis(10)));
    static NET: ProbeInfo = info("net", false, None);

    fn names(base: ProbeBase, requests: &[(&str, &[(&str, &str)])], removed: &[&str]) -> Result<Vec<Chosen>, String> {
        let selection = ProbeSelection {
            base,
            requests: requests
                .iter()
                .map(|(name, settings)| ProbeRequest {
                    name: (*name).to_owned(),
                    mode: None,
                    settings: settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
                })
                .collect(),
            removed: removed.iter().map(|name| (*name).to_owned()).collect(),
        };
        choose(&selection, &[&DISK, &NET], CustomEvents { index: None, asked: false })
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_default_set_runs_without_being_named() {
        let chosen = names(ProbeBase::Default, &[], &[]).unwrap();
        assert_eq!(chosen.iter().map(|one| (one.index, one.named)).collect::<Vec<_>>(), [(0, false)]);
    }

    #[test]
    fn a_change_adds_to_the_default_set_and_takes_from_it() {
        let chosen = names(ProbeBase::Default, &[("net", &[])], &["disk"]).unwrap();
        assert_eq!(chosen.iter().map(|one| (one.index, one.named)).collect::<Vec<_>>(), [(1, true)]);
    }

    #[test]
    fn a_threshold_asks_for_slow_events() {
        let chosen = names(ProbeBase::Listed, &[("disk", &[("slow", "5ms")])], &[]).unwrap();
        assert_eq!((chosen[0].settings.mode, chosen[0].settings.slow_ns), (Mode::Slow, 5_000_000));
    }

    #[test]
    fn a_switch_is_off_until_it_is_asked_for_and_leaves_the_mode_alone() {
        let on = |settings: &[(&str, &str)]| names(ProbeBase::Listed, &[("disk", settings)], &[]).unwrap()[0].settings;
        assert!(!on(&[]).is_on(0));
        assert!(on(&[("loud", "on")]).is_on(0));
        assert_eq!(on(&[("loud", "on")]).mode, Mode::Hist);
        assert!(on(&[("loud", "on"), ("slow", "5ms")]).is_on(0));
        assert!(!on(&[("loud", "off")]).is_on(0));
        let wrong = names(ProbeBase::Listed, &[("disk", &[("loud", "yes")])], &[]).unwrap_err();
        assert_eq!(wrong, "'loud' is 'on' or 'off', not 'yes'");
    }

    #[test]
    fn a_rate_is_within_its_bounds_and_leaves_the_mode_alone() {
        let asked = |value: &str| names(ProbeBase::Listed, &[("disk", &[("hz", value)])], &[]);
        assert_eq!(names(ProbeBase::Listed, &[("disk", &[])], &[]).unwrap()[0].settings.hertz, 99);
        let settings = asked("997").unwrap()[0].settings;
        assert_eq!((settings.hertz, settings.mode), (997, Mode::Hist));
        assert_eq!(asked("5000").unwrap()[0].settings.hertz, 5_000);
        for wrong in ["0", "5001", "-1", "1e3", "99hz", "", "4294967296"] {
            let problem = format!("'hz' is a number of samples a second from 1 to 5000, not '{wrong}'");
            assert_eq!(asked(wrong).unwrap_err(), problem);
        }
    }

    #[test]
    fn what_no_probe_has_is_refused_by_name() {
        assert!(names(ProbeBase::Listed, &[("dsk", &[])], &[]).unwrap_err().contains("'dsk'"));
        assert!(names(ProbeBase::Listed, &[("disk", &[("fast", "1")])], &[]).unwrap_err().contains("'fast'"));
        assert!(names(ProbeBase::Default, &[], &["disk"]).is_err());
    }
}
