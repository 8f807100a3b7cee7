//! Hosts that differ from the others in one figure.
//!
//! The rule is Iglewicz and Hoaglin's modified z-score (How to Detect and Handle Outliers, 1993): the distance from the median in units of the
//! median absolute deviation, scaled such that it is a standard deviation of normal figures. Median and deviation are those of most
//! hosts, so that the odd ones can't hide each other.

/// Hosts that have the figure, below which nothing is said: the median of fewer says little.
pub(super) const LEAST_HOSTS: usize = 8;
/// The score from which a host is an outlier, as Iglewicz and Hoaglin recommend.
const LEAST_SCORE: f64 = 3.5;
/// How many times the median a figure is, or is below it: what differs by less does not matter, however alike the others are.
const LEAST_RATIO: f64 = 1.5;

/// The 75th percentile of the standard normal distribution, which its median absolute deviation is.
const MAD_OF_NORMAL: f64 = 0.674_49;
/// The root of π / 2: a standard deviation in mean absolute deviations of a normal distribution.
const STANDARD_OF_MEAN: f64 = 1.253_314;

/// A host that differs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Outlier {
    /// The host's number.
    pub(super) host: u32,
    /// Its figure.
    pub(super) value: f64,
    /// The median of all hosts.
    pub(super) median: f64,
    /// The modified z-score, negative below the median.
    pub(super) score: f64,
    /// How many hosts have the figure.
    pub(super) hosts: usize,
}

/// The hosts whose figure is an outlier among these, in the order of the hosts.
pub(super) fn outliers(figures: &[(u32, f64)]) -> Vec<Outlier> {
    let hosts = figures.len();
    let values = || figures.iter().map(|(_, value)| *value);
    if hosts < LEAST_HOSTS || values().any(|value| !value.is_finite()) {
        return Vec::new();
    }
    let median = middle(values().collect());
    let deviations = || values().map(|value| (value - median).abs());
    // Where more than half of the hosts are equal, the mean deviation stands in, as the authors have it.
    let unit = match middle(deviations().collect()) / MAD_OF_NORMAL {
        0.0 => STANDARD_OF_MEAN * deviations().sum::<f64>() / hosts as f64,
        unit => unit,
    };
    let outlier = |(host, value): &(u32, f64)| {
        let score = (value - median) / unit;
        let matters = *value >= median * LEAST_RATIO || *value * LEAST_RATIO <= median;
        let outlier = Outlier { host: *host, value: *value, median, score, hosts };
        (matters && score.abs() >= LEAST_SCORE).then_some(outlier)
    };
    figures.iter().filter_map(outlier).collect()
}

/// The median of some numbers.
fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.len().saturating_sub(1) / 2, values.len() / 2);
    let at = |place: usize| values.get(place).copied().unwrap_or(0.0);
    (at(low) + at(high)) / 2.0
}

#[cfg(test)]
mod tests {
    use super::LEAST_HOSTS;
    use super::middle;
    use super::outliers;

    fn hosts(values: &[f64]) -> Vec<u32> {
        let figures: Vec<(u32, f64)> = (0..).zip(values.iter().copied()).collect();
        outliers(&figures).into_iter().map(|outlier| outlier.host).collect()
    }

    #[test]
    fn medians_are_of_odd_and_even_numbers() {
        assert_eq!([middle(vec![3.0, 1.0, 2.0]), middle(vec![4.0, 1.0, 2.0, 3.0]), middle(vec![])], [2.0, 2.5, 0.0]);
    }

    #[test]
    fn the_score_is_that_of_the_authors() {
        // Their example: 2.1 2.6 2.4 2.5 2.3 2.1 2.3 2.6 8.2 8.3 has a median of 2.45 and a MAD of 0.2 in a set like it.
        let values = [2.1, 2.6, 2.4, 2.5, 2.3, 2.1, 2.3, 2.6, 8.2, 8.3];
        let figures: Vec<(u32, f64)> = (0..).zip(values).collect();
        let found = outliers(&figures);
        assert_eq!(found.iter().map(|outlier| outlier.host).collect::<Vec<_>>(), [8, 9]);
        // 0.6745 (8.2 - 2.45) / 0.25, since half of the deviations are 0.15 and less, and 0.35 and more... of ten, the middle ones.
        let deviations: Vec<f64> = values.iter().map(|value| (value - 2.45f64).abs()).collect();
        let expected = 0.674_49 * (8.2 - 2.45) / middle(deviations);
        assert!((found[0].score - expected).abs() < 1e-9, "{} {expected}", found[0].score);
    }

    #[test]
    fn one_host_among_equal_ones_is_found_and_noise_is_not() {
        let mut values = vec![10.0; 40];
        assert_eq!(hosts(&values), [0u32; 0]);
        values[7] = 30.0;
        assert_eq!(hosts(&values), [7]);
        // Some are a tenth more: that is not worth a word, however rare.
        values[7] = 11.0;
        assert_eq!(hosts(&values), [0u32; 0]);
    }

    #[test]
    fn odd_hosts_do_not_hide_each_other() {
        // A mean and a standard deviation would be pulled so far that neither score reaches 3.
        let mut values: Vec<f64> = (0..20).map(|n| 10.0 + f64::from(n % 5)).collect();
        values.extend([500.0, 480.0, 1.0]);
        assert_eq!(hosts(&values), [20, 21, 22]);
    }

    #[test]
    fn few_hosts_have_no_outlier() {
        let mut values = vec![1.0; LEAST_HOSTS - 1];
        values[0] = 100.0;
        assert_eq!(hosts(&values), [0u32; 0]);
        values.push(1.0);
        assert_eq!(hosts(&values), [0]);
    }
}
