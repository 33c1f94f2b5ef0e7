//! Delivery: what waits in the worker's inbox goes out in one turn, one send a session however many messages it is.
//!
//! A turn takes at most a millisecond, then others run; channels take turns, so that a large one holds up nobody for
//! its whole length. Of one channel there is one job at a time: that is how its order holds.

use std::rc::Rc;
use std::sync::Arc;

use fastgate_core::snapshot::WhenFull;

use super::frames::Prepared;
use super::session::{Delivered, Memberships, Session};
use super::shard::Inner;
use super::slab::Key;
use super::{Parcel, Publication, Sender};
use crate::metrics::hub::Lost as Why;
use crate::rt;
use crate::worker::Worker;

/// Nanoseconds of one turn.
pub(crate) const TURN: u64 = 1_000_000;

/// Sends between two looks at the clock.
const STRIDE: u32 = 64;

/// The publications of one channel that go out together.
#[derive(Debug)]
pub(crate) struct Job {
    channel: u32,
    publications: Vec<Arc<Publication>>,
    /// By encoding, made when the first session wants it.
    prepared: Vec<Prepared>,
    /// Members that get less than the others: not what they sent, or not what another worker has given them.
    apart: Vec<Key>,
    late: Vec<(Key, u64)>,
    /// Members whose turn has not come, once it did not end in its first turn; until then the channel's own list.
    rest: Option<Vec<Key>>,
    at: usize,
}

/// What a turn's sends come to.
#[derive(Debug, Default)]
struct Counts {
    delivered: u64,
    unfit: u32,
    /// Dropped, by policy.
    oldest: u32,
    latest: u32,
}

impl Job {
    /// The channel it serves.
    pub(crate) fn channel(&self) -> u32 {
        self.channel
    }

    /// Strikes a session that departs from its list; what the session is still owed.
    pub(crate) fn settle(&mut self, key: Key, members: &[Key], worker: usize) -> Vec<Arc<Publication>> {
        let owes = self.rest.as_deref().unwrap_or(members)[self.at..].contains(&key);
        if let Some(rest) = &mut self.rest {
            // Nobody has this name.
            rest.iter_mut().filter(|one| **one == key).for_each(|one| one.generation = 0);
        }
        self.publications_for(key, worker).filter(|_| owes).cloned().collect()
    }

    /// A session joins that another worker has served so far: what lies here already is not for it.
    pub(crate) fn joins_late(&mut self, key: Key) {
        // Once it has begun it has its own list, in which no newcomer stands.
        if self.rest.is_none()
            && let Some(last) = self.publications.last()
        {
            self.late.push((key, last.offset));
        }
    }

    /// Whether a session gets what all get.
    #[inline]
    fn serves_alike(&self, key: Key) -> bool {
        self.apart.is_empty() && self.late.is_empty()
            || !self.apart.contains(&key) && !self.late.iter().any(|(late, _)| *late == key)
    }

    /// What of it is for a session.
    fn publications_for(&self, key: Key, worker: usize) -> impl Iterator<Item = &Arc<Publication>> {
        let behind = self.late.iter().find(|(late, _)| *late == key).map_or(0, |(_, offset)| *offset);
        let hears = move |one: &&Arc<Publication>| one.offset > behind && own(one, worker) != Some(key);
        self.publications.iter().filter(hears)
    }

    fn new(channel: u32, publications: Vec<Arc<Publication>>, worker: usize) -> Self {
        let apart = publications.iter().filter_map(|publication| own(publication, worker)).collect();
        Self { channel, publications, prepared: Vec::new(), apart, late: Vec::new(), rest: None, at: 0 }
    }
}

/// The session that does not get this publication because it sent it.
fn own(publication: &Publication, worker: usize) -> Option<Key> {
    let from = publication.from.filter(|from| !from.echo && usize::from(from.worker) == worker)?;
    let Sender { slot, generation, .. } = from;
    Some(Key { slot, generation })
}

