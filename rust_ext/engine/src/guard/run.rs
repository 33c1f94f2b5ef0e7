//! The phases in their order, without a future where nobody waits.

use std::rc::Rc;

use fastgate_core::filter::Content;

use super::{Ask, Denial, End, Guards, Reply, Resumed, Step, Waiting};
use crate::about::About;
use crate::answer::{self, What};
use crate::connection::{After, Conn};
use crate::direct;
use crate::failure::{self, Failure};
use crate::fault::FaultKind;
use crate::head::Head;
use crate::live::Route;
use crate::metrics::policies::TenantOutcome;
use crate::worker::WorkerLive;

/// The phases, each before what costs more than itself and before what needs what it finds out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// What every answer says from here on, refusals too.
    Headers,
    /// Where the request comes from.
    Address,
    /// A preflight is answered before anybody is asked who they are: browsers send it without credentials.
    Preflight,
    /// Pages of others.
    CrossSite,
    /// Rates by address, header and route: they spare what follows.
    Rates,
    /// Who is asking.
    Identify,
    /// Whose tenant's it is.
    Tenant,
    /// Where this consumer may come from.
    ConsumerAddress,
    /// What they may.
    Authorise,
    /// Rates by identity.
    IdentityRates,
    /// How many at once: last, so that nothing that is refused takes a place.
    Concurrency,
}

const ORDER: [Phase; 11] = [
    Phase::Headers,
    Phase::Address,
    Phase::Preflight,
    Phase::CrossSite,
    Phase::Rates,
    Phase::Identify,
    Phase::Tenant,
    Phase::ConsumerAddress,
    Phase::Authorise,
    Phase::IdentityRates,
    Phase::Concurrency,
];

/// What the phases came to.
pub(crate) enum Judged {
    /// The request goes on.
    Pass,
    /// It is refused.
    Deny(Box<Denial>),
    /// It is answered.
    Answer(Box<Reply>),
    /// It waits; behind the wait, the phases go on from this number.
    Wait(Waiting, usize),
}

impl Guards {
    /// Runs the phases from that number on.
    pub(crate) fn judge(&self, from: usize, ask: &Ask<'_>) -> Judged {
        counted(ask, self.phases(from, ask))
    }

    fn phases(&self, from: usize, ask: &Ask<'_>) -> Judged {
        for (i, phase) in ORDER.iter().enumerate().skip(from) {
            match self.step(*phase, ask) {
                Step::Pass => {}
                Step::Deny(denial) => return Judged::Deny(denial),
                Step::Answer(reply) => return Judged::Answer(reply),
                Step::Wait(waiting) => return Judged::Wait(waiting, i + 1),
            }
        }
        Judged::Pass
    }

    fn step(&self, phase: Phase, ask: &Ask<'_>) -> Step {
        // What the consumer brings stands in the place of the route's.
        let consumer = || {
            let index = ask.identity()?.consumer_index?;
            ask.live.consumers.get(index as usize)
        };
        match phase {
            Phase::Headers => {
                if let Some(headers) = &self.security_headers {
                    headers.put(ask);
                }
                if let Some(cors) = &self.cors {
                    cors.put(ask);
                }
                Step::Pass
            }
            Phase::Address => self.ip.as_ref().map_or(Step::Pass, |ip| ip.judge(ask)),
            Phase::Preflight => self.cors.as_ref().map_or(Step::Pass, |cors| cors.judge(ask)),
            Phase::CrossSite => self.csrf.as_ref().map_or(Step::Pass, |csrf| csrf.judge(ask)),
            Phase::Rates => self.limits.as_ref().map_or(Step::Pass, |limits| limits.judge_early(ask)),
            Phase::Identify => self.auth.as_ref().map_or(Step::Pass, |auth| auth.judge(ask)),
            Phase::Tenant => self.tenant.as_ref().map_or(Step::Pass, |tenant| tenant.judge(ask)),
            Phase::ConsumerAddress => consumer().and_then(|c| c.ip.as_ref()).map_or(Step::Pass, |ip| ip.judge(ask)),
            Phase::Authorise => {
                let own = consumer().and_then(|c| c.require.as_ref());
                own.or(self.require.as_ref()).map_or(Step::Pass, |require| require.judge(ask))
            }
            Phase::IdentityRates => super::limits::judge(self.limits.as_ref(), consumer(), ask),
            Phase::Concurrency => {
                let own = consumer().and_then(|c| c.concurrency.as_ref());
                own.or(self.concurrency.as_ref()).map_or(Step::Pass, |concurrency| concurrency.judge(ask))
            }
        }
    }
}

