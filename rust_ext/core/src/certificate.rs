//! What a certificate says: names, validity, subject (RFC 5280). Trust is decided elsewhere, before this is believed.
//!
//! A strict reader of the few fields that are used; everything else is skipped by its length. Nothing is allocated
//! before its bytes are there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::calendar::days;

/// Names of one certificate that are read; more are refused.
const MAX_NAMES: usize = 1_000;

/// The contents of a certificate that policies use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Certificate {
    /// The subject as RFC 4514 writes it, the last part first.
    pub subject: String,
    /// The subject's common name, the last one where there are several.
    pub common_name: Option<String>,
    /// DNS names of the subject's alternative names, in lower case.
    pub dns: Vec<String>,
    /// URIs.
    pub uris: Vec<String>,
    /// Mail addresses.
    pub emails: Vec<String>,
    /// Addresses.
    pub ips: Vec<IpAddr>,
    /// Seconds since 1970 from which it is valid.
    pub not_before: i64,
    /// Seconds since 1970 until which it is valid.
    pub not_after: i64,
}

const BOOLEAN: u8 = 0x01;
const INTEGER: u8 = 0x02;
const OCTETS: u8 = 0x04;
const OID: u8 = 0x06;
const UTF8: u8 = 0x0c;
const PRINTABLE: u8 = 0x13;
const TELETEX: u8 = 0x14;
const IA5: u8 = 0x16;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const BMP: u8 = 0x1e;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;

const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const EMAIL: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x01];

/// Why a certificate cannot be read.
pub type Unreadable = &'static str;

impl Certificate {
    /// Reads a DER certificate.
    ///
    /// # Errors
    /// What is wrong with it, in a few words.
    pub fn read(der: &[u8]) -> Result<Self, Unreadable> {
        let mut whole = Der(der);
        let mut outer = Der(whole.expect(SEQUENCE)?);
        if !whole.0.is_empty() {
            return Err("there are bytes behind the certificate");
        }
        let mut body = Der(outer.expect(SEQUENCE)?);
        body.optional(0xa0)?;
        body.expect(INTEGER)?;
        body.expect(SEQUENCE)?;
        body.expect(SEQUENCE)?;
        let mut validity = Der(body.expect(SEQUENCE)?);
        let (not_before, not_after) = (validity.time()?, validity.time()?);
        let mut certificate = Self { not_before, not_after, ..Self::default() };
        certificate.read_subject(body.expect(SEQUENCE)?)?;
        body.expect(SEQUENCE)?;
        body.optional(0x81)?;
        body.optional(0x82)?;
        if let Some(extensions) = body.optional(0xa3)? {
            let mut list = Der(Der(extensions).expect(SEQUENCE)?);
            while !list.0.is_empty() {
                let mut extension = Der(list.expect(SEQUENCE)?);
                let oid = extension.expect(OID)?;
                extension.optional(BOOLEAN)?;
                let value = extension.expect(OCTETS)?;
                if oid == SUBJECT_ALT_NAME {
                    certificate.read_names(value)?;
                }
            }
        }
        Ok(certificate)
    }

    /// The SPIFFE ID: the only URI of the certificate, if it is one (X.509-SVID §2, §5.2).
    #[must_use]
    pub fn spiffe(&self) -> Option<&str> {
        let [uri] = &self.uris[..] else { return None };
        let rest = uri.strip_prefix("spiffe://")?;
        let (domain, path) = rest.split_once('/').map_or((rest, None), |(domain, path)| (domain, Some(path)));
        let in_domain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._".contains(&b);
        let in_segment = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
        let segment = |s: &str| !s.is_empty() && s != "." && s != ".." && s.bytes().all(in_segment);
        let domain = !domain.is_empty() && domain.len() <= 255 && domain.bytes().all(in_domain);
        (domain && path.is_none_or(|path| path.split('/').all(segment)) && uri.len() <= 2048).then_some(uri)
    }

