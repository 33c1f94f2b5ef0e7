//! Revocations of tokens in the store: one sorted set, in the order in which they came, so that everybody reads what is new.
//!
//! The member that says which set it is has the highest number: without it, or with another, the store has lost the set.

use crate::auth::By;
use crate::resp::{self, Node};

/// Members that are read at once.
pub const PAGE: usize = 1_000;

/// Adds members under new numbers. Keys: the set; arguments: the name of a new set, now in milliseconds, the most, members.
const PUT: &str = r"
local key, most = KEYS[1], tonumber(ARGV[3])
local mark = redis.call('ZREVRANGE', key, 0, 0, 'WITHSCORES')
local seq, set, last = 0, ARGV[1], 0
if mark[1] then
  seq = tonumber(mark[2])
  set, last = string.match(mark[1], '^e (%x+) (%d+)$')
  if not set then return redis.error_reply('ERR no set of revocations') end
  last = tonumber(last)
end
if redis.call('ZCARD', key) + #ARGV > most + 4 then
  for _, one in ipairs(redis.call('ZRANGE', key, 0, -2)) do
    local till = string.match(one, '^[js] %d+ (%d+) ')
    if tonumber(till) <= tonumber(ARGV[2]) then redis.call('ZREM', key, one) end
  end
  if redis.call('ZCARD', key) + #ARGV > most + 4 then return redis.error_reply('ERR too many revocations') end
end
for i = 4, #ARGV do
  if redis.call('ZADD', key, 'NX', seq + 1, ARGV[i]) == 1 then seq = seq + 1 end
  last = math.max(last, tonumber(string.match(ARGV[i], '^[js] %d+ (%d+) ')))
end
if mark[1] then redis.call('ZREM', key, mark[1]) end
redis.call('ZADD', key, seq + 1, 'e ' .. set .. ' ' .. string.format('%.0f', last))
redis.call('PEXPIREAT', key, string.format('%.0f', last))
return 1
";

/// One revocation; times are milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revoked {
    /// What is revoked.
    pub by: By,
    /// The `jti` or `sub`.
    pub name: String,
    /// When it was revoked.
    pub at_ms: i64,
    /// When it can be forgotten.
    pub until_ms: i64,
}

/// What was read.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Revocations, in the order in which they came.
    pub revoked: Vec<Revoked>,
    /// Which set it is of, where that was among them.
    pub set: Option<String>,
    /// The highest number.
    pub last: u64,
    /// There may be more.
    pub full: bool,
}

impl Revoked {
    fn write(&self) -> Vec<u8> {
        let kind = match self.by {
            By::Id => 'j',
            By::Subject => 's',
        };
        format!("{kind} {} {} {}", self.at_ms, self.until_ms, self.name).into_bytes()
    }

    fn read(member: &str) -> Option<Self> {
        let mut parts = member.splitn(4, ' ');
        let by = match parts.next()? {
            "j" => By::Id,
            "s" => By::Subject,
            _ => return None,
        };
        let mut time = || parts.next()?.parse().ok().filter(|ms| *ms >= 0);
        let (at_ms, until_ms) = (time()?, time()?);
        Some(Self { by, at_ms, until_ms, name: parts.next()?.to_owned() })
    }
}

/// Writes the command that adds some; `set` names the set where there is none yet.
pub fn put(out: &mut Vec<u8>, key: &[u8], set: u64, now_ms: i64, most: usize, some: &[Revoked]) {
    resp::array(out, 7 + some.len());
    for word in [&b"EVAL"[..], PUT.as_bytes(), b"1", key, format!("{set:016x}").as_bytes()] {
        resp::bulk(out, word);
    }
    resp::bulk(out, now_ms.to_string().as_bytes());
    resp::bulk(out, most.to_string().as_bytes());
    for one in some {
        resp::bulk(out, &one.write());
    }
}

