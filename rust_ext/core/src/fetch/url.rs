//! A URL that the gateway asks, read strictly (RFC 3986, RFC 9110 §4.2).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Longest URL.
const MAX_LENGTH: usize = 2_048;

/// Longest host name (RFC 1035 §2.3.4).
const MAX_NAME: usize = 253;

/// Who is asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// A literal address.
    Ip(IpAddr),
    /// A name, lower case.
    Name(String),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(ip) => ip.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// An `http` or `https` URL.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Url {
    /// Its scheme is https.
    pub tls: bool,
    /// Who is asked.
    pub host: Host,
    /// 1-65535.
    pub port: u16,
    /// What the Host header says: the port only where it is not the scheme's own.
    pub authority: String,
    /// Path and query; begins with `/`.
    pub target: String,
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", if self.tls { "https" } else { "http" }, self.authority, self.target)
    }
}

impl Url {
    /// Reads one.
    ///
    /// # Errors
    /// A sentence that says what is allowed; it holds nothing of a user or password that stands in the URL.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.len() > MAX_LENGTH {
            return Err("it is longer than 2,048 bytes");
        }
        if !text.bytes().all(|b| b.is_ascii_graphic() && !b"\\#\"<>^`{|}".contains(&b)) {
            return Err("it is written in ASCII without spaces, control characters, # or \\");
        }
        let (tls, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => return Err("it begins with https:// or http://"),
        };
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err("user and password do not stand in a URL");
        }
        let usual = if tls { 443 } else { 80 };
        let (host, port) = split_port(authority)?;
        let host = read_host(host)?;
        let port = match port {
            None => usual,
            Some(digits) if digits.len() <= 5 && digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits.parse().ok().filter(|port| *port > 0).ok_or("a port is 1-65535")?
            }
            Some(_) => return Err("a port is 1-65535"),
        };
        let mut authority = match &host {
            Host::Ip(IpAddr::V6(ip)) => format!("[{ip}]"),
            host => host.to_string(),
        };
        if port != usual {
            authority.push_str(&format!(":{port}"));
        }
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        Ok(Self { tls, host, port, authority, target })
    }

    /// Whether its host is this machine by what is written: a loopback address or `localhost`.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match &self.host {
            Host::Ip(ip) => super::reach::unwrap(*ip).is_loopback(),
            Host::Name(name) => name == "localhost" || name.ends_with(".localhost"),
        }
    }

    /// Whether nobody on the way can read or change what is said: https, or this machine.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.tls || self.is_loopback()
    }
}

fn split_port(authority: &str) -> Result<(&str, Option<&str>), &'static str> {
    let (host, rest) = match authority.strip_prefix('[') {
        Some(_) => {
            let end = authority.find(']').ok_or("the IPv6 address lacks its ]")?;
            authority.split_at(end + 1)
        }
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    match rest.strip_prefix(':') {
        Some(port) => Ok((host, Some(port))),
        None if rest.is_empty() => Ok((host, None)),
        None => Err("behind the ] stands a port, or nothing"),
    }
}

fn read_host(text: &str) -> Result<Host, &'static str> {
    if let Some(rest) = text.strip_prefix('[') {
        let ip = rest.strip_suffix(']').and_then(|ip| ip.parse::<Ipv6Addr>().ok());
        return ip.map(|ip| Host::Ip(ip.into())).ok_or("between [ and ] stands an IPv6 address");
    }
    if let Ok(ip) = text.parse::<Ipv4Addr>() {
        return Ok(Host::Ip(ip.into()));
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if text.len() > MAX_NAME || !text.split('.').all(label) {
        return Err("it names no host");
    }
    // Some resolvers take a name that ends in a number for an IPv4 address written otherwise (A2).
    let last = text.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    if last.bytes().all(|b| b.is_ascii_digit()) || last.starts_with("0x") {
        return Err("an IPv4 address is written as four decimal numbers");
    }
    Ok(Host::Name(text.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_parts_are_read() {
        let url = Url::parse("https://Id.Example.org/realms/a/keys?x=1").unwrap();
        assert_eq!((url.tls, url.port, url.authority.as_str()), (true, 443, "id.example.org"));
        assert_eq!(url.target, "/realms/a/keys?x=1");
        assert_eq!(url.to_string(), "https://id.example.org/realms/a/keys?x=1");
        let url = Url::parse("http://[::1]:8080?q").unwrap();
        assert_eq!((url.port, url.authority.as_str(), url.target.as_str()), (8080, "[::1]:8080", "/?q"));
        assert_eq!(Url::parse("http://10.0.0.1").unwrap().target, "/");
    }

    #[test]
    fn what_is_none_is_refused() {
        for text in [
            "",
            "ftp://h/",
            "HTTPS://h/",
            "https://",
            "https:///x",
            "https://u:p@h/",
            "https://h:0/",
            "https://h:65536/",
            "https://h:+1/",
            "https://h:/",
            "https://[::1/",
            "https://[fe80::1%eth0]/",
            "https://[::1]x/",
            "https://h /",
            "https://h/#f",
            "https://h\\x/",
            "https://-h/",
            "https://h..x/",
            "https://h./",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://127.1/",
            "https://0177.0.0.1/",
            "https://h%2f/",
            "https://ä/",
            "//h/",
            "https://a.0x7f000001/",
            "https://h/\r\nX: y",
            "unix:/run/x",
        ] {
            assert!(Url::parse(text).is_err(), "{text}");
        }
        assert!(Url::parse(&format!("https://h/{}", "x".repeat(MAX_LENGTH))).is_err());
        assert!(!Url::parse("https://u:secret@h/").unwrap_err().contains("secret"));
    }

    #[test]
    fn this_machine_is_known_by_what_is_written() {
        for text in [
            "http://127.0.0.1/",
            "http://127.9.9.9:1/",
            "http://[::1]/",
            "http://localhost/",
            "http://a.localhost/",
            "http://[::ffff:127.0.0.1]/",
        ] {
            assert!(Url::parse(text).unwrap().is_secure(), "{text}");
        }
        for text in ["http://evillocalhost/", "http://localhost.example.org/", "http://10.0.0.1/", "http://[::2]/"] {
            assert!(!Url::parse(text).unwrap().is_secure(), "{text}");
        }
    }
}
