//! The order of findings: causes on one chain are one finding, and what only repeats another is left out.

use crate::report::read::processes::Owner;
use crate::report::view::diagnosis::Finding;
use crate::report::view::diagnosis::Rule;
use crate::units;

/// What weighs less than this part of the weightiest finding is not what the machine was slow for.
const LEAST_OF_FIRST: f64 = 0.1;

/// Rules that only say how busy a process was.
const BUSY: [&str; 2] = ["cpu-use", "child"];

/// How busy a process was stands behind what it waited for, if that weighs this part at least.
const LEAST_OF_BUSY: f64 = 0.2;
/// Just behind.
const BEHIND: f64 = 0.99;

/// Rules about waiting for another process: what that one waited for, or did, is the cause.
const FOR_OTHERS: [&str; 4] = ["downstream", "slow-reader", "slow-filesystem", "child-wait"];

/// Others that are named as having suffered from the same.
const NAMED: usize = 2;

/// A process that lost less than this part of what another waited for it was not slow for that reason.
const LEAST_OF_WAIT: f64 = 0.5;

/// Processes between the one that waits and the cause.
const HOPS: usize = 8;

/// The findings of a window of `span_ns`, the weightiest first.
pub(super) fn ranked(findings: Vec<Finding>, rules: &[&Rule], span_ns: f64) -> Vec<Finding> {
    let mut kept = merged(folded(without_repeated(findings, rules)), span_ns);
    let victims = |one: &Finding| [std::slice::from_ref(&one.victim), &one.others].concat();
    let causes: Vec<(Vec<Owner>, f64)> =
        kept.iter().filter(|one| !BUSY.contains(&one.rule)).map(|one| (victims(one), one.weight)).collect();
    for busy in kept.iter_mut().filter(|one| BUSY.contains(&one.rule)) {
        let own = causes
            .iter()
            .filter(|(victims, weight)| victims.contains(&busy.victim) && *weight >= LEAST_OF_BUSY * busy.weight);
        let cause = own.map(|(_, weight)| *weight).fold(f64::INFINITY, f64::min);
        busy.weight = busy.weight.min(BEHIND * cause);
    }
    kept.sort_by(|a, b| b.weight.total_cmp(&a.weight));
    kept
}

/// The findings that are shown, at most so many.
pub(in crate::report::view) fn weighty(findings: &[Finding], most: usize) -> impl Iterator<Item = &Finding> {
    let first = findings.first().map_or(0.0, |first| first.weight);
    findings.iter().filter(move |finding| finding.weight >= LEAST_OF_FIRST * first).take(most)
}

/// Leaves out what another rule says better of the same process, and who is busy where another finding blames them for it.
fn without_repeated(findings: Vec<Finding>, rules: &[&Rule]) -> Vec<Finding> {
    let outdone = |finding: &Finding| {
        let by = rules.iter().filter(|rule| rule.outdoes.contains(&finding.rule));
        let mut better = by.flat_map(|rule| findings.iter().filter(|other| other.rule == rule.name));
        better.any(|other| other.victim == finding.victim)
    };
    let blamed = |finding: &Finding| {
        let is_part =
            |one: &Owner| *one == finding.victim || finding.victim.pid.is_none() && one.comm == finding.victim.comm;
        let by = |other: &Finding| other.victim != finding.victim && other.blamed.iter().any(is_part);
        BUSY.contains(&finding.rule) && findings.iter().any(by)
    };
    findings.iter().filter(|finding| !outdone(finding) && !blamed(finding)).cloned().collect()
}

