//! Token introspection (RFC 7662): what is asked, what an answer says, how long it holds.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use serde_json::Value;

use super::identity::{Claims, Identity};

/// How long an answer holds: that a token is active, and that it is not.
const ACTIVE_MS: u64 = 60_000;
const INACTIVE_MS: u64 = 5_000;

/// A value between 1 January 1970 and the year 9999, in milliseconds.
const LAST_MS: f64 = 253_402_300_799_000.0;

/// The form that is sent (RFC 7662 §2.1).
#[must_use]
pub fn form(token: &[u8]) -> Vec<u8> {
    let mut out = b"token=".to_vec();
    escape(&mut out, token);
    out.extend_from_slice(b"&token_type_hint=access_token");
    out
}

/// The value of `Authorization` for a client with a secret: both are form-encoded first (RFC 6749 §2.3.1).
#[must_use]
pub fn authorization(client: &str, secret: &str) -> Vec<u8> {
    let mut pair = Vec::new();
    escape(&mut pair, client.as_bytes());
    pair.push(b':');
    escape(&mut pair, secret.as_bytes());
    let mut out = b"Basic ".to_vec();
    base64(&mut out, &pair);
    out
}

/// `application/x-www-form-urlencoded`.
fn escape(out: &mut Vec<u8>, text: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for &b in text {
        if b.is_ascii_alphanumeric() || b"-._*".contains(&b) {
            out.push(b);
        } else {
            out.extend_from_slice(&[b'%', HEX[usize::from(b >> 4)], HEX[usize::from(b & 15)]]);
        }
    }
}

fn base64(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0_u32, |bits, &b| bits << 8 | u32::from(b)) << (8 * (3 - group.len()));
        for i in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * i) & 63) as usize];
            out.push(if i <= group.len() { digit } else { b'=' });
        }
    }
}

/// A token that is active, as its server says.
#[derive(Debug, Clone, PartialEq)]
pub struct Active {
    /// Whose it is; its claims are every member of the answer.
    pub identity: Arc<Identity>,
    /// Unix milliseconds.
    pub expires_ms: Option<u64>,
}

/// What is known of a token.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// It is good.
    Active(Active),
    /// It is not, whyever.
    Inactive,
}

/// Reads an answer (RFC 7662 §2.2).
///
/// # Errors
/// A sentence; such an answer says nothing about the token.
pub fn read_answer(body: &[u8]) -> Result<Verdict, &'static str> {
    let claims: Claims = serde_json::from_slice(body).map_err(|_| "its answer is no JSON object")?;
    match claims.get("active") {
        Some(Value::Bool(true)) => {}
        Some(Value::Bool(false)) => return Ok(Verdict::Inactive),
        _ => return Err("its answer does not say whether the token is active"),
    }
    let time = |name| match claims.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_f64().map(|seconds| seconds * 1_000.0) {
            Some(ms) if (0.0..=LAST_MS).contains(&ms) => Ok(Some(ms as u64)),
            _ => Err("a time in its answer is no number of seconds"),
        },
    };
    let expires_ms = time("exp")?;
    Ok(Verdict::Active(Active { identity: Arc::new(identity(claims)), expires_ms }))
}

/// The identity of an answer: `sub`, or the name of its user or client; `scope` is a list with spaces (RFC 7662 §2.2).
fn identity(claims: Claims) -> Identity {
    let text = |name: &str| claims.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let subject = text("sub").or_else(|| text("username")).or_else(|| text("client_id")).map(Box::from);
    let scopes =
        text("scope").unwrap_or_default().split(' ').filter(|scope| !scope.is_empty()).map(Box::from).collect();
    Identity { method: "introspection", subject, scopes, claims: Arc::new(claims), ..Identity::default() }
}

/// What stands for a policy and a token: a keyed hash of both.
pub type Key = [u8; 32];

/// What the cache says.
#[derive(Debug, Clone, PartialEq)]
pub enum Known {
    /// Ask.
    Nothing,
    /// Use it.
    Fresh(Verdict),
    /// Ask; it may be used if nobody answers.
    Stale(Active),
}

#[derive(Debug)]
struct Entry<T> {
    value: T,
    until: u64,
    /// Of the answer that it came from.
    bytes: usize,
}

