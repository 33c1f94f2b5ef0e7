//! Where a Redis server is, as a URL says it.

use std::fmt;

/// A server's place.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Server {
    /// A TCP address.
    Tcp {
        /// A name or an IP address, without brackets.
        host: String,
        /// The port, 6379 where none is given.
        port: u16,
        /// TLS from the first byte.
        tls: bool,
    },
    /// A Unix socket.
    Unix(String),
}

/// Redis's own port.
const PORT: u16 = 6379;

impl Server {
    /// Reads `redis://HOST[:PORT][/DB]`, `rediss://HOST[:PORT][/DB]` or `unix:/path`. The database is checked and then
    /// forgotten: pub/sub knows none.
    ///
    /// # Errors
    /// What is wrong; the message holds nothing of a user or password that stands in the URL.
    pub fn parse(url: &str) -> Result<Self, &'static str> {
        if let Some(path) = url.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return match path {
                path if path.starts_with('/') && !path.contains('\0') => Ok(Self::Unix(path.to_owned())),
                _ => Err("the path of a Unix socket begins with /"),
            };
        }
        let (tls, rest) = match (url.strip_prefix("redis://"), url.strip_prefix("rediss://")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            _ => return Err("it begins with redis://, rediss:// or unix:"),
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        if authority.contains('@') {
            return Err("user and password do not stand in the URL: they have keys of their own");
        }
        if !path.bytes().all(|b| b.is_ascii_digit()) || path.len() > 5 {
            return Err("behind the / stands the number of a database, or nothing");
        }
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']').ok_or("the IPv6 address lacks its ]")?;
                host.parse::<std::net::Ipv6Addr>().map_err(|_| "between [ and ] stands an IPv6 address")?;
                (host, port)
            }
            None => authority.find(':').map_or((authority, ""), |colon| authority.split_at(colon)),
        };
        if host.is_empty() || host.len() > 253 || !host.bytes().all(|b| b.is_ascii_graphic() && !b"/?#%\\".contains(&b))
        {
            return Err("it names no host");
        }
        let port = match port {
            "" => PORT,
            port => {
                let digits = port.strip_prefix(':').filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
                let number = digits.and_then(|digits| digits.parse().ok()).filter(|number| *number > 0);
                number.ok_or("a port is a number from 1 to 65535")?
            }
        };
        Ok(Self::Tcp { host: host.to_owned(), port, tls })
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port, .. } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port, .. } => write!(f, "{host}:{port}"),
            // Two slashes in front are the form with an empty authority.
            Self::Unix(path) if path.starts_with("//") => write!(f, "unix://{path}"),
            Self::Unix(path) => write!(f, "unix:{path}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read() {
        for (url, shown, tls) in [
            ("redis://127.0.0.1:6379/0", "127.0.0.1:6379", false),
            ("redis://cache.example", "cache.example:6379", false),
            ("rediss://cache.example:6380/", "cache.example:6380", true),
            ("redis://[::1]:7000", "[::1]:7000", false),
        ] {
            let server = Server::parse(url).unwrap();
            assert_eq!(server.to_string(), shown);
            assert!(matches!(server, Server::Tcp { tls: found, .. } if found == tls), "{url}");
        }
        assert_eq!(Server::parse("unix:/run/redis.sock"), Server::parse("unix:///run/redis.sock"));
        for url in ["unix:/run/redis.sock", "unix:////run/redis.sock"] {
            assert_eq!(Server::parse(url).unwrap().to_string(), url);
        }
    }

    #[test]
    fn what_is_no_url_is_refused_and_shows_no_secret() {
        for url in [
            "",
            "http://h",
            "redis:/h",
            "redis://",
            "redis://:1",
            "redis://h:0",
            "redis://h:65536",
            "redis://h:+1",
            "redis://h:",
            "redis://h/x",
            "redis://h/0/1",
            "redis://[::1",
            "redis://[h]:1",
            "redis://::1",
            "redis://h?a=b",
            "unix:run",
            "unix:",
            "redis://user:hunter2@h:6379/0",
        ] {
            let reason = Server::parse(url).expect_err(url);
            assert!(!reason.contains("hunter2"), "{url}");
        }
    }
}
