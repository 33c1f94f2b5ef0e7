//! Target `signature`: field lines of a signed request, the first two those of its signatures.

use fastgate_core::auth::signature::{Components, Keys, Message, Refusal, Rules, judge};

struct Request<'b>(Vec<(&'b str, &'b [u8])>);

impl Message for Request<'_> {
    fn method(&self) -> &[u8] {
        b"GET"
    }

    fn scheme(&self) -> &str {
        "https"
    }

    fn authority(&self) -> &[u8] {
        b"Example.com:443"
    }

    fn path(&self) -> &[u8] {
        b"/a"
    }

    fn query(&self) -> Option<&[u8]> {
        Some(b"a=1&b=%20+&a=2")
    }

    fn field<'a>(&'a self, name: &str, take: &mut dyn FnMut(&'a [u8])) {
        self.0.iter().filter(|(one, _)| *one == name).for_each(|(_, value)| take(value));
    }
}

/// Every key is known and every signature is its base's length: what is judged is the reading.
struct Any;

impl Keys for Any {
    fn knows(&self, id: &str) -> bool {
        id != "unknown"
    }

    fn verify(&self, id: &str, _: Option<&str>, base: &[u8], signature: &[u8]) -> Result<(), Refusal> {
        assert!(id != "unknown", "only known keys are asked");
        let text = std::str::from_utf8(base).expect("a base is text");
        let (last, lines) =
            text.lines().rev().collect::<Vec<_>>().split_first().map(|(a, b)| (*a, b.len())).expect("a line");
        assert!(last.starts_with("\"@signature-params\": (") && lines <= 32, "{text}");
        assert!(!text.ends_with('\n'));
        if signature.is_empty() { Err(Refusal::Signature) } else { Ok(()) }
    }
}

/// Whatever the lines: the base is one line a component, and nothing panics.
pub fn signature(bytes: &[u8]) {
    let mut lines = bytes.split(|b| *b == b'\n').filter(|line| !line.contains(&b'\r'));
    let mut fields = Vec::new();
    for name in ["signature-input", "signature", "date", "date", "x-dictionary"] {
        if let Some(line) = lines.next() {
            fields.push((name, line));
        }
    }
    let rules = Rules { components: Components::default(), max_age_ms: 300_000, skew_ms: 30_000, nonce: true };
    let nonce = |_: &str, nonce: &str, until: u64| {
        assert!(!nonce.is_empty() && nonce.len() <= 256 && until >= 1_618_884_473_000);
        Ok(())
    };
    if let Ok(id) = judge(&Request(fields), &rules, &Any, 1_618_884_473_000, nonce) {
        assert!(!id.is_empty() || bytes.windows(8).any(|w| w == b"keyid=\"\""));
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = Components::read(&[text.to_owned()]);
    }
}
