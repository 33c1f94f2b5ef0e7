//! Lists of networks: the longest prefix wins. One look-up is a binary search over disjoint ranges.

use std::net::IpAddr;

use ipnet::IpNet;

/// Networks one policy takes, those of its files included.
pub const MAX_NETWORKS: usize = 250_000;

/// The list a network stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// May pass.
    Allow,
    /// May not.
    Deny,
}

/// What becomes of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It passes.
    Pass,
    /// A denied network is the nearest one.
    Denied,
    /// There is a list of allowed networks, and it is in none.
    NotAllowed,
}

/// A network that stands in both lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Collision(pub IpNet);

/// Both lists as ranges.
#[derive(Debug)]
pub struct AddressTable {
    v4: Ranges<u32>,
    v6: Wide,
    /// What holds where no network does.
    otherwise: Verdict,
}

/// Where ranges begin, ascending from 0, and what holds in each; two arrays, so that a search touches only one.
#[derive(Debug)]
struct Ranges<T> {
    starts: Box<[T]>,
    sides: Box<[Option<Side>]>,
}

impl<T: Copy + Ord + Default> Ranges<T> {
    /// From networks as (first, last) that are nested or apart, in the order of their beginning, longer ones first.
    fn new(nets: &[(T, T, Side)], next: impl Fn(T) -> Option<T>) -> Self {
        let mut starts = vec![T::default()];
        let mut sides = vec![None];
        let mut begin = |start: T, side: Option<Side>| {
            // A range of no length gives way; one that says the same goes on.
            if starts.last() == Some(&start) {
                starts.pop();
                sides.pop();
            }
            if sides.last() != Some(&side) {
                starts.push(start);
                sides.push(side);
            }
        };
        let mut open: Vec<(T, Side)> = Vec::new();
        let close = |open: &mut Vec<(T, Side)>, before: Option<T>, begin: &mut dyn FnMut(T, Option<Side>)| {
            while let Some(&(last, _)) = open.last()
                && before.is_none_or(|start| last < start)
            {
                open.pop();
                if let Some(start) = next(last) {
                    begin(start, open.last().map(|(_, side)| *side));
                }
            }
        };
        for &(first, last, side) in nets {
            close(&mut open, Some(first), &mut begin);
            begin(first, Some(side));
            open.push((last, side));
        }
        close(&mut open, None, &mut begin);
        Self { starts: starts.into(), sides: sides.into() }
    }

    fn find(&self, address: T) -> Option<Side> {
        let at = self.starts.partition_point(|start| *start <= address);
        self.sides.get(at.wrapping_sub(1)).copied().flatten()
    }

    fn bytes(&self) -> usize {
        size_of_val(&*self.starts).saturating_add(size_of_val(&*self.sides))
    }
}

/// The same for IPv6, its starts in halves: a search reads half as much memory.
#[derive(Debug)]
struct Wide {
    high: Box<[u64]>,
    low: Box<[u64]>,
    sides: Box<[Option<Side>]>,
}

fn halves(address: u128) -> (u64, u64) {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = address.to_be_bytes();
    (u64::from_be_bytes([a, b, c, d, e, f, g, h]), u64::from_be_bytes([i, j, k, l, m, n, o, p]))
}

impl Wide {
    fn new(of: Ranges<u128>) -> Self {
        let (high, low): (Vec<_>, Vec<_>) = of.starts.iter().map(|start| halves(*start)).unzip();
        Self { high: high.into(), low: low.into(), sides: of.sides }
    }

    fn find(&self, address: u128) -> Option<Side> {
        let (high, low) = halves(address);
        let begin = self.high.partition_point(|start| *start < high);
        // Of those with the same high half, most often none, the last one that is not behind the address.
        let same = match self.high.get(begin) {
            Some(start) if *start == high => self.high.get(begin..).unwrap_or_default(),
            _ => &[],
        };
        let same = same.partition_point(|start| *start == high);
        let end = begin.saturating_add(same);
        let passed = self.low.get(begin..end).unwrap_or_default().partition_point(|start| *start <= low);
        self.sides.get(begin.saturating_add(passed).wrapping_sub(1)).copied().flatten()
    }

    fn bytes(&self) -> usize {
        size_of_val(&*self.high).saturating_add(size_of_val(&*self.low)).saturating_add(size_of_val(&*self.sides))
    }
}