/// Delivers for as long as the worker lives.
pub(crate) async fn run(worker: Rc<Worker>) {
    let post = &worker.shared.workers[worker.index].post;
    let mut busy = false;
    loop {
        // While something is under way, what has come meanwhile joins it.
        let came = if busy { post.inbox.take() } else { post.inbox.receive().await };
        if let Some(mut inner) = worker.hub.get() {
            inner.take_in(&worker, came);
            busy = inner.turn(&worker);
        } else {
            // Nobody is here any more: the worker ends.
            came.iter().for_each(|parcel| post.done(parcel.weight()));
            busy = false;
        }
        if busy {
            rt::yield_now().await;
        }
    }
}

impl Inner {
    /// Sorts publications by channel; those of a channel that is being served wait.
    pub(crate) fn take_in(&mut self, worker: &Rc<Worker>, came: Vec<Parcel>) {
        let post = &worker.shared.workers[worker.index].post;
        let mut fresh = Vec::new();
        for parcel in came {
            let weight = parcel.weight();
            let publication = match parcel {
                Parcel::Publication(publication) => publication,
                moving => {
                    post.done(weight);
                    // Their place among publications is what they are about.
                    for index in fresh.drain(..) {
                        self.begin_job(worker, index);
                    }
                    match moving {
                        Parcel::Depart(key, name) => self.settle(worker, key, &name),
                        Parcel::Expect(expected, name) => self.expect(worker, &expected, &name),
                        Parcel::Arrive(arrival) => self.arrive(worker, *arrival),
                        Parcel::Forget(id) => self.forget(worker, id),
                        Parcel::Publication(_) => {}
                    }
                    continue;
                }
            };
            let found = self.table.find(&publication.channel);
            let Some((index, channel)) = found.and_then(|index| Some((index, self.table.get_mut(index)?))) else {
                // Its last member has left.
                post.done(weight);
                continue;
            };
            if !channel.busy && channel.waiting.is_empty() {
                fresh.push(index);
            }
            channel.waiting.push(publication);
        }
        for index in fresh {
            self.begin_job(worker, index);
        }
    }

    fn begin_job(&mut self, worker: &Worker, index: u32) {
        let Some(channel) = self.table.get_mut(index) else { return };
        channel.busy = true;
        let publications = std::mem::take(&mut channel.waiting);
        let mut job = Job::new(index, publications, worker.index);
        job.late = std::mem::take(&mut channel.late);
        self.jobs.push_back(job);
    }

    /// One turn; whether something is left to do.
    pub(crate) fn turn(&mut self, worker: &Worker) -> bool {
        let until = worker.clock.read() + TURN;
        let mut counts = Counts::default();
        let mut doomed = Vec::new();
        let mut jobs = self.jobs.len();
        while jobs > 0
            && let Some(mut job) = self.jobs.pop_front()
        {
            jobs -= 1;
            let done = self.serve(worker, &mut job, until, &mut counts, &mut doomed);
            // Only now: a list of members must not change while it is walked.
            for (key, code) in doomed.drain(..) {
                match code {
                    0 => self.remove(worker, key),
                    code => self.close(worker, key, code, "slow"),
                }
            }
            if done {
                self.end_job(worker, job);
            } else {
                self.jobs.push_back(job);
                break;
            }
        }
        for key in std::mem::take(&mut self.gathered) {
            if let Some(session) = self.sessions.get_mut(key) {
                session.gathered = false;
                self.flush(worker, key);
            }
        }
        let line = &worker.metrics().hub;
        line.deliveries.add(counts.delivered);
        for (why, n) in [(Why::Encoding, counts.unfit), (Why::Oldest, counts.oldest), (Why::Latest, counts.latest)] {
            if n > 0 {
                line.dropped(why, n);
            }
        }
        !self.jobs.is_empty()
    }