/// Writes the command that reads those from a number on.
pub fn ask(out: &mut Vec<u8>, key: &[u8], from: u64) {
    let (from, page) = (from.to_string(), PAGE.to_string());
    let words: [&[u8]; 8] =
        [b"ZRANGEBYSCORE", key, from.as_bytes(), b"+inf", b"WITHSCORES", b"LIMIT", b"0", page.as_bytes()];
    resp::command(out, &words);
}

/// Reads the answer; `None`: it is none, or holds what is no revocation.
#[must_use]
pub fn read(nodes: &[Node], bytes: &[u8]) -> Option<Page> {
    let (Node::List(count), rest) = nodes.split_first()? else { return None };
    let text = |node: &Node| match node {
        Node::Text(range) => std::str::from_utf8(bytes.get(range.clone())?).ok(),
        _ => None,
    };
    let mut page = Page { full: *count >= PAGE, ..Page::default() };
    let pairs = rest.chunks_exact(3);
    if pairs.len() != *count || !pairs.remainder().is_empty() {
        return None;
    }
    for pair in pairs {
        let [Node::List(2), member, number] = pair else { return None };
        let member = text(member)?;
        page.last = page.last.max(text(number)?.parse().ok()?);
        match member.strip_prefix("e ") {
            Some(set) => page.set = Some(set.split(' ').next()?.to_owned()),
            None => page.revoked.push(Revoked::read(member)?),
        }
    }
    Some(page)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::{Decoder, Limits, Step};

    fn page(answer: &[u8]) -> Option<Page> {
        let mut decoder = Decoder::new(Limits { bulk: 4_096, nodes: 4_096 });
        decoder.decode(answer).unwrap();
        read(decoder.nodes(), answer)
    }

    #[test]
    fn what_is_written_is_read() {
        let one = Revoked { by: By::Subject, name: "me and 1 2".to_owned(), at_ms: 5, until_ms: 70 };
        assert_eq!(Revoked::read(std::str::from_utf8(&one.write()).unwrap()), Some(one.clone()));
        let answer = b"*2\r\n*2\r\n$17\r\ns 5 70 me and 1 2\r\n,1\r\n*2\r\n$7\r\ne 0a 70\r\n,2\r\n";
        let read = page(answer).unwrap();
        assert_eq!(read, Page { revoked: vec![one], set: Some("0a".to_owned()), last: 2, full: false });
        assert_eq!(page(b"*0\r\n"), Some(Page::default()));
    }

    #[test]
    fn a_command_has_as_many_words_as_it_says() {
        let one = Revoked { by: By::Id, name: "a".to_owned(), at_ms: 5, until_ms: 70 };
        for count in 1..4 {
            let mut out = Vec::new();
            put(&mut out, b"key", 7, 6, 100, &vec![one.clone(); count]);
            let mut decoder = Decoder::new(Limits { bulk: 4_096, nodes: 4_096 });
            let step = decoder.decode(&out).unwrap();
            assert_eq!(step, Step::Frame { consumed: out.len(), skip: 0 }, "{count}");
            let words: Vec<_> = decoder.nodes().iter().filter(|node| matches!(node, Node::Text(_))).collect();
            assert_eq!(words.len(), 7 + count);
        }
    }

    #[test]
    fn what_is_no_revocation_is_not_read() {
        for member in ["x 1 2 a", "j 1 2", "j -1 2 a", "j a 2 a", ""] {
            let answer = format!("*1\r\n*2\r\n${}\r\n{member}\r\n,1\r\n", member.len());
            assert_eq!(page(answer.as_bytes()), None, "{member}");
        }
        for answer in [&b"+OK\r\n"[..], b"*1\r\n+a\r\n", b"*1\r\n*2\r\n$7\r\nj 1 2 a\r\n+x\r\n", b"*1\r\n*1\r\n+a\r\n"]
        {
            assert_eq!(page(answer), None, "{}", answer.escape_ascii());
        }
    }
}
