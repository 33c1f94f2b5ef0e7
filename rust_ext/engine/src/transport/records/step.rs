//! One step of the library: where its results go, and plaintext cut into records.

use std::io::IoSlice;

use rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedStatus, WriteTraffic,
};

use super::RECORD;

/// The two things that can be done when the library is ready to write, whichever end it is.
pub(super) trait Writing {
    fn encrypt(&mut self, plain: &[u8], out: &mut [u8]) -> Result<usize, EncryptError>;
    fn close_notify(&mut self, out: &mut [u8]) -> Result<usize, EncryptError>;
}

impl<Data> Writing for WriteTraffic<'_, Data> {
    fn encrypt(&mut self, plain: &[u8], out: &mut [u8]) -> Result<usize, EncryptError> {
        WriteTraffic::encrypt(self, plain, out)
    }

    fn close_notify(&mut self, out: &mut [u8]) -> Result<usize, EncryptError> {
        self.queue_close_notify(out)
    }
}

/// Where a step's results go.
pub(super) struct Keep<'a> {
    pub(super) buf: &'a mut [u8],
    pub(super) plain: usize,
    pub(super) spill: &'a mut Vec<u8>,
    pub(super) tail: &'a mut Vec<u8>,
    pub(super) established: &'a mut bool,
    pub(super) peer_closed: &'a mut bool,
}

impl Keep<'_> {
    /// Handles one state: bytes of the input that are done with, and whether there may be more.
    pub(super) fn step<Data>(
        &mut self,
        status: UnbufferedStatus<'_, '_, Data>,
    ) -> Result<(usize, bool), rustls::Error> {
        let UnbufferedStatus { mut discard, state } = status;
        let more = match state? {
            ConnectionState::ReadTraffic(mut traffic) => {
                while let Some(record) = traffic.next_record() {
                    let record = record?;
                    discard += record.discard;
                    self.take(record.payload);
                }
                true
            }
            ConnectionState::EncodeTlsData(mut encode) => {
                let at = self.tail.len();
                match encode.encode(&mut []) {
                    Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) => {
                        self.tail.resize(at + required_size, 0);
                        let n = encode.encode(&mut self.tail[at..]).unwrap_or(0);
                        self.tail.truncate(at + n);
                    }
                    Ok(_) | Err(EncodeError::AlreadyEncoded) => {}
                }
                true
            }
            ConnectionState::TransmitTlsData(transmit) => {
                transmit.done();
                true
            }
            ConnectionState::PeerClosed => {
                *self.peer_closed = true;
                true
            }
            ConnectionState::WriteTraffic(_) => {
                *self.established = true;
                false
            }
            // Early data is never asked for.
            _ => false,
        };
        Ok((discard, more))
    }

    fn take(&mut self, payload: &[u8]) {
        let n = if self.spill.is_empty() { payload.len().min(self.buf.len() - self.plain) } else { 0 };
        self.buf[self.plain..self.plain + n].copy_from_slice(&payload[..n]);
        self.plain += n;
        self.spill.extend_from_slice(&payload[n..]);
    }
}

/// Pieces of plaintext, a record's worth at a time.
pub(super) struct Pieces<'a> {
    pub(super) pieces: &'a [IoSlice<'a>],
    pub(super) at: usize,
}

impl<'a> Pieces<'a> {
    /// The next record's worth: where it lies, or gathered.
    pub(super) fn next<'b>(&mut self, gathered: &'b mut Vec<u8>) -> Option<&'b [u8]>
    where
        'a: 'b,
    {
        while self.pieces.first().is_some_and(|piece| piece.len() == self.at) {
            self.pieces = &self.pieces[1..];
            self.at = 0;
        }
        let first: &'a [u8] = &self.pieces.first()?[self.at..];
        if first.len() >= RECORD || self.pieces.len() == 1 {
            let n = first.len().min(RECORD);
            self.at += n;
            return Some(&first[..n]);
        }
        gathered.clear();
        while let Some(piece) = self.pieces.first()
            && gathered.len() < RECORD
        {
            let n = (piece.len() - self.at).min(RECORD - gathered.len());
            gathered.extend_from_slice(&piece[self.at..self.at + n]);
            self.at += n;
            if self.at == piece.len() {
                self.pieces = &self.pieces[1..];
                self.at = 0;
            }
        }
        Some(gathered)
    }
}
