//! What the client is to do, read from the command line and rendered once.

use std::time::Duration;

use super::client::Trust;
use crate::args::Args;
use crate::net::Address;
use crate::origin::answer::Asked;
use crate::pattern;
use crate::websocket::{self, Header};

/// How the command line is written.
pub const USAGE: &str = "usage: fastgate-load --to ADDR:PORT|unix:/path [options]

how much      --connections N (1)   --requests N | --seconds S (1)   --rate R a second: open loop, latency from the
              time a request was due   --timeout S (30): the run ends, what is open counts as an error
what          --path P (repeatable, in turn; /b/128)   --paths FILE (one a line)   --path-pattern '/r{i}/x' --count N
              --method M (GET)   --body BYTES   --chunked-body   --host NAME   --header 'Name: value' (repeatable)
              --fields FILE: a field line of each request, in turn (one a line)
              --tag: every request carries a number that the answer must show (content of at least 16 bytes)
TLS           --tls CA.pem [--server-name NAME (localhost)]: TLS 1.3, every handshake a whole one
checks        --expect-status N (200)   --expect-bytes N|any (what the path asks of fastgate-origin)
other cases   --tunnel BYTES: WebSocket, one echo of so many bytes is one request   --idle: after one request on each
              connection print `ready` and hold them until stdin ends
steering      --gated: after one request on each connection print `ready`, start at the next line of stdin

Prints one JSON object. Ends with status 1 when there were errors.";

/// Bytes of the number in a tagged request.
pub const TAG: usize = 16;
/// At most this many requests are rendered.
const REQUESTS: usize = 1_000_000;

/// How long the measured part goes on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Amount {
    /// So many requests.
    Requests(u64),
    /// So long.
    Time(Duration),
}

/// What is done with the connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Requests and answers.
    Http,
    /// A WebSocket each; an echo is a request.
    Tunnel,
    /// One request each, then nothing.
    Idle,
}

/// One rendered request.
#[derive(Debug)]
pub struct Request {
    /// Head and body as sent.
    pub bytes: Vec<u8>,
    /// Where the tag's digits are.
    pub tag_at: Option<usize>,
    /// Bytes of content the answer must have; `None`: any, unchecked.
    pub content: Option<u64>,
}

/// All of it.
#[derive(Debug)]
pub struct Plan {
    /// Where to connect.
    pub to: Address,
    /// TLS is spoken, with whom.
    pub trust: Option<Trust>,
    /// Connections held open.
    pub connections: usize,
    /// How long.
    pub amount: Amount,
    /// Requests a second (open loop); `None`: closed loop.
    pub rate: Option<f64>,
    /// A run never takes longer.
    pub timeout: Duration,
    /// What is done.
    pub mode: Mode,
    /// Wait for a line of stdin before the measured part.
    pub gated: bool,
    /// The status every answer must have.
    pub status: u16,
    /// No content behind the head of an answer.
    pub head_only: bool,
    /// Requests, used in turn.
    pub requests: Vec<Request>,
    /// The WebSocket handshake.
    pub handshake: Vec<u8>,
    /// The frame sent through a tunnel.
    pub frame: Vec<u8>,
    /// The frame that must come back.
    pub echo: Vec<u8>,
}

impl Plan {
    /// Reads the command line.
    ///
    /// # Errors
    /// One sentence that names the argument.
    pub fn parse(mut args: Args) -> Result<Self, String> {
        let to = args.required("--to")?;
        let (roots, name) = (args.one::<String>("--tls")?, args.one::<String>("--server-name")?);
        let name = name.unwrap_or_else(|| "localhost".to_owned());
        let trust = roots.map(|file| Trust::new(&file, &name)).transpose()?;
        let connections = args.one("--connections")?.unwrap_or(1);
        let seconds: Option<f64> = args.one("--seconds")?;
        let amount = match (args.one("--requests")?, seconds) {
            (Some(n), None) => Amount::Requests(n),
            (None, seconds) => Amount::Time(duration(seconds.unwrap_or(1.0), "--seconds")?),
            (Some(_), Some(_)) => return Err("--requests and --seconds exclude each other".to_owned()),
        };
        let rate: Option<f64> = args.one("--rate")?;
        if rate.is_some_and(|r| !(r.is_finite() && r > 0.0)) {
            return Err("--rate must be above 0".to_owned());
        }
        let timeout = duration(args.one("--timeout")?.unwrap_or(30.0), "--timeout")?;
        let tunnel: Option<usize> = args.one("--tunnel")?;
        let mode = match (tunnel, args.flag("--idle")) {
            (None, false) => Mode::Http,
            (Some(_), false) => Mode::Tunnel,
            (None, true) => Mode::Idle,
            (Some(_), true) => return Err("--tunnel and --idle exclude each other".to_owned()),
        };
        let gated = args.flag("--gated");
        let status = args.one("--expect-status")?.unwrap_or(200);
        let template = Template::take(&mut args)?;
        let paths = paths(&mut args, mode)?;
        let fields = fields(&mut args)?;
        args.finish()?;
        if connections == 0 {
            return Err("--connections must be at least 1".to_owned());
        }
        let requests = (0..paths.len().max(fields.len()))
            .map(|i| template.render(&paths[i % paths.len()], &fields[i % fields.len()]))
            .collect::<Result<_, _>>()?;
        let [frame, echo] = [Some([0; 4]), None].map(|mask| frame(tunnel.unwrap_or(0), mask));
        let handshake = template.handshake(&paths[0]);
        let head_only = template.method == "HEAD";
        Ok(Self {
            to,
            trust,
            connections,
            amount,
            rate,
            timeout,
            mode,
            gated,
            status,
            head_only,
            requests,
            handshake,
            frame,
            echo,
        })
    }
}

