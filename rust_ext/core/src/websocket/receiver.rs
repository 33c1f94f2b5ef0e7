//! Turns received bytes into events; holds memory only while a message or a frame is split.

use std::ops::Range;

use super::close::read_close;
use super::deflate::inflate;
use super::mask::{apply_mask, rotated};
use super::{Event, Head, MAX_CONTROL, MAX_HEAD, Opcode, Rules, Violation};

/// The receiving half of a connection: one pointer, null while nothing is split.
///
/// After a [`Violation`] or [`Event::Close`] it must be given no more bytes.
#[derive(Debug, Default)]
pub struct Receiver {
    partial: Option<Box<Partial>>,
}

/// What is kept between two calls.
#[derive(Debug)]
struct Partial {
    /// The beginning of a head.
    head: [u8; MAX_HEAD],
    head_length: usize,
    /// The frame whose payload is under way.
    frame: Option<OpenFrame>,
    /// The message whose fragments are under way.
    message: Option<OpenMessage>,
    /// The payload of that message so far.
    data: Vec<u8>,
    /// Bytes of `data` known to be whole characters.
    checked: usize,
    /// The payload of a control frame so far.
    control: [u8; MAX_CONTROL],
    control_length: usize,
    /// The last event was lent from here.
    lent: bool,
}

#[derive(Debug, Clone, Copy)]
struct OpenFrame {
    opcode: Opcode,
    fin: bool,
    /// For the next byte.
    mask: [u8; 4],
    /// Bytes to come.
    left: usize,
}

#[derive(Debug, Clone, Copy)]
struct OpenMessage {
    binary: bool,
    compressed: bool,
}

/// Where an event's bytes are.
enum Found {
    Input(Opcode, Range<usize>),
    Control(Opcode),
    Message { binary: bool },
}

