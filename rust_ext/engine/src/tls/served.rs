//! The TLS of one listener while its settings stay: ticket keys, and the newest generation of its files.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use fastgate_core::snapshot::policies::ListenerTls;
use fastgate_core::snapshot::{Invalid, Listener};

use super::policy::{self, Fault, Policy};
use crate::host::Level;
use crate::log::Log;
use crate::watched::{Watched, Watchlist};

/// Bytes of one file; a list of revoked certificates may be long.
const MAX_FILE: u64 = 16 * 1024 * 1024;

/// The TLS of one listener.
#[derive(Debug)]
pub(crate) struct Served {
    /// What its listener is known by: two listeners never share ticket keys.
    listener: String,
    settings: ListenerTls,
    policy: Arc<Watched<Policy>>,
    /// Its files are looked at.
    announced: AtomicBool,
}

/// The files that the settings name, in order.
fn paths(of: &ListenerTls) -> Vec<String> {
    let pairs = of.certificates.iter().flat_map(|one| [&one.cert, &one.key]);
    let clients = of.client_auth.iter().flat_map(|one| std::iter::once(&one.ca).chain(&one.crl));
    pairs.chain(clients).cloned().collect()
}

impl Served {
    fn load(listener: &str, settings: &ListenerTls) -> Result<Self, Vec<Fault>> {
        let paths = paths(settings);
        // Keys for tickets, of this listener alone; none where clients show certificates.
        let ticketer = if settings.client_auth.is_none() { policy::new_ticketer() } else { None };
        // What is wrong now has a place in the config; what becomes wrong later has a line in the log.
        let found: Vec<_> = paths.iter().map(|path| read(path)).collect();
        let content = |path: &str| match paths.iter().position(|one| one == path).and_then(|at| found.get(at)) {
            Some(found) => found.as_deref().map_err(Clone::clone),
            None => Err((format!("{path} was not read"), false)),
        };
        Policy::parse(settings, ticketer.as_ref(), &content)?;
        let (of, names) = (settings.clone(), paths.clone());
        let parse = move |contents: &[Vec<u8>]| {
            let content = |path: &str| match names.iter().position(|one| one == path).and_then(|at| contents.get(at)) {
                Some(content) => Ok(&content[..]),
                None => Err((format!("{path} was not read"), false)),
            };
            let sentence =
                |faults: Vec<Fault>| faults.into_iter().map(|one| one.message).collect::<Vec<_>>().join("; ");
            Policy::parse(&of, ticketer.as_ref(), &content).map_err(sentence)
        };
        let fault = |message| vec![Fault { at: "certificates".to_owned(), message, missing: false }];
        let policy = Watched::files(paths, MAX_FILE, parse).map_err(fault)?;
        Ok(Self {
            listener: listener.to_owned(),
            settings: settings.clone(),
            policy,
            announced: AtomicBool::new(false),
        })
    }

    /// The newest generation.
    pub(crate) fn current(&self) -> Arc<Policy> {
        self.policy.get()
    }

    /// The settings it was made of.
    pub(super) fn settings(&self) -> &ListenerTls {
        &self.settings
    }

    /// Its number; of all listeners no two have the same.
    #[inline]
    pub(crate) fn generation(&self) -> u64 {
        self.policy.load().generation
    }

    /// Has its files looked at from now on, and says what is odd about them; once.
    fn announce(&self, watchlist: &Watchlist, log: &Log) {
        if !self.announced.swap(true, Relaxed) {
            watchlist.add(&self.policy);
            for line in &self.current().oddities {
                log.line(Level::Warning, line.clone());
            }
        }
    }
}

/// Where a listener that only redirects sends to: the first that serves requests with TLS. `None`: it does not redirect.
pub(crate) fn redirect(of: &Listener, all: &[Listener]) -> Option<Option<usize>> {
    of.redirect_https.then(|| all.iter().position(|one| one.tls.is_some() && one.serves.http))
}

/// Reads a file now; whether it is missing, where it cannot be read.
fn read(path: &str) -> Result<Vec<u8>, (String, bool)> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes));
    match read {
        Err(error) => Err((format!("{path} cannot be read: {error}"), error.kind() == ErrorKind::NotFound)),
        Ok(_) if bytes.len() as u64 > MAX_FILE => Err((format!("{path} has more than {MAX_FILE} bytes"), false)),
        Ok(_) => Ok(bytes),
    }
}

/// The TLS of all listeners in use, so that a reload that leaves it as it is leaves its ticket keys too.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    known: Mutex<Vec<Weak<Served>>>,
    /// Files that are not there are no faults: a config is judged where it will not run.
    lenient: bool,
}

impl Sources {
    /// For judging a config alone.
    pub(crate) fn lenient() -> Self {
        Self { lenient: true, ..Self::default() }
    }

    /// Announces all of them.
    pub(crate) fn announce(&self, watchlist: &Watchlist, log: &Log) {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().filter_map(Weak::upgrade).for_each(|served| served.announce(watchlist, log));
    }

    /// The TLS of the listener with that number in the snapshot; what is wrong is added to `invalid`.
    pub(crate) fn compile(
        &self,
        key: &str,
        listener: &Listener,
        number: usize,
        invalid: &mut Vec<Invalid>,
    ) -> Option<Arc<Served>> {
        let settings = listener.tls.as_ref()?;
        if listener.redirect_https {
            let message = "redirect: https is for a listener without tls";
            invalid.push(Invalid::new(format!("listeners.{number}.redirect"), message));
        }
        self.served(key, settings).unwrap_or_else(|faults| {
            let fault = |one: Fault| Invalid::new(format!("listeners.{number}.tls.{}", one.at), one.message);
            invalid.extend(faults.into_iter().map(fault));
            None
        })
    }

    /// The TLS with these settings; read now, or when it was first used. `None`: only files are missing, and that is
    /// no fault here.
    ///
    /// # Errors
    /// Everything that is wrong.
    fn served(&self, listener: &str, settings: &ListenerTls) -> Result<Option<Arc<Served>>, Vec<Fault>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|one| one.strong_count() > 0);
        let same = |one: &Arc<Served>| one.settings == *settings && one.listener == listener;
        if let Some(served) = known.iter().filter_map(Weak::upgrade).find(same) {
            return Ok(Some(served));
        }
        match Served::load(listener, settings) {
            Ok(served) => {
                let served = Arc::new(served);
                known.push(Arc::downgrade(&served));
                Ok(Some(served))
            }
            Err(mut faults) => {
                faults.retain(|fault| !(self.lenient && fault.missing));
                if faults.is_empty() { Ok(None) } else { Err(faults) }
            }
        }
    }
}
