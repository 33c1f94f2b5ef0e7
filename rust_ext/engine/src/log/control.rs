//! What the control side does with the logs.

use std::sync::mpsc::Receiver;

use fastgate_core::snapshot::LineFormat;

use super::diagnostic;
use crate::engine::{Engine, spawn};
use crate::host::{Level, Line};

impl Engine {
    /// Starts the thread that hands diagnostic lines to the host.
    pub(crate) fn start_log(&self, lines: Receiver<Line>) {
        let host = self.shared.host.clone();
        let run = move || diagnostic::run(lines, &host);
        if let Err(error) = spawn("fastgate-log", run) {
            self.shared.host.log(Level::Error, &format!("there is no log thread, lines are dropped: {error}"));
        }
    }

    /// How the host should write diagnostic lines: the least important level, and whether as JSON.
    #[must_use]
    pub fn log_settings(&self) -> (Level, bool) {
        let live = self.shared.live();
        (live.level.into(), live.line_format == LineFormat::Json)
    }

    /// Opens the access log's file anew, for whoever has moved it away: no line is lost or torn.
    ///
    /// # Errors
    /// A sentence; the old file goes on then.
    pub fn rotate_logs(&self) -> Result<(), String> {
        self.shared.writer.reopen()
    }
}
