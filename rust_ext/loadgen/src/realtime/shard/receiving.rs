//! What subscribers get: the end of the handshake, frames, publications, each checked.

use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;

use super::{BUFFER, Shard};
use crate::net::{self, Event};
use crate::realtime::counts::Fault;
use crate::realtime::payload::Payload;
use crate::realtime::sequence::Verdict;
use crate::realtime::subscriber::{Frame, Phase, answer, dropped, frame, request, write_frame};
use crate::realtime::{plan, redis};

impl Shard {
    pub(super) fn event(&mut self, event: Event) {
        let index = (event.token & 0xffff_ffff) as usize;
        if event.token >> 32 != u64::from(self.era) || self.subscribers[index].fd.is_none() {
            return;
        }
        if self.subscribers[index].phase == Phase::Connecting {
            let Some(fd) = &self.subscribers[index].fd else { return };
            if event.hangup || !net::connected(fd) {
                return self.failed(index, Fault::Refused);
            }
            if !event.writable {
                return;
            }
            if !write_whole(fd, &self.first_words(self.subscribers[index].room)) {
                return self.failed(index, Fault::Refused);
            }
            self.subscribers[index].phase = Phase::Handshake;
        }
        if event.readable {
            self.read(index, event.hangup);
        }
    }

    /// What a subscriber says once it is connected.
    fn first_words(&self, room: u32) -> Vec<u8> {
        let Some(channel) = &self.plan.redis else { return request(&self.plan.path_of(room), &self.plan.host) };
        let mut words = Vec::new();
        for room in 0..self.shared.rooms() {
            redis::command(&[b"SUBSCRIBE", plan::of_room(channel, room).as_bytes()], &mut words);
        }
        words
    }

