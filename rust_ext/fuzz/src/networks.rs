//! Target `networks`: files of networks, and the table that is made of them.

use std::net::IpAddr;

use fastgate_core::network::{AddressTable, Collision, Side, Verdict, networks};
use ipnet::IpNet;

/// Whatever the bytes: two files, split at the first NUL, one of what is allowed and one of what is denied. What is read
/// is what a plain reader reads, and the table says what a look at every network says.
pub fn networks_target(bytes: &[u8]) {
    let mut halves = bytes.splitn(2, |byte| *byte == 0);
    let mut entries: Vec<(IpNet, Side)> = Vec::new();
    for side in [Side::Allow, Side::Deny] {
        let text = halves.next().unwrap_or_default();
        match networks(text) {
            Ok(read) => {
                assert_eq!(read, plain(text).expect("what is taken, a plain reader takes"));
                entries.extend(read.into_iter().map(|net| (net, side)));
            }
            Err(reason) => {
                assert!(reason.starts_with("line ") && reason.len() < 600 && !reason.contains('\n'), "{reason}");
                assert!(plain(text).is_none(), "what is refused, a plain reader refuses");
                return;
            }
        }
    }
    entries.truncate(64);
    match AddressTable::new(&entries, false) {
        Ok(table) => {
            assert!(table.ranges() <= entries.len() * 2 + 2);
            for (net, _) in &entries {
                for address in [net.network(), net.broadcast(), after(net.broadcast())] {
                    assert_eq!(table.judge(address), slow(&entries, address), "{address}");
                }
            }
        }
        Err(Collision(net)) => {
            let twin = |side| entries.iter().any(|(other, of)| own(*other) == own(net) && *of == side);
            assert!(twin(Side::Allow) && twin(Side::Deny), "{net}");
        }
    }
}

/// As IPv6 all of them, IPv4 below `::ffff:0:0/96`.
fn own(net: IpNet) -> (u128, u8) {
    match net {
        IpNet::V4(v4) => (u128::from(v4.network().to_ipv6_mapped()), v4.prefix_len() + 96),
        IpNet::V6(v6) => (u128::from(v6.network()), v6.prefix_len()),
    }
}

fn slow(entries: &[(IpNet, Side)], address: IpAddr) -> Verdict {
    let (bits, v4) = match address.to_canonical() {
        IpAddr::V4(v4) => (u128::from(v4.to_ipv6_mapped()), true),
        IpAddr::V6(v6) => (u128::from(v6), false),
    };
    let holds = |(base, len): (u128, u8)| {
        let mask = if len == 0 { 0 } else { u128::MAX << (128 - len) };
        // A short IPv6 prefix means IPv6 alone.
        bits & mask == base && (!v4 || len >= 96)
    };
    let nearest = entries.iter().filter(|(net, _)| holds(own(*net))).max_by_key(|(net, _)| own(*net).1);
    match nearest {
        Some((_, Side::Deny)) => Verdict::Denied,
        _ => Verdict::Pass,
    }
}

fn after(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(v4) => IpAddr::V4(u32::from(v4).wrapping_add(1).into()),
        IpAddr::V6(v6) => IpAddr::V6(u128::from(v6).wrapping_add(1).into()),
    }
}

/// The same, written plainly.
fn plain(text: &[u8]) -> Option<Vec<IpNet>> {
    let mut nets = Vec::new();
    for line in text.split(|byte| *byte == b'\n') {
        let line = &line[..line.iter().position(|byte| *byte == b'#').unwrap_or(line.len())];
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        let line = std::str::from_utf8(line).ok()?;
        let (address, len) = match line.split_once('/') {
            Some((address, len)) => (address, Some(len)),
            None => (line, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let len = match len {
            Some(text) => (0..=most).find(|len: &u8| len.to_string() == text)?,
            None => most,
        };
        let net = IpNet::new(address, len).ok()?;
        (net.network() == address).then(|| nets.push(net))?;
    }
    Some(nets)
}
