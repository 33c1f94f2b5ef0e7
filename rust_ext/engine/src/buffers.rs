//! A worker's buffers: one to read into, one to write from, and a few spare blocks.
//!
//! The two large ones are touched only between awaits. A connection owns a block only while a head is incomplete, a
//! tail is unsent or a head may have to be sent again.

use std::cell::RefCell;
use std::ops::Range;

use fastgate_core::http1::Response;

/// Bytes of the read buffer: a 64 KiB body and its head in one read, with room to spare.
pub(crate) const READ_BYTES: usize = 256 * 1024;

/// Spare blocks kept, and the largest capacity of one that is kept.
const SPARE_BLOCKS: usize = 256;
const SPARE_CAPACITY: usize = 16 * 1024;

/// What a worker reads into and writes from.
#[derive(Debug)]
pub(crate) struct Scratch {
    /// The read buffer; its content is lost at the next await.
    pub(crate) read: Box<[u8]>,
    /// The output buffer; empty between uses.
    pub(crate) out: Vec<u8>,
    /// The response that is being read, while its head is in `read`.
    pub(crate) response: Response,
    /// Body ranges of a chunked message within `read`.
    pub(crate) ranges: Vec<Range<usize>>,
}

impl Scratch {
    /// Allocated once, with the worker.
    pub(crate) fn new() -> Self {
        Self {
            read: vec![0; READ_BYTES].into_boxed_slice(),
            out: Vec::with_capacity(SPARE_CAPACITY),
            response: Response::new(),
            ranges: Vec::with_capacity(64),
        }
    }
}

/// Spare blocks, so that the usual request allocates nothing.
#[derive(Debug, Default)]
pub(crate) struct Blocks(RefCell<Vec<Vec<u8>>>);

impl Blocks {
    /// A block that holds these bytes.
    pub(crate) fn filled(&self, bytes: &[u8]) -> Vec<u8> {
        let mut block = self.0.borrow_mut().pop().unwrap_or_default();
        block.extend_from_slice(bytes);
        block
    }

    /// Gives a block back.
    pub(crate) fn give(&self, mut block: Vec<u8>) {
        let mut spare = self.0.borrow_mut();
        if spare.len() < SPARE_BLOCKS && (1..=SPARE_CAPACITY).contains(&block.capacity()) {
            block.clear();
            spare.push(block);
        }
    }
}
