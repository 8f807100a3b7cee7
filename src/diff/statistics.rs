//! The statistics: exact permutation and Welch's test where recordings are the observations, a block bootstrap within one recording,
//! and Benjamini and Hochberg's procedure over all that was tested.
//!
//! All of it is about logarithms, so that a difference is a ratio.

use statrs::distribution::ContinuousCDF;
use statrs::distribution::StudentsT;

mod bootstrap;
mod permutation;

pub(super) use bootstrap::blocks;
pub(super) use bootstrap::standard_error;
pub(super) use permutation::Arrangements;

/// The false discovery rate: the expected part of the listed changes that are none. Where nothing changed, it is also the chance that
/// anything is listed.
///
/// Below the usual 5 %, with which one of three series of forty comparisons of equal recordings would list something in more than two.
pub(super) const FALSE_DISCOVERY: f64 = 0.04;

/// The part of it that goes to the ledger: a dozen quantities that all time is in would otherwise be held to what hundreds of others ask for.
const LEDGER: f64 = 0.6;

/// Quantities that are tested together, each family with a part of the false discovery rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Family {
    /// Where the time of processes went.
    Ledger,
    /// Everything else.
    Others,
}

impl Family {
    /// Both.
    pub(super) const ALL: [Family; 2] = [Family::Ledger, Family::Others];

    /// Its part of the false discovery rate.
    fn share(self) -> f64 {
        match self {
            Family::Ledger => LEDGER,
            Family::Others => 1.0 - LEDGER,
        }
    }

    /// Benjamini and Hochberg's adjusted values of its chances, so that those of all families compare with [`FALSE_DISCOVERY`].
    pub(super) fn adjusted(self, chances: &[f64]) -> Vec<f64> {
        adjusted(chances).into_iter().map(|adjusted| (adjusted / self.share()).min(1.0)).collect()
    }
}

/// Confidence of the intervals.
pub(super) const CONFIDENCE: f64 = 0.95;

/// The logarithms of one quantity on both sides.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sample {
    /// One of each recording before.
    pub(super) before: Vec<f64>,
    /// One of each recording after.
    pub(super) after: Vec<f64>,
    /// Standard deviation that a recording has at the least, whatever these few happen to show.
    pub(super) floor: f64,
    /// By how much the difference may be off since histograms have buckets.
    pub(super) error: f64,
}

/// A difference of logarithms and how sure it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Difference {
    /// After less before.
    pub(super) log: f64,
    /// Bounds of the confidence interval, the histogram's error included.
    pub(super) low: f64,
    /// The upper one.
    pub(super) high: f64,
    /// Chance of a difference as large without any change.
    pub(super) p: f64,
}

impl Difference {
    /// Of a difference with its standard error and degrees of freedom; the part that buckets may have made up counts for nothing.
    pub(super) fn new(log: f64, standard_error: f64, freedom: f64, error: f64) -> Difference {
        let standard_error = standard_error.max(1e-12);
        let (p, margin) = match StudentsT::new(0.0, 1.0, freedom.max(1.0)) {
            Ok(t) => {
                let beyond = (log.abs() - error).max(0.0) / standard_error;
                (2.0 * t.sf(beyond), t.inverse_cdf(0.5 + CONFIDENCE / 2.0) * standard_error + error)
            }
            // Degrees of freedom are one and more.
            Err(_) => (1.0, f64::INFINITY),
        };
        Difference { log, low: log - margin, high: log + margin, p: p.clamp(0.0, 1.0) }
    }
}

/// Welch's test on logarithms.
pub(super) fn welch(sample: &Sample) -> Difference {
    let side = |values: &[f64]| {
        let n = values.len() as f64;
        ((variance(values) + sample.floor.powi(2)) / n, n - 1.0)
    };
    let ((a, free_a), (b, free_b)) = (side(&sample.before), side(&sample.after));
    let freedom = (a + b).powi(2) / (a * a / free_a.max(1.0) + b * b / free_b.max(1.0)).max(1e-300);
    Difference::new(mean(&sample.after) - mean(&sample.before), (a + b).sqrt(), freedom, sample.error)
}

/// Benjamini and Hochberg's adjusted values, in the order of the chances.
pub(super) fn adjusted(chances: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..chances.len()).collect();
    order.sort_by(|a, b| chances[*b].total_cmp(&chances[*a]));
    let mut adjusted = vec![1.0; chances.len()];
    let (all, mut least) = (chances.len() as f64, 1.0f64);
    for (above, at) in order.into_iter().enumerate() {
        least = least.min(chances[at] * all / (all - above as f64));
        adjusted[at] = least;
    }
    adjusted
}

pub(super) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / (values.len() as f64).max(1.0)
}

/// The unbiased variance.
pub(super) fn variance(values: &[f64]) -> f64 {
    let mean = mean(values);
    values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (values.len() as f64 - 1.0).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::Sample;
    use super::adjusted;
    use super::welch;

    /// Worked out by Simpson's rule from Student's density: t = 1.4998 with 7.423 degrees of freedom.
    #[test]
    fn welchs_test_is_the_integral_of_students_density() {
        let sample = Sample {
            before: vec![27.5, 21.0, 19.0, 23.6, 17.0, 17.9],
            after: vec![27.1, 22.0, 20.8, 23.4, 23.4, 23.5, 25.8],
            floor: 0.0,
            error: 0.0,
        };
        let difference = welch(&sample);
        assert!((difference.p - 0.174934).abs() < 1e-5, "{difference:?}");
    }

    /// R: p.adjust(c(0.01, 0.02, 0.03, 0.5), "BH").
    #[test]
    fn adjusted_chances_are_rs() {
        let close = |a: Vec<f64>, b: [f64; 4]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12);
        assert!(close(adjusted(&[0.01, 0.02, 0.03, 0.5]), [0.04, 0.04, 0.04, 0.5]));
        assert!(close(adjusted(&[0.5, 0.01, 0.04, 0.011]), [0.5, 0.022, 0.16 / 3.0, 0.022]));
    }

    #[test]
    fn what_buckets_may_have_made_up_is_no_difference() {
        let sample = |error| Sample { before: vec![1.0; 5], after: vec![1.05; 5], floor: 0.01, error };
        assert!(welch(&sample(0.0)).p < 0.01);
        let within = welch(&sample(0.06));
        assert!(within.p > 0.99 && within.low < 0.0 && within.high > 0.0, "{within:?}");
    }
}