/// Makes one of the findings about several processes of a program that say the same: the weightiest, which names the others.
fn folded(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.sort_by(|a, b| b.weight.total_cmp(&a.weight));
    let mut kept: Vec<(Finding, Vec<String>)> = Vec::new();
    for finding in findings {
        let Some(alike) = &finding.alike else {
            kept.push((finding, Vec::new()));
            continue;
        };
        let is_same = |one: &Finding| one.rule == finding.rule && one.alike.as_ref() == Some(alike);
        let Some((first, others)) = kept.iter_mut().find(|(one, _)| is_same(one)) else {
            kept.push((finding, Vec::new()));
            continue;
        };
        // Two locks of one process are two findings, unless its others have them too.
        let is_known = first.victim == finding.victim || first.others.contains(&finding.victim);
        if is_known {
            kept.push((finding, Vec::new()));
            continue;
        }
        let id = finding.victim.pid.map(|pid| format!(" ({pid})")).unwrap_or_default();
        others.push(format!("{}{id} {}", alike.program, units::percent(finding.percent)));
        first.others.push(finding.victim);
    }
    let with_others = |(mut finding, others): (Finding, Vec<String>)| {
        finding.text.push_str(&also(&others));
        finding
    };
    kept.into_iter().map(with_others).collect()
}

/// ` Also web (13) 40.0%, web (14) 39.0% and 3 more.`; empty for nobody.
fn also(others: &[String]) -> String {
    let named: Vec<&str> = others.iter().take(NAMED).map(String::as_str).collect();
    match others.len() {
        0 => String::new(),
        all if all > NAMED => format!(" Also {} and {} more.", named.join(", "), units::count((all - NAMED) as u64)),
        _ => format!(" Also {}.", named.join(", ")),
    }
}

/// Joins each wait for another process to the finding about what that one waited for, or did.
fn merged(findings: Vec<Finding>, span_ns: f64) -> Vec<Finding> {
    let (waits, mut causes): (Vec<Finding>, Vec<Finding>) =
        findings.into_iter().partition(|finding| FOR_OTHERS.contains(&finding.rule));
    let mut alone = Vec::new();
    for wait in &waits {
        let Some(at) = cause_of(wait, &waits, &causes, span_ns) else {
            alone.push(wait.clone());
            continue;
        };
        if let Some(cause) = causes.get_mut(at) {
            let percent = units::percent(wait.percent);
            let more = match wait.others.len() {
                0 => String::new(),
                others => format!(", and {} more like it,", units::count(others as u64)),
            };
            let victim = name(&wait.victim);
            cause.text.push_str(&format!(" So {victim}{more} waited {percent} of the time it was not idle."));
            cause.weight = cause.weight.max(wait.weight);
        }
    }
    causes.extend(alone);
    causes
}

/// The weightiest finding about the process at the end of the chain that a wait begins.
fn cause_of(wait: &Finding, waits: &[Finding], causes: &[Finding], span_ns: f64) -> Option<usize> {
    let mut peer = wait.culprit.as_ref()?;
    for _ in 0..HOPS {
        // A pool's threads wait at the same time, each at most for the window.
        let waited = (wait.ns as f64).min(span_ns);
        let explains =
            |cause: &Finding| BUSY.contains(&cause.rule) || cause.ns == 0 || cause.ns as f64 >= LEAST_OF_WAIT * waited;
        let is_about = |cause: &Finding| (cause.victim == *peer || cause.others.contains(peer)) && explains(cause);
        let about = causes.iter().enumerate().filter(|(_, cause)| is_about(cause));
        if let Some((at, _)) = about.max_by(|(_, a), (_, b)| a.weight.total_cmp(&b.weight)) {
            return Some(at);
        }
        let is_of = |other: &Finding| other.victim == *peer || other.others.contains(peer);
        let next = waits.iter().filter(|other| is_of(other) && other.culprit.as_ref() != Some(peer));
        peer = next.max_by(|a, b| a.weight.total_cmp(&b.weight))?.culprit.as_ref()?;
    }
    None
}

/// `web (12)`.
fn name(owner: &Owner) -> String {
    let comm = owner.comm.as_deref().unwrap_or("?");
    owner.pid.map_or_else(|| comm.to_owned(), |pid| format!("{comm} ({pid})"))
}

#[cfg(test)]
mod tests {
    use super::ranked;
    use crate::report::read::processes::Owner;
    use crate::report::view::diagnosis::Finding;
    use crate::report::view::diagnosis::RULES;

    const SPAN_NS: f64 = 5e9;

    fn owner(name: &str) -> Owner {
        Owner { comm: Some(name.to_owned()), pid: None }
    }