    /// Whether it is for this host: a name in lower case without a trailing dot, or an address without brackets
    /// (RFC 9525 §6). A wildcard stands for one label. The common name counts where there is no other name.
    #[must_use]
    pub fn covers(&self, host: &str) -> bool {
        if let Ok(ip) = host.parse::<IpAddr>() {
            return self.ips.contains(&ip) || self.names_itself(host);
        }
        self.dns.iter().any(|name| fits(name, host)) || self.names_itself(host)
    }

    /// The name in its subject, where it has no others.
    fn names_itself(&self, host: &str) -> bool {
        let nameless = self.dns.is_empty() && self.ips.is_empty();
        nameless && self.common_name.as_ref().is_some_and(|name| fits(&name.to_ascii_lowercase(), host))
    }

    fn read_subject(&mut self, der: &[u8]) -> Result<(), Unreadable> {
        let mut parts = Vec::new();
        let mut list = Der(der);
        while !list.0.is_empty() {
            let mut set = Der(list.expect(SET)?);
            let mut one = Vec::new();
            while !set.0.is_empty() {
                let mut pair = Der(set.expect(SEQUENCE)?);
                let oid = pair.expect(OID)?;
                let (tag, value) = pair.any()?;
                let text = text(tag, value);
                if oid == COMMON_NAME {
                    self.common_name.clone_from(&text);
                }
                if oid == EMAIL
                    && let Some(email) = &text
                {
                    self.emails.push(email.clone());
                }
                one.push(shown(oid, tag, value, text.as_deref()));
            }
            if parts.len() >= MAX_NAMES {
                return Err("its subject has too many parts");
            }
            parts.push(one.join("+"));
        }
        parts.reverse();
        self.subject = parts.join(",");
        Ok(())
    }

    fn read_names(&mut self, der: &[u8]) -> Result<(), Unreadable> {
        let mut whole = Der(der);
        let mut list = Der(whole.expect(SEQUENCE)?);
        let mut names = 0;
        while !list.0.is_empty() {
            let (tag, value) = list.any()?;
            names += 1;
            if names > MAX_NAMES {
                return Err("it has too many names");
            }
            // A name with a control character is meant to be taken for a shorter one.
            let word = || {
                let clean = !value.is_empty() && value.iter().all(u8::is_ascii_graphic);
                if clean { String::from_utf8(value.to_vec()).map_err(|_| BAD_NAME) } else { Err(BAD_NAME) }
            };
            match tag {
                0x81 => self.emails.push(word()?),
                0x82 => self.dns.push(word()?.to_ascii_lowercase()),
                0x86 => self.uris.push(word()?),
                0x87 => self.ips.push(match (<[u8; 4]>::try_from(value), <[u8; 16]>::try_from(value)) {
                    (Ok(v4), _) => Ipv4Addr::from(v4).into(),
                    (_, Ok(v6)) => Ipv6Addr::from(v6).into(),
                    _ => return Err("one of its addresses has a wrong length"),
                }),
                _ => {}
            }
        }
        Ok(())
    }
}

const BAD_NAME: Unreadable = "one of its names has a character that no name has";

/// Whether a name of a certificate, perhaps with a wildcard as its first label, fits a host.
fn fits(name: &str, host: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    match name.strip_prefix("*.") {
        Some(parent) => host.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && rest == parent),
        None => name == host,
    }
}

/// A string type's text.
fn text(tag: u8, value: &[u8]) -> Option<String> {
    match tag {
        UTF8 | PRINTABLE | IA5 => std::str::from_utf8(value).ok().map(str::to_owned),
        TELETEX => Some(value.iter().map(|b| char::from(*b)).collect()),
        BMP => {
            let units: Vec<u16> = value.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
            String::from_utf16(&units).ok()
        }
        _ => None,
    }
}