fn duration(seconds: f64, name: &str) -> Result<Duration, String> {
    let range = Duration::try_from_secs_f64(seconds).ok().filter(|d| !d.is_zero() && d.as_secs() <= 3600);
    range.ok_or_else(|| format!("{name} must be above 0 and at most 3600"))
}

fn frame(length: usize, mask: Option<[u8; 4]>) -> Vec<u8> {
    let mut bytes = Vec::new();
    Header { first: 0x82, length: length as u64, mask }.write(&mut bytes);
    pattern::fill(&mut bytes, length); // a mask of zeros leaves it as it is
    bytes
}

fn paths(args: &mut Args, mode: Mode) -> Result<Vec<String>, String> {
    let mut paths: Vec<String> = args.all("--path")?;
    if let Some(file) = args.one::<String>("--paths")? {
        let text = std::fs::read_to_string(&file).map_err(|e| format!("cannot read {file}: {e}"))?;
        paths.extend(text.lines().filter(|line| !line.is_empty()).map(str::to_owned));
    }
    let count: Option<usize> = args.one("--count")?;
    match (args.one::<String>("--path-pattern")?, count) {
        (Some(pattern), Some(count)) if pattern.contains("{i}") && (1..=REQUESTS).contains(&count) => {
            // In a mixed order, so that neighbours in the table do not follow each other in time.
            let step = (count / 2 + 1..).find(|step| gcd(*step, count) == 1).unwrap_or(1);
            paths.extend((0..count).map(|i| pattern.replace("{i}", &(i * step % count).to_string())));
        }
        (None, None) => {}
        _ => return Err(format!("--path-pattern needs {{i}} in it and --count 1 to {REQUESTS} beside it")),
    }
    if paths.is_empty() {
        paths.push(if mode == Mode::Tunnel { "/ws" } else { "/b/128" }.to_owned());
    }
    match paths.iter().find(|p| !p.starts_with('/') || p.bytes().any(|b| b <= b' ' || b == 127)) {
        Some(path) => Err(format!("path {path:?} must begin with / and hold no space or control character")),
        None => Ok(paths),
    }
}