/// Answers that still hold, the oldest of which give way. Those about bad tokens have a place of their own, so that
/// nobody's guesses push out what is known of the good ones.
#[derive(Debug)]
pub struct Cache {
    active: Table<Active>,
    inactive: Table<()>,
    max_stale_ms: u64,
}

#[derive(Debug)]
struct Table<T> {
    entries: HashMap<Key, Entry<T>>,
    order: VecDeque<Key>,
    bytes: usize,
    most: usize,
    most_bytes: usize,
}

impl<T> Table<T> {
    fn new(most: usize, most_bytes: usize) -> Self {
        Self { entries: HashMap::new(), order: VecDeque::new(), bytes: 0, most, most_bytes }
    }

    fn put(&mut self, key: Key, entry: Entry<T>) {
        self.bytes = self.bytes.saturating_add(entry.bytes);
        match self.entries.insert(key, entry) {
            None => self.order.push_back(key),
            Some(before) => self.bytes = self.bytes.saturating_sub(before.bytes),
        }
        while self.order.len() > self.most || self.bytes > self.most_bytes {
            let Some(oldest) = self.order.pop_front() else { return };
            self.bytes = self.bytes.saturating_sub(self.entries.remove(&oldest).map_or(0, |entry| entry.bytes));
        }
    }

    fn get(&self, key: &Key) -> Option<&Entry<T>> {
        self.entries.get(key)
    }
}

impl Cache {
    /// One that holds so many answers of each kind, and so many bytes of them; `max_stale_ms`: how long an answer may
    /// stand in for one that does not come.
    #[must_use]
    pub fn new(most: usize, most_bytes: usize, max_stale_ms: u64) -> Self {
        Self { active: Table::new(most, most_bytes), inactive: Table::new(most, most_bytes), max_stale_ms }
    }

    /// What is known; `now` is a monotonic clock's milliseconds, `unix_now` the wall clock's.
    #[must_use]
    pub fn look(&self, key: &Key, now: u64, unix_now: u64) -> Known {
        // The newer answer counts: `put` takes what was known of the other kind away.
        if self.inactive.get(key).is_some_and(|entry| now < entry.until) {
            return Known::Fresh(Verdict::Inactive);
        }
        match self.active.get(key) {
            // Past its end a token is not good, whatever its server said.
            Some(entry) if entry.value.expires_ms.is_some_and(|end| end <= unix_now) => Known::Nothing,
            Some(entry) if now < entry.until => Known::Fresh(Verdict::Active(entry.value.clone())),
            Some(entry) if now < entry.until.saturating_add(self.max_stale_ms) => Known::Stale(entry.value.clone()),
            _ => Known::Nothing,
        }
    }

    /// Takes an answer of so many bytes in.
    pub fn put(&mut self, key: Key, verdict: &Verdict, bytes: usize, now: u64) {
        match verdict {
            Verdict::Active(active) => {
                if let Some(entry) = self.inactive.entries.get_mut(&key) {
                    entry.until = 0;
                }
                self.active.put(key, Entry { value: active.clone(), until: now.saturating_add(ACTIVE_MS), bytes });
            }
            Verdict::Inactive => {
                if let Some(entry) = self.active.entries.get_mut(&key) {
                    entry.until = 0;
                    entry.value.expires_ms = Some(0);
                }
                self.inactive.put(key, Entry { value: (), until: now.saturating_add(INACTIVE_MS), bytes: 0 });
            }
        }
    }