/// One attribute as RFC 4514 §2.3 and §2.4 write it.
fn shown(oid: &[u8], tag: u8, value: &[u8], text: Option<&str>) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let name = match oid {
        COMMON_NAME => "CN",
        [0x55, 0x04, 0x06] => "C",
        [0x55, 0x04, 0x07] => "L",
        [0x55, 0x04, 0x08] => "ST",
        [0x55, 0x04, 0x09] => "STREET",
        [0x55, 0x04, 0x0a] => "O",
        [0x55, 0x04, 0x0b] => "OU",
        [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x01] => "UID",
        [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x19] => "DC",
        _ => "",
    };
    if name.is_empty() || text.is_none() {
        let mut whole = vec![tag];
        push_length(&mut whole, value.len());
        whole.extend_from_slice(value);
        let name = if name.is_empty() { dotted(oid) } else { name.to_owned() };
        return format!("{name}=#{}", hex(&whole));
    }
    let text = text.unwrap_or_default();
    let mut out = format!("{name}=");
    let last = text.chars().count().saturating_sub(1);
    for (i, c) in text.chars().enumerate() {
        let edge = (i == 0 && (c == '#' || c == ' ')) || (i == last && c == ' ');
        match c {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => out.extend(['\\', c]),
            c if edge => out.extend(['\\', c]),
            c if c.is_control() => {
                for b in c.to_string().bytes() {
                    out.push('\\');
                    out.push_str(&hex(&[b]));
                }
            }
            c => out.push(c),
        }
    }
    out
}

fn push_length(out: &mut Vec<u8>, n: usize) {
    let bytes = n.to_be_bytes();
    if let (0..=0x7f, Some(last)) = (n, bytes.last()) {
        return out.push(*last);
    }
    let digits: Vec<u8> = bytes.iter().copied().skip_while(|b| *b == 0).collect();
    out.push(0x80 | u8::try_from(digits.len()).unwrap_or(8));
    out.extend(digits);
}

/// An object identifier with its dots (X.690 §8.19).
fn dotted(oid: &[u8]) -> String {
    let mut numbers: Vec<u64> = Vec::new();
    let mut value = 0_u64;
    for b in oid {
        value = value.wrapping_shl(7) | u64::from(b & 0x7f);
        if b & 0x80 == 0 {
            if numbers.is_empty() {
                let first = (value / 40).min(2);
                numbers.extend([first, value - first * 40]);
            } else {
                numbers.push(value);
            }
            value = 0;
        }
    }
    numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(".")
}

/// Bytes that are read value by value (X.690, distinguished encoding).
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    fn any(&mut self) -> Result<(u8, &'a [u8]), Unreadable> {
        let [tag, first, rest @ ..] = self.0 else { return Err(CUT) };
        if tag & 0x1f == 0x1f {
            return Err("it uses a tag that no certificate has");
        }
        let (len, rest) = match *first {
            short @ 0..=0x7f => (usize::from(short), rest),
            long @ 0x81..=0x84 => {
                let n = usize::from(long & 0x7f);
                let (digits, rest) = rest.split_at_checked(n).ok_or(CUT)?;
                let len = digits.iter().fold(0_usize, |len, digit| len << 8 | usize::from(*digit));
                if digits[0] == 0 || len < 0x80 {
                    return Err("a length in it is not the shortest form");
                }
                (len, rest)
            }
            _ => return Err("a length in it is not valid"),
        };
        let (value, rest) = rest.split_at_checked(len).ok_or(CUT)?;
        self.0 = rest;
        Ok((*tag, value))
    }

    fn expect(&mut self, wanted: u8) -> Result<&'a [u8], Unreadable> {
        match self.any()? {
            (tag, value) if tag == wanted => Ok(value),
            _ => Err("it is not put together as a certificate is"),
        }
    }

    fn optional(&mut self, wanted: u8) -> Result<Option<&'a [u8]>, Unreadable> {
        if self.0.first() == Some(&wanted) { self.expect(wanted).map(Some) } else { Ok(None) }
    }

    /// A time in UTC, in seconds since 1970 (RFC 5280 §4.1.2.5).
    fn time(&mut self) -> Result<i64, Unreadable> {
        const BAD: Unreadable = "a time in it is not valid";
        let (tag, value) = self.any()?;
        let digits = value.strip_suffix(b"Z").ok_or(BAD)?;
        if !digits.iter().all(u8::is_ascii_digit) {
            return Err(BAD);
        }
        let number = |from: usize| i64::from(digits[from] - b'0') * 10 + i64::from(digits[from + 1] - b'0');
        let (year, at) = match (tag, digits.len()) {
            (UTC_TIME, 12) => (number(0) + if number(0) >= 50 { 1900 } else { 2000 }, 2),
            (GENERALIZED_TIME, 14) => (number(0) * 100 + number(2), 4),
            _ => return Err(BAD),
        };
        let [month, day, hour, minute, second] = [0, 2, 4, 6, 8].map(|offset| number(at + offset));
        let fits = (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second < 61;
        if !fits {
            return Err(BAD);
        }
        Ok(days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second)
    }
}

