//! An origin's end of one connection: reads requests with its own parser, answers well or badly.

use std::rc::Rc;

use fastgate_engine::simulation::{End, Got};

use crate::book::{Book, Reply, Seen};
use crate::plan::{self, Kind, Plan};
use crate::rng::Rng;
use crate::wire::{self, Framing};

/// What follows an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    Keep,
    Close,
    Reset,
    /// Nothing, although more is due.
    Silence,
}

/// A request that is being read or answered.
#[derive(Debug)]
struct Current {
    plan: Rc<Plan>,
    head: usize,
    framing: Framing,
    attempt: usize,
    complete: bool,
    /// Answered without waiting for the whole request.
    early: bool,
    answer: Vec<u8>,
    put: usize,
    /// Bytes at the end of the answer that go out at once.
    whole: usize,
    then: Then,
}

/// One connection.
#[derive(Debug)]
pub struct Origin {
    id: usize,
    end: Option<End>,
    input: Vec<u8>,
    current: Option<Current>,
    requests: usize,
    /// Why no further request may come.
    spent: Option<&'static str>,
}

const INVALID: &[&str] = &[
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
    "HTTP/1.1 20 OK\r\n\r\n",
    "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "SSH-2.0-none\r\n\r\n",
];

impl Origin {
    pub fn new(id: usize, end: End) -> Self {
        Self { id, end: Some(end), input: Vec::new(), current: None, requests: 0, spent: None }
    }

    /// Where it stands, for a trace.
    pub fn stands(&self) -> String {
        let Some(current) = &self.current else { return format!("idle, {} bytes read", self.input.len()) };
        let (put, all) = (current.put, current.answer.len());
        let (tag, complete, then) = (&current.plan.tag, current.complete, current.then);
        let line = String::from_utf8_lossy(&current.answer);
        let line = line.lines().next().unwrap_or_default();
        format!("{tag}, complete: {complete}, {put} of {all} bytes of {line:?}, then {then:?}; {:?}", self.spent)
    }

    /// Whether both sides are through with it.
    pub fn is_over(&self) -> bool {
        self.end.is_none()
    }

    fn wrong<T>(&self, what: &str) -> Result<T, String> {
        Err(format!("origin connection {}: {what}", self.id))
    }

    /// Reads at most `most` bytes; `true` when something happened.
    pub fn read(&mut self, rng: &mut Rng, book: &mut Book, most: usize) -> Result<bool, String> {
        let Some(end) = &self.end else { return Ok(false) };
        match end.take(&mut self.input, most) {
            Got::Bytes(_) => {}
            Got::Nothing => return Ok(false),
            Got::End | Got::Reset => {
                self.close(book);
                return Ok(true);
            }
        }
        self.parse(rng, book)?;
        Ok(true)
    }

    fn close(&mut self, book: &mut Book) {
        if self.current.is_none() && !self.input.is_empty() {
            book.beginnings += 1;
        }
        self.end = None;
    }

    fn parse(&mut self, rng: &mut Rng, book: &mut Book) -> Result<(), String> {
        while !self.input.is_empty() {
            if let Some(current) = &self.current
                && current.complete
            {
                return self.wrong("a second request came before the first was answered");
            }
            if self.current.is_none() {
                if let Some(why) = self.spent {
                    return self.wrong(&format!("used again although {why}"));
                }
                let Some(head) = wire::head(&self.input).or_else(|e| self.wrong(&e))? else { break };
                self.begin(rng, book, &head)?;
            }
            if !self.continue_body(book)? {
                break;
            }
        }
        Ok(())
    }

