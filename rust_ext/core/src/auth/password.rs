//! Passwords as argon2id hashes (RFC 9106), written as PHC strings, and the file of users that holds them.

use std::collections::HashMap;
use std::fmt;

use argon2::{Algorithm, Argon2, Params, Version};

/// Largest file of users, in bytes.
pub const MAX_USER_FILE: usize = 16 * 1024 * 1024;

/// Most memory that one verification may take, in KiB.
pub const MAX_MEMORY: u32 = 64 * 1024;

/// Least memory of a hash that is taken, in KiB (OWASP's smallest is 7 MiB; a file may have what its maker chose).
const MIN_MEMORY: u32 = 1024;

/// Most passes.
pub const MAX_PASSES: u32 = 4;

/// Most lanes.
const MAX_LANES: u32 = 16;

/// What `fastgate keys password` uses: 19 MiB, two passes, one lane (the first choice of OWASP).
const MEMORY: u32 = 19 * 1024;
const PASSES: u32 = 2;

const HASH_BYTES: usize = 32;

/// The hash of one password.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash {
    memory: u32,
    passes: u32,
    lanes: u32,
    salt: Box<[u8]>,
    hash: Box<[u8]>,
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasswordHash")
            .field("memory", &self.memory)
            .field("passes", &self.passes)
            .finish_non_exhaustive()
    }
}

impl PasswordHash {
    /// Reads a PHC string: `$argon2id$v=19$m=…,t=…,p=…$SALT$HASH`.
    ///
    /// # Errors
    /// What is allowed, without a part of the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        const FORM: &str = "allowed: $argon2id$v=19$m=…,t=…,p=…$SALT$HASH";
        let parts: Vec<&str> = text.split('$').collect();
        let &["", "argon2id", "v=19", costs, salt, hash] = &parts[..] else { return Err(FORM.to_owned()) };
        let mut costs = costs.split(',');
        let mut cost = |name: &str| {
            let value = costs.next()?.strip_prefix(name)?.strip_prefix('=')?;
            value.bytes().all(|byte| byte.is_ascii_digit()).then(|| value.parse::<u32>().ok()).flatten()
        };
        let (Some(memory), Some(passes), Some(lanes), None) = (cost("m"), cost("t"), cost("p"), costs.next()) else {
            return Err(FORM.to_owned());
        };
        for (name, found, low, high) in
            [("m", memory, MIN_MEMORY, MAX_MEMORY), ("t", passes, 1, MAX_PASSES), ("p", lanes, 1, MAX_LANES)]
        {
            if !(low..=high).contains(&found) {
                return Err(format!("{name}={found}; allowed: {low} to {high}"));
            }
        }
        let bytes = |text: &str, low: usize| unpadded(text).filter(|read| (low..=64).contains(&read.len()));
        let (Some(salt), Some(hash)) = (bytes(salt, 8), bytes(hash, 16)) else {
            return Err("allowed: a salt of 8 to 64 bytes and a hash of 16 to 64, in base64 without padding".to_owned());
        };
        Ok(Self { memory, passes, lanes, salt: salt.into(), hash: hash.into() })
    }

    /// Whether that password has this hash. It takes the memory and the time that the hash says.
    #[must_use]
    pub fn verify(&self, password: &[u8]) -> bool {
        let mut found = [0; 64];
        let found = &mut found[..self.hash.len()];
        let Some(argon2) = self.argon2() else { return false };
        argon2.hash_password_into(password, &self.salt, found).is_ok() && same(found, &self.hash)
    }

    fn argon2(&self) -> Option<Argon2<'static>> {
        let params = Params::new(self.memory, self.passes, self.lanes, Some(self.hash.len())).ok()?;
        Some(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
    }

    /// The hash of a password, under a salt of 16 random bytes.
    #[must_use]
    pub fn of(password: &[u8], salt: [u8; 16]) -> Option<Self> {
        let mut made =
            Self { memory: MEMORY, passes: PASSES, lanes: 1, salt: salt.into(), hash: [0; HASH_BYTES].into() };
        let mut hash = [0; HASH_BYTES];
        made.argon2()?.hash_password_into(password, &salt, &mut hash).ok()?;
        made.hash = hash.into();
        Some(made)
    }

    /// Memory of one verification, in KiB.
    #[must_use]
    pub fn memory(&self) -> u32 {
        self.memory
    }
}

impl fmt::Display for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { memory, passes, lanes, salt, hash } = self;
        write!(f, "$argon2id$v=19$m={memory},t={passes},p={lanes}${}${}", text_of(salt), text_of(hash))
    }
}

/// Compares without a branch on the content.
fn same(a: &[u8], b: &[u8]) -> bool {
    let difference = a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b));
    a.len() == b.len() && std::hint::black_box(difference) == 0
}

fn unpadded(text: &str) -> Option<Vec<u8>> {
    if text.contains('=') {
        return None;
    }
    let padding = "=".repeat(text.len().wrapping_neg() % 4);
    crate::base64::decode(&format!("{text}{padding}"))
}

fn text_of(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits = (0..3).fold(0_u32, |bits, i| bits << 8 | u32::from(group.get(i).copied().unwrap_or(0)));
        for digit in 0..=group.len() {
            text.push(char::from(DIGITS[(bits >> (18 - 6 * digit)) as usize & 63]));
        }
    }
    text
}

