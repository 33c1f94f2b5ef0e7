//! What a decision on a limit costs: millions a second on one core, and bytes a key.
//!
//! `cargo run --release -p fastgate-core --example limit_cost`. Keys come in random order, so that a large table pays for
//! its cache misses; "hashed" includes making the key of a 16-byte value, as a request does.

use std::hint::black_box;
use std::time::Instant;

use fastgate_core::limit::{Gcra, Hasher, Key, RateTable};

const DECISIONS: usize = 8_000_000;
const ROUNDS: usize = 5;

fn main() {
    let hasher = Hasher::new((0x1234_5678, 0x9ABC_DEF0));
    let rate = Gcra::new(100, 1_000_000_000, 200, &[]).expect("a rate");
    println!("{:>9} {:>14} {:>14} {:>12} {:>12}", "keys", "M decisions/s", "hashed", "of those", "bytes a key");
    for count in [1, 1_000, 10_000, 1_000_000] {
        let values: Vec<[u8; 16]> = (0..count).map(|number: u128| number.to_le_bytes()).collect();
        let keys: Vec<Key> = values.iter().map(|value| hasher.one(value)).collect();
        let table = RateTable::default();
        let mut now = 1_000_000_000;
        for key in &keys {
            table.take(&rate, key, now, 50);
        }
        let bytes = table.bytes() as f64 / keys.len() as f64;
        let mut random = 0x9E37_79B9_7F4A_7C15_u64;
        let order: Vec<u32> = (0..DECISIONS)
            .map(|_| {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                u32::try_from(random % keys.len() as u64).expect("a number of a key")
            })
            .collect();
        let mut best = (f64::MAX, f64::MAX);
        let mut passed = 0;
        for _ in 0..ROUNDS {
            let begin = Instant::now();
            for &at in &order {
                now += 10;
                passed += usize::from(table.take(&rate, &keys[at as usize], now, 1).passes());
            }
            best.0 = best.0.min(begin.elapsed().as_secs_f64());
            let begin = Instant::now();
            for &at in &order {
                now += 10;
                let key = hasher.one(black_box(&values[at as usize]));
                passed += usize::from(table.take(&rate, &key, now, 1).passes());
            }
            best.1 = best.1.min(begin.elapsed().as_secs_f64());
        }
        let million = |seconds: f64| DECISIONS as f64 / seconds / 1e6;
        let share = 100 * passed / (2 * ROUNDS * DECISIONS);
        println!("{count:>9} {:>14.1} {:>14.1} {share:>10} % {bytes:>12.1}", million(best.0), million(best.1));
    }
}