    /// Judges a head and plans the answer.
    fn begin(&mut self, rng: &mut Rng, book: &mut Book, head: &wire::Head) -> Result<(), String> {
        let tag = head.one("x-tag")?.unwrap_or("(none)").to_owned();
        let (fresh, id) = (self.requests == 0, self.id);
        self.requests += 1;
        book.heads += 1;
        let wrong = |what: &str| Err(format!("origin connection {id}, request {tag}: {what}"));
        let Some(entry) = book.get(&tag) else { return wrong(&format!("nobody sent this: {:?}", head.line)) };
        let plan = entry.plan.clone();
        if !matches!(plan.kind, Kind::Proxy | Kind::TooLarge | Kind::BadBody | Kind::Tunnel) || entry.sent_ms.is_none()
        {
            return wrong(&format!("forwarded although it is {:?}", plan.kind));
        }
        if entry.hook.is_some() {
            return wrong("forwarded although its hook had decided otherwise");
        }
        if head.line != format!("{} {} HTTP/1.1", plan.method, plan.target) {
            return wrong(&format!("its line became {:?}", head.line));
        }
        if head.all("host").len() != 1 {
            return wrong("not exactly one Host");
        }
        for name in ["X-Tag", "x-REPEATED"] {
            let due: Vec<_> = plan.fields.iter().filter(|(n, _)| *n == name).map(|(_, v)| v.trim()).collect();
            if head.all(name) != due {
                return wrong(&format!("its {name} became {:?}", head.all(name)));
            }
        }
        if let Some(first) = entry.seen.first() {
            let excuse = entry.seen.len() == 1 && plan.repeatable() && !first.fresh && !first.begun && fresh;
            if !excuse {
                return wrong(&format!("sent again without need; first time: {first:?}"));
            }
        }
        let attempt = entry.seen.len();
        let framing = wire::framing(head, Framing::None).map_err(|e| format!("request {tag} at its origin: {e}"))?;
        let answer = match plan.kind {
            Kind::Tunnel if head.one("upgrade")? != Some("echo") => return wrong("its Upgrade is lost"),
            Kind::Tunnel => self.switch(rng, &plan, attempt, head.len),
            _ => self.plan_answer(rng, &plan, attempt, head.len, framing),
        };
        let entry = book.of(&plan);
        entry.seen.push(Seen { fresh, begun: false, reply: answer });
        let early = self.current.as_ref().is_some_and(|current| current.early);
        book.early += u64::from(early);
        Ok(())
    }

    /// Reads on; `true` when the request is complete.
    fn continue_body(&mut self, book: &Book) -> Result<bool, String> {
        let Some(current) = &mut self.current else { return Ok(false) };
        let body = wire::body(current.framing, &self.input[current.head..])
            .map_err(|e| format!("request {} at its origin: {e}", current.plan.tag))?;
        let due = &current.plan.body;
        let of = &current.plan.tag;
        if !due.starts_with(&body.content) && current.plan.kind != Kind::BadBody {
            return Err(format!("request {of}: its body became {:?}", String::from_utf8_lossy(&body.content)));
        }
        let Some(len) = body.complete else { return Ok(false) };
        if body.content != *due || current.plan.kind != Kind::Proxy {
            return Err(format!("request {of} is complete at its origin although it was not: {:?}", current.plan.kind));
        }
        debug_assert!(book.heads > 0);
        self.input.drain(..current.head + len);
        current.complete = true;
        self.next_request();
        Ok(true)
    }

    /// With request and answer through, the next may come.
    fn next_request(&mut self) {
        if self.current.as_ref().is_some_and(|c| c.complete && c.put == c.answer.len() && c.then == Then::Keep) {
            self.current = None;
        }
    }