/// What `--fields` names; one empty text where nothing does.
fn fields(args: &mut Args) -> Result<Vec<String>, String> {
    let Some(file) = args.one::<String>("--fields")? else { return Ok(vec![String::new()]) };
    let text = std::fs::read_to_string(&file).map_err(|e| format!("cannot read {file}: {e}"))?;
    let lines: Vec<_> = text.lines().filter(|line| !line.is_empty()).map(|line| format!("{line}\r\n")).collect();
    match lines.len() {
        1..=REQUESTS => Ok(lines),
        n => Err(format!("--fields must have 1 to {REQUESTS} lines, {file} has {n}")),
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// What every request has in common.
struct Template {
    method: String,
    fields: String,
    body: Option<usize>,
    chunked: bool,
    tag: bool,
    content: Option<String>,
}

impl Template {
    fn take(args: &mut Args) -> Result<Self, String> {
        let host = args.one::<String>("--host")?.unwrap_or_else(|| "bench.example".to_owned());
        let mut fields = format!("Host: {host}\r\nUser-Agent: fastgate-load\r\nAccept: */*\r\n");
        for field in args.all::<String>("--header")? {
            fields.push_str(&field);
            fields.push_str("\r\n");
        }
        let body = args.one("--body")?;
        let method =
            args.one::<String>("--method")?.unwrap_or_else(|| if body.is_some() { "POST" } else { "GET" }.into());
        let (chunked, tag) = (args.flag("--chunked-body"), args.flag("--tag"));
        if tag && body.is_some() {
            return Err("--tag and --body exclude each other".to_owned());
        }
        Ok(Self { method, fields, body, chunked, tag, content: args.one("--expect-bytes")? })
    }

    fn render(&self, path: &str, field: &str) -> Result<Request, String> {
        let asked = Asked::of(path.split('?').next().unwrap_or(path).as_bytes());
        let content = match self.content.as_deref() {
            Some("any") => None,
            Some(number) => Some(number.parse().map_err(|_| format!("--expect-bytes cannot be {number:?}"))?),
            None => Some(asked.content_length(self.body.unwrap_or(0) as u64)),
        };
        if self.tag && content.is_some_and(|n| n < TAG as u64) {
            return Err(format!("--tag needs answers of at least {TAG} bytes, {path} has fewer"));
        }
        let mut bytes = format!("{} {path}", self.method).into_bytes();
        let tag_at = self.tag.then(|| {
            bytes.extend_from_slice(b"?t=");
            bytes.len()
        });
        bytes.resize(bytes.len() + if self.tag { TAG } else { 0 }, b'0');
        bytes.extend_from_slice(format!(" HTTP/1.1\r\n{}{field}", self.fields).as_bytes());
        match self.body {
            Some(length) if self.chunked => {
                bytes.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
                if length > 0 {
                    bytes.extend_from_slice(format!("{length:x}\r\n").as_bytes());
                    pattern::fill(&mut bytes, length);
                    bytes.extend_from_slice(b"\r\n");
                }
                bytes.extend_from_slice(b"0\r\n\r\n");
            }
            Some(length) => {
                bytes.extend_from_slice(format!("Content-Length: {length}\r\n\r\n").as_bytes());
                pattern::fill(&mut bytes, length);
            }
            None => bytes.extend_from_slice(b"\r\n"),
        }
        Ok(Request { bytes, tag_at, content })
    }

    fn handshake(&self, path: &str) -> Vec<u8> {
        let (fields, key) = (&self.fields, websocket::KEY);
        format!(
            "GET {path} HTTP/1.1\r\n{fields}Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: {key}\r\n\r\n"
        )
        .into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::{Amount, Mode, Plan};
    use crate::args::Args;

    fn plan(args: &str) -> Result<Plan, String> {
        Plan::parse(Args::new(format!("--to 127.0.0.1:1 {args}").split(' ').filter(|a| !a.is_empty())))
    }

    #[test]
    fn requests_are_rendered_as_asked() {
        let plan = plan("--path /echo --body 5 --requests 7").expect("valid");
        let text = String::from_utf8(plan.requests[0].bytes.clone()).expect("text");
        assert!(text.starts_with("POST /echo HTTP/1.1\r\nHost: bench.example\r\n"), "{text}");
        assert!(text.ends_with("Content-Length: 5\r\n\r\nabcde"), "{text}");
        assert_eq!((plan.requests[0].content, plan.amount, plan.mode), (Some(5), Amount::Requests(7), Mode::Http));
    }

    #[test]
    fn fields_of_a_file_go_in_turn() {
        let file = std::env::temp_dir().join(format!("fastgate-load-fields-{}", std::process::id()));
        std::fs::write(&file, "A: 1\n\nA: 2\n").expect("written");
        let found = plan(&format!("--path /x --fields {}", file.display()));
        std::fs::write(&file, "\n").expect("written");
        let none = plan(&format!("--fields {}", file.display())).expect_err("no line");
        std::fs::remove_file(&file).expect("removed");
        let texts: Vec<_> =
            found.expect("valid").requests.iter().map(|r| String::from_utf8_lossy(&r.bytes).into_owned()).collect();
        assert_eq!(texts.len(), 2);
        assert!(texts[0].ends_with("\r\nA: 1\r\n\r\n") && texts[1].ends_with("\r\nA: 2\r\n\r\n"), "{texts:?}");
        assert!(none.contains("--fields"), "{none}");
    }

    #[test]
    fn a_pattern_names_every_route_once() {
        for count in [1, 2, 600, 10_000] {
            let plan = plan(&format!("--path-pattern /r{{i}}/x --count {count}")).expect("valid");
            let mut heads: Vec<_> = plan.requests.iter().map(|r| r.bytes.clone()).collect();
            heads.sort();
            heads.dedup();
            assert_eq!(heads.len(), count);
        }
    }

    #[test]
    fn refuses_what_makes_no_sense() {
        for (args, named) in [
            ("--requests 1 --seconds 1", "--requests"),
            ("--seconds 0", "--seconds"),
            ("--rate 0", "--rate"),
            ("--tunnel 1 --idle", "--tunnel"),
            ("--count 5", "--path-pattern"),
            ("--path x", "path"),
            ("--tag --path /b/3", "--tag"),
            ("--connections 0", "--connections"),
            ("--expect-bytes x", "--expect-bytes"),
        ] {
            let error = plan(args).expect_err(args);
            assert!(error.contains(named), "{args}: {error}");
        }
    }
}
