//! A request of the gateway's own, written (RFC 9112 §3).

use super::Url;
use crate::http1::write;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// GET
    Get,
    /// POST
    Post,
}

/// A field's value holds a byte that would end its line (class H5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadField;

/// Writes a whole request. The names of `fields` are the caller's own; Host, User-Agent, Accept-Encoding and the
/// body's length are written here.
///
/// # Errors
/// [`BadField`] for a value with a control character; nothing is written then.
pub fn write_request(
    out: &mut Vec<u8>,
    verb: Verb,
    url: &Url,
    fields: &[(&str, &[u8])],
    body: Option<&[u8]>,
) -> Result<(), BadField> {
    if fields.iter().any(|(_, value)| value.iter().any(|&b| (b < b' ' && b != b'\t') || b == 0x7f)) {
        return Err(BadField);
    }
    out.extend_from_slice(match verb {
        Verb::Get => b"GET ",
        Verb::Post => b"POST ",
    });
    out.extend_from_slice(url.target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\nHost: ");
    out.extend_from_slice(url.authority.as_bytes());
    out.extend_from_slice(b"\r\nUser-Agent: fastgate\r\nAccept-Encoding: identity\r\n");
    for (name, value) in fields {
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value);
        out.extend_from_slice(b"\r\n");
    }
    if body.is_some() || verb == Verb::Post {
        out.extend_from_slice(b"Content-Length: ");
        write::decimal(out, body.map_or(0, |body| body.len() as u64));
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body.unwrap_or_default());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_written_whole_or_not_at_all() {
        let url = Url::parse("https://id.example.org:8443/introspect?x=1").unwrap();
        let mut out = Vec::new();
        let accept: (&str, &[u8]) = ("Accept", b"application/json");
        write_request(&mut out, Verb::Post, &url, &[accept], Some(b"token=a")).unwrap();
        let text = "POST /introspect?x=1 HTTP/1.1\r\nHost: id.example.org:8443\r\nUser-Agent: fastgate\r\n\
                    Accept-Encoding: identity\r\nAccept: application/json\r\nContent-Length: 7\r\n\r\ntoken=a";
        assert_eq!(out, text.as_bytes());
        out.clear();
        for bad in [&b"a\r\nX: y"[..], b"a\0", b"\n", b"\x7f"] {
            assert_eq!(write_request(&mut out, Verb::Get, &url, &[("X", bad)], None), Err(BadField));
        }
        assert!(out.is_empty());
    }
}
