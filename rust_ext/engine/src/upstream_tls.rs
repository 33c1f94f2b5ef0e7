//! TLS towards the targets of a service, compiled: verified unless a config says otherwise in so many words.

use fastgate_core::snapshot::{self, Address, Invalid};
use rustls::pki_types::ServerName;

use crate::target::{Registry, TargetTls};
use crate::trust::{Terms, Trust};

/// The rules of one service.
pub(crate) struct UpstreamTls {
    trust: std::sync::Arc<Trust>,
    /// In the place of each target's own.
    name: Option<ServerName<'static>>,
}

impl UpstreamTls {
    /// Those of a service, if any of its targets has TLS; notes what is wrong.
    pub(crate) fn new(
        service: &snapshot::Service,
        number: usize,
        registry: &Registry,
        invalid: &mut Vec<Invalid>,
    ) -> Option<Self> {
        if !service.targets.iter().any(|target| target.tls) {
            return None;
        }
        let mut add = |key: &str, message: String| {
            invalid.push(Invalid::new(format!("services.{number}.tls.{key}"), message));
        };
        let plain = service.tls.clone().unwrap_or_default();
        let identity = match (plain.cert, plain.key) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            (Some(_), None) => return add_none(&mut add, "cert", "needs a key beside it"),
            (None, Some(_)) => return add_none(&mut add, "key", "needs a cert beside it"),
        };
        let name = match plain.server_name.map(ServerName::try_from).transpose() {
            Ok(name) => name,
            Err(_) => return add_none(&mut add, "server_name", "is no name that a certificate has"),
        };
        for (i, target) in service.targets.iter().enumerate() {
            if target.tls && name.is_none() && own_name(&target.address).is_none() {
                let message = "has no name that a certificate has; tls.server_name gives it one";
                invalid.push(Invalid::new(format!("services.{number}.targets.{i}"), message));
                return None;
            }
        }
        let terms = Terms { ca: plain.ca, identity, verify: plain.verify, http: true };
        match registry.guards.trusts.get(&terms) {
            Ok(trust) => Some(Self { trust, name }),
            Err(wrong) => {
                let path = format!("services.{number}.tls.{}", wrong.key);
                invalid.push(Invalid::new(path, wrong.message));
                None
            }
        }
    }

    /// How TLS is spoken to one of its targets, if it is.
    pub(crate) fn of(&self, target: &snapshot::Target) -> Option<TargetTls> {
        if !target.tls {
            return None;
        }
        let name = self.name.clone().or_else(|| own_name(&target.address))?;
        Some(TargetTls { trust: self.trust.clone(), name })
    }
}

fn add_none<T>(add: &mut impl FnMut(&str, String), key: &str, message: &str) -> Option<T> {
    add(key, message.to_owned());
    None
}

fn own_name(address: &Address) -> Option<ServerName<'static>> {
    match address {
        Address::Ip { ip, .. } => Some(ServerName::IpAddress((*ip).into())),
        Address::Name { name, .. } => ServerName::try_from(name.clone()).ok(),
        Address::Unix(_) => None,
    }
}
