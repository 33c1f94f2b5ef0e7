//! Credentials as a request shows them (RFC 9110 §11.6.2): read strictly, and where readers could differ, not at all.

use std::borrow::Cow;
use std::ops::Range;

/// Longest credential that is looked at, in bytes.
pub const MAX_CREDENTIAL: usize = 16 * 1024;

/// Longest `NAME:PASSWORD`, in bytes.
pub const MAX_BASIC: usize = 768;

/// What one place of a request shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown<T> {
    /// Nothing.
    Nothing,
    /// This.
    One(T),
    /// Something that is not taken: twice, empty, or written as no credential is.
    Bad,
}

impl<T> Shown<T> {
    /// Whether something is there, good or bad.
    pub fn is_present(&self) -> bool {
        !matches!(self, Self::Nothing)
    }
}

/// The schemes of `Authorization` that methods here read; their names have no case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// RFC 6750.
    Bearer,
    /// RFC 7617.
    Basic,
    /// `ApiKey KEY`; not registered, widely used.
    ApiKey,
    /// Any other: nobody here reads it.
    Other,
}

impl Scheme {
    fn of(name: &[u8]) -> Self {
        [(&b"bearer"[..], Self::Bearer), (b"basic", Self::Basic), (b"apikey", Self::ApiKey)]
            .into_iter()
            .find_map(|(known, scheme)| name.eq_ignore_ascii_case(known).then_some(scheme))
            .unwrap_or(Self::Other)
    }
}

/// One line of `Authorization`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Authorization<'a> {
    /// Its scheme.
    pub scheme: Scheme,
    /// What stands behind the scheme; `None`: not what that scheme has.
    pub credential: Option<&'a [u8]>,
}

/// The lines of `Authorization`: exactly one counts (RFC 9110 §11.6.2 allows no list).
pub fn authorization<'a>(mut lines: impl Iterator<Item = &'a [u8]>) -> Shown<Authorization<'a>> {
    let Some(line) = lines.next() else { return Shown::Nothing };
    if lines.next().is_some() {
        return Shown::Bad;
    }
    let name = line.iter().position(|&byte| byte == b' ').unwrap_or(line.len());
    let (scheme, rest) = line.split_at(name);
    if scheme.is_empty() || !scheme.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
    {
        return Shown::Bad;
    }
    let scheme = Scheme::of(scheme);
    let spaces = rest.iter().take_while(|&&byte| byte == b' ').count();
    let value = &rest[spaces..];
    let good = match scheme {
        Scheme::Bearer | Scheme::Basic => is_token68(value),
        Scheme::ApiKey => is_visible(value),
        Scheme::Other => true,
    };
    Shown::One(Authorization { scheme, credential: good.then_some(value) })
}

/// The lines of any other header: one line, visible characters, no list.
pub fn header<'a>(mut lines: impl Iterator<Item = &'a [u8]>) -> Shown<&'a [u8]> {
    match (lines.next(), lines.next()) {
        (None, _) => Shown::Nothing,
        (Some(value), None) if is_visible(value) => Shown::One(value),
        _ => Shown::Bad,
    }
}

/// The cookie of that name in the lines of `Cookie` (RFC 6265 §4.2.1); one that is there twice is none.
pub fn cookie<'a>(lines: impl Iterator<Item = &'a [u8]>, name: &[u8]) -> Shown<&'a [u8]> {
    let mut found = Shown::Nothing;
    for pair in lines.flat_map(|line| line.split(|&byte| byte == b';')) {
        let pair = pair.trim_ascii();
        let equals = memchr::memchr(b'=', pair).unwrap_or(pair.len());
        if pair[..equals].trim_ascii_end() != name {
            continue;
        }
        let value = pair.get(equals + 1..).unwrap_or_default();
        found = if found == Shown::Nothing && is_visible(value) { Shown::One(value) } else { Shown::Bad };
    }
    found
}

/// The query parameter of that name, percent-decoded; one that is there twice, however it is written, is none.
pub fn query<'a>(query: &'a [u8], name: &[u8]) -> Shown<Cow<'a, [u8]>> {
    let mut found = Shown::Nothing;
    for parameter in parameters(query) {
        let text = &query[parameter];
        let equals = memchr::memchr(b'=', text).unwrap_or(text.len());
        if !is_name(&text[..equals], name) {
            continue;
        }
        found = match (found, decoded(text.get(equals + 1..).unwrap_or_default())) {
            (Shown::Nothing, Some(value)) if is_visible(&value) => Shown::One(value),
            _ => Shown::Bad,
        };
    }
    found
}

