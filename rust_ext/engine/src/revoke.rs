//! Tokens revoked while the engine runs.

use std::time::Duration;

pub use fastgate_core::auth::By;
use fastgate_core::auth::{MAX_REVOKED, Unkept};

use crate::clock;
use crate::engine::Engine;

impl Engine {
    /// Refuses tokens from now on, where a policy has `revocation`: one by its `jti`, or those of a subject that were
    /// issued until now. It is forgotten after `lasts`, which is to be as long as any such token holds.
    ///
    /// Returns how many revocations there are.
    ///
    /// # Errors
    /// A sentence: there are too many already, or the name is empty or too long.
    pub fn revoke_token(&self, by: By, name: &str, lasts: Duration) -> Result<usize, String> {
        let lasts = u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX);
        let until = i64::try_from(clock::unix_ms().saturating_add(lasts)).unwrap_or(i64::MAX);
        self.shared.registry.guards.jwt.revoked.revoke(by, name, until).map_err(|why| match why {
            Unkept::Full => format!("{MAX_REVOKED} revocations are kept, and no more"),
            Unkept::Name => "a jti or sub has 1 to 1024 bytes".to_owned(),
        })
    }
}
