//! Which addresses may be asked, judged after a name was resolved (class A2).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Url;

/// How far a request of the gateway's own may reach. Link-local addresses, where clouds keep their metadata, are
/// never reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Reach {
    /// Private networks (RFC 1918, RFC 4193, RFC 6598).
    pub private: bool,
    /// This machine.
    pub loopback: bool,
}

/// Why an address may not be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forbidden {
    /// 169.254.0.0/16, fe80::/10 and the metadata addresses of clouds.
    LinkLocal,
    /// A private network.
    Private,
    /// This machine.
    Loopback,
    /// Another machine, where the URL says this one.
    NotLoopback,
    /// No single host has it: unspecified, multicast, broadcast, reserved.
    NoHost,
}

impl fmt::Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LinkLocal => "a link-local or metadata address",
            Self::Private => "an address of a private network",
            Self::Loopback => "a loopback address",
            Self::NotLoopback => "an address of another machine, and not of this one as its name says",
            Self::NoHost => "an address that no single host has",
        })
    }
}

/// Metadata services of clouds outside the link-local ranges.
const METADATA: [IpAddr; 2] =
    [IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)), IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200))];

/// The IPv4 address inside an IPv6 one that stands for it: mapped, compatible, NAT64 (RFC 6052), 6to4 (RFC 3056).
pub(super) fn unwrap(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip else { return ip };
    let [a, b, c, d, e, f, g, h] = v6.segments();
    let v4 = |high: u16, low: u16| IpAddr::V4(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)));
    match (a, b, c, d, e, f) {
        (0, 0, 0, 0, 0, 0xffff) | (0, 0, 0, 0, 0xffff, 0) | (0x64, 0xff9b, 0, 0, 0, 0) => v4(g, h),
        (0, 0, 0, 0, 0, 0) if (g, h) != (0, 0) && (g, h) != (0, 1) => v4(g, h),
        (0x2002, high, low, ..) => v4(high, low),
        _ => ip,
    }
}

impl Reach {
    /// What operators write into their own files: everything but link-local addresses.
    pub const OWN: Self = Self { private: true, loopback: true };

    /// How far a URL may lead that somebody at this address gave: no nearer than they are themselves.
    #[must_use]
    pub fn told_by(peer: IpAddr) -> Self {
        let judged = Self { private: false, loopback: false }.judge(peer);
        let loopback = judged == Err(Forbidden::Loopback);
        Self { private: loopback || judged == Err(Forbidden::Private), loopback }
    }

    /// Judges what is written in a URL that nobody here wrote: [`Reach::admits`] takes the word of who did.
    ///
    /// # Errors
    /// Why it may not be asked.
    pub fn follows(self, url: &Url) -> Result<(), Forbidden> {
        if url.is_loopback() && !self.loopback { Err(Forbidden::Loopback) } else { Ok(()) }
    }

    /// Judges an address that the host of `url` is or came to. A URL that says this machine leads nowhere else, and
    /// one that does not say so leads to it only if that is allowed.
    ///
    /// # Errors
    /// Why it may not be asked.
    pub fn admits(self, url: &Url, ip: IpAddr) -> Result<(), Forbidden> {
        if !url.is_loopback() {
            return self.judge(ip);
        }
        if unwrap(ip).is_loopback() { Ok(()) } else { Err(Forbidden::NotLoopback) }
    }