impl AddressTable {
    /// Builds both tables. `only_allowed`: what is in no network does not pass.
    ///
    /// # Errors
    /// A network that is allowed and denied.
    pub fn new(entries: &[(IpNet, Side)], only_allowed: bool) -> Result<Self, Collision> {
        let mut v4: Vec<(u32, u32, Side)> = Vec::new();
        let mut v6: Vec<(u128, u128, Side)> = Vec::new();
        for (net, side) in entries {
            match canonical(*net) {
                IpNet::V4(net) => v4.push((net.network().into(), net.broadcast().into(), *side)),
                IpNet::V6(net) => v6.push((net.network().into(), net.broadcast().into(), *side)),
            }
        }
        v4.sort_unstable_by_key(|(first, last, side)| (*first, std::cmp::Reverse(*last), *side == Side::Deny));
        v6.sort_unstable_by_key(|(first, last, side)| (*first, std::cmp::Reverse(*last), *side == Side::Deny));
        if let Some(at) = collision(&v4) {
            return Err(Collision(IpNet::V4(ipnet::Ipv4Net::new_assert(at.0.into(), prefix(32, at.0 ^ at.1)))));
        }
        if let Some(at) = collision(&v6) {
            let host = at.0 ^ at.1;
            let len = u8::try_from(host.leading_zeros()).unwrap_or(128);
            return Err(Collision(IpNet::V6(ipnet::Ipv6Net::new_assert(at.0.into(), len))));
        }
        v4.dedup();
        v6.dedup();
        let otherwise = if only_allowed { Verdict::NotAllowed } else { Verdict::Pass };
        Ok(Self {
            v4: Ranges::new(&v4, |last| last.checked_add(1)),
            v6: Wide::new(Ranges::new(&v6, |last| last.checked_add(1))),
            otherwise,
        })
    }

    /// What becomes of an address; an IPv4 address in IPv6's clothes is taken for what it is.
    #[must_use]
    pub fn judge(&self, address: IpAddr) -> Verdict {
        let side = match address.to_canonical() {
            IpAddr::V4(v4) => self.v4.find(v4.into()),
            IpAddr::V6(v6) => self.v6.find(v6.into()),
        };
        match side {
            Some(Side::Allow) => Verdict::Pass,
            Some(Side::Deny) => Verdict::Denied,
            None => self.otherwise,
        }
    }

    /// Memory it takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.v4.bytes().saturating_add(self.v6.bytes())
    }

    /// Ranges it is made of.
    #[must_use]
    pub fn ranges(&self) -> usize {
        self.v4.starts.len().saturating_add(self.v6.high.len())
    }
}

fn prefix(bits: u8, host: u32) -> u8 {
    u8::try_from(host.leading_zeros()).unwrap_or(bits)
}

/// The network's own form: of a single IPv4 address or network that is written in IPv6, the IPv4 one.
fn canonical(net: IpNet) -> IpNet {
    if let IpNet::V6(v6) = net
        && v6.prefix_len() >= 96
        && let Some(v4) = v6.addr().to_ipv4_mapped()
        && let Ok(v4) = ipnet::Ipv4Net::new(v4, v6.prefix_len().saturating_sub(96))
    {
        return IpNet::V4(v4);
    }
    net
}