impl Receiver {
    /// The next event of `input`, which is unmasked in place, and how many bytes it took.
    ///
    /// Call it again with the bytes behind those until it gives `None`: then all are taken, what belongs to a split
    /// message is kept, and what the last event was lent from is released.
    pub fn next<'a>(&'a mut self, rules: &Rules, input: &'a mut [u8]) -> Result<(usize, Option<Event<'a>>), Violation> {
        self.release();
        let mut used = 0;
        let found = loop {
            if let Some(partial) = &mut self.partial
                && let Some(frame) = partial.frame
            {
                let (taken, ended) = partial.take(frame, rules, &mut input[used..])?;
                used += taken;
                match ended {
                    Ended::Not => return Ok((used, None)),
                    Ended::Fragment => continue,
                    Ended::Control(opcode) => break Found::Control(opcode),
                    Ended::Message { binary } => break Found::Message { binary },
                }
            }
            let Some((head, taken)) = self.head(rules, &input[used..])? else { return Ok((input.len(), None)) };
            used += taken;
            let length = self.admit(&head, rules)?;
            let whole = input.len() - used >= length && head.fin;
            if whole && (head.opcode.is_control() || self.is_between()) {
                let range = used..used + length;
                if let Some(key) = head.mask {
                    apply_mask(&mut input[range.clone()], key);
                }
                used = range.end;
                if head.compressed {
                    let binary = head.opcode == Opcode::Binary;
                    self.partial().inflate(&input[range], binary, rules)?;
                    break Found::Message { binary };
                }
                break Found::Input(head.opcode, range);
            }
            self.partial().open(&head, length);
        };
        let event = match found {
            Found::Input(Opcode::Text, range) => {
                let data = &input[range];
                std::str::from_utf8(data).map_err(|_| Violation::Text)?;
                Event::Message { binary: false, data }
            }
            Found::Input(Opcode::Binary | Opcode::Continuation, range) => {
                Event::Message { binary: true, data: &input[range] }
            }
            Found::Input(opcode, range) => control(opcode, &input[range])?,
            Found::Control(opcode) => {
                let partial = self.partial();
                partial.lent = true;
                control(opcode, &partial.control[..partial.control_length])?
            }
            Found::Message { binary } => {
                let partial = self.partial();
                partial.lent = true;
                Event::Message { binary, data: &partial.data }
            }
        };
        Ok((used, Some(event)))
    }

    /// Whether nothing is held.
    #[inline]
    pub fn is_idle(&self) -> bool {
        self.partial.is_none()
    }

    /// Bytes of memory held for what is split: at most `max_message` and 256 more (of a compressed message, a
    /// thousandth more).
    pub fn held(&self) -> usize {
        self.partial.as_ref().map_or(0, |partial| size_of::<Partial>() + partial.data.capacity())
    }

    fn partial(&mut self) -> &mut Partial {
        self.partial.get_or_insert_default()
    }

    /// Whether no message is under way.
    fn is_between(&self) -> bool {
        self.partial.as_ref().is_none_or(|partial| partial.message.is_none())
    }

    /// Drops what the last event was lent from.
    #[inline]
    fn release(&mut self) {
        if let Some(partial) = &mut self.partial {
            if partial.lent {
                partial.lent = false;
                partial.control_length = 0;
                if partial.message.is_none() {
                    partial.data = Vec::new();
                    partial.checked = 0;
                }
            }
            if partial.head_length == 0 && partial.frame.is_none() && partial.message.is_none() {
                self.partial = None;
            }
        }
    }

    /// The next head, and how many bytes of `input` belong to it; `None`: they are kept until there are more.
    #[inline]
    fn head(&mut self, rules: &Rules, input: &[u8]) -> Result<Option<(Head, usize)>, Violation> {
        match &mut self.partial {
            Some(partial) if partial.head_length > 0 => partial.rest_of_head(rules, input),
            _ => {
                let read = Head::read(input, rules)?;
                if read.is_none() && !input.is_empty() {
                    self.partial().keep_head(input);
                }
                Ok(read)
            }
        }
    }

    /// Whether the frame may come now (RFC 6455 §5.4) and its message is not too large; gives the payload's length.
    #[inline]
    fn admit(&self, head: &Head, rules: &Rules) -> Result<usize, Violation> {
        let (message, before) =
            self.partial.as_ref().map_or((None, 0), |partial| (partial.message, partial.data.len()));
        let limit = match (head.opcode, message) {
            (Opcode::Close | Opcode::Ping | Opcode::Pong, _) => return Ok(head.length as usize),
            (Opcode::Continuation, None) => return Err(Violation::UnexpectedContinuation),
            (Opcode::Text | Opcode::Binary, Some(_)) => return Err(Violation::InterruptedMessage),
            (Opcode::Continuation, Some(message)) => limit(rules, message.compressed),
            (Opcode::Text | Opcode::Binary, None) => limit(rules, head.compressed),
        };
        match usize::try_from(head.length) {
            Ok(length) if length <= limit.saturating_sub(before) => Ok(length),
            _ => Err(Violation::TooLarge),
        }
    }
}

/// Bytes of payload that a message may have on the wire: what cannot be compressed takes a little more than it has.
fn limit(rules: &Rules, compressed: bool) -> usize {
    if compressed { rules.max_message.saturating_add(rules.max_message / 1024 + 64) } else { rules.max_message }
}

/// How a frame's payload went on.
enum Ended {
    Not,
    Fragment,
    Control(Opcode),
    Message { binary: bool },
}

impl Partial {
    fn keep_head(&mut self, input: &[u8]) {
        // A head that is not complete is shorter than the longest one.
        self.head[self.head_length..self.head_length + input.len()].copy_from_slice(input);
        self.head_length += input.len();
    }

    fn rest_of_head(&mut self, rules: &Rules, input: &[u8]) -> Result<Option<(Head, usize)>, Violation> {
        let before = self.head_length;
        let more = input.len().min(MAX_HEAD - before);
        self.keep_head(&input[..more]);
        let Some((head, length)) = Head::read(&self.head[..self.head_length], rules)? else { return Ok(None) };
        self.head_length = 0;
        Ok(Some((head, length - before)))
    }

