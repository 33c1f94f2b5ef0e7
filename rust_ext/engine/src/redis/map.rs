//! The map of a cluster.

use fastgate_core::resp::{Malformed, Node, SLOTS, Server};

use super::trouble::Trouble;
use super::wire::Frame;

/// Servers of a cluster.
const MAX_SERVERS: usize = 1_000;

/// Reads the answer to `CLUSTER SLOTS`: for each range of slots its first, its last, and its servers, the master first,
/// each with address, port and more. An address that is not known is that of the server that was asked.
pub(crate) fn read_map(frame: Frame<'_>, asked: &Server) -> Result<Vec<(u16, u16, Server)>, Trouble> {
    let bad = Trouble::Malformed(Malformed::Number);
    let Server::Tcp { host: asked_host, tls, .. } = asked else { return Err(bad) };
    let Some(Node::List(ranges)) = frame.nodes.first() else { return Err(bad) };
    let mut map = Vec::with_capacity(*ranges);
    let mut at = 1;
    for _ in 0..*ranges {
        let Some([Node::List(parts), Node::Integer(first), Node::Integer(last), Node::List(fields), _, port, ..]) =
            frame.nodes.get(at..)
        else {
            return Err(bad);
        };
        let slots = [*first, *last].map(|n| u16::try_from(n).ok().filter(|n| *n < SLOTS));
        let ([Some(first), Some(last)], Node::Integer(port), 3..) = (slots, port, *parts) else { return Err(bad) };
        if *fields < 2 || first > last {
            return Err(bad);
        }
        let host = match frame.text(at + 4).and_then(|host| std::str::from_utf8(host).ok()) {
            None | Some("" | "?") => asked_host.clone(),
            Some(host) => host.to_owned(),
        };
        let port = u16::try_from(*port).map_err(|_| bad.clone())?;
        map.push((first, last, Server::Tcp { host, port, tls: *tls }));
        at = end_of(frame.nodes, at).ok_or_else(|| bad.clone())?;
    }
    let mut servers: Vec<&Server> = map.iter().map(|(_, _, server)| server).collect();
    servers.sort_unstable_by_key(|server| server.to_string());
    servers.dedup();
    if servers.is_empty() {
        return Err(Trouble::Refused("its cluster has no slots yet".to_owned()));
    }
    if servers.len() > MAX_SERVERS { Err(bad) } else { Ok(map) }
}

/// Where the node there ends, with all its parts.
fn end_of(nodes: &[Node], at: usize) -> Option<usize> {
    let (mut at, mut left) = (at, 1_usize);
    while left > 0 {
        left -= 1;
        if let Node::List(parts) | Node::Push(parts) = nodes.get(at)? {
            left += parts;
        }
        at += 1;
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use fastgate_core::resp::{Decoder, Limits, Step};

    fn read(bytes: &[u8]) -> Result<Vec<(u16, u16, Server)>, Trouble> {
        let mut decoder = Decoder::new(Limits { bulk: 100, nodes: 1000 });
        let step = decoder.decode(bytes).unwrap();
        assert!(matches!(step, Step::Frame { .. }));
        read_map(Frame { nodes: decoder.nodes(), bytes }, &Server::parse("redis://seed:7000").unwrap())
    }

    #[test]
    fn the_master_of_each_range_is_read() {
        let reply = b"*2\r\n\
            *4\r\n:0\r\n:5460\r\n*4\r\n$9\r\n127.0.0.1\r\n:7001\r\n$2\r\nid\r\n*2\r\n+hostname\r\n+a\r\n\
            *4\r\n$9\r\n127.0.0.1\r\n:7004\r\n$2\r\nid\r\n*0\r\n\
            *3\r\n:5461\r\n:16383\r\n*3\r\n$0\r\n\r\n:7002\r\n$2\r\nid\r\n";
        let map = read(reply).unwrap();
        let shown: Vec<_> = map.iter().map(|(first, last, server)| format!("{first}-{last} {server}")).collect();
        assert_eq!(shown, ["0-5460 127.0.0.1:7001", "5461-16383 seed:7002"]);
    }

    #[test]
    fn what_is_no_map_is_refused() {
        for reply in [
            &b"+OK\r\n"[..],
            b"*1\r\n+x\r\n",
            b"*0\r\n",
            b"*1\r\n*3\r\n:0\r\n:16384\r\n*2\r\n$1\r\na\r\n:1\r\n",
            b"*1\r\n*3\r\n:9\r\n:1\r\n*2\r\n$1\r\na\r\n:1\r\n",
            b"*1\r\n*3\r\n:0\r\n:1\r\n*2\r\n$1\r\na\r\n:99999\r\n",
            b"*1\r\n*2\r\n:0\r\n:1\r\n",
        ] {
            assert!(read(reply).is_err(), "{}", reply.escape_ascii());
        }
    }
}
