//! The main thread: starts the shards, reads commands, publishes, answers.

use std::io::{self, BufRead, Write};
use std::os::fd::OwnedFd;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use rustix::event::{EventfdFlags, eventfd};
use serde_json::{Map, Value, json};

use super::counts::{Counts, Fault, times};
use super::plan::Plan;
use super::publisher::Publisher;
use super::shard::{self, Command, Links, Place};
use super::shared::Shared;
use crate::histogram::Histogram;

struct Handle {
    wake: Arc<OwnedFd>,
    commands: Sender<Command>,
    answers: Receiver<Counts>,
}

/// Runs until stdin ends; whether nothing went wrong.
///
/// # Errors
/// What the system said when the threads were started, or the first command that is no command.
pub fn run(plan: Plan) -> Result<bool, String> {
    // Wake-ups of the kernel may be late by no more than a microsecond: publications are due at moments.
    let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1_000));
    let plan = Arc::new(plan);
    let shared = Arc::new(Shared::new(plan.rooms));
    let client = Client { shards: start(&plan, &shared)?, plan: &plan, shared: &shared };
    client.serve()
}

fn start(plan: &Arc<Plan>, shared: &Arc<Shared>) -> Result<Vec<Handle>, String> {
    let ready = Arc::new(Barrier::new(plan.threads + 1));
    let mut shards = Vec::new();
    let mut ends = Vec::new();
    // All descriptors exist before the first table is made private.
    for index in 0..plan.threads {
        let wake = Arc::new(eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC).map_err(|e| e.to_string())?);
        let (commands, orders) = mpsc::channel();
        let (say, answers) = mpsc::channel();
        let place = Place { index, of: plan.threads, private: plan.threads > 1 };
        ends.push((place, Links { wake: wake.clone(), commands: orders, answers: say }));
        shards.push(Handle { wake, commands, answers });
    }
    for (place, links) in ends {
        let (plan, shared, ready) = (plan.clone(), shared.clone(), ready.clone());
        std::thread::spawn(move || {
            if let Err(error) = shard::run(plan, shared, place, links, &ready) {
                eprintln!("fastgate-realtime: {error}");
                std::process::exit(1);
            }
        });
    }
    ready.wait();
    Ok(shards)
}

struct Client<'a> {
    plan: &'a Plan,
    shared: &'a Shared,
    shards: Vec<Handle>,
}

/// A command of stdin, its fields taken by name.
struct Order(Map<String, Value>);

impl Order {
    fn read(line: &str) -> Result<Self, String> {
        match serde_json::from_str(line) {
            Ok(Value::Object(map)) => Ok(Self(map)),
            _ => Err(format!("no command: {line}")),
        }
    }

    fn number(&mut self, name: &str, default: f64) -> Result<f64, String> {
        let Some(value) = self.0.remove(name) else { return Ok(default) };
        value.as_f64().filter(|n| *n >= 0.0).ok_or_else(|| format!("{name} is a number, not {value}"))
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts, checked to be positive")]
    fn count(&mut self, name: &str, default: usize) -> Result<usize, String> {
        #[expect(clippy::cast_precision_loss, reason = "a small default")]
        Ok(self.number(name, default as f64)? as usize)
    }

    fn finish(&self) -> Result<(), String> {
        self.0.keys().next().map_or(Ok(()), |name| Err(format!("unknown field {name}")))
    }
}

impl Client<'_> {
    fn serve(self) -> Result<bool, String> {
        let mut publisher = None;
        let mut errors = 0;
        for line in io::stdin().lock().lines() {
            let line = line.map_err(|e| e.to_string())?;
            let mut order = Order::read(&line)?;
            let op = order.0.remove("op").and_then(|op| op.as_str().map(str::to_owned)).unwrap_or_default();
            let begun = self.shared.now();
            let (counts, mut more) = self.obey(&op, &mut order, &mut publisher)?;
            errors += counts.errors();
            let mut answer = counts.json();
            answer.insert("seconds".to_owned(), seconds(self.shared.now() - begun).into());
            answer.append(&mut more);
            println!("{}", Value::Object(answer));
            io::stdout().flush().map_err(|e| e.to_string())?;
        }
        Ok(errors == 0)
    }

