//! A client's end of one connection: sends requests cut anywhere, reads answers and judges every byte of them.

use std::rc::Rc;

use fastgate_engine::simulation::{End, Got};

use crate::book::Book;
use crate::plan::{self, Kind, Plan};
use crate::rng::Rng;
use crate::wire::{self, Framing};

/// Requests of one connection.
const MAX_REQUESTS: usize = 12;

/// The shortest time-out of any kind in the snapshots, in milliseconds.
pub const SHORTEST_MS: u64 = 800;

/// How long the rest of a body is waited for once its request was answered.
const DRAIN_MS: u64 = 2_000;

/// One connection.
#[derive(Debug)]
pub struct Client {
    id: usize,
    end: Option<End>,
    /// Sends the next request without waiting for the answer.
    pipelines: bool,
    plans: Vec<Rc<Plan>>,
    /// Bytes of the last plan that were sent.
    sent: usize,
    /// No further request follows.
    stopped: bool,
    answered: usize,
    input: Vec<u8>,
    said_close: bool,
    ended_ours: bool,
}

impl Client {
    pub fn new(id: usize, end: End, pipelines: bool) -> Self {
        Self {
            id,
            end: Some(end),
            pipelines,
            plans: Vec::new(),
            sent: 0,
            stopped: false,
            answered: 0,
            input: Vec::new(),
            said_close: false,
            ended_ours: false,
        }
    }

    pub fn is_over(&self) -> bool {
        self.end.is_none()
    }

    /// Where it stands, for a trace.
    pub fn stands(&self) -> String {
        let Some(plan) = self.plans.last() else { return "nothing sent".to_owned() };
        let line = String::from_utf8_lossy(&plan.bytes);
        let line = line.trim_start().lines().next().unwrap_or_default();
        let (sent, all) = (self.sent, plan.bytes.len());
        format!("{sent} of {all} bytes of {} {:?} {line:?}; {} answered", plan.tag, plan.kind, self.answered)
    }

    /// Whether everything it sent was answered.
    pub fn is_served(&self) -> bool {
        self.answered == self.plans.len() && self.input.is_empty()
    }

    fn wrong<T>(&self, what: &str) -> Result<T, String> {
        let at = self.plans.get(self.answered).map_or("nothing", |plan| plan.tag.as_str());
        Err(format!("client {}, waiting for {at}: {what}", self.id))
    }

    /// Sends a piece of a request; with `finish`, the rest of what was begun and nothing new.
    pub fn send(&mut self, rng: &mut Rng, book: &mut Book, max_body: usize, finish: bool) -> bool {
        let Some(end) = &self.end else { return false };
        if self.ended_ours {
            return false;
        }
        if self.plans.last().is_none_or(|plan| self.sent == plan.bytes.len()) {
            let waits = !self.pipelines && self.answered < self.plans.len();
            if finish || waits || self.stopped || self.plans.len() >= MAX_REQUESTS {
                return false;
            }
            let tag = format!("c{}r{}", self.id, self.plans.len());
            let plan = match self.plans.last() {
                Some(last) if last.kind == Kind::Tunnel => return false,
                Some(last) if last.closes => {
                    self.stopped = true;
                    plan::never(tag)
                }
                _ if rng.percent(4) => plan::bad(rng, tag),
                _ if rng.percent(3) => plan::tunnel(rng, tag),
                _ => plan::request(rng, tag, max_body),
            };
            self.plans.push(book.add(plan));
            self.sent = 0;
        }
        let plan = self.plans.last().expect("there is one now").clone();
        let left = &plan.bytes[self.sent..];
        let n = if finish { left.len() } else { rng.cut(left.len()) };
        let Some(put) = end.put(&left[..n]) else { return false };
        self.sent += put;
        let now = book.now_ms;
        if put > 0 {
            book.of(&plan).sent_ms.get_or_insert(now);
        }
        put > 0
    }