    /// Serves the members of a job until the turn is over; whether all are served.
    fn serve(
        &mut self,
        worker: &Worker,
        job: &mut Job,
        until: u64,
        counts: &mut Counts,
        doomed: &mut Vec<(Key, u16)>,
    ) -> bool {
        let now = worker.deadlines.now();
        let several = !self.jobs.is_empty();
        let mut stride = 0;
        loop {
            let Some(channel) = self.table.get(job.channel) else { return true };
            let members = job.rest.as_deref().unwrap_or(&channel.members);
            let Some(key) = members.get(job.at).copied() else { return true };
            if stride == STRIDE {
                stride = 0;
                if worker.clock.read() >= until {
                    if job.rest.is_none() {
                        // Members may come and go before its next turn.
                        job.rest = Some(members[job.at..].to_vec());
                        job.at = 0;
                    }
                    return false;
                }
            }
            stride += 1;
            job.at += 1;
            let Some(session) = self.sessions.get_mut(key).filter(|session| session.takes()) else {
                continue;
            };
            let gathers = several
                && match &session.memberships {
                    Memberships::One(_) => false,
                    // Another of its channels has something too: it leaves together.
                    Memberships::Many(all) => {
                        let other = |channel: u32| {
                            channel != job.channel && self.table.get(channel).is_some_and(|channel| channel.busy)
                        };
                        session.gathered || all.iter().any(|membership| other(membership.channel))
                    }
                };
            let before = session.queued();
            let delivered = if job.serves_alike(key) {
                let encoding = session.encoding;
                let at = match job.prepared.iter().position(|prepared| prepared.encoding == encoding) {
                    Some(at) => at,
                    None => {
                        let all = job.publications.iter().map(|publication| &**publication);
                        job.prepared.push(Prepared::new(encoding, all, &mut self.spare));
                        job.prepared.len() - 1
                    }
                };
                give(session, &job.prepared[at], job.channel, gathers, now, counts)
            } else {
                let less = job.publications_for(key, worker.index).map(|publication| &**publication);
                let prepared = Prepared::new(session.encoding, less, &mut self.spare);
                give(session, &prepared, job.channel, gathers, now, counts)
            };
            match delivered {
                Err(_) => doomed.push((key, 0)),
                Ok(Delivered { full: true, .. }) => doomed.push((key, 3008)),
                Ok(_) => {}
            }
            let queued = session.queued();
            if queued != before {
                worker.metrics().hub.waits(before, queued);
                if gathers && !session.gathered {
                    session.gathered = true;
                    self.gathered.push(key);
                }
                if before == 0 {
                    self.sessions.due_by(key.slot, super::shard::after(now, 0));
                }
            }
        }
    }

    /// A job is done; what its channel got meanwhile is the next one.
    fn end_job(&mut self, worker: &Worker, job: Job) {
        let post = &worker.shared.workers[worker.index].post;
        let now = worker.clock.read();
        for publication in &job.publications {
            worker.metrics().hub.lag.record(now.saturating_sub(publication.at));
            post.done(Parcel::weigh(publication));
        }
        let Some(channel) = self.table.get_mut(job.channel) else { return };
        channel.busy = false;
        if !channel.waiting.is_empty() {
            return self.begin_job(worker, job.channel);
        }
        // What grew for a burst is not kept for ever.
        channel.waiting = Vec::new();
        self.table.perhaps_close(job.channel);
    }
}

/// Gives a session what was prepared.
#[inline]
fn give(
    session: &mut Session,
    prepared: &Prepared,
    channel: u32,
    gathers: bool,
    now: u32,
    counts: &mut Counts,
) -> Result<Delivered, super::session::Gone> {
    counts.unfit += prepared.unfit;
    if prepared.parts.is_empty() {
        return Ok(Delivered::default());
    }
    let given =
        if gathers { session.gather(prepared, channel, now)? } else { session.deliver(prepared, channel, now)? };
    counts.delivered += u64::from(given.messages);
    if given.dropped > 0 {
        match session.endpoint.queue.when_full {
            WhenFull::LatestOnly => counts.latest += given.dropped,
            WhenFull::DropOldest | WhenFull::Disconnect => counts.oldest += given.dropped,
        }
    }
    Ok(given)
}
