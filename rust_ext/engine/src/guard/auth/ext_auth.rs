//! A service that is asked whether a request may pass.

use std::sync::Arc;

use fastgate_core::snapshot::policies as plain;

use super::Verdict;
use super::introspection::unknown;
use crate::asked::{ExtAuth, Facts, Said};
use crate::guard::{Ask, Compile, End, Reply, Resumed};

/// The service of a policy.
#[derive(Debug)]
pub(super) struct Asked(Arc<ExtAuth>);

impl Asked {
    pub(super) fn compile(plain: &plain::ExtAuth, cx: &mut Compile<'_>) -> Option<Self> {
        match ExtAuth::compile(plain, &cx.state.trusts) {
            Ok(service) => Some(Self(Arc::new(service))),
            Err((key, message)) => {
                cx.invalid(key, message);
                None
            }
        }
    }

    /// It alone knows what a credential is, so one is always there.
    pub(super) fn judge(&self, ask: &Ask<'_>) -> Verdict {
        let (head, bytes) = (ask.head, ask.bytes);
        let mut uri = head.raw_path(bytes).to_vec();
        if let Some(query) = head.query(bytes) {
            uri.push(b'?');
            uri.extend_from_slice(query);
        }
        let facts = Facts {
            scheme: ask.scheme(),
            host: head.authority(bytes),
            uri,
            method: head.method_bytes(bytes),
            client: ask.about.client.ip,
            request_id: ask.about.request_id.as_bytes(),
        };
        let said = self.0.ask(head, bytes, &facts, &ask.worker.shared.registry.guards.fetcher);
        Verdict::Wait(Box::pin(async move {
            let end = match said.await {
                Said::Pass { identity, edits } => {
                    return Resumed { identity: Some(identity), edits, ..Resumed::default() };
                }
                Said::Relay { status, fields, body } => {
                    End::Answer(Box::new(Reply { status, fields, body, policy: "auth" }))
                }
                Said::Unknown(why) => End::Deny(Box::new(unknown(&why))),
            };
            Resumed { end: Some(end), ..Resumed::default() }
        }))
    }
}
