//! The block bootstrap: how much a number of one recording varies within it.
//!
//! Stretches next to each other are alike, so blocks of them are drawn and not single ones (Künsch, 1989), around the end of the
//! window as if it went on at its start (Politis and Romano, 1992). A block is the cube root of the window long.

use crate::diff::statistics::variance;

/// Samples that are drawn.
const SAMPLES: usize = 200;

/// The standard error of a number of so many stretches; `of` has the logarithm of the number for a sample, given how often each stretch was drawn.
///
/// Blocks drawn from few stretches vary too little by one block in all, which is made up for. The samples are the same in every run.
pub(in crate::diff) fn standard_error(stretches: usize, of: impl Fn(&[u32]) -> Option<f64>) -> Option<f64> {
    if stretches < 2 {
        return None;
    }
    let block = (stretches as f64).cbrt().round().max(1.0) as usize;
    let mut random = SplitMix(0x9e37_79b9_7f4a_7c15);
    let mut drawn = vec![0u32; stretches];
    let mut values = Vec::with_capacity(SAMPLES);
    for _ in 0..SAMPLES {
        drawn.fill(0);
        let mut left = stretches;
        while left > 0 {
            let start = random.below(stretches);
            for at in (start..start + block.min(left)).map(|at| at % stretches) {
                if let Some(times) = drawn.get_mut(at) {
                    *times += 1;
                }
            }
            left -= block.min(left);
        }
        values.push(of(&drawn)?);
    }
    let blocks = stretches as f64 / block as f64;
    let few = blocks / (blocks - 1.0).max(0.5);
    Some((variance(&values) * few).sqrt())
}

/// How many blocks a number of stretches is.
pub(in crate::diff) fn blocks(stretches: usize) -> f64 {
    stretches as f64 / (stretches as f64).cbrt().round().max(1.0)
}

/// Steele, Lea and Flood's generator: no crate for one number after the other.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is small.
    fn below(&mut self, bound: usize) -> usize {
        let bound = bound as u64;
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::SplitMix;
    use super::standard_error;
    use crate::diff::statistics::variance;

    fn mean_of(values: &[f64]) -> Option<f64> {
        standard_error(values.len(), |drawn| {
            let all: u32 = drawn.iter().sum();
            let sum: f64 = values.iter().zip(drawn).map(|(value, drawn)| value * f64::from(*drawn)).sum();
            Some(sum / f64::from(all))
        })
    }

    #[test]
    fn of_independent_values_it_is_the_standard_error_of_the_mean() {
        let mut random = SplitMix(1);
        let values: Vec<f64> = (0..200).map(|_| random.below(1000) as f64).collect();
        let (own, exact) = (mean_of(&values).unwrap(), (variance(&values) / 200.0).sqrt());
        assert!((own / exact - 1.0).abs() < 0.2, "{own} {exact}");
    }

    #[test]
    fn values_that_stay_for_a_while_are_less_sure_of() {
        let steps: Vec<f64> = (0..64).map(|at| f64::from(u8::from(at / 8 % 2 == 0))).collect();
        let mixed: Vec<f64> = (0..64).map(|at| f64::from(u8::from(at % 2 == 0))).collect();
        assert!(mean_of(&steps).unwrap() > 1.5 * mean_of(&mixed).unwrap());
        assert_eq!(mean_of(&[1.0]), None);
    }
}