    /// Ends our direction, or breaks the connection; `true` when something happened.
    pub fn leave(&mut self, rng: &mut Rng) -> bool {
        let Some(end) = &self.end else { return false };
        if rng.percent(40) && !self.ended_ours {
            end.finish();
            self.ended_ours = true;
            return true;
        }
        if rng.percent(50) {
            end.reset();
        }
        self.end = None;
        true
    }

    /// Reads at most `most` bytes and judges them; `true` when something happened.
    pub fn read(&mut self, book: &mut Book, most: usize) -> Result<bool, String> {
        let Some(end) = &self.end else { return Ok(false) };
        match end.take(&mut self.input, most) {
            Got::Bytes(_) => {
                self.judge(book, false)?;
                Ok(true)
            }
            Got::Nothing => Ok(false),
            got @ (Got::End | Got::Reset) => {
                self.end = None;
                self.judge(book, got == Got::End)?;
                self.judge_end(book)?;
                Ok(true)
            }
        }
    }

    fn judge(&mut self, book: &mut Book, ended: bool) -> Result<(), String> {
        while !self.input.is_empty() {
            let Some(plan) = self.plans.get(self.answered).cloned() else {
                return self.wrong(&format!("bytes that answer nothing: {:?}", String::from_utf8_lossy(&self.input)));
            };
            if book.of(&plan).sent_ms.is_none() || plan.kind == Kind::Never || self.said_close {
                return self.wrong(&format!("an answer that is not due: {:?}", String::from_utf8_lossy(&self.input)));
            }
            let Some(head) = wire::head(&self.input).or_else(|e| self.wrong(&e))? else { return Ok(()) };
            let status = head.line.strip_prefix("HTTP/1.1 ").and_then(|line| line.get(..3)?.parse::<u16>().ok());
            let Some(status) = status else { return self.wrong(&format!("a status line {:?}", head.line)) };
            let mark = head.one("x-answer").or_else(|e| self.wrong(&e))?;
            if status == 101 && plan.kind == Kind::Tunnel {
                let upgrade = head.one("upgrade").or_else(|e| self.wrong(&e))?;
                if upgrade != Some("echo") {
                    return self.wrong("a change of protocol without its name");
                }
                self.judge_relayed(book, &plan, mark.unwrap_or_default(), status, &self.input[head.len..], false)?;
                if ended {
                    self.input.clear();
                    self.answered += 1;
                    book.answers += 1;
                }
                return Ok(());
            }
            if status < 200 {
                let ours = mark.is_some_and(|mark| mark.split('.').next() == Some(plan.tag.as_str()));
                if !ours || plan.http10 || status == 101 {
                    return self.wrong(&format!("an interim answer {:?} of {mark:?}", head.line));
                }
                self.input.drain(..head.len);
                continue;
            }
            let bodiless = plan.method == "HEAD" || status == 204 || status == 304;
            let mut framing = wire::framing(&head, Framing::UntilClose).or_else(|e| self.wrong(&e))?;
            if !bodiless && framing == if plan.http10 { Framing::Chunked } else { Framing::UntilClose } {
                return self.wrong(&format!("framed as {framing:?}"));
            }
            if bodiless {
                // A head that never came whole has no method yet: its 408 may have content, and closes.
                let closes = head.all("connection").contains(&"close");
                framing = if status == 408 && closes && mark.is_none() { Framing::UntilClose } else { Framing::None };
            }
            let body = wire::body(framing, &self.input[head.len..]).or_else(|e| self.wrong(&e))?;
            let complete = body.complete.or((framing == Framing::UntilClose && ended).then_some(body.content.len()));
            match mark {
                Some(mark) => self.judge_relayed(book, &plan, mark, status, &body.content, complete.is_some())?,
                None if complete.is_some() => self.judge_own(book, &plan, status, &body.content)?,
                None => {}
            }
            let Some(len) = complete else { return Ok(()) };
            self.said_close = framing == Framing::UntilClose
                || head.all("connection").iter().any(|value| value.eq_ignore_ascii_case("close"));
            self.input.drain(..head.len + len);
            self.answered += 1;
            book.answers += 1;
            if plan.kind == Kind::Tunnel {
                // It got no tunnel, and what it said is no request: it leaves.
                self.input.clear();
                self.end = None;
            }
        }
        Ok(())
    }

