//! A log-linear histogram of nanoseconds: 64 steps an octave, so every value is known to better than 1.6 %.

const STEP_BITS: u32 = 6;
const STEPS: usize = 1 << STEP_BITS;
/// One row for values below 64 and one for every power of two above.
const ROWS: usize = 64 - STEP_BITS as usize + 1;

/// Counts of values by magnitude, in fixed memory (30 KB).
#[derive(Debug, Clone)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    sum: u128,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; ROWS * STEPS], total: 0, sum: 0, max: 0 }
    }
}

impl Histogram {
    /// Counts one value.
    pub fn record(&mut self, nanos: u64) {
        self.counts[index(nanos)] += 1;
        self.total += 1;
        self.sum += u128::from(nanos);
        self.max = self.max.max(nanos);
    }

    /// Counts all values of another one.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.total += other.total;
        self.sum += other.sum;
        self.max = self.max.max(other.max);
    }

    /// How many values there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.total
    }

    /// The largest value, exact.
    #[must_use]
    pub fn max(&self) -> u64 {
        self.max
    }

    /// The mean, exact; 0 without values.
    #[must_use]
    pub fn mean(&self) -> u64 {
        u64::try_from(self.sum.checked_div(u128::from(self.total)).unwrap_or(0)).unwrap_or(u64::MAX)
    }

    /// The value that `share` (0 to 1) of all values do not exceed, rounded up within its step; 0 without values.
    #[must_use]
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank")]
    pub fn quantile(&self, share: f64) -> u64 {
        let rank = ((self.total as f64 * share).ceil() as u64).clamp(1, self.total.max(1));
        let mut seen = 0;
        for (i, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return highest(i).min(self.max);
            }
        }
        self.max
    }
}

fn index(value: u64) -> usize {
    let Some(octave) = (u64::BITS - value.leading_zeros()).checked_sub(STEP_BITS + 1) else {
        return usize::try_from(value).unwrap_or(0);
    };
    let step = usize::try_from(value >> octave).unwrap_or(0) - STEPS;
    (octave as usize + 1) * STEPS + step
}

/// The largest value that falls on this index.
fn highest(index: usize) -> u64 {
    let (row, step) = (index / STEPS, index % STEPS);
    let Some(octave) = row.checked_sub(1) else { return step as u64 };
    (((STEPS + step) as u64) << octave) | ((1 << octave) - 1)
}

#[cfg(test)]
mod tests {
    use super::{Histogram, highest, index};

    #[test]
    fn indices_rise_with_values_and_stay_in_the_table() {
        let mut last = 0;
        for value in (0..200_000).chain((18..64).map(|bit| 1 << bit)).chain([u64::MAX]) {
            let at = index(value);
            assert!(at >= last && at < Histogram::default().counts.len(), "{value}");
            assert!(highest(at) >= value, "{value}");
            last = at;
        }
    }

    #[test]
    fn quantiles_are_within_two_percent() {
        let mut histogram = Histogram::default();
        (1..=100_000).for_each(|i| histogram.record(i * 1_000));
        for (share, exact) in [(0.5, 50_000_000_u64), (0.99, 99_000_000), (0.999, 99_900_000), (1.0, 100_000_000)] {
            let found = histogram.quantile(share);
            assert!(found.abs_diff(exact) * 50 <= exact, "{share}: {found}");
        }
        assert_eq!((histogram.count(), histogram.max(), histogram.mean()), (100_000, 100_000_000, 50_000_500));
        assert_eq!(Histogram::default().quantile(0.5), 0);
        let mut both = histogram.clone();
        (1..=100_000).for_each(|_| both.record(1));
        both.add(&histogram);
        assert_eq!((both.count(), both.max(), both.quantile(0.3)), (300_000, 100_000_000, 1));
    }
}
