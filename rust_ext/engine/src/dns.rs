//! Name look-ups: the system's resolver configuration, search domains and hosts file included.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::time::Instant;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;

/// What a look-up found.
#[derive(Debug)]
pub(crate) struct Lookup {
    /// At least one address.
    pub(crate) addresses: Vec<SocketAddr>,
    /// Seconds for which it may be believed.
    pub(crate) ttl: u64,
}

/// Looks names up.
#[derive(Clone)]
pub(crate) struct Resolver(TokioResolver);

impl Resolver {
    /// A resolver over the given servers, or over the system's when there are none.
    pub(crate) fn new(servers: &[SocketAddr]) -> Result<Self, String> {
        let builder = if servers.is_empty() {
            TokioResolver::builder_tokio()
        } else {
            let servers = servers.iter().map(|server| {
                let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
                    connection.port = server.port();
                    connection
                });
                NameServerConfig::new(server.ip(), true, connections.into())
            });
            let config = ResolverConfig::from_parts(None, Vec::new(), servers.collect());
            Ok(TokioResolver::builder_with_config(config, TokioRuntimeProvider::default()))
        };
        let mut builder = builder.map_err(|error| error.to_string())?;
        let options = builder.options_mut();
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        // Names are asked for again when their TTL says so, here and not in a cache below.
        options.cache_size = 0;
        builder.build().map(Self).map_err(|error| error.to_string())
    }

    /// The addresses of a name.
    ///
    /// # Errors
    /// A sentence with the name and the reason.
    pub(crate) async fn look_up(&self, name: &str, port: u16) -> Result<Lookup, String> {
        let found = self.0.lookup_ip(name).await.map_err(|error| format!("{name} does not resolve: {error}"))?;
        let addresses: Vec<_> = found.iter().map(|ip| SocketAddr::new(ip, port)).collect();
        if addresses.is_empty() {
            return Err(format!("{name} does not resolve: it has no address"));
        }
        let ttl = found.valid_until().saturating_duration_since(Instant::now()).as_secs();
        Ok(Lookup { addresses, ttl })
    }
}

/// A thread's resolver, made when it is first needed: over the given servers, or over the system's.
pub(crate) struct Resolving {
    servers: Vec<SocketAddr>,
    made: RefCell<Option<Resolver>>,
}

impl Resolving {
    /// One that is not made yet.
    pub(crate) fn new(servers: Vec<SocketAddr>) -> Self {
        Self { servers, made: RefCell::default() }
    }

    /// The addresses of a name. The error says why there is none.
    pub(crate) async fn look_up(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
        let made = self.made.borrow().clone();
        let resolver = match made {
            Some(resolver) => resolver,
            None => {
                let new = Resolver::new(&self.servers)?;
                *self.made.borrow_mut() = Some(new.clone());
                new
            }
        };
        resolver.look_up(host, port).await.map(|found| found.addresses)
    }
}
