//! The body of a request: strict JSON with one publication, for one channel or for many.

use std::borrow::Cow;

use super::{MAX_CHANNELS, MAX_PUBLICATION};
use crate::base64;
use crate::json::{self, Kind, Raw};
use crate::route::{MAX_CHANNEL, is_channel};
use crate::snapshot::PublishCall as Call;

/// Characters of a sender's words that a message repeats.
const SHOWN: usize = 40;

/// What a path asks for.
#[must_use]
pub fn call_at(path: &[u8]) -> Option<Call> {
    match path {
        b"/api/publish" => Some(Call::Publish),
        b"/api/broadcast" => Some(Call::Broadcast),
        _ => None,
    }
}

/// What a request publishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication<'a> {
    /// One, or those of a broadcast, each once.
    pub channels: Vec<Cow<'a, str>>,
    /// Its bytes: `data` as it was written, `text` without its escapes, `b64data` decoded.
    pub payload: Cow<'a, [u8]>,
}

/// Why a body is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// 400 or 413.
    pub status: u16,
    /// What is wrong, where, what is allowed: one sentence.
    pub detail: String,
}

fn refuse<T>(status: u16, detail: impl Into<String>) -> Result<T, Refused> {
    Err(Refused { status, detail: detail.into() })
}

/// Reads a body.
///
/// # Errors
/// [`Refused`]; then nothing of it may be published.
pub fn parse(call: Call, body: &[u8]) -> Result<Publication<'_>, Refused> {
    let whole = match json::parse(body) {
        Ok(whole) => whole,
        Err(invalid) => return refuse(400, format!("the body is not valid JSON: {invalid}")),
    };
    let Some(members) = whole.members() else { return refuse(400, "the body must be a JSON object") };
    let (mut to, mut payload) = (None, None);
    for (name, value) in &members {
        match (call, &**name) {
            (Call::Publish, "channel") => to = Some(vec![channel("channel", *value)?]),
            (Call::Broadcast, "channels") => to = Some(channels(*value)?),
            (_, "data" | "text" | "b64data") if payload.is_some() => {
                return refuse(400, "data, text and b64data exclude each other: give one of them");
            }
            (_, "data") => payload = Some(Cow::Borrowed(value.text().as_bytes())),
            (_, "text") => match value.string() {
                Some(Cow::Borrowed(text)) => payload = Some(Cow::Borrowed(text.as_bytes())),
                Some(Cow::Owned(text)) => payload = Some(Cow::Owned(text.into_bytes())),
                None => return refuse(400, "text must be a string"),
            },
            (_, "b64data") => match value.string().and_then(|text| base64::decode(&text)) {
                Some(bytes) => payload = Some(Cow::Owned(bytes)),
                None => return refuse(400, "b64data must be a string in base64, padded, without line breaks"),
            },
            (Call::Publish, other) => return unknown(other, "channel"),
            (Call::Broadcast, other) => return unknown(other, "channels"),
        }
    }
    let key = if call == Call::Publish { "channel" } else { "channels" };
    let Some(channels) = to else { return refuse(400, format!("{key} is missing")) };
    let Some(payload) = payload else {
        return refuse(400, "data is missing; text and b64data are for what is not JSON");
    };
    if payload.len() > MAX_PUBLICATION {
        let detail = format!("a publication has at most {MAX_PUBLICATION} bytes, this one has {}", payload.len());
        return refuse(413, detail);
    }
    Ok(Publication { channels, payload })
}

fn unknown<T>(name: &str, key: &str) -> Result<T, Refused> {
    refuse(400, format!("there is no key \"{}\"; allowed: {key}, data, text, b64data", shown(name)))
}

fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

fn channel<'a>(at: &str, value: Raw<'a>) -> Result<Cow<'a, str>, Refused> {
    let Some(name) = value.string() else { return refuse(400, format!("{at} must be a string")) };
    if is_channel(&name) {
        return Ok(name);
    }
    let detail = format!("{at}: a channel's name has 1 to {MAX_CHANNEL} bytes and no control characters");
    refuse(400, detail)
}

fn channels(value: Raw<'_>) -> Result<Vec<Cow<'_, str>>, Refused> {
    let Some(items) = value.items().filter(|items| !items.is_empty()) else {
        let empty = value.kind() == Kind::Array;
        return refuse(400, if empty { "channels is empty" } else { "channels must be a list of strings" });
    };
    if items.len() > MAX_CHANNELS {
        return refuse(400, format!("channels has {} names; a broadcast has at most {MAX_CHANNELS}", items.len()));
    }
    let mut names = Vec::with_capacity(items.len());
    for (i, item) in items.into_iter().enumerate() {
        names.push(channel(&format!("channels[{i}]"), item)?);
    }
    let mut sorted: Vec<&str> = names.iter().map(|name| &**name).collect();
    sorted.sort_unstable();
    if let Some(twice) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        return refuse(400, format!("channels has \"{}\" twice", shown(twice[0])));
    }
    Ok(names)
}
