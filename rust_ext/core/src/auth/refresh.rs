//! When a key set is fetched again: by its Cache-Control, sooner when a token names a key that is not in it, and never
//! more than once in ten seconds (class J8). Times are milliseconds of a clock that is passed in.

/// Between the beginnings of two fetches.
pub const SPACING_MS: u64 = 10_000;

/// What an answer's `max-age` is brought into.
const LEAST_MS: u64 = 60_000;
const MOST_MS: u64 = 24 * 3_600_000;

/// For an answer that says nothing.
const USUAL_MS: u64 = 15 * 60_000;

/// The longest wait after failures.
const RETRY_MS: u64 = 5 * 60_000;

/// When one key set is fetched.
#[derive(Debug, Clone, Default)]
pub struct Refresh {
    started: Option<u64>,
    due: u64,
    failures: u32,
}

impl Refresh {
    /// When the next fetch begins; `wanted`: somebody waits for a key.
    #[must_use]
    pub fn next(&self, wanted: bool) -> u64 {
        let earliest = self.started.map_or(0, |started| started.saturating_add(SPACING_MS));
        if wanted { earliest } else { self.due.max(earliest) }
    }

    /// A fetch begins.
    pub fn begin(&mut self, now: u64) {
        self.started = Some(now);
    }

    /// It brought keys, which hold so many seconds.
    pub fn succeeded(&mut self, now: u64, max_age: Option<u64>) {
        self.failures = 0;
        let holds = max_age.map_or(USUAL_MS, |seconds| seconds.saturating_mul(1_000).clamp(LEAST_MS, MOST_MS));
        self.due = now.saturating_add(holds);
    }

    /// It did not; `random` spreads those that failed together.
    pub fn failed(&mut self, now: u64, random: u64) {
        let wait = SPACING_MS.saturating_mul(1 << self.failures.min(10)).min(RETRY_MS);
        self.failures = self.failures.saturating_add(1);
        self.due = now.saturating_add(wait / 2 + random % (wait / 2));
    }

    /// Fetches in a row that brought nothing.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_makes_it_ask_twice_in_ten_seconds() {
        let mut refresh = Refresh::default();
        let (mut now, mut fetches, mut random) = (0, 0, 7_u64);
        let mut starts = Vec::new();
        // Ten minutes in which a key is wanted all the time and every third fetch fails.
        while now < 600_000 {
            if refresh.next(true) <= now {
                refresh.begin(now);
                starts.push(now);
                fetches += 1;
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                if fetches % 3 == 0 { refresh.failed(now + 200, random) } else { refresh.succeeded(now + 200, Some(0)) }
            }
            now += 50;
        }
        assert_eq!(starts.len(), 60);
        assert!(starts.windows(2).all(|pair| pair[1] - pair[0] >= SPACING_MS));
    }

    #[test]
    fn it_follows_what_the_answer_says_within_bounds() {
        let due = |max_age| {
            let mut refresh = Refresh::default();
            refresh.begin(1_000);
            refresh.succeeded(2_000, max_age);
            refresh.next(false) - 2_000
        };
        assert_eq!(due(Some(300)), 300_000);
        assert_eq!(due(Some(0)), LEAST_MS);
        assert_eq!(due(Some(u64::MAX)), MOST_MS);
        assert_eq!(due(None), USUAL_MS);
    }

    #[test]
    fn failures_wait_longer_and_longer() {
        let mut refresh = Refresh::default();
        let mut last = 0;
        for _ in 0..20 {
            let now = refresh.next(false);
            assert!(now - last <= RETRY_MS + SPACING_MS);
            refresh.begin(now);
            refresh.failed(now, u64::MAX);
            last = now;
        }
        assert!(refresh.next(false) - last >= RETRY_MS / 2);
        assert_eq!(refresh.failures(), 20);
        refresh.succeeded(last, None);
        assert_eq!(refresh.failures(), 0);
    }
}