const CUT: Unreadable = "it ends too early";

#[cfg(test)]
mod tests {
    use super::*;

    const DER: &[u8] = include_bytes!("../tests/data/certificate.der");

    #[test]
    fn what_a_certificate_says_is_read() {
        let read = Certificate::read(DER).unwrap();
        assert_eq!(read.subject, "CN=\\#alice\\ ,2.5.4.5=#130137,O=Acme\\, \\\"Inc\\\" \\+ Söhne,C=DE");
        assert_eq!(read.common_name.as_deref(), Some("#alice "));
        assert_eq!(read.dns, ["alice.example.com", "*.example.org"]);
        assert_eq!(read.emails, ["alice@example.com"]);
        assert_eq!(read.ips, ["192.0.2.7".parse::<IpAddr>().unwrap(), "2001:db8::7".parse().unwrap()]);
        assert_eq!(read.spiffe(), Some("spiffe://example.org/ns/a"));
        assert_eq!((read.not_before, read.not_after), (1_709_209_815, 2_561_241_600));
    }

    #[test]
    fn hosts_are_covered_by_whole_labels() {
        let read = Certificate::read(DER).unwrap();
        for host in ["alice.example.com", "a.example.org", "192.0.2.7", "2001:db8::7"] {
            assert!(read.covers(host), "{host}");
        }
        for host in ["example.org", "a.b.example.org", ".example.org", "#alice ", "192.0.2.8", "xalice.example.com", ""]
        {
            assert!(!read.covers(host), "{host}");
        }
        let named = Certificate { common_name: Some("A.example".to_owned()), ..Certificate::default() };
        assert!(named.covers("a.example") && !named.covers("b.example"));
    }

    #[test]
    fn only_one_uri_is_a_spiffe_id() {
        let with = |uris: &[&str]| Certificate {
            uris: uris.iter().map(|u| (*u).to_owned()).collect(),
            ..Certificate::default()
        };
        assert_eq!(with(&["spiffe://a.b/c"]).spiffe(), Some("spiffe://a.b/c"));
        for uris in [
            &["spiffe://a/b", "spiffe://a/c"][..],
            &["https://a/b"],
            &["spiffe:///b"],
            &["spiffe://A/b"],
            &["spiffe://a/"],
            &["spiffe://a/b/../c"],
            &["spiffe://a/b?c"],
            &["spiffe://a:1/b"],
            &[],
        ] {
            assert_eq!(with(uris).spiffe(), None, "{uris:?}");
        }
    }

    #[test]
    fn cut_and_changed_bytes_are_refused_or_read_and_never_worse() {
        for n in 0..DER.len() {
            assert!(Certificate::read(&DER[..n]).is_err(), "{n} bytes");
        }
        let mut changed = DER.to_vec();
        for at in 0..DER.len() {
            for to in [0, 0x7f, 0x80, 0xff, DER[at] ^ 1] {
                changed[at] = to;
                let _ = Certificate::read(&changed);
            }
            changed[at] = DER[at];
        }
        assert!(Certificate::read(&[DER, b"x"].concat()).is_err());
    }

    #[test]
    fn a_name_with_a_nul_in_it_is_refused() {
        let at = DER.windows(5).position(|w| w == b"Alice").unwrap();
        let mut changed = DER.to_vec();
        changed[at + 5] = 0;
        assert_eq!(Certificate::read(&changed), Err(BAD_NAME));
    }
}
