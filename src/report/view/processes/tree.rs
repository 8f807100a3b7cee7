//! Processes under their parents.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

/// Every process with its depth, each right after its parent, brothers and sisters by process id.
///
/// A process whose parent is not in the map is a root. Parents that form a circle, which only a damaged or invented recording has, are cut
/// at the lowest process id.
pub(super) fn depth_first<K: Copy + Ord>(parents: &BTreeMap<K, Option<K>>) -> Vec<(K, u16)> {
    let mut children: BTreeMap<K, Vec<K>> = BTreeMap::new();
    let mut roots = Vec::new();
    for (pid, ppid) in parents {
        match ppid.filter(|ppid| ppid != pid && parents.contains_key(ppid)) {
            Some(ppid) => children.entry(ppid).or_default().push(*pid),
            None => roots.push(*pid),
        }
    }
    let mut order = Vec::with_capacity(parents.len());
    let mut seen = BTreeSet::new();
    // What the roots do not reach stands in circles.
    for start in roots.into_iter().chain(parents.keys().copied()) {
        let mut stack = vec![(start, 0u16)];
        while let Some((pid, depth)) = stack.pop() {
            if !seen.insert(pid) {
                continue;
            }
            order.push((pid, depth));
            let below = children.get(&pid).into_iter().flatten().rev();
            stack.extend(below.map(|child| (*child, depth.saturating_add(1))));
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use super::depth_first;

    fn order(pairs: &[(i64, Option<i64>)]) -> Vec<(i64, u16)> {
        depth_first(&pairs.iter().copied().collect())
    }

    #[test]
    fn children_follow_their_parent() {
        let order = order(&[(1, None), (5, Some(9)), (9, Some(1)), (10, Some(1)), (11, Some(9)), (20, Some(999))]);
        assert_eq!(order, [(1, 0), (9, 1), (5, 2), (11, 2), (10, 1), (20, 0)]);
    }

    #[test]
    fn a_circle_of_parents_ends() {
        assert_eq!(order(&[(1, Some(2)), (2, Some(1)), (3, Some(3))]), [(3, 0), (1, 0), (2, 1)]);
    }
}