    /// Judges an address that was written, or that a name came to.
    ///
    /// # Errors
    /// Why it may not be asked.
    pub fn judge(self, ip: IpAddr) -> Result<(), Forbidden> {
        let ip = unwrap(ip);
        if METADATA.contains(&ip) {
            return Err(Forbidden::LinkLocal);
        }
        let (link_local, private, no_host) = match ip {
            IpAddr::V4(v4) => {
                let [a, b, c, _] = v4.octets();
                let shared = a == 100 && b & 0xc0 == 64;
                let own = v4.is_private() || shared || (a == 198 && b & 0xfe == 18) || (a, b, c) == (192, 0, 0);
                (v4.is_link_local(), own, a == 0 || a >= 224)
            }
            IpAddr::V6(v6) => {
                let first = v6.segments()[0];
                let local = first & 0xffc0 == 0xfe80;
                // Site-local addresses (RFC 3879) are deprecated and private all the same.
                let own = first & 0xfe00 == 0xfc00 || first & 0xffc0 == 0xfec0;
                (local, own, v6.is_unspecified() || v6.is_multicast())
            }
        };
        match () {
            () if link_local => Err(Forbidden::LinkLocal),
            () if no_host => Err(Forbidden::NoHost),
            () if ip.is_loopback() && !self.loopback => Err(Forbidden::Loopback),
            () if private && !self.private => Err(Forbidden::Private),
            () => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_local_addresses_are_never_reached_however_they_are_written() {
        for ip in [
            "169.254.169.254",
            "169.254.0.1",
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "fe80::1",
            "febf::1",
            "fd00:ec2::254",
            "100.100.100.200",
            "::ffff:0:169.254.169.254",
        ] {
            assert_eq!(Reach::OWN.judge(ip.parse().unwrap()), Err(Forbidden::LinkLocal), "{ip}");
        }
    }

    #[test]
    fn nobody_leads_nearer_than_they_are() {
        let url = |text| Url::parse(text).unwrap();
        let of = |peer: &str| Reach::told_by(peer.parse().unwrap());
        for peer in ["8.8.8.8", "2606:4700::1111"] {
            assert_eq!(of(peer), Reach { private: false, loopback: false }, "{peer}");
        }
        for peer in ["10.1.2.3", "fd12::1", "::ffff:192.168.0.1"] {
            assert_eq!(of(peer), Reach { private: true, loopback: false }, "{peer}");
        }
        for peer in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(of(peer), Reach::OWN, "{peer}");
        }
        for there in ["http://127.0.0.1:9/k", "https://localhost/k", "https://a.localhost/k", "http://[::1]/k"] {
            assert_eq!(of("8.8.8.8").follows(&url(there)), Err(Forbidden::Loopback), "{there}");
            assert_eq!(of("10.1.2.3").follows(&url(there)), Err(Forbidden::Loopback), "{there}");
            assert_eq!(of("127.0.0.1").follows(&url(there)), Ok(()), "{there}");
        }
        assert_eq!(of("8.8.8.8").follows(&url("https://keys.example/k")), Ok(()));
    }

    #[test]
    fn the_rest_is_as_it_is_allowed() {
        let strict = Reach { private: false, loopback: false };
        for (ip, why) in [
            ("127.0.0.1", Forbidden::Loopback),
            ("::1", Forbidden::Loopback),
            ("::ffff:127.0.0.1", Forbidden::Loopback),
            ("10.1.2.3", Forbidden::Private),
            ("172.16.0.1", Forbidden::Private),
            ("172.31.255.255", Forbidden::Private),
            ("192.168.0.1", Forbidden::Private),
            ("::ffff:192.168.0.1", Forbidden::Private),
            ("64:ff9b::10.0.0.1", Forbidden::Private),
            ("100.64.0.1", Forbidden::Private),
            ("100.127.255.255", Forbidden::Private),
            ("198.19.0.1", Forbidden::Private),
            ("fd12::1", Forbidden::Private),
            ("fec0::1", Forbidden::Private),
        ] {
            assert_eq!(strict.judge(ip.parse().unwrap()), Err(why), "{ip}");
            assert_eq!(Reach::OWN.judge(ip.parse().unwrap()), Ok(()), "{ip}");
        }
        let url = |text| Url::parse(text).unwrap();
        let of = |text, ip: &str| strict.admits(&url(text), ip.parse().unwrap());
        assert_eq!(of("http://localhost/", "127.0.0.1"), Ok(()));
        assert_eq!(of("http://localhost/", "8.8.8.8"), Err(Forbidden::NotLoopback));
        assert_eq!(of("https://rebound.example/", "127.0.0.1"), Err(Forbidden::Loopback));
        for ip in ["0.0.0.0", "0.1.2.3", "::", "224.0.0.1", "255.255.255.255", "240.0.0.1", "ff02::1"] {
            assert_eq!(Reach::OWN.judge(ip.parse().unwrap()), Err(Forbidden::NoHost), "{ip}");
        }
        for ip in ["8.8.8.8", "172.32.0.1", "100.128.0.1", "192.0.1.1", "2606:4700::1111", "::ffff:8.8.8.8"] {
            assert_eq!(strict.judge(ip.parse().unwrap()), Ok(()), "{ip}");
        }
    }
}
