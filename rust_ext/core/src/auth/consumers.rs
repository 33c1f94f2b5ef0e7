//! Consumers: what is added to the identity of who is one, and the keys they have.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::Identity;
use super::digest::{KeyTable, Pepper};
use crate::snapshot::policies::Consumer;
use crate::snapshot::{Invalid, SecretString};

/// Fewest bytes of a pepper.
pub const MIN_PEPPER: usize = 16;

/// Who an API key stands for.
#[derive(Debug)]
pub struct Known {
    /// Made once, shared by every request with that key.
    pub identity: Arc<Identity>,
    /// Unix milliseconds.
    pub expires_ms: Option<u64>,
}

impl Known {
    /// Whether it counts no more.
    #[must_use]
    pub fn is_expired(&self, now_ms: u64) -> bool {
        self.expires_ms.is_some_and(|end| end <= now_ms)
    }
}

/// A key as the config or a file of keys describes it.
#[derive(Debug)]
pub(super) struct KeyFacts<'a> {
    pub(super) name: &'a str,
    pub(super) consumer: Option<&'a str>,
    pub(super) scopes: &'a [String],
    pub(super) expires_ms: Option<u64>,
}

#[derive(Debug)]
struct One {
    name: Arc<str>,
    groups: Box<[Box<str>]>,
    roles: Box<[Box<str>]>,
    tenant: Option<Arc<str>>,
}

/// All consumers of a snapshot.
#[derive(Debug, Default)]
pub struct Consumers {
    all: Vec<One>,
    by_name: HashMap<Arc<str>, u32>,
    by_certificate: HashMap<Box<str>, Arc<str>>,
    peppers: Vec<Arc<Pepper>>,
    keys: KeyTable<Known>,
}

impl Consumers {
    /// Reads them, their keys and the peppers.
    ///
    /// # Errors
    /// One finding for each key that cannot be looked up, each name that is there twice and each pepper that is short.
    pub fn new(consumers: &[Consumer], peppers: &BTreeMap<String, SecretString>) -> Result<Self, Vec<Invalid>> {
        let mut invalid = Vec::new();
        let mut read = Self::default();
        for (name, secret) in peppers {
            if secret.0.len() < MIN_PEPPER {
                let message = format!("a pepper of {} bytes; allowed: at least {MIN_PEPPER}", secret.0.len());
                invalid.push(Invalid::new(format!("key_pepper.{name}"), message));
            }
            read.peppers.push(Arc::new(Pepper::new(name, secret.0.as_bytes())));
        }
        for (number, consumer) in (0..).zip(consumers) {
            let name: Arc<str> = consumer.name.as_str().into();
            for (at, certificate) in consumer.certificates.iter().enumerate() {
                if read.by_certificate.insert(certificate.as_str().into(), name.clone()).is_some() {
                    let message = format!("found {certificate:?} for the second time; allowed: each name once");
                    invalid.push(Invalid::new(format!("consumers.{number}.certificates.{at}"), message));
                }
            }
            read.all.push(One {
                name: name.clone(),
                groups: boxed(&consumer.groups),
                roles: boxed(&consumer.roles),
                tenant: consumer.tenant.as_deref().map(Arc::from),
            });
            if read.by_name.insert(name, number).is_some() {
                invalid.push(Invalid::new(format!("consumers.{number}"), "a consumer of that name is there already"));
            }
        }
        for (i, consumer) in consumers.iter().enumerate() {
            for (j, key) in consumer.api_keys.iter().enumerate() {
                let facts = KeyFacts {
                    name: &key.name,
                    consumer: Some(&consumer.name),
                    scopes: &key.scopes,
                    expires_ms: key.expires_ms,
                };
                let known = read.known(&facts);
                if let Err(message) = read.keys.insert(&key.digest, &read.peppers, known) {
                    invalid.push(Invalid::new(format!("consumers.{i}.api_keys.{j}.digest"), message));
                }
            }
        }
        if invalid.is_empty() { Ok(read) } else { Err(invalid) }
    }

    /// The keys that the config lists.
    #[must_use]
    pub fn keys(&self) -> &KeyTable<Known> {
        &self.keys
    }

    /// The peppers, by the order of their names.
    #[must_use]
    pub fn peppers(&self) -> &[Arc<Pepper>] {
        &self.peppers
    }

    /// Whether the config names that consumer.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    /// The consumer that a name of a client certificate belongs to: the one that lists it, else the one of that name.
    #[must_use]
    pub fn of_certificate<'a>(&'a self, name: &'a str) -> &'a str {
        self.by_certificate.get(name).map_or(name, |consumer| consumer)
    }

    /// Makes an identity that consumer: its groups and roles are added, its tenant counts where there is none yet.
    ///
    /// `false`: the config names no such consumer, and nothing changed.
    pub fn become_consumer(&self, identity: &mut Identity, name: &str) -> bool {
        let Some(&number) = self.by_name.get(name) else { return false };
        let one = &self.all[number as usize];
        identity.consumer = Some(one.name.clone());
        identity.consumer_index = Some(number);
        add(&mut identity.groups, &one.groups);
        add(&mut identity.roles, &one.roles);
        identity.tenant = identity.tenant.take().or_else(|| one.tenant.clone());
        true
    }

    /// The identity of a request that shows no credential.
    #[must_use]
    pub fn anonymous(&self, name: &str) -> Option<Arc<Identity>> {
        let mut identity = Identity { method: "anonymous", ..Identity::default() };
        self.become_consumer(&mut identity, name).then(|| Arc::new(identity))
    }

