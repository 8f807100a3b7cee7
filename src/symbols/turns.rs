//! Whose frames are named next: those of the user on whom the least time was spent so far, so that nobody's files can take the
//! time that others need.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::time::Duration;

/// Users whose times are remembered; beyond, all begin again.
const MAX_USERS: usize = 4096;

/// The user of a stack; `None`: the kernel.
pub(super) type User = Option<u32>;

/// The time that was spent on each user.
#[derive(Debug, Default)]
pub(super) struct Turns {
    spent: HashMap<User, Duration>,
}

impl Turns {
    /// Divides work by user, who had the least time first; the kernel's comes before all, for it needs no stranger's file.
    pub(super) fn in_order<T>(&self, work: Vec<T>, user: impl Fn(&T) -> User) -> Vec<(User, Vec<T>)> {
        let mut by_user: BTreeMap<User, Vec<T>> = BTreeMap::new();
        for one in work {
            by_user.entry(user(&one)).or_default().push(one);
        }
        let mut parts: Vec<(User, Vec<T>)> = by_user.into_iter().collect();
        parts.sort_by_key(|(user, _)| (user.is_some(), self.spent(*user)));
        parts
    }

    /// Notes what was spent on a user.
    pub(super) fn took(&mut self, user: User, time: Duration) {
        if self.spent.len() >= MAX_USERS && !self.spent.contains_key(&user) {
            self.spent.clear();
        }
        *self.spent.entry(user).or_default() += time;
    }

    fn spent(&self, user: User) -> Duration {
        self.spent.get(&user).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Turns;

    #[test]
    fn who_had_the_least_time_comes_first_and_the_kernel_before_all() {
        let mut turns = Turns::default();
        turns.took(Some(1000), Duration::from_secs(2));
        turns.took(Some(0), Duration::from_secs(1));
        turns.took(None, Duration::from_secs(9));
        let work = vec![(Some(1000), 'a'), (Some(0), 'b'), (None, 'c'), (Some(1000), 'd'), (Some(33), 'e')];
        let order = turns.in_order(work, |(user, _)| *user);
        let users: Vec<_> = order.iter().map(|(user, _)| *user).collect();
        assert_eq!(users, [None, Some(33), Some(0), Some(1000)]);
        assert_eq!(order[3].1, [(Some(1000), 'a'), (Some(1000), 'd')]);
    }
}