    /// Answers held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.active.entries.len() + self.inactive.entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_encoded() {
        assert_eq!(form(b"a&b=c d\xff"), b"token=a%26b%3Dc%20d%FF&token_type_hint=access_token");
        assert_eq!(authorization("Aladdin", "open sesame"), b"Basic QWxhZGRpbjpvcGVuJTIwc2VzYW1l");
        assert_eq!(authorization("a", ""), b"Basic YTo=");
        assert_eq!(authorization("a", "b"), b"Basic YTpi");
        assert_eq!(authorization("a:b", "c"), b"Basic YSUzQWI6Yw==");
    }

    fn active(text: &str) -> Active {
        match read_answer(text.as_bytes()) {
            Ok(Verdict::Active(active)) => active,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn an_answer_says_so_or_it_says_nothing() {
        assert_eq!(active(r#"{"active":true}"#).expires_ms, None);
        assert_eq!(active(r#"{"active":true,"exp":12.5,"sub":"a"}"#).expires_ms, Some(12_500));
        let identity = active(r#"{"active":true,"sub":"","username":"ada","scope":" read  write "}"#).identity;
        assert_eq!((identity.method, identity.subject.as_deref()), ("introspection", Some("ada")));
        assert_eq!(identity.scopes.iter().map(|scope| &**scope).collect::<Vec<_>>(), ["read", "write"]);
        assert_eq!(read_answer(br#"{"active":false,"exp":"x"}"#), Ok(Verdict::Inactive));
        for bad in [
            "",
            "[]",
            "true",
            r#"{"active":"true"}"#,
            r#"{"active":1}"#,
            r#"{"Active":true}"#,
            r#"{}"#,
            r#"{"active":true,"exp":"12"}"#,
            r#"{"active":true,"exp":-1}"#,
            r#"{"active":true,"exp":1e400}"#,
            r#"{"active":true,"exp":true}"#,
            r#"{"active":true}x"#,
        ] {
            assert!(read_answer(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn answers_hold_for_their_time() {
        let (mut cache, key) = (Cache::new(4, 1_000, 0), [1; 32]);
        assert_eq!(cache.look(&key, 0, 0), Known::Nothing);
        let good = active(r#"{"active":true,"exp":30}"#);
        cache.put(key, &Verdict::Active(good.clone()), 10, 1_000);
        assert_eq!(cache.look(&key, 1_000, 29_999), Known::Fresh(Verdict::Active(good.clone())));
        assert_eq!(cache.look(&key, 1_000, 30_000), Known::Nothing, "exp");
        assert_eq!(cache.look(&key, 61_000, 0), Known::Nothing, "60 s");
        cache.put(key, &Verdict::Inactive, 10, 2_000);
        assert_eq!(cache.look(&key, 6_999, 0), Known::Fresh(Verdict::Inactive));
        assert_eq!(cache.look(&key, 7_000, 0), Known::Nothing, "the older answer does not come back");
        cache.put(key, &Verdict::Active(good.clone()), 10, 3_000);
        assert_eq!(cache.look(&key, 3_000, 0), Known::Fresh(Verdict::Active(good)));
    }

    #[test]
    fn an_old_answer_stands_in_only_where_that_is_said_and_never_past_its_end() {
        let good = active(r#"{"active":true,"exp":100}"#);
        let (mut cache, key) = (Cache::new(4, 1_000, 30_000), [1; 32]);
        cache.put(key, &Verdict::Active(good.clone()), 10, 0);
        assert_eq!(cache.look(&key, 89_999, 0), Known::Stale(good));
        assert_eq!(cache.look(&key, 90_000, 0), Known::Nothing);
        assert_eq!(cache.look(&key, 70_000, 100_000), Known::Nothing);
        cache.put(key, &Verdict::Inactive, 10, 0);
        assert_eq!(cache.look(&key, 5_000, 0), Known::Nothing, "a bad token is never stale");
    }

    #[test]
    fn it_holds_so_many_and_bad_tokens_push_no_good_one_out() {
        let mut cache = Cache::new(8, 1_000, 0);
        let good = Verdict::Active(active(r#"{"active":true}"#));
        cache.put([255; 32], &good, 10, 0);
        for n in 0..1_000_u32 {
            let mut key = [0; 32];
            key[..4].copy_from_slice(&n.to_be_bytes());
            cache.put(key, &Verdict::Inactive, 10, 0);
        }
        assert_eq!(cache.look(&[255; 32], 1, 0), Known::Fresh(good.clone()));
        for n in 0..100 {
            cache.put([n; 32], &good, 10, 0);
            cache.put([n; 32], &good, 10, 0);
        }
        assert_eq!(cache.len(), 16);
        assert_eq!(cache.look(&[99; 32], 1, 0), Known::Fresh(good.clone()));
        // Large answers leave room for fewer.
        cache.put([100; 32], &good, 985, 0);
        assert_eq!(cache.active.entries.len(), 2);
        cache.put([101; 32], &good, 1_001, 0);
        assert_eq!((cache.active.entries.len(), cache.active.bytes), (0, 0));
    }
}
