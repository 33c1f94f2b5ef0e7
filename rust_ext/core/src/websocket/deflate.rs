//! permessage-deflate (RFC 7692 §7.2): each message on its own, no context kept between two.

use miniz_oxide::deflate::core::{
    CompressorOxide, TDEFLFlush, TDEFLStatus, compress, create_comp_flags_from_zip_params,
};
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::{TINFL_FLAG_HAS_MORE_INPUT, TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF};
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};

use super::Violation;

/// What the sender cut off the end of a message (RFC 7692 §7.2.1), and a last empty block: where the decoder ends with
/// it, the message was complete.
const TAIL: [u8; 9] = [0, 0, 0xff, 0xff, 1, 0, 0, 0xff, 0xff];
/// Where nothing gets smaller.
const SHORTEST: usize = 16;
const LEVEL: i32 = 4;
/// 2^15 bytes of window, without zlib's frame.
const RAW: i32 = -15;

/// Compresses messages; one serves a whole worker (about 300 KiB).
pub struct Deflater {
    state: CompressorOxide,
}

impl Deflater {
    /// A compressor for messages that many receive.
    pub fn new() -> Self {
        Self { state: CompressorOxide::new(create_comp_flags_from_zip_params(LEVEL, RAW, 0)) }
    }

    /// The payload of a compressed frame; `None`: the message would not get smaller and is sent as it is.
    pub fn deflate(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        if message.len() < SHORTEST {
            return None;
        }
        self.state.reset();
        // One byte less than the message and what is cut off below: whatever does not fit is not wanted.
        let mut out = vec![0; message.len() + 3];
        let (status, taken, length) = compress(&mut self.state, message, &mut out, TDEFLFlush::Sync);
        if status != TDEFLStatus::Okay || taken != message.len() || length == out.len() {
            return None;
        }
        out.truncate(out[..length].strip_suffix(&TAIL[..4])?.len());
        out.shrink_to_fit();
        Some(out)
    }
}

impl Default for Deflater {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Deflater {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Deflater")
    }
}

/// Appends what a compressed payload holds to `out`, which was empty; stops at `most` bytes.
pub(super) fn inflate(payload: &[u8], most: usize, out: &mut Vec<u8>) -> Result<(), Violation> {
    let mut state = Box::<DecompressorOxide>::default();
    let mut length = 0;
    for (mut input, last) in [(payload, false), (&TAIL[..], true)] {
        loop {
            let flags = TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF | if last { 0 } else { TINFL_FLAG_HAS_MORE_INPUT };
            let (status, taken, written) = decompress(&mut state, input, out, length, flags);
            input = &input[taken..];
            length += written;
            match status {
                TINFLStatus::Done if length > most => return Err(Violation::TooLarge),
                TINFLStatus::Done if last && input.is_empty() => {
                    out.truncate(length);
                    return Ok(());
                }
                // A block marked as the last one is none here (RFC 7692 §7.2.3.4): what follows goes on.
                TINFLStatus::Done => state.init(),
                TINFLStatus::NeedsMoreInput if !last => break,
                // One byte of room beyond the limit tells a message that just fits from one that does not.
                TINFLStatus::HasMoreOutput if length <= most => {
                    let room = payload.len().saturating_mul(4).max(64).max(length * 2).min(most + 1).max(length + 1);
                    out.resize(room, 0);
                }
                TINFLStatus::HasMoreOutput => return Err(Violation::TooLarge),
                _ => return Err(Violation::Compression),
            }
        }
    }
    Err(Violation::Compression)
}