    fn finding(rule: &'static str, weight: f64, victim: &str, culprit: Option<&str>) -> Finding {
        let culprit = culprit.map(owner);
        let blamed = culprit.iter().cloned().collect();
        Finding {
            rule,
            weight,
            victim: owner(victim),
            culprit,
            blamed,
            text: format!("{victim}."),
            percent: 60.0,
            ..Finding::default()
        }
    }

    /// Rules and victims in their order.
    fn order(findings: Vec<Finding>) -> Vec<String> {
        ranked(findings, RULES, SPAN_NS).iter().map(|finding| format!("{} {}", finding.rule, name(finding))).collect()
    }

    fn name(finding: &Finding) -> String {
        super::name(&finding.victim)
    }

    #[test]
    fn the_end_of_a_chain_is_the_cause_and_weighs_as_much_as_its_victim() {
        let chain = vec![
            finding("downstream", 0.9, "nginx", Some("gunicorn")),
            finding("disk", 0.5, "backup", None),
            finding("downstream", 0.6, "gunicorn", Some("postgres")),
            finding("lock", 0.4, "postgres", None),
        ];
        let found = ranked(chain, RULES, SPAN_NS);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].rule, "lock");
        assert!(found[0].text.contains("So nginx waited 60.0%") && found[0].text.contains("So gunicorn"), "{found:?}");
    }

    /// The sink queued for a CPU for 0.3 s of the 5 s in which its source waited.
    #[test]
    fn what_cost_a_process_a_moment_is_not_why_another_waited_for_it_all_the_time() {
        let long = Finding { ns: 5_000_000_000, ..finding("slow-reader", 0.9, "source", Some("sink")) };
        let short = |ns| vec![long.clone(), Finding { ns, ..finding("cpu-queue", 0.1, "sink", None) }];
        assert_eq!(order(short(300_000_000)), ["slow-reader source", "cpu-queue sink"]);
        assert_eq!(order(short(3_000_000_000)), ["cpu-queue sink"]);
    }

    #[test]
    fn processes_that_wait_for_one_another_end_no_chain() {
        let ring = vec![finding("downstream", 0.9, "a", Some("b")), finding("downstream", 0.8, "b", Some("a"))];
        assert_eq!(order(ring), ["downstream a", "downstream b"]);
    }

    #[test]
    fn whoever_is_blamed_for_having_the_cpus_is_not_named_again_for_using_them() {
        let both = vec![finding("cpu-use", 0.9, "hog", Some("hog")), finding("cpu-queue", 0.4, "service", Some("hog"))];
        assert_eq!(order(both), ["cpu-queue service"]);
        let mut queue = finding("cpu-queue", 0.4, "service", None);
        queue.blamed = [8, 9].map(|pid| Owner { pid: Some(pid), ..owner("hog") }).to_vec();
        let several = vec![finding("cpu-use", 0.9, "hog", Some("hog")), queue];
        assert_eq!(order(several), ["cpu-queue service"], "the command's processes one by one");
        let alone = vec![finding("cpu-use", 0.9, "hog", Some("hog"))];
        assert_eq!(order(alone), ["cpu-use hog"]);
    }

    #[test]
    fn a_quota_says_more_than_the_queue_and_a_file_system_more_than_the_disk() {
        let both = vec![finding("disk", 0.9, "reader", None), finding("slow-filesystem", 0.4, "reader", None)];
        assert_eq!(order(both), ["slow-filesystem reader"]);
    }

    #[test]
    fn what_a_process_waited_for_comes_before_how_busy_it_was() {
        let both = vec![finding("cpu-use", 0.5, "convoyd", None), finding("lock", 0.3, "convoyd", None)];
        assert_eq!(order(both), ["lock convoyd", "cpu-use convoyd"]);
        let hardly = vec![finding("cpu-use", 0.5, "convoyd", None), finding("lock", 0.06, "convoyd", None)];
        assert_eq!(order(hardly), ["cpu-use convoyd", "lock convoyd"]);
    }

    #[test]
    fn two_causes_of_two_processes_are_two_findings() {
        let both = vec![finding("lock", 0.4, "a", None), finding("lock", 0.5, "b", None)];
        assert_eq!(order(both), ["lock b", "lock a"]);
    }
}