    /// Changes the protocol, and says something in it.
    fn switch(&mut self, rng: &mut Rng, plan: &Rc<Plan>, attempt: usize, head: usize) -> Reply {
        let mark = format!("{}.{attempt}", plan.tag);
        let body = plan::content(&mark, rng.below(4_000));
        let text = format!("HTTP/1.1 101 Fine\r\nX-Answer: {mark}\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
        self.spent = Some("its protocol changed");
        self.current = Some(Current {
            plan: plan.clone(),
            head,
            framing: Framing::UntilClose,
            attempt,
            complete: false,
            early: true,
            answer: [text.as_bytes(), &body].concat(),
            put: 0,
            whole: 0,
            then: *rng.pick(&[Then::Close, Then::Reset, Then::Silence]),
        });
        Reply { status: 101, body, faulted: false }
    }

    fn plan_answer(&mut self, rng: &mut Rng, plan: &Rc<Plan>, attempt: usize, head: usize, framing: Framing) -> Reply {
        let mark = format!("{}.{attempt}", plan.tag);
        let status = *rng.pick(&[200, 200, 200, 200, 201, 204, 304, 404, 500]);
        let len = *rng.pick(&[0, 3, 100, 900, 5000, 9000]);
        let body = plan::content(&mark, if len > 3 { rng.between(4, len) } else { len });
        let bodiless = plan.method == "HEAD" || status == 204 || status == 304;
        let mut answer = Vec::new();
        for _ in 0..rng.below(8).saturating_sub(5) {
            let interim = *rng.pick(&["100 Continue", "103 Early Hints"]);
            answer.extend_from_slice(format!("HTTP/1.1 {interim}\r\nX-Answer: {mark}\r\n\r\n").as_bytes());
        }
        let mut then = Then::Keep;
        let mut text = format!("HTTP/1.1 {status} Fine\r\nX-Answer: {mark}\r\n");
        if rng.percent(20) {
            text += &format!("X-Filler: {}\r\n", "f".repeat(rng.below(900)));
        }
        if rng.percent(8) {
            text += "Connection: close\r\n";
            self.spent = Some("its answer said close");
            then = *rng.pick(&[Then::Close, Then::Keep]);
        }
        let way = if bodiless && status != 200 { 9 } else { rng.below(8) };
        match way {
            0..4 => text += &format!("Content-Length: {}\r\n\r\n", body.len()),
            4..7 => text += "Transfer-Encoding: chunked\r\n\r\n",
            9 => text += "\r\n",
            _ => {
                text += "\r\n";
                if !bodiless {
                    self.spent = Some("its answer ends with it");
                    then = Then::Close;
                }
            }
        }
        answer.extend_from_slice(text.as_bytes());
        if !bodiless {
            match way {
                4..7 => plan::chunks(rng, &mut answer, &body, false),
                _ => answer.extend_from_slice(&body),
            }
        }
        let body = if bodiless { Vec::new() } else { body };
        let mut reply = Reply { status, body, faulted: false };
        let mut whole = 0;
        match rng.below(100) {
            0..12 => {
                answer.truncate(rng.below(answer.len()));
                // Closing would be the end of an answer that ends with its connection.
                let delimited = way != 7 || bodiless;
                then = if delimited { *rng.pick(&[Then::Close, Then::Reset, Then::Silence]) } else { Then::Reset };
                (reply.faulted, self.spent) = (true, Some("its answer stopped half-way"));
            }
            12..17 => {
                answer.clear();
                then = *rng.pick(&[Then::Close, Then::Reset]);
                (reply.faulted, self.spent) = (true, Some("it was closed without an answer"));
            }
            17..21 => {
                answer = rng.pick(INVALID).as_bytes().to_vec();
                then = Then::Keep;
                (reply.faulted, self.spent) = (true, Some("its answer was not valid"));
            }
            21..26 if way != 7 || bodiless => {
                let extra =
                    *rng.pick(&["X", "\r\n", "HTTP/1.1 200 OK\r\nX-Answer: evil.0\r\nContent-Length: 0\r\n\r\n"]);
                answer.extend_from_slice(extra.as_bytes());
                whole = extra.len() + 1;
                self.spent = Some("bytes came behind its answer");
            }
            _ => {}
        }
        let early = rng.percent(15);
        let plan = plan.clone();
        self.current =
            Some(Current { plan, head, framing, attempt, complete: false, early, answer, put: 0, whole, then });
        reply
    }

    /// Sends a piece of the answer, or does what follows it; `true` when something happened.
    pub fn write(&mut self, rng: &mut Rng, book: &mut Book, calm: bool) -> bool {
        let (Some(end), Some(current)) = (&self.end, &mut self.current) else { return false };
        if !current.complete && !current.early {
            return false;
        }
        let left = current.answer.len() - current.put;
        if left > 0 {
            let mut n = if calm { left } else { rng.cut(left) };
            if n > left.saturating_sub(current.whole) {
                // The last bytes go with those behind them, or not yet.
                n = if end.room() >= left { left } else { left.saturating_sub(current.whole) };
            }
            if n == 0 {
                return false;
            }
            let Some(put) = end.put(&current.answer[current.put..current.put + n]) else { return false };
            current.put += put;
            if put > 0 {
                book.of(&current.plan).seen[current.attempt].begun = true;
            }
            self.next_request();
            return put > 0;
        }
        match current.then {
            Then::Keep => return false,
            Then::Silence if !calm => return false,
            Then::Reset => {
                if end.unread() == current.put {
                    book.of(&current.plan).seen[current.attempt].begun = false;
                }
                end.reset();
            }
            Then::Close | Then::Silence => {}
        }
        self.close(book);
        true
    }

    /// Breaks the connection wherever it stands, or spoils it while nobody uses it; `true` when something happened.
    pub fn disturb(&mut self, rng: &mut Rng, book: &mut Book) -> Result<bool, String> {
        while self.read(rng, book, usize::MAX)? {}
        let Some(end) = &self.end else { return Ok(false) };
        match &self.current {
            Some(current) => {
                let seen = &mut book.of(&current.plan).seen[current.attempt];
                seen.reply.faulted = true;
                if end.unread() == current.put {
                    seen.begun = false;
                }
                end.reset();
                self.close(book);
            }
            None if self.requests == 0 || !self.input.is_empty() => {
                book.broken += 1;
                end.reset();
                self.close(book);
            }
            None if rng.percent(50) => self.close(book),
            None => {
                self.spent = Some("bytes came that nobody had asked for");
                end.put(b"HTTP/1.1 408 Idle\r\nX-Answer: evil.0\r\nContent-Length: 0\r\n\r\n");
            }
        }
        Ok(true)
    }
}
