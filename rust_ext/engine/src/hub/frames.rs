//! Frames prepared once for all who get them: a channel's publications of one tick, in one encoding.

use std::rc::Rc;

use fastgate_core::snapshot::PublicationFormat;
use fastgate_core::websocket::{Deflater, Opcode, write_compressed, write_frame};
use serde::de::IgnoredAny;

use super::Publication;

/// Bytes of frames that lie behind one another; a larger tick has several such parts, so that a session that is slow
/// keeps no more alive than about what it waits for.
const PART: usize = 64 * 1024;

/// How publications look to a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Encoding {
    pub(crate) format: PublicationFormat,
    /// In an envelope that names the channel.
    pub(crate) wrap: bool,
    /// Events of a stream, not WebSocket frames.
    pub(crate) sse: bool,
    /// Compressed where that makes them smaller.
    pub(crate) deflate: bool,
}

/// Whole messages behind one another.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    pub(crate) bytes: Vec<u8>,
    /// Where each message ends.
    pub(crate) ends: Vec<u32>,
}

impl Frames {
    /// The messages, as ranges.
    pub(crate) fn messages(&self) -> impl Iterator<Item = (u32, u32)> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(self.ends.iter().copied())
    }
}

/// A channel's publications of one tick in one encoding.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) encoding: Encoding,
    pub(crate) parts: Vec<Rc<Frames>>,
    /// Publications that this encoding cannot carry.
    pub(crate) unfit: u32,
}

impl Prepared {
    /// Prepares publications of one channel, in their order.
    pub(crate) fn new<'a>(
        encoding: Encoding,
        publications: impl Iterator<Item = &'a Publication>,
        spare: &mut Spare,
    ) -> Self {
        let (mut parts, mut open) = (Vec::new(), Frames::default());
        let mut unfit = 0;
        for publication in publications {
            let from = open.bytes.len();
            if from > 0 && from + publication.payload.len() > PART {
                parts.push(Rc::new(std::mem::take(&mut open)));
            }
            if encoding.write(&mut open.bytes, publication, spare) {
                open.ends.push(u32::try_from(open.bytes.len()).unwrap_or(u32::MAX));
            } else {
                unfit += 1;
            }
        }
        if !open.ends.is_empty() {
            parts.push(Rc::new(open));
        }
        Self { encoding, parts, unfit }
    }
}

/// What preparing needs now and then: kept, so that it is made once.
#[derive(Debug, Default)]
pub(crate) struct Spare {
    envelope: Vec<u8>,
    deflater: Option<Deflater>,
}

impl Spare {
    /// Writes a data frame, compressed if that is wanted and makes it smaller: once for all who get it.
    fn frame(&mut self, out: &mut Vec<u8>, opcode: Opcode, content: &[u8], deflate: bool) {
        let compressed = if deflate { self.deflater.get_or_insert_default().deflate(content) } else { None };
        match compressed {
            Some(compressed) => write_compressed(out, opcode, &compressed),
            None => write_frame(out, opcode, content),
        }
    }
}

impl Encoding {
    /// Appends one publication; `false`, and nothing, when it does not fit: it is no text, or no JSON for an envelope.
    fn write(self, out: &mut Vec<u8>, publication: &Publication, spare: &mut Spare) -> bool {
        let payload = &*publication.payload;
        let text = match self.format {
            PublicationFormat::Binary => {
                spare.frame(out, Opcode::Binary, payload, self.deflate);
                return true;
            }
            PublicationFormat::Json | PublicationFormat::Text => match std::str::from_utf8(payload) {
                Ok(text) => text,
                Err(_) => return false,
            },
        };
        let mut wrapped = std::mem::take(&mut spare.envelope);
        wrapped.clear();
        let fits = !self.wrap || envelope(&mut wrapped, self.format, &publication.channel, text);
        let content = if self.wrap { &wrapped } else { payload };
        if fits && self.sse {
            event(out, publication.offset, content);
        } else if fits {
            spare.frame(out, Opcode::Text, content, self.deflate);
        }
        spare.envelope = wrapped;
        fits
    }

    /// Tells how many messages were dropped, where the encoding has a way to.
    pub(crate) fn notice(self, dropped: u64) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        if self.sse {
            out.extend_from_slice(format!("event: dropped\ndata: {dropped}\n\n").as_bytes());
        } else if self.wrap {
            write_frame(&mut out, Opcode::Text, format!("{{\"dropped\":{dropped}}}").as_bytes());
        } else {
            return None;
        }
        Some(out)
    }
}

