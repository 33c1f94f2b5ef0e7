//! Kept lines that follow each other, copied at once.

use super::edits::line;
use crate::http1::Field;

/// A run of received lines. Only lines whose bytes are what would be written anew take part.
pub(super) struct Run {
    from: usize,
    to: usize,
}

impl Run {
    /// Begins with a start line, or with nothing.
    #[inline]
    pub fn new(from: usize, to: usize) -> Self {
        Self { from, to }
    }

    /// Writes this field line, now or with its neighbours.
    #[inline(always)]
    pub fn take(&mut self, out: &mut Vec<u8>, bytes: &[u8], field: &Field) {
        let start = field.name.start as usize;
        if start != self.to || !field.tidy() {
            self.flush(out, bytes);
            if !field.tidy() {
                line(out, field.name.of(bytes), field.value.of(bytes));
                return;
            }
            self.from = start;
        }
        self.to = field.line_end();
    }

    /// Writes what is pending.
    #[inline]
    pub fn flush(&mut self, out: &mut Vec<u8>, bytes: &[u8]) {
        if self.from < self.to {
            out.extend_from_slice(bytes.get(self.from..self.to).unwrap_or_default());
        }
        (self.from, self.to) = (0, 0);
    }
}
