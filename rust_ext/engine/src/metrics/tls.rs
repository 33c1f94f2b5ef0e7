//! Handshakes with clients, by how they ended.

use super::Counter;
use super::text::Text;
use crate::worker::Shared;

/// How a handshake ended; the first two well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Full,
    Resumed,
    Timeout,
    ClientGone,
    NotTls,
    NothingInCommon,
    NoClientCertificate,
    BadClientCertificate,
    RevokedClientCertificate,
    RefusedByClient,
    BadMessage,
}

/// Their labels, in the same order.
const ENDINGS: [&str; 11] = [
    "full",
    "resumed",
    "timeout",
    "client_gone",
    "not_tls",
    "nothing_in_common",
    "no_client_certificate",
    "bad_client_certificate",
    "revoked_client_certificate",
    "refused_by_client",
    "bad_message",
];

/// Endings that have a version.
const WELL: usize = 2;

/// What one worker counts.
#[derive(Debug, Default)]
pub(crate) struct TlsLine {
    /// Those that ended well with TLS 1.2 and with 1.3.
    well: [[Counter; 2]; WELL],
    failed: [Counter; ENDINGS.len()],
}

impl TlsLine {
    /// Counts one that ended well.
    pub(crate) fn ended(&self, ending: Ending, newest: bool) {
        if let Some(line) = self.well.get(ending as usize) {
            line[usize::from(newest)].add(1);
        }
    }

    /// Counts one that did not.
    pub(crate) fn failed(&self, ending: Ending) {
        self.failed[ending as usize].add(1);
    }
}

/// The family, once there was a handshake.
pub(super) fn text(text: &mut Text, shared: &Shared) {
    let sum = |of: &dyn Fn(&TlsLine) -> u64| shared.workers.iter().map(|worker| of(&worker.metrics.tls)).sum::<u64>();
    let name = "fastgate_tls_handshakes_total";
    text.family(name, "counter", "TLS handshakes with clients by result and version; none: it ended before that.");
    for (i, result) in ENDINGS.iter().enumerate().take(WELL) {
        for (j, version) in ["1.2", "1.3"].into_iter().enumerate() {
            text.sample(name, &[("result", result), ("version", version)], sum(&|line| line.well[i][j].get()));
        }
    }
    for (i, result) in ENDINGS.iter().enumerate().skip(WELL) {
        text.sample(name, &[("result", result), ("version", "none")], sum(&|line| line.failed[i].get()));
    }
}