/// The first network that stands there with both sides; the same ones are neighbours.
fn collision<T: Copy + PartialEq>(sorted: &[(T, T, Side)]) -> Option<(T, T)> {
    sorted.windows(2).find_map(|pair| match pair {
        [a, b] if (a.0, a.1) == (b.0, b.1) && a.2 != b.2 => Some((a.0, a.1)),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn table(allow: &[&str], deny: &[&str]) -> Result<AddressTable, Collision> {
        let of = |list: &[&str], side| list.iter().map(|n| (n.parse().unwrap(), side)).collect::<Vec<_>>();
        let entries = [of(allow, Side::Allow), of(deny, Side::Deny)].concat();
        AddressTable::new(&entries, !allow.is_empty())
    }

    #[test]
    fn the_longest_prefix_wins() {
        let table = table(
            &["10.0.0.0/8", "10.1.2.0/24", "2001:db8::/32", "2001:db8:1:1::/64", "255.255.255.255/32"],
            &["10.1.0.0/16", "10.1.2.3/32", "2001:db8:1::/48", "0.0.0.0/32", "::ffff:10.9.0.0/112"],
        )
        .unwrap();
        for (address, verdict) in [
            ("10.0.0.1", Verdict::Pass),
            ("10.255.255.255", Verdict::Pass),
            ("10.1.0.1", Verdict::Denied),
            ("10.1.2.2", Verdict::Pass),
            ("10.1.2.3", Verdict::Denied),
            ("10.1.2.4", Verdict::Pass),
            ("10.1.3.0", Verdict::Denied),
            ("10.2.0.0", Verdict::Pass),
            ("10.9.1.1", Verdict::Denied),
            ("11.0.0.0", Verdict::NotAllowed),
            ("0.0.0.0", Verdict::Denied),
            ("0.0.0.1", Verdict::NotAllowed),
            ("255.255.255.255", Verdict::Pass),
            ("::ffff:10.1.2.3", Verdict::Denied),
            ("2001:db8::1", Verdict::Pass),
            ("2001:db8:1::1", Verdict::Denied),
            ("2001:db8:1:1::1", Verdict::Pass),
            ("2001:db8:1:2::1", Verdict::Denied),
            ("2001:db9::", Verdict::NotAllowed),
            ("::", Verdict::NotAllowed),
        ] {
            assert_eq!(table.judge(address.parse().unwrap()), verdict, "{address}");
        }
    }

    #[test]
    fn what_is_in_no_list_passes_where_nothing_is_allowed_by_name() {
        let table = table(&[], &["192.0.2.0/24"]).unwrap();
        assert_eq!(table.judge("192.0.2.9".parse().unwrap()), Verdict::Denied);
        assert_eq!(table.judge("192.0.3.9".parse().unwrap()), Verdict::Pass);
        let empty = AddressTable::new(&[], true).unwrap();
        assert_eq!(empty.judge("::1".parse().unwrap()), Verdict::NotAllowed);
    }

    #[test]
    fn a_network_in_both_lists_is_refused() {
        for (allow, deny, named) in [
            ("10.0.0.0/8", "10.0.0.0/8", "10.0.0.0/8"),
            ("2001:db8::/32", "2001:db8::/32", "2001:db8::/32"),
            ("192.0.2.1/32", "::ffff:192.0.2.1/128", "192.0.2.1/32"),
            ("0.0.0.0/0", "0.0.0.0/0", "0.0.0.0/0"),
            ("::/0", "::/0", "::/0"),
        ] {
            assert_eq!(table(&[allow], &[deny]).unwrap_err().0.to_string(), named);
        }
        assert!(table(&["10.0.0.0/8", "10.0.0.0/8"], &["10.0.0.0/9"]).is_ok(), "twice in one list is no fault");
    }

    /// A network of a few bits, so that nesting and neighbours are usual.
    fn nets() -> impl Strategy<Value = Vec<(IpNet, Side)>> {
        let side = prop_oneof![Just(Side::Allow), Just(Side::Deny)];
        let v4 = (any::<u8>(), 20_u8..=32).prop_map(|(low, len)| {
            let address = std::net::Ipv4Addr::from(0xffff_ff00 | u32::from(low));
            IpNet::V4(ipnet::Ipv4Net::new_assert(address, len).trunc())
        });
        let v6 = (any::<u8>(), 116_u8..=128).prop_map(|(low, len)| {
            IpNet::V6(ipnet::Ipv6Net::new_assert(std::net::Ipv6Addr::from(u128::from(low)), len).trunc())
        });
        proptest::collection::vec((prop_oneof![v4, v6], side), 0..20)
    }

    proptest! {
        #[test]
        fn it_is_what_a_look_at_every_network_says(entries in nets(), only in any::<bool>()) {
            let collides = entries.iter().any(|(a, x)| entries.iter().any(|(b, y)| a == b && x != y));
            match AddressTable::new(&entries, only) {
                Err(Collision(net)) => {
                    prop_assert!(collides && entries.iter().any(|(n, _)| *n == net));
                }
                Ok(table) => {
                    prop_assert!(!collides);
                    prop_assert!(table.ranges() <= entries.len() * 2 + 2);
                    for low in 0..=256_u32 {
                        let v4 = IpAddr::from(std::net::Ipv4Addr::from(0xffff_ff00_u32.wrapping_sub(1).wrapping_add(low)));
                        let v6 = IpAddr::from(std::net::Ipv6Addr::from(u128::from(low)));
                        for address in [v4, v6] {
                            let nearest = entries.iter().filter(|(n, _)| n.contains(&address));
                            let side = nearest.max_by_key(|(n, _)| n.prefix_len()).map(|(_, side)| *side);
                            let verdict = match side {
                                Some(Side::Allow) => Verdict::Pass,
                                Some(Side::Deny) => Verdict::Denied,
                                None if only => Verdict::NotAllowed,
                                None => Verdict::Pass,
                            };
                            prop_assert_eq!(table.judge(address), verdict, "{}", address);
                        }
                    }
                }
            }
        }
    }

    /// Not a test of the machine: it prints, and only memory is asserted.
    #[test]
    fn a_hundred_thousand_networks_are_small() {
        let mut state = 7_u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            u32::try_from(state >> 32).unwrap()
        };
        let mut entries = Vec::new();
        for n in 0..100_000_u32 {
            let net = if n % 2 == 0 {
                let len = 16 + u8::try_from(random() % 17).unwrap();
                IpNet::V4(ipnet::Ipv4Net::new_assert(random().into(), len).trunc())
            } else {
                let address = u128::from(0x2000_0000 | random() >> 4) << 96 | u128::from(random()) << 64;
                IpNet::V6(ipnet::Ipv6Net::new_assert(address.into(), 32 + u8::try_from(random() % 33).unwrap()).trunc())
            };
            entries.push((net, Side::Deny));
        }
        let table = AddressTable::new(&entries, false).unwrap();
        assert!(table.bytes() <= 100_000 * 24, "{} bytes", table.bytes());
        let addresses: Vec<IpAddr> = (0..1_000_000)
            .map(|n| match n % 2 {
                0 => IpAddr::V4(random().into()),
                _ => IpAddr::V6((u128::from(0x2000_0000 | random() >> 4) << 96 | u128::from(random()) << 64).into()),
            })
            .collect();
        let began = std::time::Instant::now();
        let denied = addresses.iter().filter(|address| table.judge(**address) == Verdict::Denied).count();
        let each = began.elapsed().as_nanos() / 1_000_000;
        println!("{} ranges, {} bytes, {each} ns a look-up, {denied} denied", table.ranges(), table.bytes());
        assert!(denied > 0);
    }
}