    /// An origin's answer: it belongs to this request and its bytes are the origin's.
    fn judge_relayed(
        &self,
        book: &mut Book,
        plan: &Plan,
        mark: &str,
        status: u16,
        content: &[u8],
        complete: bool,
    ) -> Result<(), String> {
        let (tag, attempt) = mark.split_once('.').unwrap_or((mark, ""));
        if tag != plan.tag {
            return self.wrong(&format!("the answer of {mark}"));
        }
        let entry = book.of(plan);
        let seen = attempt.parse().ok().and_then(|attempt: usize| entry.seen.get(attempt));
        let Some(seen) = seen else { return self.wrong(&format!("an answer {mark} that no origin gave")) };
        if seen.reply.status != status {
            return self.wrong(&format!("status {status} instead of {}", seen.reply.status));
        }
        let due = &seen.reply.body;
        if !due.starts_with(content) || (complete && due.len() != content.len()) {
            let same = due.iter().zip(content).take_while(|(a, b)| a == b).count();
            let rest = String::from_utf8_lossy(&content[same..content.len().min(same + 80)]);
            let (got, all) = (content.len(), due.len());
            return self
                .wrong(&format!("{got} bytes of content instead of {all}, other ones from byte {same}: {rest:?}"));
        }
        Ok(())
    }

    /// The gateway's own answer: there is a reason for it.
    fn judge_own(&self, book: &mut Book, plan: &Plan, status: u16, content: &[u8]) -> Result<(), String> {
        let late = book.age_ms(plan) >= SHORTEST_MS;
        let entry = book.of(plan);
        let faulted = entry.seen.last().is_some_and(|seen| seen.reply.faulted);
        let allowed = match (status, &plan.kind) {
            (200, Kind::Respond) => content == b"fixed" || plan.method == "HEAD",
            (404, Kind::NotFound) | (405, Kind::Method) | (413, Kind::TooLarge) | (400, Kind::BadBody) => true,
            (status, Kind::BadHead(statuses)) => statuses.contains(&status) || (status == 408 && late),
            (500 | 299, _) if entry.hook.is_some() => entry.hook == Some(status) || (status == 500 && late),
            (408 | 503 | 504, _) => late,
            (500, _) => plan.hooked && late,
            (502, _) => faulted || book.explain(),
            _ => false,
        };
        if allowed {
            return Ok(());
        }
        let text = String::from_utf8_lossy(content);
        self.wrong(&format!("the gateway's own {status} to a request that is {:?}: {text}", plan.kind))
    }

    /// The gateway ended the connection: there is a reason for that.
    fn judge_end(&self, book: &mut Book) -> Result<(), String> {
        let Some(plan) = self.plans.get(self.answered) else { return Ok(()) };
        if self.said_close
            || self.ended_ours
            || matches!(plan.kind, Kind::BadBody | Kind::TooLarge | Kind::Tunnel | Kind::Never)
        {
            return Ok(());
        }
        // What was left of an answered request's body did not come in time.
        let undrained = self.answered.checked_sub(1).map(|last| &self.plans[last]);
        let undrained = undrained.is_some_and(|last| last.framed && book.age_ms(last) >= DRAIN_MS);
        let late = undrained || book.age_ms(plan) >= SHORTEST_MS;
        let entry = book.of(plan);
        if entry.sent_ms.is_none() || late || (entry.seen.last().is_some_and(|seen| seen.reply.faulted)) {
            return Ok(());
        }
        self.wrong("the connection ended without a reason")
    }
}
