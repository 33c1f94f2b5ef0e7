//! Templates of channels: `room:{room}`, where `{room}` stands for what the route's path captured.

use super::Captures;
use super::template::{self, Names, Part};
use crate::snapshot::Match;

/// Longest name of a channel, in bytes.
pub const MAX_CHANNEL: usize = 255;

/// The name that stands for who connects, where no path captures it.
const IDENTITY: &str = "sub";

/// Why a request leads to no channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoChannel {
    /// The template names who connects, and nobody has said who that is.
    Anonymous,
    /// The name would be empty, too long, no text, or hold a control character.
    Name,
}

/// A compiled template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelTemplate {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(Box<str>),
    Capture(Box<str>),
    Identity,
}

/// Whether it can be the name of a channel: 1 to 255 bytes, no control characters.
pub fn is_channel(name: &str) -> bool {
    !name.is_empty() && name.len() <= MAX_CHANNEL && !name.bytes().any(|b| b < 0x20 || b == 0x7f)
}

impl ChannelTemplate {
    /// Compiles the template of a route with these matches.
    ///
    /// # Errors
    /// One sentence: a brace without its partner, a name that not every match captures, a name that is too long.
    pub fn compile(text: &str, matches: &[Match]) -> Result<Self, String> {
        let names = Names::of(matches);
        let mut pieces = Vec::new();
        for part in template::parse(text)? {
            pieces.push(match part {
                Part::Literal(literal) if !is_channel(literal) => {
                    return Err(format!(
                        "{text:?}: a channel has at most {MAX_CHANNEL} bytes and no control characters"
                    ));
                }
                Part::Literal(literal) => Piece::Literal(literal.into()),
                Part::Name(IDENTITY) if !names.any(IDENTITY) => Piece::Identity,
                Part::Name(name) => {
                    names.check(name, &[IDENTITY])?;
                    Piece::Capture(name.into())
                }
            });
        }
        if pieces.is_empty() { Err("a channel needs a name".to_owned()) } else { Ok(Self { pieces }) }
    }

    /// Whether it names who connects.
    pub fn needs_identity(&self) -> bool {
        self.pieces.contains(&Piece::Identity)
    }

    /// The channel of a request; `path` is the canonical one that was matched, `identity` who connects, if known.
    ///
    /// # Errors
    /// [`NoChannel`].
    pub fn render(&self, captures: &Captures, path: &[u8], identity: Option<&str>) -> Result<String, NoChannel> {
        let mut name = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => name.push_str(text),
                Piece::Identity => name.push_str(identity.ok_or(NoChannel::Anonymous)?),
                Piece::Capture(capture) => {
                    let value = captures.get(capture, path).and_then(|value| std::str::from_utf8(value).ok());
                    name.push_str(value.filter(|value| !value.is_empty()).ok_or(NoChannel::Name)?);
                }
            }
        }
        if is_channel(&name) { Ok(name) } else { Err(NoChannel::Name) }
    }

    /// Whether some request could lead to this channel: literals in their order, something in every other place.
    pub fn may_make(&self, channel: &str) -> bool {
        // A place takes as little as it can, except before the end: where literals fit at all, they fit so.
        let (mut rest, mut places) = (channel, 0);
        for (i, piece) in self.pieces.iter().enumerate() {
            let Piece::Literal(text) = piece else {
                places += 1;
                continue;
            };
            let from = rest.char_indices().map(|(at, _)| at).chain([rest.len()]).nth(places);
            let Some(behind) = from.and_then(|from| rest.get(from..)) else { return false };
            let left = match places {
                0 => behind.strip_prefix(&**text),
                _ if i + 1 == self.pieces.len() => behind.ends_with(&**text).then_some(""),
                _ => behind.split_once(&**text).map(|(_, left)| left),
            };
            let Some(left) = left else { return false };
            (rest, places) = (left, 0);
        }
        if places == 0 { rest.is_empty() } else { rest.chars().nth(places - 1).is_some() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::PathMatch;

    fn matches(path: &str) -> Vec<Match> {
        let mut one: Match =
            serde_json::from_str(r#"{"path":null,"hosts":[],"methods":[],"headers":{},"query":{},"client_ip":[]}"#)
                .unwrap();
        one.path = Some(PathMatch::Path(path.to_owned()));
        vec![one]
    }

    fn captured(name: &str, value: &str) -> (Captures, Vec<u8>) {
        let mut captures = Captures::new();
        captures.push(name, 3, 3 + value.len());
        (captures, [b"/r/", value.as_bytes()].concat())
    }

    #[test]
    fn a_channel_is_made_from_what_the_path_captured() {
        let template = ChannelTemplate::compile("room:{room}!", &matches("/r/{room}")).unwrap();
        let (captures, path) = captured("room", "blue");
        assert_eq!(template.render(&captures, &path, None).unwrap(), "room:blue!");
        for bad in ["", "a\nb", "\x7f"] {
            let (captures, path) = captured("room", bad);
            assert_eq!(template.render(&captures, &path, None), Err(NoChannel::Name), "{bad:?}");
        }
        let (captures, path) = captured("room", &"x".repeat(250));
        assert_eq!(template.render(&captures, &path, None), Err(NoChannel::Name));
        let mut captures = Captures::new();
        captures.push("room", 0, 1);
        assert_eq!(template.render(&captures, b"\xff", None), Err(NoChannel::Name));
    }

    #[test]
    fn sub_is_who_connects_unless_the_path_captures_it() {
        let template = ChannelTemplate::compile("user_{sub}", &matches("/me")).unwrap();
        assert!(template.needs_identity());
        assert_eq!(template.render(&Captures::new(), b"/me", None), Err(NoChannel::Anonymous));
        assert_eq!(template.render(&Captures::new(), b"/me", Some("7")).unwrap(), "user_7");
        assert!(!ChannelTemplate::compile("user_{sub}", &matches("/u/{sub}")).unwrap().needs_identity());
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error = |text| ChannelTemplate::compile(text, &matches("/r/{room}")).unwrap_err();
        assert_eq!(error("x:{id}"), "{id} is unknown; allowed here: {room}, {sub}");
        assert!(error("{").contains("without its partner"));
        assert!(error("").contains("needs a name"));
        assert!(error("a\u{7}").contains("control"));
    }

    #[test]
    fn a_channel_is_told_from_those_no_request_leads_to() {
        let template = ChannelTemplate::compile("a_{x}_b", &matches("/r/{x}")).unwrap();
        for (channel, may) in [("a_1_b", true), ("a__b", false), ("a_b_b", true), ("a_ü_b", true), ("b", false)] {
            assert_eq!(template.may_make(channel), may, "{channel}");
        }
        let both = ChannelTemplate::compile("{x}{x}", &matches("/r/{x}")).unwrap();
        assert!(both.may_make("üü") && both.may_make("ab") && !both.may_make("a"));
        assert!(ChannelTemplate::compile("news", &matches("/r/{x}")).unwrap().may_make("news"));
    }
}
