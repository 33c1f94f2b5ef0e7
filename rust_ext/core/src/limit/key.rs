//! What a count is kept for: a 128-bit keyed hash, so that nobody can choose values that share a count.

use std::hash::Hasher as _;
use std::net::IpAddr;

use siphasher::sip128::{Hasher128, SipHasher13};

/// The hash of a key's parts, and where the key counts once its table is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    pub(super) high: u64,
    pub(super) low: u64,
    /// The hash of the client's network.
    pub(super) network: u64,
}

impl Key {
    /// Its 128 bits.
    #[must_use]
    pub fn words(&self) -> (u64, u64) {
        (self.high, self.low)
    }

    /// The key of something that has no client: once the table is full, it shares a count by its own hash.
    #[must_use]
    pub fn spread(self) -> Self {
        Self { network: self.low, ..self }
    }
}

/// Makes keys, under a secret of the process.
#[derive(Debug, Clone, Copy)]
pub struct Hasher {
    secret: (u64, u64),
}

/// A key under way.
#[derive(Debug)]
pub struct Parts(SipHasher13);

impl Hasher {
    /// With a secret from the system's randomness.
    #[must_use]
    pub fn new(secret: (u64, u64)) -> Self {
        Self { secret }
    }

    /// Begins a key.
    #[must_use]
    pub fn begin(&self) -> Parts {
        Parts(SipHasher13::new_with_keys(self.secret.0, self.secret.1))
    }

    /// The key of one value.
    #[must_use]
    pub fn one(&self, value: &[u8]) -> Key {
        let mut parts = self.begin();
        parts.bytes(value);
        self.end(&parts, None)
    }

    /// Ends a key; those of one network (/16, or /48 in IPv6) share a count when there is no room for their own.
    #[must_use]
    pub fn end(&self, parts: &Parts, client: Option<IpAddr>) -> Key {
        let hash = parts.0.finish128();
        Key { high: hash.h1, low: hash.h2, network: client.map_or(0, |address| self.network(address)) }
    }

    fn network(&self, address: IpAddr) -> u64 {
        let network = match address.to_canonical() {
            IpAddr::V4(v4) => u64::from(u32::from(v4) >> 16) | 1 << 63,
            IpAddr::V6(v6) => u64::try_from(u128::from(v6) >> 80).unwrap_or_default(),
        };
        (network ^ self.secret.0).wrapping_mul(self.secret.1 | 1).rotate_left(32)
    }
}

impl Key {
    /// Its hash alone, as it stands in a store.
    #[must_use]
    pub fn digest(&self) -> [u8; 16] {
        (u128::from(self.high) << 64 | u128::from(self.low)).to_be_bytes()
    }
}

impl Parts {
    /// One part: what follows it cannot be taken for its end.
    pub fn bytes(&mut self, value: &[u8]) {
        self.0.write_usize(value.len());
        self.0.write(value);
    }

    /// A part that is not there, which differs from an empty one.
    pub fn absent(&mut self) {
        self.0.write_u64(u64::MAX);
    }

    /// A client: an IPv4 address, or the /64 of an IPv6 address.
    pub fn address(&mut self, address: IpAddr) {
        match address.to_canonical() {
            IpAddr::V4(v4) => self.0.write_u64(u64::from(u32::from(v4)) | 1 << 62),
            IpAddr::V6(v6) => {
                self.0.write_u64(1 << 61);
                self.0.write_u64(u64::try_from(u128::from(v6) >> 64).unwrap_or_default());
            }
        }
    }
}