/// The same, counted by tenant where that is wanted.
#[inline]
fn counted(ask: &Ask<'_>, judged: Judged) -> Judged {
    if ask.live.tenants {
        count_tenant(ask, &judged);
    }
    judged
}

/// Counts a request by its tenant, once it is known what becomes of it.
#[cold]
fn count_tenant(ask: &Ask<'_>, judged: &Judged) {
    let Some(tenant) = ask.tenant() else { return };
    let outcome = match judged {
        Judged::Wait(..) => return,
        Judged::Pass => TenantOutcome::Passed,
        Judged::Deny(denial) if matches!(denial.kind, FaultKind::RateLimited | FaultKind::ConcurrencyLimited) => {
            TenantOutcome::Limited
        }
        Judged::Deny(_) | Judged::Answer(_) => TenantOutcome::Denied,
    };
    let book = &ask.worker.metrics().tenants;
    let line = book.known(tenant).unwrap_or_else(|| book.line(ask.worker.shared.series.tenants.place(tenant)));
    line.count(outcome);
}

/// Ends a request that some phase ended, or waits and goes on; `None`: the request passes.
pub(crate) async fn go_on(
    conn: &mut Conn,
    live: &Rc<WorkerLive>,
    head: &mut Head,
    about: &About<'_>,
    route: &Route,
    guards: &Guards,
    mut judged: Judged,
) -> Result<Option<After>, Failure> {
    loop {
        let (waiting, next) = match judged {
            Judged::Pass => return Ok(None),
            Judged::Deny(denial) => return Err(denial.into()),
            Judged::Answer(reply) => return Ok(Some(give(conn, head, about, &reply).await)),
            Judged::Wait(waiting, next) => (waiting, next),
        };
        head.detach(&conn.worker);
        let Resumed { end, identity, edits, extra, permit } = waiting.await;
        if let Some(identity) = identity {
            // One phase alone finds out who is asking.
            let _ = about.find().identity.set(identity);
        }
        if !edits.is_empty() {
            about.find().edits.borrow_mut().extend(edits);
        }
        for (name, value) in extra {
            about.find().extra.borrow_mut().add(name, &value);
        }
        if let Some(permit) = permit {
            about.find().held.borrow_mut().push(permit);
        }
        let worker = conn.worker.clone();
        let scratch = worker.scratch.borrow();
        let (request, bytes) = (head.request(), head.bytes(&scratch.read));
        let ask = Ask { conn, worker: &worker, live: &live.live, route, head: request, bytes, about };
        judged = match end {
            Some(End::Deny(denial)) => counted(&ask, Judged::Deny(denial)),
            Some(End::Answer(reply)) => counted(&ask, Judged::Answer(reply)),
            None => guards.judge(next, &ask),
        };
    }
}

async fn give(conn: &mut Conn, head: &Head, about: &About<'_>, reply: &Reply) -> After {
    if reply.status >= 400 {
        let denial = Denial::new(FaultKind::Forbidden, reply.policy, format!("its answer is {}", reply.status));
        conn.worker.log_denial(&denial, about.request_id.as_bytes());
        failure::audit(&conn.worker, about, head, &denial);
    }
    let unread = direct::leave_body(conn, head, about);
    let fields: Vec<_> = reply.fields.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
    let content = Content::Bytes { content_type: None, body: &reply.body };
    answer::give(conn, about.to(unread), What { status: reply.status, detail: "", fields: &fields, content }).await
}
