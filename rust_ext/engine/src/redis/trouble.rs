//! What went wrong with a connection, in words that hold no secret.

use std::fmt;

use fastgate_core::resp::Malformed;

/// Why a connection ended or could not be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It could not be opened.
    Connect(String),
    /// The handshake of TLS failed.
    Tls(String),
    /// The server refused to serve.
    Refused(String),
    /// The server did not answer in time.
    Silent,
    /// What it sent is not RESP3.
    Malformed(Malformed),
    /// What it sent answers nothing.
    Unexpected,
    /// It closed the connection.
    Ended,
    /// The connection broke.
    Broken(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(why) => write!(f, "it cannot be reached: {why}"),
            Self::Tls(why) => write!(f, "TLS failed: {why}"),
            Self::Refused(why) => write!(f, "it refuses: {why}"),
            Self::Silent => f.write_str("it does not answer"),
            Self::Malformed(why) => write!(f, "it does not speak RESP3: {why}"),
            Self::Unexpected => f.write_str("it sent an answer to nothing"),
            Self::Ended => f.write_str("it closed the connection"),
            Self::Broken(why) => write!(f, "the connection broke: {why}"),
        }
    }
}

impl Trouble {
    /// Reads an error of a handshake. The server's text may repeat what it was sent, the password too: only the code
    /// is shown.
    pub(crate) fn refused(error: &[u8]) -> Self {
        let code = code(error);
        Self::Refused(match code.as_str() {
            "WRONGPASS" => "user or password are wrong (WRONGPASS)".to_owned(),
            "NOAUTH" => "it asks for a password (NOAUTH)".to_owned(),
            "NOPERM" => "the user may not do what is needed (NOPERM)".to_owned(),
            "NOPROTO" => "it speaks no RESP3: Redis 6 or newer is needed (NOPROTO)".to_owned(),
            "LOADING" => "it is loading its data (LOADING)".to_owned(),
            "DENIED" => {
                "it is in protected mode: it takes no connections from here without a password (DENIED)".to_owned()
            }
            "ERR" if contains(error, b"unknown command") => "it speaks no RESP3: Redis 6 or newer is needed".to_owned(),
            "ERR" if contains(error, b"max number of clients") => "it has as many clients as it may have".to_owned(),
            "ERR" if contains(error, b"AUTH <password> called without any password") => {
                "it has no password, and one was given".to_owned()
            }
            "ERR" if contains(error, b"cluster support disabled") => "it is no cluster; `cluster` is set".to_owned(),
            code => code.to_owned(),
        })
    }
}

/// The first word of an error.
pub(crate) fn code(error: &[u8]) -> String {
    let word = error.split(|b| *b == b' ').next().unwrap_or_default();
    word.iter().take(24).filter(|b| b.is_ascii_uppercase()).map(|b| char::from(*b)).collect()
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_answer_of_a_server_shows_what_it_was_sent() {
        for error in [
            &b"ERR unknown command 'HELLO', with args beginning with: '3' 'AUTH' 'me' 'hunter2'"[..],
            b"WRONGPASS hunter2",
            b"ERR hunter2",
            b"",
            b"X\"hunter2\"",
        ] {
            let shown = Trouble::refused(error).to_string();
            assert!(!shown.contains("hunter2") || error.starts_with(b"X"), "{shown}");
        }
        assert_eq!(code(b"MOVED 1 a:1"), "MOVED");
        assert_eq!(
            Trouble::refused(b"ERR unknown command 'HELLO'").to_string(),
            "it refuses: it speaks no RESP3: Redis 6 or newer is needed"
        );
    }
}
