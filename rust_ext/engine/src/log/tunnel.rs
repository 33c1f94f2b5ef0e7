//! The line of a tunnel: its request is over, its bytes are still to come, and nothing of the snapshot is kept but the
//! log itself and three names.

use std::rc::Rc;
use std::sync::Arc;

use fastgate_core::log::End;

use super::access::{Access, Record, add};
use crate::fault::FaultKind;
use crate::worker::Worker;

/// A line that ends with its tunnel, whatever ends that.
#[derive(Debug)]
pub(crate) struct TunnelLine {
    pub(crate) worker: Rc<Worker>,
    pub(crate) access: Arc<Access>,
    pub(crate) record: Box<Record>,
    pub(crate) route: Arc<str>,
    pub(crate) service: Arc<str>,
    pub(crate) target: Arc<str>,
    pub(crate) status: u16,
    /// When its request began, in nanoseconds.
    pub(crate) begun: u64,
}

impl TunnelLine {
    /// Counts bytes both ways.
    pub(crate) fn moved(&self, received: usize, sent: usize) {
        add(&self.record.received, received);
        add(&self.record.sent, sent);
    }

    /// It ended by itself.
    pub(crate) fn ended(&self) {
        self.record.ended.set(true);
    }
}

impl Drop for TunnelLine {
    fn drop(&mut self) {
        let record = std::mem::take(&mut self.record);
        if !record.ended.get() {
            record.fault.set(Some(FaultKind::Shutdown.into()));
        }
        // The gateway's own share was over with the answer; what came then was the upstream's time.
        let (before, upstream) = record.times.get().unwrap_or_default();
        let total_us = self.worker.clock.read().saturating_sub(self.begun) / 1_000;
        let upstream_us = total_us.saturating_sub(before.saturating_sub(upstream));
        let end = End {
            route: Some(&self.route),
            service: Some(&self.service),
            target: Some(&self.target),
            status: self.status,
            total_us,
            upstream_us: Some(upstream_us),
            ..End::default()
        };
        self.worker.end_line(&self.access, record, end);
    }
}