    /// Who a key stands for. A consumer that the config does not name has nothing but its name.
    pub(super) fn known(&self, key: &KeyFacts<'_>) -> Known {
        let mut identity = Identity {
            method: "api_key",
            subject: Some(key.consumer.unwrap_or(key.name).into()),
            key: Some(key.name.into()),
            scopes: boxed(key.scopes),
            ..Identity::default()
        };
        if let Some(name) = key.consumer
            && !self.become_consumer(&mut identity, name)
        {
            identity.consumer = Some(name.into());
        }
        Known { identity: Arc::new(identity), expires_ms: key.expires_ms }
    }
}

fn boxed(names: &[String]) -> Box<[Box<str>]> {
    names.iter().map(|name| name.as_str().into()).collect()
}

/// Adds names that are not there yet.
fn add(to: &mut Box<[Box<str>]>, names: &[Box<str>]) {
    if names.iter().all(|name| to.contains(name)) {
        return;
    }
    let mut all = std::mem::take(to).into_vec();
    for name in names {
        if !all.contains(name) {
            all.push(name.clone());
        }
    }
    *to = all.into();
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::auth::digest::stored;
    use crate::snapshot::policies::ApiKey;

    /// SHA-256 of `one`.
    pub(in crate::auth) const ONE: &str = "sha256:7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed";

    pub(in crate::auth) fn peppers(secret: &str) -> BTreeMap<String, SecretString> {
        [("p1".to_owned(), SecretString(secret.to_owned()))].into()
    }

    pub(in crate::auth) fn acme(keys: &[(&str, &str)]) -> Consumer {
        let key = |&(name, hash): &(&str, &str)| ApiKey {
            name: name.to_owned(),
            digest: stored(hash).unwrap(),
            expires_ms: Some(1_000),
            scopes: vec!["read".to_owned()],
            limits: Vec::new(),
        };
        Consumer {
            name: "acme".to_owned(),
            groups: vec!["partners".to_owned(), "all".to_owned()],
            roles: vec!["editor".to_owned()],
            tenant: Some("t1".to_owned()),
            certificates: vec!["spiffe://example.org/acme".to_owned()],
            api_keys: keys.iter().map(key).collect(),
            limits: Vec::new(),
            policies: None,
        }
    }

    #[test]
    fn a_key_stands_for_its_consumer() {
        let consumers = Consumers::new(&[acme(&[("acme-1", ONE)])], &BTreeMap::new()).unwrap();
        let known = consumers.keys().find(b"one").unwrap();
        let identity = &known.identity;
        assert_eq!((identity.method, identity.subject.as_deref()), ("api_key", Some("acme")));
        assert_eq!((identity.consumer.as_deref(), identity.consumer_index), (Some("acme"), Some(0)));
        assert_eq!((identity.key.as_deref(), identity.tenant.as_deref()), (Some("acme-1"), Some("t1")));
        assert_eq!(identity.groups.iter().map(|g| &**g).collect::<Vec<_>>(), ["partners", "all"]);
        assert_eq!((&*identity.roles[0], &*identity.scopes[0]), ("editor", "read"));
        assert!(!known.is_expired(999) && known.is_expired(1_000));
        assert!(consumers.keys().find(b"two").is_none());
    }

    #[test]
    fn a_certificate_belongs_to_the_consumer_that_lists_it() {
        let consumers = Consumers::new(&[acme(&[])], &BTreeMap::new()).unwrap();
        assert_eq!(consumers.of_certificate("spiffe://example.org/acme"), "acme");
        assert_eq!(consumers.of_certificate("spiffe://example.org/acme/"), "spiffe://example.org/acme/");
        assert_eq!(consumers.of_certificate("acme"), "acme");
    }

    #[test]
    fn an_identity_becomes_a_consumer_and_keeps_what_it_has() {
        let consumers = Consumers::new(&[acme(&[])], &BTreeMap::new()).unwrap();
        let own = || ["all".into(), "own".into()].into();
        let mut identity = Identity { groups: own(), tenant: Some("t9".into()), ..Identity::default() };
        assert!(!consumers.become_consumer(&mut identity, "nobody") && consumers.has("acme") && !consumers.has("x"));
        assert_eq!(identity.groups, own());
        assert!(consumers.become_consumer(&mut identity, "acme"));
        assert_eq!(identity.groups.iter().map(|g| &**g).collect::<Vec<_>>(), ["all", "own", "partners"]);
        assert_eq!(identity.tenant.as_deref(), Some("t9"), "what was claimed counts");
        assert!(consumers.anonymous("nobody").is_none());
        let anonymous = consumers.anonymous("acme").unwrap();
        assert!(anonymous.is_anonymous() && anonymous.subject.is_none());
    }

    #[test]
    fn faults_have_their_places() {
        let under = format!("hmac-sha256:p9:{}", "0".repeat(64));
        let all = [acme(&[("a", ONE), ("b", ONE), ("c", &under)]), acme(&[])];
        let found = Consumers::new(&all, &peppers("short")).unwrap_err();
        let paths: Vec<&str> = found.iter().map(|one| one.path.as_str()).collect();
        let wanted = [
            "key_pepper.p1",
            "consumers.1.certificates.0",
            "consumers.1",
            "consumers.0.api_keys.1.digest",
            "consumers.0.api_keys.2.digest",
        ];
        assert_eq!(paths, wanted);
        assert!(found.iter().all(|one| !one.message.contains("short")));
    }
}
