//! Whose tenant's request it is.

use fastgate_core::auth::tenant::find;
use fastgate_core::filter::Edit;
use fastgate_core::snapshot::policies as plain;
use std::net::{IpAddr, Ipv4Addr};

use super::{Ask, Compile, Denial, Step};
use crate::fault::FaultKind;

/// The tenant of a request.
#[derive(Debug)]
pub(crate) struct Tenant {
    policy: plain::Tenant,
    /// In lower case.
    header: Box<[u8]>,
}

impl Tenant {
    pub(crate) fn compile(plain: &plain::Tenant, cx: &mut Compile<'_>) -> Option<Self> {
        if plain.must_equal.is_none() && (plain.header.is_none() || plain.trusted_from.is_empty()) {
            cx.invalid("", "a tenant's header needs trusted_from or must_equal, so that a client cannot choose it");
            return None;
        }
        let header = plain.header.as_deref().unwrap_or_default().to_ascii_lowercase().into_bytes().into();
        Some(Self { policy: plain.clone(), header })
    }

    pub(crate) fn judge(&self, ask: &Ask<'_>) -> Step {
        // Who is on a Unix socket is nobody that a network names.
        let peer = ask.about.peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let values = ask.head.get(ask.bytes, &self.header).filter(|_| !self.header.is_empty());
        let found = match find(&self.policy, peer, values, ask.identity().map(|identity| &**identity)) {
            Ok(found) => found,
            Err(none) => return Denial::new(FaultKind::Forbidden, "tenant", none.0).into(),
        };
        if found.tell {
            match Edit::set(&self.header, found.name.as_bytes()) {
                Ok(edit) => ask.edit(edit),
                Err(_) => return Denial::new(FaultKind::Forbidden, "tenant", "the claim is no header value").into(),
            }
        }
        // This phase alone says it, once.
        let _ = ask.about.find().tenant.set(found.name);
        Step::Pass
    }
}