/// The query without the parameters of these names; every other byte stays. `None`: none of them is there.
pub fn without<'n>(query: &[u8], names: impl Iterator<Item = &'n [u8]> + Clone) -> Option<Vec<u8>> {
    let mut kept = Vec::new();
    let (mut any, mut first) = (false, true);
    for parameter in parameters(query) {
        let text = &query[parameter];
        let equals = memchr::memchr(b'=', text).unwrap_or(text.len());
        if names.clone().any(|name| is_name(&text[..equals], name)) {
            any = true;
            continue;
        }
        if !first {
            kept.push(b'&');
        }
        first = false;
        kept.extend_from_slice(text);
    }
    any.then_some(kept)
}

/// The name and the password of Basic credentials (RFC 7617 §2): canonical base64 of UTF-8 without control characters.
///
/// They are decoded into `room`.
pub fn basic<'a>(credential: &[u8], room: &'a mut [u8; MAX_BASIC]) -> Option<(&'a str, &'a str)> {
    let length = crate::base64::decode_into(credential, room)?;
    let text = std::str::from_utf8(&room[..length]).ok()?;
    let (name, password) = text.split_once(':')?;
    (!name.is_empty() && !text.chars().any(char::is_control)).then_some((name, password))
}

/// `token68` (RFC 9110 §11.2), not longer than a credential may be.
fn is_token68(value: &[u8]) -> bool {
    let padding = value.iter().rev().take_while(|&&byte| byte == b'=').count();
    let body = &value[..value.len() - padding];
    !body.is_empty()
        && value.len() <= MAX_CREDENTIAL
        && body.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(byte))
}

/// Visible ASCII, at least one character.
fn is_visible(value: &[u8]) -> bool {
    !value.is_empty() && value.len() <= MAX_CREDENTIAL && value.iter().all(u8::is_ascii_graphic)
}

/// Where the parameters of a query stand.
fn parameters(query: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    query.split(|&byte| byte == b'&').map(move |part| {
        let place = at..at + part.len();
        at = place.end + 1;
        place
    })
}

/// Whether a parameter's name is that one once its application has decoded it.
fn is_name(written: &[u8], name: &[u8]) -> bool {
    written == name || (written.len() > name.len() && decoded(written).is_some_and(|read| *read == *name))
}

