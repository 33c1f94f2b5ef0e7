//! K1: what a look-up takes says nothing of the keys (Welch's t-test over two kinds of wrong keys, as dudect does it).

use std::hint::black_box;
use std::time::Instant;

use fastgate_core::auth::api_key::{KeyKind, make};
use fastgate_core::auth::{Digest, KeyTable};
use fastgate_core::snapshot::policies::KeyDigest;

const TRIES: usize = 100_000;

/// Beyond it, two kinds are told apart.
const BOUND: f64 = 4.5;

/// Wrong keys: even ones are as one that is stored but for their last bytes, odd ones have nothing in common with it.
struct Wrong {
    stored: String,
    state: u64,
}

impl Wrong {
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A key of a kind that chance chooses.
    fn key(&mut self) -> (usize, String) {
        let random: [u8; 32] = std::array::from_fn(|_| self.next() as u8);
        let other = make(KeyKind::Api, &random);
        let kind = (self.next() & 1) as usize;
        let shared = if kind == 0 { self.stored.len() - 8 } else { 0 };
        (kind, format!("{}{}", &self.stored[..shared], &other[shared..]))
    }
}

/// Welch's t of the times of the two kinds, the slowest tenth of all left out: there the machine did something else.
fn t_value(mut find: impl FnMut(&[u8]) -> bool, wrong: &mut Wrong) -> f64 {
    let mut times = Vec::with_capacity(TRIES);
    for _ in 0..TRIES {
        let (kind, key) = wrong.key();
        let start = Instant::now();
        let found = black_box(find(black_box(key.as_bytes())));
        let ns = start.elapsed().as_nanos() as f64;
        assert!(!found, "a wrong key was found");
        times.push((kind, ns));
    }
    let mut sorted: Vec<f64> = times.iter().map(|(_, ns)| *ns).collect();
    sorted.sort_by(f64::total_cmp);
    let most = sorted[TRIES / 10 * 9];
    let mut moments = [(0.0, 0.0, 0.0); 2];
    for (kind, ns) in times.into_iter().filter(|(_, ns)| *ns <= most) {
        let (n, mean, squares) = &mut moments[kind];
        *n += 1.0;
        let away = ns - *mean;
        *mean += away / *n;
        *squares += away * (ns - *mean);
    }
    let [(n0, mean0, squares0), (n1, mean1, squares1)] = moments;
    (mean0 - mean1) / (squares0 / (n0 - 1.0) / n0 + squares1 / (n1 - 1.0) / n1).sqrt()
}

fn table(stored: &str) -> KeyTable<u32> {
    let mut table = KeyTable::default();
    let others = (0..100_u8).map(|i| make(KeyKind::Api, &[i; 32]));
    for (key, value) in others.chain([stored.to_owned()]).zip(0..) {
        table.insert(&KeyDigest::Sha256(Digest::of(key.as_bytes()).to_hex()), &[], value).unwrap();
    }
    table
}

/// A busy machine makes one round unlucky now and then; a real difference shows in every round.
#[test]
fn k1_a_look_up_does_not_tell_how_much_of_a_key_was_right() {
    let stored = make(KeyKind::Api, &std::array::from_fn(|i| i as u8));
    let table = table(&stored);
    assert!(table.find(stored.as_bytes()).is_some());
    let mut wrong = Wrong { stored, state: 1 };
    let mut rounds = Vec::new();
    while rounds.len() < 5 {
        let t = t_value(|key| table.find(key).is_some(), &mut wrong);
        if t.abs() < BOUND {
            return;
        }
        rounds.push(t);
    }
    panic!("the two kinds of wrong keys are told apart: {rounds:?}");
}

/// The test itself: a comparison that stops at the first difference is told apart in every round.
#[test]
fn k1_a_look_up_that_tells_is_found_out() {
    let stored = make(KeyKind::Api, &std::array::from_fn(|i| i as u8));
    let leaky = |key: &[u8]| {
        let known = stored.as_bytes();
        known.len() == key.len() && known.iter().zip(key).all(|(a, b)| black_box(a) == black_box(b))
    };
    let mut wrong = Wrong { stored: stored.clone(), state: 1 };
    let rounds: Vec<f64> = (0..2).map(|_| t_value(leaky, &mut wrong)).collect();
    assert!(rounds.iter().all(|t| t.abs() > BOUND), "{rounds:?}");
}
