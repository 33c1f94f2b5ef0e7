//! Requests: what a client sends, and what of it an origin must see.

use crate::rng::Rng;

/// What is due to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// It is proxied.
    Proxy,
    /// A route answers it.
    Respond,
    /// No route matches.
    NotFound,
    /// The route knows other methods.
    Method,
    /// Its body is larger than the route allows.
    TooLarge,
    /// Its head is refused with one of these.
    BadHead(&'static [u16]),
    /// Its body is not valid.
    BadBody,
    /// It asks for another protocol and gets it.
    Tunnel,
    /// It follows what ended the connection: nobody may ever see it.
    Never,
}

/// One request.
#[derive(Debug)]
pub struct Plan {
    pub tag: String,
    pub kind: Kind,
    pub method: &'static str,
    pub http10: bool,
    /// Every byte the client sends.
    pub bytes: Vec<u8>,
    /// As the origin must see it.
    pub target: String,
    /// The content.
    pub body: Vec<u8>,
    pub framed: bool,
    pub chunked: bool,
    /// Fields that must arrive, in this order.
    pub fields: Vec<(&'static str, String)>,
    pub closes: bool,
    /// The client's leaving half-way does not cancel it.
    pub keeps: bool,
    pub hooked: bool,
}

impl Plan {
    /// It may be sent twice.
    pub fn repeatable(&self) -> bool {
        self.body.is_empty() && !self.chunked && !matches!(self.method, "POST" | "PATCH" | "X-ODD")
    }
}

/// Content that says whose it is, wherever it is cut.
pub fn content(tag: &str, len: usize) -> Vec<u8> {
    tag.bytes().chain([b';']).cycle().take(len).collect()
}

const BAD: &[(&str, &[u16])] = &[
    ("GET /p/x HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", &[400]),
    ("GET /p/x HTTP/1.1\r\n\r\n", &[400]),
    ("GET /p/x HTTP/1.1\nHost: a\n\n", &[400]),
    ("POST /p/x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", &[400]),
    ("POST /p/x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello", &[400]),
    ("POST /p/x HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello", &[400]),
    ("POST /p/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", &[501, 400]),
    ("POST /p/x HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", &[400]),
    ("GET /p/x HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n", &[400]),
    ("GET /p/x HTTP/1.1\r\nHost: a\r\nX: y\r\n folded\r\n\r\n", &[400]),
    ("GET /p/../x HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
    ("GET /p/%2fx HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
    ("GET /p/x HTTP/2.0\r\nHost: a\r\n\r\n", &[505, 400]),
    ("TRACE /p/x HTTP/1.1\r\nHost: a\r\n\r\n", &[405, 501]),
    ("CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", &[501, 405]),
    ("GET /p/x HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\n\r\n", &[417]),
    ("GET /p/x HTTP/1.1\r\nHost: a\r\nConnection: close, Transfer-Encoding\r\n\r\n", &[400]),
    ("\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n", &[400]),
];

/// A message that is refused.
pub fn bad(rng: &mut Rng, tag: String) -> Plan {
    let (text, statuses) = *rng.pick(BAD);
    Plan { bytes: text.as_bytes().to_vec(), ..empty(tag, Kind::BadHead(statuses)) }
}

/// A request for another protocol, and what the client says in it.
pub fn tunnel(rng: &mut Rng, tag: String) -> Plan {
    let target = format!("/t/{tag}");
    let head = format!(
        "GET {target} HTTP/1.1\r\nHost: a\r\nX-Tag: {tag}\r\nConnection: keep-alive, Upgrade\r\nUpgrade: echo\r\n\r\n"
    );
    let body = content(&tag, rng.below(3_000));
    let bytes = [head.as_bytes(), &body].concat();
    let fields = vec![("X-Tag", tag.clone())];
    Plan { bytes, target, body, fields, ..empty(tag, Kind::Tunnel) }
}

/// A request that stands where none may be looked for.
pub fn never(tag: String) -> Plan {
    let bytes = format!("GET /p/{tag}/never HTTP/1.1\r\nHost: a\r\nX-Tag: {tag}\r\n\r\n").into_bytes();
    Plan { bytes, ..empty(tag, Kind::Never) }
}

fn empty(tag: String, kind: Kind) -> Plan {
    Plan {
        tag,
        kind,
        method: "GET",
        http10: false,
        bytes: Vec::new(),
        target: String::new(),
        body: Vec::new(),
        framed: false,
        chunked: false,
        fields: Vec::new(),
        closes: true,
        keeps: false,
        hooked: false,
    }
}

/// A valid request of any kind, or one with a body that is not.
pub fn request(rng: &mut Rng, tag: String, max_body: usize) -> Plan {
    let route = *rng.pick(&["p", "p", "p", "p", "w", "w", "h", "s", "g", "none"]);
    let method =
        *rng.pick(&["GET", "GET", "GET", "HEAD", "POST", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "X-ODD"]);
    let http10 = rng.percent(8);
    let with_body = matches!(method, "POST" | "PUT" | "PATCH") || rng.percent(10);
    let len = if with_body { *rng.pick(&[0, 1, 40, 700, 2500, 6000]) } else { 0 };
    let body = content(&tag, if len > 40 { rng.between(41, len) } else { len });
    let tail = *rng.pick(&["", "", "?", "?a=1&b=%20", "/%41%7e", "/;v=1", "//x", "/a+b[c]|"]);
    let path = format!("/{route}/{tag}{tail}");
    let mut plan = Plan { method, http10, target: path.clone(), ..empty(tag, Kind::Proxy) };
    plan.keeps = route == "w";
    plan.hooked = route == "h";
    plan.kind = match route {
        "s" => Kind::Respond,
        "none" => Kind::NotFound,
        "g" if !matches!(method, "GET" | "HEAD") => Kind::Method,
        "w" if body.len() > max_body => Kind::TooLarge,
        _ => Kind::Proxy,
    };
    let target = if rng.percent(8) { format!("http://sim.example{path}") } else { path };
    let mut head = format!("{method} {target} HTTP/1.{}\r\n", i32::from(!http10));
    if rng.percent(5) {
        head.insert_str(0, "\r\n");
    }
    head += *rng.pick(&["Host: sim.example\r\n", "hOST:sim.example:80\r\n", "Host: \t sim.example \t\r\n"]);
    let mut field = |head: &mut String, name: &'static str, value: String, space: &str| {
        *head += &format!("{name}:{space}{value}\r\n");
        plan.fields.push((name, value));
    };
    field(&mut head, "X-Tag", plan.tag.clone(), " ");
    for i in 0..rng.below(4) {
        let space = *rng.pick(&["", " ", "\t "]);
        field(&mut head, "x-REPEATED", format!("{i} {}", "v".repeat(rng.below(60))), space);
    }
    plan.closes = rng.percent(6);
    match (plan.closes, http10) {
        (true, false) => head += "Connection: close\r\n",
        (false, true) => head += "Connection: keep-alive\r\n",
        _ => {}
    }
    plan.framed = with_body || rng.percent(3);
    let chunked = plan.framed && !http10 && rng.percent(50);
    plan.chunked = chunked;
    let bad = chunked && plan.kind == Kind::Proxy && rng.percent(8);
    if plan.framed && !http10 && rng.percent(15) {
        head += "Expect: 100-continue\r\n";
    }
    if chunked {
        head += "Transfer-Encoding: chunked\r\n";
    } else if plan.framed {
        head += &format!("Content-Length: {}\r\n", body.len());
    }
    head += "\r\n";
    plan.bytes = head.into_bytes();
    if chunked {
        chunks(rng, &mut plan.bytes, &body, bad);
    } else {
        plan.bytes.extend_from_slice(&body);
    }
    plan.body = body;
    if bad {
        plan.kind = Kind::BadBody;
        plan.closes = true;
    }
    plan
}

/// A chunked body, cut anywhere, with what is allowed around it; or broken at its end.
pub fn chunks(rng: &mut Rng, out: &mut Vec<u8>, body: &[u8], bad: bool) {
    let mut at = 0;
    while at < body.len() {
        let n = rng.cut(body.len() - at).max((body.len() - at).min(20));
        let line = match rng.below(4) {
            0 => format!("{n:X}\r\n"),
            1 => format!("000{n:x}\r\n"),
            2 => format!("{n:x};ext=\"a b\";y\r\n"),
            _ => format!("{n:x}\r\n"),
        };
        out.extend_from_slice(line.as_bytes());
        out.extend_from_slice(&body[at..at + n]);
        out.extend_from_slice(b"\r\n");
        at += n;
    }
    let end: &[u8] = match (bad, rng.below(3)) {
        (true, 0) => b"0x0\r\n\r\n",
        (true, 1) => b"-1\r\n\r\n",
        (true, _) => b"5\r\nhelloX\r\n0\r\n\r\n",
        (false, 0) => b"0\r\nX-Trailer: t\r\n\r\n",
        (false, _) => b"0\r\n\r\n",
    };
    out.extend_from_slice(end);
}
