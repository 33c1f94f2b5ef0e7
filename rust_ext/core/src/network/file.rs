//! A file of networks: one a line, `#` begins a comment.

use std::net::IpAddr;

use ipnet::IpNet;

/// Bytes of a file.
pub const MAX_FILE: u64 = 16 * 1024 * 1024;

/// What an error shows of a line.
const SHOWN: usize = 60;

/// Reads a file.
///
/// # Errors
/// A sentence with the number of the first line that is no network.
pub fn networks(text: &[u8]) -> Result<Vec<IpNet>, String> {
    let mut found = Vec::new();
    for (number, line) in (1_u32..).zip(text.split(|byte| *byte == b'\n')) {
        let line = line.split(|byte| *byte == b'#').next().unwrap_or_default().trim_ascii();
        if line.is_empty() {
            continue;
        }
        let net = network(line).map_err(|reason| {
            let shown = line.get(..SHOWN).unwrap_or(line).escape_ascii();
            format!("line {number}: \"{shown}\" {reason}")
        })?;
        found.push(net);
    }
    Ok(found)
}

fn network(line: &[u8]) -> Result<IpNet, String> {
    let bad = "is neither an address nor a network such as 192.0.2.0/24 or 2001:db8::/32";
    let text = std::str::from_utf8(line).map_err(|_| bad.to_owned())?;
    let Some((_, digits)) = text.split_once('/') else {
        return text.parse::<IpAddr>().map(IpNet::from).map_err(|_| bad.to_owned());
    };
    // A sign or a zero in front is read as a number by some.
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) || (digits.len() > 1 && digits.starts_with('0')) {
        return Err(bad.to_owned());
    }
    let net: IpNet = text.parse().map_err(|_| bad.to_owned())?;
    let whole = net.trunc();
    if whole == net { Ok(net) } else { Err(format!("is an address of the network {whole}, not a network")) }
}

#[cfg(test)]
mod tests {
    use super::networks;

    #[test]
    fn one_network_a_line() {
        let text = b"# ours\n192.0.2.0/24\r\n\n  2001:db8::/32  # docs\n198.51.100.7\n::1";
        let read: Vec<_> = networks(text).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(read, ["192.0.2.0/24", "2001:db8::/32", "198.51.100.7/32", "::1/128"]);
        assert_eq!(networks(b"").unwrap(), []);
    }

    #[test]
    fn errors_name_the_line() {
        for (text, part) in [
            (&b"\n\n10.0.0.1/8\n"[..], "line 3: \"10.0.0.1/8\" is an address of the network 10.0.0.0/8"),
            (b"10.0.0.0/33", "line 1: \"10.0.0.0/33\" is neither"),
            (b"10.0.0.0/08", "is neither"),
            (b"10.0.0.0/+8", "is neither"),
            (b"10.0.0.0/", "is neither"),
            (b"010.0.0.1", "is neither"),
            (b"10.0.0", "is neither"),
            (b"fe80::1%eth0", "is neither"),
            (b"\xff\x00", "line 1: \"\\xff\\x00\" is neither"),
        ] {
            let error = networks(text).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
