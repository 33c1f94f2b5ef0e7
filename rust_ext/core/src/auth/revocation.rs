//! Tokens that were revoked before their end, by `jti` or by `sub`.

use std::collections::HashMap;

use super::jwt::Token;

/// Most entries; at the bound a further revocation is refused, none is forgotten.
pub const MAX_REVOKED: usize = 100_000;

/// Longest `jti` or `sub` that can be revoked, in bytes.
pub const MAX_NAME: usize = 1024;

/// What is revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum By {
    /// One token.
    Id,
    /// Every token of a subject that was issued until then.
    Subject,
}

/// A revocation that cannot be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unkept {
    /// There are [`MAX_REVOKED`].
    Full,
    /// The name is empty or longer than [`MAX_NAME`].
    Name,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    /// When it was revoked.
    at_ms: i64,
    /// When it can be forgotten: every token it is about has ended.
    until_ms: i64,
}

/// What was revoked.
#[derive(Debug, Default)]
pub struct Revocations {
    ids: HashMap<Box<str>, Entry>,
    subjects: HashMap<Box<str>, Entry>,
}

impl Revocations {
    /// Revokes. Times are milliseconds since 1970; of two for the same name, the later ends hold.
    ///
    /// # Errors
    /// [`Unkept`].
    pub fn revoke(&mut self, by: By, name: &str, now_ms: i64, until_ms: i64) -> Result<(), Unkept> {
        if name.is_empty() || name.len() > MAX_NAME {
            return Err(Unkept::Name);
        }
        if self.len() >= MAX_REVOKED {
            self.forget(now_ms);
        }
        let full = self.len() >= MAX_REVOKED;
        let names = match by {
            By::Id => &mut self.ids,
            By::Subject => &mut self.subjects,
        };
        match names.get_mut(name) {
            Some(entry) => {
                entry.at_ms = entry.at_ms.max(now_ms);
                entry.until_ms = entry.until_ms.max(until_ms);
            }
            None if full => return Err(Unkept::Full),
            None => {
                names.insert(name.into(), Entry { at_ms: now_ms, until_ms });
            }
        }
        Ok(())
    }

    /// Whether a token is revoked. One without `iat` is, if its subject is.
    #[must_use]
    pub fn covers(&self, token: &Token, now_ms: i64) -> bool {
        let of = |names: &HashMap<Box<str>, Entry>, name: Option<&str>| {
            names.get(name?).filter(|entry| entry.until_ms > now_ms).copied()
        };
        let by_subject = of(&self.subjects, token.subject())
            // A token says its time in whole seconds.
            .is_some_and(|entry| token.issued_ms().is_none_or(|issued| issued <= entry.at_ms));
        by_subject || of(&self.ids, token.id()).is_some()
    }

    /// All that hold: what is revoked, its name, when it was and until when that counts.
    pub fn holding(&self, now_ms: i64) -> impl Iterator<Item = (By, &str, i64, i64)> {
        let ids = self.ids.iter().map(|(name, entry)| (By::Id, name, entry));
        let subjects = self.subjects.iter().map(|(name, entry)| (By::Subject, name, entry));
        let holding = ids.chain(subjects).filter(move |(_, _, entry)| entry.until_ms > now_ms);
        holding.map(|(by, name, entry)| (by, &**name, entry.at_ms, entry.until_ms))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ids.len() + self.subjects.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Drops those that have ended.
    pub fn forget(&mut self, now_ms: i64) {
        self.ids.retain(|_, entry| entry.until_ms > now_ms);
        self.subjects.retain(|_, entry| entry.until_ms > now_ms);
    }
}