/// Writes `{"channel":…,"data":…}`; JSON as it stands, text as a string.
fn envelope(out: &mut Vec<u8>, format: PublicationFormat, channel: &str, text: &str) -> bool {
    let string = |out: &mut Vec<u8>, text: &str| serde_json::to_writer(out, text).is_ok();
    out.extend_from_slice(b"{\"channel\":");
    let mut fits = string(out, channel);
    out.extend_from_slice(b",\"data\":");
    if format == PublicationFormat::Json {
        fits &= is_json(text.as_bytes());
        out.extend_from_slice(text.as_bytes());
    } else {
        fits &= string(out, text);
    }
    out.push(b'}');
    fits
}

/// Whether it is one JSON value (RFC 8259).
pub(crate) fn is_json(text: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(text).is_ok()
}

/// Writes one event of a stream: a `data` line for each line of the content.
fn event(out: &mut Vec<u8>, offset: u64, content: &[u8]) {
    out.extend_from_slice(b"id: ");
    out.extend_from_slice(offset.to_string().as_bytes());
    out.push(b'\n');
    let mut rest = content;
    loop {
        let end = rest.iter().position(|b| matches!(b, b'\r' | b'\n'));
        let (line, behind) = rest.split_at(end.unwrap_or(rest.len()));
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(line);
        out.push(b'\n');
        rest = match behind {
            [] => break,
            [b'\r', b'\n', rest @ ..] | [_, rest @ ..] => rest,
        };
    }
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publication(payload: &[u8]) -> Publication {
        Publication { channel: "a\"b".into(), payload: payload.into(), offset: 7, at: 0, from: None }
    }

    fn encoded(encoding: Encoding, payload: &[u8]) -> Option<String> {
        let prepared = Prepared::new(encoding, [publication(payload)].iter(), &mut Spare::default());
        let part = prepared.parts.first()?;
        assert_eq!((part.ends.len(), prepared.unfit), (1, 0));
        Some(String::from_utf8_lossy(&part.bytes).into_owned())
    }

    #[test]
    fn each_encoding_has_its_form() {
        let json = Encoding { format: PublicationFormat::Json, wrap: false, sse: false, deflate: false };
        assert_eq!(encoded(json, b"[1]").unwrap(), "\u{fffd}\u{3}[1]");
        let wrapped = Encoding { wrap: true, ..json };
        assert_eq!(&encoded(wrapped, b"[1]").unwrap()[4..], r#"{"channel":"a\"b","data":[1]}"#);
        let text = Encoding { format: PublicationFormat::Text, ..wrapped };
        assert_eq!(&encoded(text, b"x\n").unwrap()[4..], r#"{"channel":"a\"b","data":"x\n"}"#);
        let sse = Encoding { sse: true, ..json };
        assert_eq!(encoded(sse, b"1\r\n2\n\n3").unwrap(), "id: 7\ndata: 1\ndata: 2\ndata: \ndata: 3\n\n");
        let binary = Encoding { format: PublicationFormat::Binary, ..json };
        assert!(encoded(binary, b"\xff").is_some());
        let deflated = encoded(Encoding { deflate: true, ..json }, &[b'1'; 500]).unwrap();
        assert!(deflated.len() < 50 && deflated.starts_with('\u{fffd}'), "{deflated:?}");
        assert_eq!(encoded(Encoding { deflate: true, ..json }, b"[1]").unwrap(), "\u{fffd}\u{3}[1]");
        for (encoding, unfit) in [(json, &b"\xff"[..]), (wrapped, b"{"), (sse, b"\xff")] {
            assert_eq!(encoded(encoding, unfit), None);
        }
    }

    #[test]
    fn a_large_tick_has_several_parts_and_a_large_message_is_one() {
        let json = Encoding { format: PublicationFormat::Json, wrap: false, sse: false, deflate: false };
        let publications: Vec<_> = [40_000, 40_000, 200_000, 10, 10].map(|n| publication(&vec![b'1'; n])).into();
        let prepared = Prepared::new(json, publications.iter(), &mut Spare::default());
        let lengths: Vec<_> = prepared.parts.iter().map(|part| part.ends.len()).collect();
        assert_eq!(lengths, [1, 1, 1, 2]);
        let part = &prepared.parts[3];
        assert_eq!(part.messages().collect::<Vec<_>>(), [(0, 12), (12, 24)]);
    }

    #[test]
    fn who_missed_something_is_told_where_there_is_a_way() {
        let json = Encoding { format: PublicationFormat::Json, wrap: false, sse: false, deflate: false };
        assert_eq!(json.notice(3), None);
        assert_eq!(Encoding { wrap: true, ..json }.notice(3).unwrap(), b"\x81\x0d{\"dropped\":3}");
        assert_eq!(Encoding { sse: true, ..json }.notice(3).unwrap(), b"event: dropped\ndata: 3\n\n");
    }
}
