//! Tokens that only their server can judge (RFC 7662).

use std::sync::Arc;

use fastgate_core::auth::Shown;
use fastgate_core::auth::api_key::kind_of;
use fastgate_core::snapshot::policies as plain;

use super::common::Common;
use super::{Verdict, busy, is_compact, token};
use crate::asked::{Introspection, Worth};
use crate::clock;
use crate::guard::{Ask, Compile, End, Resumed};

/// One endpoint, and where its tokens stand.
#[derive(Debug)]
pub(super) struct Introspected {
    endpoint: Arc<Introspection>,
    places: plain::TokenPlaces,
    /// Who else reads the same tokens.
    others: Others,
}

/// Methods that read `Bearer` too: what looks like theirs is not told to the endpoint.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Others {
    jwt: bool,
    api_key: bool,
}

impl Others {
    /// Those among the methods that read `Bearer`.
    pub(super) fn of<'a>(methods: impl Iterator<Item = &'a plain::AuthMethod>) -> Self {
        methods.fold(Self::default(), |others, method| match method {
            plain::AuthMethod::Jwt(_) => Self { jwt: true, ..others },
            plain::AuthMethod::ApiKey(_) => Self { api_key: true, ..others },
            _ => others,
        })
    }

    fn take(self, token: &[u8]) -> bool {
        (self.jwt && is_compact(token)) || (self.api_key && kind_of(token).is_some())
    }
}

impl Introspected {
    pub(super) fn compile(plain: &plain::Introspection, others: Others, cx: &mut Compile<'_>) -> Option<Self> {
        match cx.state.introspections.get(plain, &cx.state.trusts) {
            Ok(endpoint) => Some(Self { endpoint, places: super::places(&plain.token), others }),
            Err((key, message)) => {
                cx.invalid(key, message);
                None
            }
        }
    }

    pub(super) fn judge(&self, ask: &Ask<'_>, common: &Arc<Common>, number: usize) -> Verdict {
        let token = match token(ask, &self.places) {
            Shown::Nothing => return Verdict::Absent,
            Shown::Bad => return Verdict::Bad("introspection: no token where one should stand, or two".to_owned()),
            Shown::One(token) => token,
        };
        if self.others.take(&token) {
            return Verdict::Absent;
        }
        let (ip, now) = (ask.about.client.ip, ask.now_ns());
        let key = self.endpoint.key(&token);
        match self.endpoint.known(key, now) {
            Some(Worth::Good(identity)) => return Verdict::Known(identity),
            Some(Worth::Bad) => return Verdict::Bad(INACTIVE.to_owned()),
            Some(Worth::Unknown(_)) | None => {}
        }
        if common.is_spent(ip, now) {
            return Verdict::Spent;
        }
        let worth = self.endpoint.ask(key, &token, now, &ask.worker.shared.registry.guards.fetcher);
        let common = common.clone();
        Verdict::Wait(Box::pin(async move {
            let denial = match worth.await {
                Worth::Good(identity) => return Resumed { identity: Some(identity), ..Resumed::default() },
                Worth::Bad => common.failed(ip, clock::monotonic_ns(), number, INACTIVE.to_owned()),
                Worth::Unknown(why) => unknown(&why),
            };
            Resumed { end: Some(End::Deny(Box::new(denial))), ..Resumed::default() }
        }))
    }
}

const INACTIVE: &str = "introspection: the token is not active";

/// 503: nobody can say.
pub(super) fn unknown(why: &str) -> crate::guard::Denial {
    let mut denial = busy("");
    why.clone_into(&mut denial.reason);
    denial
}