/// Users and the hashes of their passwords.
#[derive(Debug)]
pub struct Users {
    by_name: HashMap<Box<str>, PasswordHash>,
    /// Verified where there is no such user, so that it takes as long: the most expensive of the file.
    nobody: PasswordHash,
}

impl Users {
    /// Reads a file of `NAME:$argon2id$…` lines. Empty lines and lines that begin with `#` say nothing.
    ///
    /// # Errors
    /// The first line that is wrong, by its number, with what is allowed; nothing of it is shown.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let mut by_name = HashMap::new();
        let mut nobody = PasswordHash {
            memory: MEMORY,
            passes: PASSES,
            lanes: 1,
            salt: [0; 16].into(),
            hash: [0; HASH_BYTES].into(),
        };
        let mut dearest = 0;
        for (number, line) in (1..).zip(bytes.split(|&byte| byte == b'\n')) {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            let fault = |message: &str| format!("line {number}: {message}");
            let text = std::str::from_utf8(line).map_err(|_| fault("not UTF-8"))?;
            let (name, hash) = text.split_once(':').ok_or_else(|| fault("allowed: NAME:$argon2id$…"))?;
            if name.is_empty() || name.chars().any(char::is_control) || name.trim() != name {
                return Err(fault("allowed: a name without a colon, control characters, or spaces around it"));
            }
            let hash = PasswordHash::parse(hash).map_err(|message| fault(&message))?;
            let cost = u64::from(hash.memory) * u64::from(hash.passes);
            if cost > dearest {
                dearest = cost;
                nobody = PasswordHash { hash: [0; HASH_BYTES].into(), ..hash.clone() };
            }
            if by_name.insert(name.into(), hash).is_some() {
                return Err(fault("a user of that name is there already"));
            }
        }
        Ok(Self { by_name, nobody })
    }

    /// The hash that a password is verified against, and whether it may be right: an unknown user's never is.
    #[must_use]
    pub fn hash_of(&self, name: &str) -> (&PasswordHash, bool) {
        self.by_name.get(name).map_or((&self.nobody, false), |hash| (hash, true))
    }

    /// How many users there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // One of the vectors that come with the reference implementation.
    const REFERENCE: &str = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";

    #[test]
    fn a_hash_of_the_reference_implementation() {
        let hash = PasswordHash::parse(REFERENCE).unwrap();
        assert_eq!(hash.to_string(), REFERENCE);
        assert!(hash.verify(b"password") && !hash.verify(b"Password"));
    }

    #[test]
    fn a_hash_made_here_is_read_back() {
        let made = PasswordHash::of("pässword".as_bytes(), [7; 16]).unwrap();
        let read = PasswordHash::parse(&made.to_string()).unwrap();
        assert_eq!(read, made);
        assert!(read.verify("pässword".as_bytes()) && !read.verify(b""));
        assert!(!format!("{made:?}").contains(&text_of(&made.salt)));
    }

    #[test]
    fn what_costs_too_much_or_too_little_is_refused() {
        let with = |from: &str, to: &str| PasswordHash::parse(&REFERENCE.replace(from, to)).unwrap_err();
        assert_eq!(with("m=65536", "m=65537"), "m=65537; allowed: 1024 to 65536");
        assert_eq!(with("m=65536", "m=1023"), "m=1023; allowed: 1024 to 65536");
        assert_eq!(with("t=2", "t=5"), "t=5; allowed: 1 to 4");
        assert_eq!(with("p=1", "p=17"), "p=17; allowed: 1 to 16");
        for (from, to) in [
            ("argon2id", "argon2i"),
            ("v=19", "v=16"),
            ("m=65536,t=2", "t=2,m=65536"),
            ("t=2", "t=+2"),
            ("p=1", "p=1,x=1"),
            ("c29tZXNhbHQ", "c29tZXNhbHQ=="),
            ("c29tZXNhbHQ", "c29t"),
            ("CTFh", "CT-h"),
            ("$argon2id", "argon2id"),
        ] {
            assert!(with(from, to).starts_with("allowed: "), "{from} {to}");
        }
        let said = PasswordHash::parse("plain-canary").unwrap_err();
        assert!(!said.contains("canary"));
    }

    #[test]
    fn users_of_a_file() {
        let users = Users::parse(format!("# users\n\nanna:{REFERENCE}\r\nb b:{REFERENCE}\n").as_bytes()).unwrap();
        assert_eq!((users.len(), users.is_empty()), (2, false));
        assert!(users.hash_of("anna").1 && users.hash_of("b b").1);
        let (nobody, known) = users.hash_of("nobody");
        assert!(!known && nobody.memory() == 65536 && !nobody.verify(b"password"));
        assert!(Users::parse(b"").unwrap().is_empty());
    }

    #[test]
    fn a_wrong_line_is_named_and_not_shown() {
        let good = format!("anna:{REFERENCE}");
        for line in ["canary", "canary:secret", ":canary", " canary:x", "can\u{7f}ary:x", &good] {
            let said = Users::parse(format!("{good}\n{line}\n").as_bytes()).err().unwrap();
            assert!(said.starts_with("line 2: ") && !said.contains("canary"), "{said}");
        }
        assert_eq!(Users::parse(b"\xff:x").err().unwrap(), "line 1: not UTF-8");
    }
}
