//! A share of a rate that one worker holds for one key, so that not every request asks the store.
//!
//! A lease is taken before it is used and lapses one sync interval after it was asked for; what is left then is lost. So
//! whoever holds leases, over any time `t` no more than `burst + rate * (t + sync)` pass. The price stands on the other
//! side: a key may be refused while others hold leases of it, of at most `rate * sync` each.

/// One key's leases on one worker. Times are nanoseconds of one clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct Lease {
    /// Units, and when they lapse: the older first.
    batches: [(u64, u64); 2],
    /// Refused until then.
    denied_until: u64,
    /// What was used since `since`, and in the interval before.
    used: u64,
    before: u64,
    since: u64,
    asking: bool,
}

/// What a lease says to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It passes, and so much is left. Where there is a number, so much is to be asked for meanwhile.
    Pass(u64, Option<u64>),
    /// Ask for so much, at least for the request's cost; then it is known. `true`: what is left over becomes a lease,
    /// and [`Lease::granted`], [`Lease::refused`] or [`Lease::failed`] has to follow.
    Ask(u64, bool),
    /// Not for so many nanoseconds.
    Deny(u64),
}

impl Lease {
    /// Decides on a request. `most` is what one sync interval of the rate brings.
    pub fn take(&mut self, now: u64, cost: u64, sync_ns: u64, most: u64) -> Taken {
        self.forward(now, sync_ns);
        if cost <= self.left(now) {
            self.spend(now, cost);
            self.used = self.used.saturating_add(cost);
            let left = self.left(now);
            // One batch at a time: the other place is for the next.
            let low = left <= self.demand(1, most) / 2 && self.batches[1].0 == 0;
            let next = (low && !self.asking && now >= self.denied_until).then(|| self.demand(1, most));
            self.asking |= next.is_some();
            return Taken::Pass(left, next);
        }
        if now < self.denied_until {
            return Taken::Deny(self.denied_until - now);
        }
        self.used = self.used.saturating_add(cost);
        if self.asking || self.batches[1].0 > 0 {
            return Taken::Ask(cost, false);
        }
        self.asking = true;
        Taken::Ask(self.demand(cost, most), true)
    }

    /// The store has granted what was asked for at `asked`: so much, without what the request itself costs.
    pub fn granted(&mut self, asked: u64, units: u64, sync_ns: u64) {
        self.asking = false;
        if units == 0 {
            return;
        }
        if self.batches[0].0 > 0 && self.batches[1].0 > 0 {
            // More than was to be held; it lapses at once.
            return;
        }
        let at = usize::from(self.batches[0].0 > 0);
        self.batches[at] = (units, asked.saturating_add(sync_ns));
    }

    /// The store has refused, for so long.
    pub fn refused(&mut self, now: u64, retry_ns: u64, sync_ns: u64) {
        self.asking = false;
        self.denied_until = now.saturating_add(retry_ns.min(sync_ns));
    }

    /// The store did not answer.
    pub fn failed(&mut self) {
        self.asking = false;
    }

    /// Nothing of it matters any more.
    #[must_use]
    pub fn over(&self, now: u64, sync_ns: u64) -> bool {
        !self.asking && self.left(now) == 0 && now >= self.denied_until && now.saturating_sub(self.since) > 2 * sync_ns
    }

    /// What it holds.
    #[must_use]
    pub fn left(&self, now: u64) -> u64 {
        self.batches.iter().filter(|(_, until)| now < *until).map(|(units, _)| units).sum()
    }

    /// As much as was used in an interval of late, at least `cost` and where that is less at most `most`.
    fn demand(&self, cost: u64, most: u64) -> u64 {
        self.used.max(self.before).min(most).max(cost)
    }

    fn spend(&mut self, now: u64, mut cost: u64) {
        for (units, until) in &mut self.batches {
            if now < *until {
                let took = cost.min(*units);
                *units -= took;
                cost -= took;
            }
        }
        self.settle(now);
    }

    fn forward(&mut self, now: u64, sync_ns: u64) {
        let passed = now.saturating_sub(self.since);
        if passed >= sync_ns {
            self.before = if passed < 2 * sync_ns { self.used } else { 0 };
            self.used = 0;
            self.since = now;
        }
        self.settle(now);
    }

    /// What is spent or has lapsed makes room.
    fn settle(&mut self, now: u64) {
        for batch in &mut self.batches {
            if now >= batch.1 {
                *batch = (0, 0);
            }
        }
        if self.batches[0].0 == 0 {
            self.batches = [self.batches[1], (0, 0)];
        }
    }
}
