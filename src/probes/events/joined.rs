//! Events that differ in their places alone, as one object: two hundred functions, each with an `-e` of its own, are loaded once and
//! attached by one link. The attachment's cookie tells which of them was hit.

use super::hooks;
use crate::probe::event::CustomEvent;
use crate::probe::hook::Hook;

/// Events that share an object.
pub(super) struct Joined {
    /// The first of them, with the places of all.
    pub(super) event: CustomEvent,
    /// What each place is called in the recording.
    pub(super) names: Vec<Name>,
    /// How many places each of the events has, with its label.
    members: Vec<(String, usize)>,
}

/// What a hit of a place is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    /// The event.
    pub(super) event: String,
    /// Which of its functions or points, where there are several.
    pub(super) function: Option<String>,
}

impl Joined {
    /// One event.
    fn of(event: &CustomEvent) -> Joined {
        let places = hooks::places(&event.hook);
        let several = places.len() > 1;
        let function = |place: &&str| several.then(|| (*place).to_owned());
        let names = places.iter().map(|place| Name { event: event.label.clone(), function: function(place) }).collect();
        Joined { members: vec![(event.label.clone(), places.len())], event: event.clone(), names }
    }

    fn takes(&self, other: &CustomEvent) -> bool {
        let CustomEvent { captures, filter, hist, by, every_hit, kernel_stack, user_stack, .. } = &self.event;
        let same_hook = matches!((&self.event.hook, &other.hook), (Hook::Uprobe { .. }, Hook::Uprobe { .. }));
        // A value that there was no room for does not say whose it was.
        let counts_alike = by.is_none() && other.by.is_none();
        same_hook
            && counts_alike
            && (captures, filter, hist) == (&other.captures, &other.filter, &other.hist)
            && (every_hit, kernel_stack, user_stack) == (&other.every_hit, &other.kernel_stack, &other.user_stack)
    }

    fn take(&mut self, other: &CustomEvent) {
        let Joined { names, members, .. } = Joined::of(other);
        if let (Hook::Uprobe { places }, Hook::Uprobe { places: more }) = (&mut self.event.hook, &other.hook) {
            places.extend(more.iter().cloned());
        }
        self.event.left_out.extend(other.left_out.iter().cloned());
        self.names.extend(names);
        self.members.extend(members);
    }

    /// How many events it is.
    pub(super) fn count(&self) -> usize {
        self.members.len()
    }

    /// `uprobe:./a:f`, or `uprobe:./a:f and 199 more`.
    pub(super) fn label(&self) -> String {
        match self.count() {
            0 | 1 => self.event.label.clone(),
            several => format!("{} and {} more", self.event.label, several - 1),
        }
    }

    /// An event of which the kernel refused every place.
    pub(super) fn without_places(&self, refused: &[usize]) -> Option<&str> {
        let mut begin = 0;
        self.members.iter().find_map(|(label, count)| {
            let places = begin..begin + count;
            begin += count;
            let mut left = places.filter(|place| !refused.contains(place));
            (*count > 0 && left.next().is_none()).then_some(label.as_str())
        })
    }
}

/// The objects that events take. Without cookies (before 5.15) each takes its own.
pub(super) fn joined(events: &[CustomEvent], cookies: bool) -> Vec<Joined> {
    let mut all: Vec<Joined> = Vec::new();
    for event in events {
        match all.iter_mut().find(|joined| cookies && joined.takes(event)) {
            Some(joined) => joined.take(event),
            None => all.push(Joined::of(event)),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::joined;
    use crate::host::code_file::FileIdentity;
    use crate::probe::event::CustomEvent;
    use crate::probe::hook::Hook;
    use crate::probe::hook::Place;

    fn event(label: &str, functions: &[&str], every_hit: bool) -> CustomEvent {
        let path = std::env::current_exe().unwrap();
        let file = FileIdentity::of(&std::fs::metadata(&path).unwrap());
        let place = |function: &&str| Place { path: path.clone(), function: (*function).to_owned(), offset: 0, file };
        let places = functions.iter().map(place).collect();
        CustomEvent {
            text: label.to_owned(),
            label: label.to_owned(),
            hook: Hook::Uprobe { places },
            captures: Vec::new(),
            filter: Vec::new(),
            hist: None,
            by: None,
            every_hit,
            kernel_stack: false,
            user_stack: false,
            left_out: Vec::new(),
        }
    }

    #[test]
    fn events_that_differ_in_their_places_are_one_object_and_keep_their_names() {
        let events = [event("a", &["f"], false), event("b", &["g", "h"], false), event("c", &["i"], true)];
        let all = joined(&events, true);
        let [both, alone] = all.as_slice() else { panic!("{} objects", all.len()) };
        assert_eq!((both.event.hook.places(), both.count(), alone.count()), (3, 2, 1));
        let names: Vec<_> = both.names.iter().map(|name| (name.event.as_str(), name.function.as_deref())).collect();
        assert_eq!(names, [("a", None), ("b", Some("g")), ("b", Some("h"))]);
        assert_eq!((both.label().as_str(), alone.label().as_str()), ("a and 1 more", "c"));
        assert_eq!(joined(&events, false).len(), 3, "without cookies a hit does not say where it is");
    }

    #[test]
    fn an_event_that_is_refused_everywhere_is_known() {
        let all = joined(&[event("a", &["f"], false), event("b", &["g", "h"], false)], true);
        assert_eq!(all[0].without_places(&[1]), None);
        assert_eq!(all[0].without_places(&[1, 2]), Some("b"));
        assert_eq!(all[0].without_places(&[0, 2]), Some("a"));
    }
}