/// Percent-decoded; `None` for what is not percent-encoded well. `+` stays: whether it is a space, readers differ.
fn decoded(text: &[u8]) -> Option<Cow<'_, [u8]>> {
    if memchr::memchr(b'%', text).is_none() {
        return Some(Cow::Borrowed(text));
    }
    let digit = |byte: Option<&u8>| char::from(*byte?).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(&byte) = rest.next() {
        out.push(if byte == b'%' { digit(rest.next())? << 4 | digit(rest.next())? } else { byte });
    }
    Some(Cow::Owned(out))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auth(lines: &[&'static str]) -> Shown<Authorization<'static>> {
        authorization(lines.iter().map(|line| line.as_bytes()))
    }

    fn one(scheme: Scheme, credential: &'static str) -> Shown<Authorization<'static>> {
        Shown::One(Authorization { scheme, credential: Some(credential.as_bytes()) })
    }

    #[test]
    fn one_line_of_authorization() {
        assert_eq!(auth(&[]), Shown::Nothing);
        assert_eq!(auth(&["Bearer a.b.c"]), one(Scheme::Bearer, "a.b.c"));
        assert_eq!(auth(&["BEARER   a=="]), one(Scheme::Bearer, "a=="));
        assert_eq!(auth(&["basic QTpi"]), one(Scheme::Basic, "QTpi"));
        assert_eq!(auth(&["ApiKey a{}b"]), one(Scheme::ApiKey, "a{}b"));
        assert_eq!(auth(&["Digest username=\"a\""]), one(Scheme::Other, "username=\"a\""));
        for lines in [&["Bearer a", "Bearer a"][..], &["Bearer a", "Basic QTpi"], &[""], &[" Bearer a"], &["Bear(er a"]]
        {
            assert_eq!(auth(lines), Shown::Bad, "{lines:?}");
        }
        for line in [
            "Bearer",
            "Bearer ",
            "Bearer a b",
            "Bearer a, Basic b",
            "Bearer ==",
            "Bearer a=b",
            "Basic \"a\"",
            "Bearer\ta",
        ] {
            let bad = matches!(auth(&[line]), Shown::Bad | Shown::One(Authorization { credential: None, .. }));
            assert!(bad, "{line:?}");
        }
        let long = format!("Bearer {}", "a".repeat(MAX_CREDENTIAL + 1));
        assert!(matches!(
            authorization([long.as_bytes()].into_iter()),
            Shown::One(Authorization { credential: None, .. })
        ));
    }

    #[test]
    fn another_header() {
        let read = |lines: &[&'static str]| header(lines.iter().map(|line| line.as_bytes()));
        assert_eq!(read(&[]), Shown::Nothing);
        assert_eq!(read(&["k"]), Shown::One(&b"k"[..]));
        for lines in [&["k", "k"][..], &[""], &["a b"], &["a, b"], &["a\tb"], &["\u{e9}"]] {
            assert_eq!(read(lines), Shown::Bad, "{lines:?}");
        }
    }

    #[test]
    fn a_cookie() {
        let read = |lines: &[&'static str]| cookie(lines.iter().map(|line| line.as_bytes()), b"t");
        assert_eq!(read(&["a=1; t=x; b=2"]), Shown::One(&b"x"[..]));
        assert_eq!(read(&["a=1", "t=x=y"]), Shown::One(&b"x=y"[..]));
        for lines in [&["a=1"][..], &["T=x"], &["at=x; ta=x"], &[]] {
            assert_eq!(read(lines), Shown::Nothing, "{lines:?}");
        }
        for lines in
            [&["t=x; t=x"][..], &["t=x", "t=y"], &["t="], &["t"], &["t=a b"], &["t=x; t=y; t=x"], &["t =x;t=x"]]
        {
            assert_eq!(read(lines), Shown::Bad, "{lines:?}");
        }
    }

    #[test]
    fn a_query_parameter() {
        let read = |text: &'static str| query(text.as_bytes(), b"key");
        for text in ["key=abc", "a=1&key=abc&b", "%6bey=abc", "key=%61b%63", "&&key=abc&", "a;key=z&key=abc"] {
            assert_eq!(read(text), Shown::One(Cow::Borrowed(&b"abc"[..])), "{text}");
        }
        for text in ["", "a=1", "KEY=abc", "key[]=abc", "%6=abc", "akey=1"] {
            assert_eq!(read(text), Shown::Nothing, "{text}");
        }
        for text in [
            "key",
            "key=",
            "key=a&key=a",
            "key=a&%6Bey=b",
            "key=%",
            "key=%zz",
            "key=%00",
            "key=a%20b",
            "key=a&key=b&key=a",
        ] {
            assert_eq!(read(text), Shown::Bad, "{text}");
        }
    }

    #[test]
    fn a_parameter_is_cut_out_and_nothing_else() {
        let cut = |text: &str| {
            let names = [&b"key"[..], b"token"];
            without(text.as_bytes(), names.into_iter()).map(|kept| String::from_utf8(kept).unwrap())
        };
        for text in ["", "a=1", "a=1&&b=%zz", "keys=1", "a;key=1"] {
            assert_eq!(cut(text), None, "{text}");
        }
        for (text, kept) in [
            ("key=1", ""),
            ("key=1&a=%7e", "a=%7e"),
            ("a=1&key=1&b=2", "a=1&b=2"),
            ("a=1&key", "a=1"),
            ("key=1&%6bey=2&token=3", ""),
            ("a&&key=1&&b", "a&&&b"),
        ] {
            assert_eq!(cut(text).as_deref(), Some(kept), "{text}");
        }
    }

    #[test]
    fn basic_credentials() {
        let read = |text: &str| {
            let mut room = [0; MAX_BASIC];
            basic(text.as_bytes(), &mut room).map(|(name, password)| (name.to_owned(), password.to_owned()))
        };
        let pair = |name: &str, password: &str| Some((name.to_owned(), password.to_owned()));
        // RFC 7617 §2 and §2.1
        assert_eq!(read("QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), pair("Aladdin", "open sesame"));
        assert_eq!(read("dGVzdDoxMjPCow=="), pair("test", "123£"));
        assert_eq!(read("YTpiOmM="), pair("a", "b:c"));
        assert_eq!(read("YTo="), pair("a", ""));
        for text in [
            "",
            "YQ==",
            "OmE=",
            "YTpi\n",
            "YTph/w==",
            "YTph/2==",
            "YTpiCg==",
            "YTpi_w==",
            "YToA",
            "QWxhZGRpbjpvcGVuIHNlc2FtZQ",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(read(&"YTph".repeat(MAX_BASIC / 3 + 1)), None, "too long");
    }
}
