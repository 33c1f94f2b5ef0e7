//! Histograms of times: linear within each decade's parts, from a microsecond to a hundred seconds.

use super::{Counter, Fold};

/// Steps of a decade, in hundredths of it; no bucket is wider than a quarter of its lower bound.
const STEPS: [u64; 14] = [100, 125, 150, 175, 200, 250, 300, 350, 400, 500, 600, 700, 800, 900];

/// Decades from 1 microsecond.
const DECADES: usize = 8;

/// Upper bounds in nanoseconds, included; the bucket behind the last has none.
const BOUNDS: [u64; STEPS.len() * DECADES + 1] = {
    let mut bounds = [0; STEPS.len() * DECADES + 1];
    let (mut i, mut scale) = (0, 10);
    while i < STEPS.len() * DECADES {
        bounds[i] = STEPS[i % STEPS.len()] * scale;
        i += 1;
        if i % STEPS.len() == 0 {
            scale *= 10;
        }
    }
    bounds[i] = 100 * scale;
    bounds
};

/// Buckets.
const BUCKETS: usize = BOUNDS.len() + 1;

/// By the number of leading zeros of a time: the first bucket that may hold it.
const FIRST: [u8; 65] = {
    let mut first = [0; 65];
    let mut zeros = 0;
    while zeros <= 64 {
        // The least number with so many leading zeros.
        let least = if zeros == 64 { 0 } else { 1 << (63 - zeros) };
        let mut i = 0;
        while i < BOUNDS.len() && BOUNDS[i] < least {
            i += 1;
        }
        #[expect(clippy::cast_possible_truncation, reason = "there are fewer than 256 buckets")]
        {
            first[zeros] = i as u8;
        }
        zeros += 1;
    }
    first
};

/// The bounds that are exported, in nanoseconds and as they are written in seconds; each is one of [`BOUNDS`].
pub(crate) const EXPORTED: [(u64, &str); 22] = [
    (10_000, "0.00001"),
    (25_000, "0.000025"),
    (50_000, "0.00005"),
    (100_000, "0.0001"),
    (250_000, "0.00025"),
    (500_000, "0.0005"),
    (1_000_000, "0.001"),
    (2_500_000, "0.0025"),
    (5_000_000, "0.005"),
    (10_000_000, "0.01"),
    (25_000_000, "0.025"),
    (50_000_000, "0.05"),
    (100_000_000, "0.1"),
    (250_000_000, "0.25"),
    (500_000_000, "0.5"),
    (1_000_000_000, "1"),
    (2_500_000_000, "2.5"),
    (5_000_000_000, "5"),
    (10_000_000_000, "10"),
    (30_000_000_000, "30"),
    (60_000_000_000, "60"),
    (100_000_000_000, "100"),
];

fn bucket(ns: u64) -> usize {
    let mut i = usize::from(FIRST[ns.leading_zeros() as usize]);
    while i < BOUNDS.len() && BOUNDS[i] < ns {
        i += 1;
    }
    i
}

/// One worker's counts of times.
#[derive(Debug)]
pub(crate) struct Histogram {
    counts: [Counter; BUCKETS],
    sum_ns: Counter,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: std::array::from_fn(|_| Counter::default()), sum_ns: Counter::default() }
    }
}

impl Histogram {
    /// Counts one time.
    pub(crate) fn record(&self, ns: u64) {
        self.counts[bucket(ns)].add(1);
        self.sum_ns.add(ns);
    }
}

impl Fold for Histogram {
    fn absorb(&self, other: &Self) {
        for (own, theirs) in self.counts.iter().zip(&other.counts) {
            own.add(theirs.get());
        }
        self.sum_ns.add(other.sum_ns.get());
    }
}

/// The times of requests to one service or route: total, of the upstream, of the gateway itself.
#[derive(Debug, Default)]
pub(crate) struct Times {
    /// From a complete head to the end of the answer.
    pub(crate) total: Histogram,
    /// Of it, what was spent waiting for the upstream.
    pub(crate) upstream: Histogram,
    /// The rest.
    pub(crate) own: Histogram,
}

impl Times {
    /// Counts one request.
    pub(crate) fn record(&self, total_ns: u64, upstream_ns: u64) {
        self.total.record(total_ns);
        self.upstream.record(upstream_ns);
        self.own.record(total_ns.saturating_sub(upstream_ns));
    }
}

impl Fold for Times {
    fn absorb(&self, other: &Self) {
        self.total.absorb(&other.total);
        self.upstream.absorb(&other.upstream);
        self.own.absorb(&other.own);
    }
}

