//! The calls for one server: those to be written and those that wait for their answer, and the server's breaker.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Waker;
use std::time::Duration;

use fastgate_core::resp::Server;
use fastgate_core::store::{Answer, Breaker, Rule, Turn};

use super::report::{Failed, Figures};
use super::{CALL, MAX_CALLS};
use crate::rt::Task;

/// One call of the script.
pub(super) struct Call {
    pub(super) rule: Arc<Rule>,
    /// What is written, and written again where the server has not got the script.
    pub(super) command: Vec<u8>,
    pub(super) asked: Duration,
    /// It was written again.
    pub(super) again: Cell<bool>,
    /// Nobody waits any more.
    pub(super) over: Cell<bool>,
    pub(super) result: Cell<Option<Result<Answer, Failed>>>,
    pub(super) waker: Cell<Option<Waker>>,
}

impl Call {
    pub(super) fn new(rule: Arc<Rule>, command: Vec<u8>, asked: Duration) -> Self {
        Self {
            rule,
            command,
            asked,
            again: Cell::new(false),
            over: Cell::new(false),
            result: Cell::new(None),
            waker: Cell::new(None),
        }
    }

    /// Tells whoever waits; `false` if that was done before.
    pub(super) fn settle(&self, result: Result<Answer, Failed>) -> bool {
        if self.over.replace(true) {
            return false;
        }
        self.result.set(Some(result));
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
        true
    }
}

/// One server's calls.
pub(super) struct Lane {
    pub(super) server: Server,
    pub(super) breaker: RefCell<Breaker>,
    /// Not written yet.
    waiting: RefCell<VecDeque<Rc<Call>>>,
    /// All that are not over, in the order of their time.
    open: RefCell<VecDeque<Rc<Call>>>,
    bell: Cell<Option<Waker>>,
    /// Its connection's, where it is not the first.
    pub(super) task: RefCell<Option<Task>>,
    ended: Cell<bool>,
    is_down: Cell<bool>,
}

impl Lane {
    pub(super) fn new(server: Server) -> Self {
        Self {
            server,
            breaker: RefCell::default(),
            waiting: RefCell::default(),
            open: RefCell::default(),
            bell: Cell::new(None),
            task: RefCell::default(),
            ended: Cell::new(false),
            is_down: Cell::new(false),
        }
    }

    /// Takes a call.
    pub(super) fn put(&self, call: Rc<Call>) -> Result<(), Failed> {
        if self.breaker.borrow().is_open() {
            return Err(Failed::Open);
        }
        let mut open = self.open.borrow_mut();
        while open.front().is_some_and(|call| call.over.get()) {
            open.pop_front();
        }
        if open.len() >= MAX_CALLS {
            return Err(Failed::Full);
        }
        open.push_back(call.clone());
        self.waiting.borrow_mut().push_back(call);
        self.ring();
        Ok(())
    }

    fn ring(&self) {
        if let Some(bell) = self.bell.take() {
            bell.wake();
        }
    }

    /// Wakes the connection with the next call; `true`: one waits already.
    pub(super) fn poll_ring(&self, waker: &Waker) -> bool {
        self.bell.set(Some(waker.clone()));
        !self.waiting.borrow().is_empty()
    }

    /// The next call to be written.
    pub(super) fn next(&self) -> Option<Rc<Call>> {
        self.waiting.borrow_mut().pop_front()
    }

    /// Ends calls that have waited too long; when the next one will have.
    pub(super) fn expire(&self, now: Duration, figures: &Figures) -> Option<Duration> {
        loop {
            let call = {
                let mut open = self.open.borrow_mut();
                let first = open.front()?;
                let until = first.asked + CALL;
                if !first.over.get() && until > now {
                    return Some(until);
                }
                open.pop_front()?
            };
            if call.settle(Err(Failed::Late)) {
                figures.failed(Failed::Late);
                self.failed(now, figures);
            }
        }
    }

    /// A call was answered in time.
    pub(super) fn answered(&self) {
        self.breaker.borrow_mut().answered();
    }

    /// A call failed.
    pub(super) fn failed(&self, now: Duration, figures: &Figures) {
        let turn = self.breaker.borrow_mut().failed(now);
        self.turned(turn, figures);
    }

    /// The connection is gone, and with it every call.
    pub(super) fn fall(&self, now: Duration, figures: &Figures) {
        self.lose(Failed::Lost, figures);
        let turn = self.breaker.borrow_mut().break_off(now);
        self.turned(turn, figures);
    }

    fn lose(&self, why: Failed, figures: &Figures) {
        self.waiting.borrow_mut().clear();
        let open = std::mem::take(&mut *self.open.borrow_mut());
        for call in open {
            if call.settle(Err(why)) {
                figures.failed(why);
            }
        }
    }

    /// A probe was answered in time; whether the server is asked again.
    pub(super) fn probed(&self, now: Duration, figures: &Figures) -> bool {
        figures.probes[0].fetch_add(1, Relaxed);
        let turn = self.breaker.borrow_mut().probed(now);
        self.turned(turn, figures);
        turn == Turn::Closed
    }

    fn turned(&self, turn: Turn, figures: &Figures) {
        match turn {
            Turn::Same => {}
            Turn::Opened => {
                figures.opened.fetch_add(1, Relaxed);
                figures.open.fetch_add(1, Relaxed);
                // Whoever waits now goes on without an answer.
                self.lose(Failed::Open, figures);
            }
            Turn::Closed => {
                figures.open.fetch_sub(1, Relaxed);
            }
        }
    }

    /// Its connection is gone; whether that is news to the whole process.
    pub(super) fn is_news_down(&self, figures: &Figures) -> bool {
        !self.is_down.replace(true) && figures.down.fetch_add(1, Relaxed) == 0
    }

    /// It is there again; whether that was the last that was gone.
    pub(super) fn is_news_up(&self, figures: &Figures) -> bool {
        self.is_down.replace(false) && figures.down.fetch_sub(1, Relaxed) == 1
    }

    /// Whether its connection is gone.
    pub(super) fn is_down(&self) -> bool {
        self.is_down.get()
    }

    /// It begins: its breaker counts as open until the first probe.
    pub(super) fn begin(&self, figures: &Figures) {
        figures.lanes.fetch_add(1, Relaxed);
        figures.open.fetch_add(1, Relaxed);
    }

    /// It ends, with its connection.
    pub(super) fn end(&self, figures: &Figures) {
        if self.ended.replace(true) {
            return;
        }
        self.task.borrow_mut().take();
        self.lose(Failed::Lost, figures);
        figures.lanes.fetch_sub(1, Relaxed);
        self.is_news_up(figures);
        if self.breaker.borrow().is_open() {
            figures.open.fetch_sub(1, Relaxed);
        } else {
            // Nobody may ask it any more.
            self.breaker.borrow_mut().break_off(Duration::MAX);
        }
    }
}