    fn open(&mut self, head: &Head, length: usize) {
        let (opcode, fin) = (head.opcode, head.fin);
        // Without a mask, one that changes nothing.
        self.frame = Some(OpenFrame { opcode, fin, mask: head.mask.unwrap_or_default(), left: length });
        if matches!(opcode, Opcode::Text | Opcode::Binary) {
            self.message = Some(OpenMessage { binary: opcode == Opcode::Binary, compressed: head.compressed });
        }
    }

    /// Takes what `input` has of the open frame; says how many bytes, and what is complete now.
    fn take(&mut self, frame: OpenFrame, rules: &Rules, input: &mut [u8]) -> Result<(usize, Ended), Violation> {
        let taken = frame.left.min(input.len());
        let bytes = &mut input[..taken];
        apply_mask(bytes, frame.mask);
        let left = frame.left - taken;
        self.frame = (left > 0).then_some(OpenFrame { mask: rotated(frame.mask, taken), left, ..frame });
        if frame.opcode.is_control() {
            self.control[self.control_length..self.control_length + taken].copy_from_slice(bytes);
            self.control_length += taken;
            return Ok((taken, if left > 0 { Ended::Not } else { Ended::Control(frame.opcode) }));
        }
        let message = self.message.ok_or(Violation::UnexpectedContinuation)?;
        let most = if frame.fin { self.data.len() + frame.left } else { limit(rules, message.compressed) };
        append(&mut self.data, bytes, most);
        let ended = left == 0 && frame.fin;
        if !message.binary && !message.compressed {
            self.check_text(ended)?;
        }
        if !ended {
            return Ok((taken, if left > 0 { Ended::Not } else { Ended::Fragment }));
        }
        self.message = None;
        if message.compressed {
            let payload = std::mem::take(&mut self.data);
            self.inflate(&payload, message.binary, rules)?;
        }
        Ok((taken, Ended::Message { binary: message.binary }))
    }

    /// Makes the message that a whole compressed payload holds.
    fn inflate(&mut self, payload: &[u8], binary: bool, rules: &Rules) -> Result<(), Violation> {
        inflate(payload, rules.max_message, &mut self.data)?;
        if binary { Ok(()) } else { self.check_text(true) }
    }

    /// Checks the characters that are complete, and at the end that all are (RFC 6455 §8.1).
    fn check_text(&mut self, ended: bool) -> Result<(), Violation> {
        match std::str::from_utf8(&self.data[self.checked..]) {
            Ok(_) => self.checked = self.data.len(),
            Err(error) if error.error_len().is_none() && !ended => self.checked += error.valid_up_to(),
            Err(_) => return Err(Violation::Text),
        }
        Ok(())
    }
}

impl Default for Partial {
    fn default() -> Self {
        Self {
            head: [0; MAX_HEAD],
            head_length: 0,
            frame: None,
            message: None,
            data: Vec::new(),
            checked: 0,
            control: [0; MAX_CONTROL],
            control_length: 0,
            lent: false,
        }
    }
}

/// Appends with room for as much again, never for more than `most` in all: what was announced costs nothing.
fn append(data: &mut Vec<u8>, bytes: &[u8], most: usize) {
    let needed = data.len() + bytes.len();
    if needed > data.capacity() {
        data.reserve_exact(needed.saturating_mul(2).min(most).max(needed) - data.len());
    }
    data.extend_from_slice(bytes);
}

fn control(opcode: Opcode, payload: &[u8]) -> Result<Event<'_>, Violation> {
    match opcode {
        Opcode::Ping => Ok(Event::Ping(payload)),
        Opcode::Pong => Ok(Event::Pong(payload)),
        _ => read_close(payload),
    }
}
