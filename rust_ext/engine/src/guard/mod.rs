//! Phases 4 to 7 of a request's life: guard, identify, authorise, limit, for routes that have policies.
//!
//! Every policy judges on the parsed request and nothing else. One that has to wait hands over a future that owns what
//! it needs; the head leaves the worker's buffer and the phases go on behind it.

pub(crate) mod auth;
mod compile;
pub(crate) mod concurrency;
mod denial;
mod facts;
mod key;
pub(crate) mod limits;
pub(crate) mod network;
pub(crate) mod require;
mod run;
pub(crate) mod tenant;

use std::cell::{OnceCell, Ref, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use fastgate_core::auth::{Identity, KeySet};
use fastgate_core::filter::{Edit, Extra};
use fastgate_core::http1::Request;

use crate::about::About;
use crate::asked::Introspections;
use crate::connection::Conn;
use crate::fetch::Fetcher;
use crate::jwks;
use crate::live::{Live, Route};
use crate::trust::Trusts;
use crate::watched::Watchlist;
use crate::worker::Worker;

pub(crate) use compile::{Compile, Consumer};
pub(crate) use denial::{Denial, Reply};
pub(crate) use run::{Judged, go_on};

/// What policies keep beside snapshots, for the whole process: found by stable identity, and survives a reload.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// What the gateway itself asks over HTTP.
    pub(crate) fetcher: Fetcher,
    /// Whom it trusts when it does, and towards targets.
    pub(crate) trusts: Trusts,
    /// Key sets that are fetched.
    pub(crate) key_sets: jwks::Sources<KeySet>,
    /// Endpoints that say what tokens are worth.
    pub(crate) introspections: Introspections,
    /// Files that policies and TLS read.
    pub(crate) watchlist: Watchlist,
    pub(crate) auth: Arc<auth::State>,
    /// Sources of tokens' keys, and revoked tokens.
    pub(crate) jwt: auth::jwt::State,
    /// What has been used of limits.
    pub(crate) limits: limits::State,
    /// Who holds places.
    pub(crate) gates: concurrency::State,
    /// What is counted of the store.
    pub(crate) store: Arc<crate::store::Figures>,
}

/// The policies of some routes, compiled; a part that is not there costs a branch.
#[derive(Debug, Default)]
pub(crate) struct Guards {
    pub(crate) security_headers: Option<network::SecurityHeaders>,
    pub(crate) cors: Option<network::Cors>,
    pub(crate) ip: Option<network::IpRules>,
    pub(crate) csrf: Option<network::Csrf>,
    pub(crate) auth: Option<auth::Auth>,
    pub(crate) tenant: Option<tenant::Tenant>,
    pub(crate) require: Option<require::Require>,
    pub(crate) limits: Option<limits::Limits>,
    pub(crate) concurrency: Option<concurrency::Concurrency>,
}

/// What a policy may know of a request.
pub(crate) struct Ask<'a> {
    pub(crate) conn: &'a Conn,
    pub(crate) worker: &'a Rc<Worker>,
    pub(crate) live: &'a Arc<Live>,
    pub(crate) route: &'a Route,
    pub(crate) head: &'a Request,
    pub(crate) bytes: &'a [u8],
    pub(crate) about: &'a About<'a>,
}

impl Ask<'_> {
    /// The time of this request on the monotonic clock, in nanoseconds: read before, no call here.
    pub(crate) fn now_ns(&self) -> u64 {
        self.worker.clock.last()
    }

    /// Who is asking, once that is known.
    pub(crate) fn identity(&self) -> Option<&Arc<Identity>> {
        self.about.found()?.identity.get()
    }

    /// Whose tenant's request it is: what the policy found, else what the identity says.
    pub(crate) fn tenant(&self) -> Option<&Arc<str>> {
        self.about.found()?.tenant()
    }

    /// What the client spoke: as a trusted proxy says, else as this connection does.
    pub(crate) fn scheme(&self) -> &'static str {
        let mut said = self.head.get(self.bytes, b"x-forwarded-proto").filter(|_| self.about.client.trusted);
        match (said.next(), said.next()) {
            (Some(b"https"), None) => "https",
            (Some(b"http"), None) => "http",
            _ if self.conn.is_secure() => "https",
            _ => "http",
        }
    }

    /// Changes what goes to the target.
    pub(crate) fn edit(&self, edit: Edit) {
        self.about.find().edits.borrow_mut().push(edit);
    }

    /// Puts fields into the answer to the client, whoever gives it.
    pub(crate) fn extra(&self, put: impl FnOnce(&mut Extra)) {
        put(&mut self.about.find().extra.borrow_mut());
    }
}

/// What policies and hooks have found out about a request, and what they change.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// Who is asking.
    pub(crate) identity: OnceCell<Arc<Identity>>,
    /// Whose tenant's request it is, as the policy `tenant` found.
    pub(crate) tenant: OnceCell<Arc<str>>,
    /// Changes to the fields that go to the target.
    pub(crate) edits: RefCell<Vec<Edit>>,
    /// The query for the target, without the credential that stood in it.
    pub(crate) query: OnceCell<Box<[u8]>>,
    /// Fields of the answer to the client.
    extra: RefCell<Extra>,
    /// Places held until the request, or the tunnel or session that it becomes, ends.
    pub(crate) held: RefCell<Vec<concurrency::Permit>>,
}

impl Findings {
    /// Fields of the answer to the client.
    pub(crate) fn extra(&self) -> Ref<'_, Extra> {
        self.extra.borrow()
    }

    /// Whose tenant's request it is: what the policy found, else what the identity says.
    pub(crate) fn tenant(&self) -> Option<&Arc<str>> {
        self.tenant.get().or_else(|| self.identity.get()?.tenant.as_ref())
    }

    /// The query for the target, where it is not the one that was received.
    pub(crate) fn query(&self) -> Option<&[u8]> {
        self.query.get().map(|query| &**query)
    }
}

/// What a policy says.
pub(crate) enum Step {
    /// Go on.
    Pass,
    /// The request ends here, refused.
    Deny(Box<Denial>),
    /// The request ends here, answered.
    Answer(Box<Reply>),
    /// Nobody knows yet.
    Wait(Waiting),
}

/// What a policy waits for. It holds nothing of the request but copies, and has a time-out of its own.
pub(crate) type Waiting = Pin<Box<dyn Future<Output = Resumed>>>;

/// What came of a wait.
#[derive(Default)]
pub(crate) struct Resumed {
    /// The request ends here, with one or the other.
    pub(crate) end: Option<End>,
    pub(crate) identity: Option<Arc<Identity>>,
    pub(crate) edits: Vec<Edit>,
    /// Fields of the answer to the client.
    pub(crate) extra: Vec<(&'static str, Vec<u8>)>,
    pub(crate) permit: Option<concurrency::Permit>,
}

/// How a wait ends a request.
pub(crate) enum End {
    Deny(Box<Denial>),
    Answer(Box<Reply>),
}

impl From<Denial> for Step {
    fn from(denial: Denial) -> Self {
        Self::Deny(Box::new(denial))
    }
}