    fn obey<'p>(
        &'p self,
        op: &str,
        order: &mut Order,
        publisher: &mut Option<Publisher<'p>>,
    ) -> Result<(Counts, Map<String, Value>), String> {
        let mut more = Map::new();
        let counts = match op {
            "open" | "reopen" => {
                let count = order.count("count", 1)?;
                let at_once = order.count("at_once", 256)?.max(1);
                let limit = Duration::from_secs_f64(order.number("seconds", 120.0)?);
                order.finish()?;
                if op == "reopen" {
                    self.all(&|_, _| Command::Close);
                }
                let limit = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
                self.all(&|i, n| Command::Open {
                    count: share(count, i, n),
                    at_once: share(at_once, i, n).max(1),
                    limit,
                })
            }
            "publishers" => {
                order.finish()?;
                let publish = self.plan.publish.as_ref().ok_or("no way to publish was given")?;
                *publisher = Some(Publisher::new(self.plan, publish).map_err(|e| e.to_string())?);
                Counts::default()
            }
            "publish" => {
                let publisher = publisher.as_mut().ok_or("no publishers are connected")?;
                self.publish(order, publisher, &mut more)?
            }
            "stall" => {
                let count = order.count("count", 1)?;
                order.finish()?;
                self.all(&|i, _| Command::Stall(if i == 0 { count } else { 0 }))
            }
            "resume" | "count" | "close" => {
                order.finish()?;
                self.all(&|_, _| match op {
                    "resume" => Command::Resume,
                    "close" => Command::Close,
                    _ => Command::Count,
                })
            }
            _ => return Err(format!("unknown command {op:?}")),
        };
        Ok((counts, more))
    }

    /// Tells every shard and waits for all of them.
    fn all(&self, command: &dyn Fn(usize, usize) -> Command) -> Counts {
        let mut counts = Counts::default();
        for (i, shard) in self.shards.iter().enumerate() {
            // A shard that is gone has ended the process.
            let _ = shard.commands.send(command(i, self.shards.len()));
            let _ = rustix::io::write(&*shard.wake, &1_u64.to_ne_bytes());
        }
        for shard in &self.shards {
            if let Ok(one) = shard.answers.recv() {
                counts.add(&one);
            }
        }
        counts
    }

    fn publish(
        &self,
        order: &mut Order,
        publisher: &mut Publisher<'_>,
        more: &mut Map<String, Value>,
    ) -> Result<Counts, String> {
        let messages = order.count("messages", 1)? as u64;
        let burst = order.count("burst", 1)?.max(1) as u64;
        let rate = order.number("rate", 0.0)?;
        let settle = Duration::from_secs_f64(order.number("settle", 5.0)?);
        order.finish()?;
        let (mut done, mut wanted) = (0, self.shared.received());
        let (begun, first) = (self.shared.now(), wanted);
        let (mut complete, mut late, mut whole) = (Histogram::default(), 0, true);
        while done < messages && whole && publisher.faults == 0 {
            let due = if rate > 0.0 { begun + due_at(rate, done) } else { self.shared.now() };
            while let Some(left) = due.checked_sub(self.shared.now()).filter(|left| *left > 0) {
                publisher.listen();
                std::thread::park_timeout(Duration::from_nanos(left.min(1_000_000)));
            }
            let sent = self.shared.now();
            late = late.max(sent - due);
            let room = u32::try_from(done / burst % u64::from(self.shared.rooms())).unwrap_or(0);
            let size = burst.min(messages - done);
            match publisher.send(self.shared, room, size) {
                Ok(deliveries) => wanted += deliveries,
                Err(_) => break, // counted among its faults
            }
            done += size;
            if rate == 0.0 {
                whole = self.shared.wait(wanted, settle);
                complete.record(self.shared.last().saturating_sub(sent));
                publisher.listen();
            }
        }
        let published = self.shared.now() - begun;
        whole = whole && self.shared.wait(wanted, settle);
        let elapsed = self.shared.last().max(begun + 1) - begun;
        let unanswered = publisher.answered(self.shared, settle);
        let mut counts = self.all(&|_, _| Command::Settle);
        counts.fault(Fault::Publisher, std::mem::take(&mut publisher.faults) + unanswered);
        let value = json!({
            "published": done,
            "expected": wanted - first,
            "delivered": self.shared.received() - first,
            "whole": whole,
            "publish_seconds": seconds(published),
            "delivery_seconds": seconds(elapsed),
            "late_us": late / 1_000,
            "complete_us": times(&complete),
        });
        if let Value::Object(mut map) = value {
            more.append(&mut map);
        }
        Ok(counts)
    }
}

/// The part of `i` where `n` share `count`.
fn share(count: usize, i: usize, n: usize) -> usize {
    count / n + usize::from(i < count % n)
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

/// When message `number` is due, in nanoseconds.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a schedule")]
fn due_at(rate: f64, number: u64) -> u64 {
    (number as f64 * 1e9 / rate) as u64
}
