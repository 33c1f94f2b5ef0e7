//! The client: finds addresses that may be asked, opens connections, keeps a few of them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use fastgate_core::fetch::{Host, write_request};

use super::line::Line;
use super::{Call, FetchError, Got, Place};
use crate::carrier::Carrier;
use crate::clock::Clock;
use crate::dial;
use crate::dns::Resolving;
use crate::log::Log;
use crate::rt;
use crate::trust::Trust;

/// Idle connections kept for one host; and in all.
const IDLE_PER_HOST: usize = 16;
const MAX_IDLE: usize = 256;

/// How long one is kept.
const IDLE_TIME: Duration = Duration::from_secs(30);

/// Which connections may carry a call.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    host: Host,
    port: u16,
    /// The trust's address: two that are alike are one.
    trust: Option<usize>,
    reach: fastgate_core::fetch::Reach,
}

/// A connection that waits for its next call.
struct Idle {
    line: Line,
    since: Duration,
    /// Held so that its address stays its own.
    _trust: Option<Arc<Trust>>,
}

/// Makes calls, on one thread.
pub(crate) struct Client {
    pub(crate) log: Log,
    resolver: Resolving,
    clock: Clock,
    /// Newest last.
    idle: RefCell<HashMap<Key, Vec<Idle>>>,
}

impl Client {
    /// One that asks these servers for names, or the system's where there are none.
    pub(crate) fn new(servers: Vec<SocketAddr>, log: Log) -> Self {
        Self { log, resolver: Resolving::new(servers), clock: Clock::start(), idle: RefCell::default() }
    }

    /// Makes one call.
    ///
    /// # Errors
    /// [`FetchError`]. An answer of any status is none.
    pub(crate) async fn call(&self, call: &Call) -> Result<Got, FetchError> {
        rt::timeout(call.place.bounds.time, self.attempt(call)).await.unwrap_or(Err(FetchError::Timeout))
    }

    async fn attempt(&self, call: &Call) -> Result<Got, FetchError> {
        let place = &*call.place;
        let mut request = Vec::with_capacity(512);
        let fields: Vec<_> = call.fields.iter().map(|(name, value)| (&**name, &value[..])).collect();
        write_request(&mut request, call.verb, &place.url, &fields, call.body.as_deref())
            .map_err(|_| FetchError::Field)?;
        let key = Key {
            host: place.url.host.clone(),
            port: place.url.port,
            trust: place.trust.as_ref().filter(|_| place.url.tls).map(|trust| Arc::as_ptr(trust) as usize),
            reach: place.reach,
        };
        if let Some(mut line) = self.take(&key) {
            match line.exchange(&request, call.verb, place.bounds).await {
                Ok((got, keep)) => return Ok(self.done(key, place, line, got, keep)),
                // It was closed while it was idle: these calls may be made twice.
                Err(failed) if failed.silent && failed.error == FetchError::Closed => {}
                Err(failed) => return Err(failed.error),
            }
        }
        let mut line = self.connect(place).await?;
        let (got, keep) = line.exchange(&request, call.verb, place.bounds).await.map_err(|failed| failed.error)?;
        Ok(self.done(key, place, line, got, keep))
    }

    fn done(&self, key: Key, place: &Place, line: Line, got: Got, keep: bool) -> Got {
        let mut idle = self.idle.borrow_mut();
        if keep && idle.values().map(Vec::len).sum::<usize>() < MAX_IDLE {
            let lines = idle.entry(key).or_default();
            if lines.len() < IDLE_PER_HOST {
                lines.push(Idle { line, since: self.clock.elapsed(), _trust: place.trust.clone() });
            }
        }
        got
    }

    fn take(&self, key: &Key) -> Option<Line> {
        let mut idle = self.idle.borrow_mut();
        let lines = idle.get_mut(key)?;
        let limit = self.clock.elapsed().saturating_sub(IDLE_TIME);
        while let Some(Idle { mut line, since, .. }) = lines.pop() {
            if since >= limit && line.is_clean() {
                return Some(line);
            }
        }
        None
    }

    /// Closes connections whose time has come.
    pub(crate) fn sweep(&self) {
        let limit = self.clock.elapsed().saturating_sub(IDLE_TIME);
        self.idle.borrow_mut().retain(|_, lines| {
            lines.retain(|idle| idle.since >= limit);
            !lines.is_empty()
        });
    }

    async fn connect(&self, place: &Place) -> Result<Line, FetchError> {
        let url = &place.url;
        let addresses = self.addresses(place).await?;
        let name = url.host.to_string();
        let tls = match (url.tls, &place.trust) {
            (false, _) => None,
            (true, Some(trust)) => Some((&trust.config, name.as_str())),
            (true, None) => return Err(FetchError::Tls("nobody to trust".to_owned())),
        };
        let mut last = FetchError::Connect("it has no address".to_owned());
        for (i, address) in addresses.iter().enumerate() {
            let share = place.bounds.time / u32::try_from(addresses.len() - i).unwrap_or(1);
            match rt::timeout(share, dial::connect_tcp(*address)).await {
                Some(Ok(stream)) => {
                    let carrier = Carrier::new(stream, tls).map_err(FetchError::Tls)?;
                    return Ok(Line::new(carrier, address.ip()));
                }
                Some(Err(error)) => last = FetchError::Connect(error.to_string()),
                None => last = FetchError::Connect(io::Error::from(io::ErrorKind::TimedOut).to_string()),
            }
        }
        Err(last)
    }

    /// The addresses that may be asked: judged after the look-up, so that no name leads elsewhere (class A2).
    async fn addresses(&self, place: &Place) -> Result<Vec<SocketAddr>, FetchError> {
        let Host::Name(name) = &place.url.host else {
            let Host::Ip(ip) = place.url.host else { return Ok(Vec::new()) };
            place.reach.admits(&place.url, ip).map_err(FetchError::Address)?;
            return Ok(vec![SocketAddr::new(ip, place.url.port)]);
        };
        let found = self.resolver.look_up(name, place.url.port).await.map_err(FetchError::Resolve)?;
        let mut refused = None;
        let judge = |ip: IpAddr| place.reach.admits(&place.url, ip);
        let allowed: Vec<_> = found
            .into_iter()
            .filter(|address| judge(address.ip()).map_err(|why| refused = Some(why)).is_ok())
            .collect();
        match refused {
            Some(why) if allowed.is_empty() => Err(FetchError::Address(why)),
            _ => Ok(allowed),
        }
    }
}