/// Histograms of several workers added up.
#[derive(Debug, Clone)]
pub(crate) struct Sum {
    counts: [u64; BUCKETS],
    sum_ns: u64,
}

impl Default for Sum {
    fn default() -> Self {
        Self { counts: [0; BUCKETS], sum_ns: 0 }
    }
}

impl Sum {
    /// Adds one worker's.
    pub(crate) fn add(&mut self, histogram: &Histogram) {
        for (own, theirs) in self.counts.iter_mut().zip(&histogram.counts) {
            *own += theirs.get();
        }
        self.sum_ns = self.sum_ns.wrapping_add(histogram.sum_ns.get());
    }

    /// Times counted.
    pub(crate) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Their sum in seconds.
    #[expect(clippy::cast_precision_loss, reason = "a sum of times needs no more than 53 bits")]
    pub(crate) fn seconds(&self) -> f64 {
        self.sum_ns as f64 / 1e9
    }

    /// For each exported bound the times that are not longer.
    pub(crate) fn cumulative(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let (mut i, mut below) = (0, 0);
        EXPORTED.iter().map(move |(bound, text)| {
            while i < BOUNDS.len() && BOUNDS[i] <= *bound {
                below += self.counts[i];
                i += 1;
            }
            (*text, below)
        })
    }

    /// The time in microseconds that this share of them does not exceed, to the middle of its bucket; 0 without any.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank among counts"
    )]
    pub(crate) fn quantile_us(&self, share: f64) -> f64 {
        let count = self.count();
        let rank = ((count as f64 * share).ceil() as u64).clamp(1, count.max(1));
        let mut below = 0;
        for (i, n) in self.counts.iter().enumerate() {
            below += n;
            if below >= rank {
                let low = if i == 0 { 0 } else { BOUNDS[i - 1] };
                let high = BOUNDS.get(i).copied().unwrap_or(low);
                return (low + high) as f64 / 2e3;
            }
        }
        0.0
    }
}

/// [`Times`] of several workers added up.
#[derive(Debug, Clone, Default)]
pub(crate) struct TimesSum {
    pub(crate) total: Sum,
    pub(crate) upstream: Sum,
    pub(crate) own: Sum,
}

impl TimesSum {
    /// Adds one worker's.
    pub(crate) fn add(&mut self, times: &Times) {
        self.total.add(&times.total);
        self.upstream.add(&times.upstream);
        self.own.add(&times.own);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_falls_into_the_bucket_that_a_search_finds() {
        let mut state = 1_u64;
        for _ in 0..100_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let ns = state >> (state & 63);
            assert_eq!(bucket(ns), BOUNDS.partition_point(|bound| *bound < ns), "{ns}");
        }
        for (i, bound) in BOUNDS.iter().enumerate() {
            assert_eq!((bucket(*bound), bucket(*bound + 1)), (i, i + 1), "a bound belongs to its bucket");
        }
        assert_eq!((bucket(0), bucket(u64::MAX)), (0, BUCKETS - 1));
    }

    #[test]
    fn every_exported_bound_is_a_bound_and_is_written_as_it_is() {
        for (bound, text) in EXPORTED {
            assert!(BOUNDS.contains(&bound), "{bound}");
            assert_eq!(text.parse::<f64>().unwrap() * 1e9, bound as f64, "{text}");
        }
    }

    #[test]
    fn sums_counts_and_quantiles() {
        let one = Histogram::default();
        let two = Histogram::default();
        for us in 1..=1_000 {
            if us % 2 == 0 { &one } else { &two }.record(us * 1_000);
        }
        one.record(500_000_000_000);
        let mut sum = Sum::default();
        sum.add(&one);
        sum.add(&two);
        assert_eq!(sum.count(), 1_001);
        let found: Vec<_> = sum.cumulative().map(|(_, n)| n).collect();
        assert_eq!(found[..7], [10, 25, 50, 100, 250, 500, 1_000]);
        assert_eq!(found[21], 1_000, "what took longer than every bound is in +Inf only");
        assert!((sum.seconds() - 500.5005).abs() < 1e-9);
        for (share, us) in [(0.5, 500.0), (0.95, 950.0), (0.99, 990.0)] {
            assert!((sum.quantile_us(share) / us - 1.0_f64).abs() <= 0.125, "{share}: {}", sum.quantile_us(share));
        }
        assert_eq!(Sum::default().quantile_us(0.99), 0.0);
        let folded = Histogram::default();
        folded.absorb(&one);
        folded.absorb(&two);
        let mut again = Sum::default();
        again.add(&folded);
        assert_eq!((again.counts, again.sum_ns), (sum.counts, sum.sum_ns));
    }
}