    pub(super) fn read(&mut self, index: usize, hangup: bool) {
        loop {
            let one = &mut self.subscribers[index];
            let Some(fd) = one.fd.as_ref().filter(|_| !one.stalled) else { return };
            match rustix::io::read(fd, &mut self.buffer[..]) {
                Ok(0) => return self.ended(index),
                Ok(n) => {
                    let buffer = std::mem::take(&mut self.buffer);
                    self.bytes(index, &buffer[..n]);
                    self.buffer = buffer;
                    if n < BUFFER && !hangup {
                        return; // a short read has emptied the socket
                    }
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                Err(_) => return self.ended(index),
            }
        }
    }

    fn ended(&mut self, index: usize) {
        let one = &mut self.subscribers[index];
        if one.phase != Phase::Open {
            return self.failed(index, Fault::Refused);
        }
        (one.phase, one.fd, one.partial) = (Phase::Ended, None, Vec::new());
        if one.slow.is_none() {
            one.leave(&self.shared);
            self.counts.fault(Fault::Ended, 1);
        }
    }

    fn bytes(&mut self, index: usize, bytes: &[u8]) {
        let now = self.shared.now();
        let mut joined = std::mem::take(&mut self.subscribers[index].partial);
        let bytes = if joined.is_empty() {
            bytes
        } else {
            joined.extend_from_slice(bytes);
            &joined
        };
        let mut at = 0;
        if self.subscribers[index].phase == Phase::Handshake && self.plan.redis.is_none() {
            match answer(bytes) {
                Ok(Some(length)) => at = length,
                Ok(None) => return self.subscribers[index].partial.extend_from_slice(bytes),
                Err(()) => return self.failed(index, Fault::Handshake),
            }
            self.opened(index, now);
        }
        while self.subscribers[index].fd.is_some() {
            let read = if self.plan.redis.is_some() { redis::frame } else { frame };
            match read(&bytes[at..]) {
                Ok(Some((frame, length))) => {
                    self.frame(index, &frame, now);
                    at += length;
                }
                Ok(None) => {
                    if at < bytes.len() {
                        self.subscribers[index].partial = bytes[at..].to_vec();
                    }
                    return;
                }
                Err(()) => {
                    self.counts.fault(Fault::Protocol, 1);
                    return self.ended(index);
                }
            }
        }
    }

    fn opened(&mut self, index: usize, now: u64) {
        let one = &mut self.subscribers[index];
        one.phase = Phase::Open;
        one.join(&self.shared);
        self.counts.opened += 1;
        self.counts.handshake.record(now.saturating_sub(one.started));
        if let Some(opening) = &mut self.opening {
            opening.under_way = opening.under_way.saturating_sub(1);
        }
    }

    fn frame(&mut self, index: usize, frame: &Frame<'_>, now: u64) {
        match frame {
            Frame::Data(bytes) => self.data(index, bytes, now),
            Frame::Ping(payload) => {
                let mut pong = Vec::with_capacity(16);
                write_frame(10, payload, &mut pong);
                self.counts.pings += 1;
                self.answer(index, &pong);
            }
            Frame::Pong => {
                let one = &mut self.subscribers[index];
                if let Some(all) = one.all.as_mut().filter(|_| one.phase == Phase::Handshake) {
                    all.confirmed += 1;
                    if all.confirmed == all.sequences.len() {
                        self.opened(index, now);
                    }
                }
            }
            Frame::Close(code) => {
                *self.counts.closes.entry(*code).or_default() += 1;
                let mut close = Vec::with_capacity(16);
                write_frame(8, &if *code == 1005 { Vec::new() } else { code.to_be_bytes().to_vec() }, &mut close);
                self.answer(index, &close);
                self.ended(index);
            }
        }
    }

    /// Writes a small frame; where even that has no room, the server does not read and will say so itself.
    fn answer(&mut self, index: usize, frame: &[u8]) {
        if let Some(fd) = &self.subscribers[index].fd {
            let _ = rustix::io::write(fd, frame);
        }
    }

    fn data(&mut self, index: usize, bytes: &[u8], now: u64) {
        let one = &mut self.subscribers[index];
        if let Some(dropped) = dropped(bytes) {
            self.counts.told += dropped;
            if let Some(losses) = &mut one.slow {
                losses.told += dropped;
            }
            return;
        }
        if self.last.0 != bytes {
            let Some(payload) = Payload::read(bytes, self.plan.size) else {
                return self.counts.fault(Fault::Corrupt, 1);
            };
            self.last.0.clear();
            self.last.0.extend_from_slice(bytes);
            self.last.1 = payload;
        }
        let payload = self.last.1;
        let Some(sequence) = one.sequence(payload.room) else { return self.counts.fault(Fault::Foreign, 1) };
        let verdict = sequence.take(payload.number);
        if let Some(losses) = &mut one.slow {
            match verdict {
                Verdict::Gap(missing) => losses.missing += missing,
                Verdict::Late => losses.missing = losses.missing.saturating_sub(1),
                Verdict::Next | Verdict::Duplicate => {}
            }
            self.resuming = self.resuming.map(|_| now);
            return;
        }
        match verdict {
            Verdict::Next => {}
            Verdict::Gap(missing) => self.counts.fault(Fault::Lost, missing),
            Verdict::Late => {
                self.counts.fault(Fault::Reordered, 1);
                if let Some(lost) = self.counts.faults.get_mut(&Fault::Lost) {
                    *lost = lost.saturating_sub(1);
                }
            }
            Verdict::Duplicate => return self.counts.fault(Fault::Duplicate, 1),
        }
        self.counts.latency.record(now.saturating_sub(payload.at));
        self.arrived += 1;
    }
}

/// Writes all of the first words; waits for room as long as the connection stands.
fn write_whole(fd: &OwnedFd, bytes: &[u8]) -> bool {
    let mut sent = 0;
    while sent < bytes.len() {
        match rustix::io::write(fd, &bytes[sent..]) {
            Ok(n) => sent += n,
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let wait = Timespec { tv_sec: 1, tv_nsec: 0 };
                if !matches!(rustix::event::poll(&mut [PollFd::new(fd, PollFlags::OUT)], Some(&wait)), Ok(1)) {
                    return false;
                }
            }
            Err(_) => return false,
        }
    }
    true
}
