//! A request head, passed on.

use std::net::IpAddr;

use fastgate_core::filter::{Outgoing, client_address, request_id, write_request_head};
use fastgate_core::http1::{FieldKind, Framing, Progress, Request, RequestRules, ReservedNames};
use fastgate_core::snapshot::UnderscoreHeaders;

use super::{Changes, lower, replaced, without_edits};
use crate::reference::{self, Said};
use crate::{knobs, path_model};

/// Bits besides those of the rules: 5 the route lets upgrades pass, 7 a fixed host, a rewritten path, no peer address.
pub fn check(knobs: u8, changes: &Changes, bytes: &[u8]) {
    let rules = knobs::rules(knobs & !0x20);
    let mut request = Request::new();
    let Ok(Progress::Complete(length)) = request.parse(bytes, &rules) else { return };
    let bytes = &bytes[..length];
    let fixed = knobs::bit(knobs, 7);
    let peer: Option<IpAddr> = if fixed { None } else { "192.0.2.7".parse().ok() };
    let client = client_address(&request, bytes, peer, &rules);
    let authority = if request.authority(bytes).is_empty() { b"origin.example" } else { request.authority(bytes) };
    let mut buf = [0; 32];
    let o = Outgoing {
        path: if fixed { b"/re/written" } else { request.raw_path(bytes) },
        query: request.query(bytes),
        host: if fixed { b"fixed.example:81" } else { authority },
        client: &client,
        peer,
        scheme: if fixed { "https" } else { "http" },
        request_id: request_id(&request, bytes, 7, &mut buf),
        framing: request.framing(),
        upgrade: if knobs::bit(knobs, 5) { request.upgrade(bytes) } else { None },
        expect_continue: request.expect_continue(),
        edits: &changes.route,
        hook_edits: &changes.hook,
    };
    let mut out = b"before".to_vec();
    write_request_head(&mut out, &request, bytes, &o);
    judge(&request, bytes, &o, out.strip_prefix(b"before").expect("appended"), changes);
    reparse(&request, bytes, &o, &out[6..], &rules);
}

/// Read by the codec again: one head, the same request.
fn reparse(request: &Request, bytes: &[u8], o: &Outgoing<'_>, out: &[u8], rules: &RequestRules) {
    let lenient = RequestRules {
        head_bytes: 1 << 20,
        header_count: 1000,
        uri_bytes: 1 << 20,
        underscore_headers: UnderscoreHeaders::Pass,
        reserved: ReservedNames::new::<&str>(&[]),
        ..rules.clone()
    };
    let mut again = Request::new();
    assert_eq!(again.parse(out, &lenient), Ok(Progress::Complete(out.len())), "{}", out.escape_ascii());
    assert_eq!(again.method_bytes(out), request.method_bytes(bytes));
    assert_eq!(again.is_asterisk(), o.path == b"*");
    assert_eq!(again.query(out), o.query);
    assert_eq!(again.raw_path(out), o.path);
    if o.path != b"*" {
        path_model::is_clean(again.path(out), lenient.encoded_slash);
        assert!(o.path == b"/re/written" || again.path(out) == request.path(bytes), "another path");
    }
    assert_eq!(again.authority(out), o.host);
    assert_eq!(again.framing(), o.framing);
    assert!(again.keep_alive(), "the upstream connection is kept");
    assert_eq!(again.upgrade(out), o.upgrade);
    assert_eq!(again.expect_continue(), o.expect_continue);
}

/// Read by the slow model: what must be gone is gone, what passes is byte-exact and in order.
fn judge(request: &Request, bytes: &[u8], o: &Outgoing<'_>, out: &[u8], changes: &Changes) {
    let head = reference::head(out, false);
    let query = o.query.map_or_else(Vec::new, |q| [b"?", q].concat());
    let line = [request.method_bytes(bytes), b" ", o.path, &query, b" HTTP/1.1"].concat();
    assert_eq!(head.start, line);
    let edits = changes.all(true);
    let lines = without_edits(&head, &edits);

    let received: Vec<_> = request.fields().iter().map(|f| (f.name.of(bytes), f.value.of(bytes))).collect();
    let named = reference::members(&reference::values(&received, "connection"));
    let passes = |name: &[u8]| {
        let kind = if reference::is_odd(name) { FieldKind::Other } else { reference::kind(&lower(name)) };
        kind < FieldKind::Host || matches!(kind, FieldKind::Other)
    };
    let expected: Vec<_> = received
        .iter()
        .filter(|(n, _)| passes(n) && !named.contains(&lower(n)) && !replaced(&edits, n))
        .copied()
        .collect();
    let got: Vec<_> = lines.iter().filter(|(n, _)| passes(n)).copied().collect();
    assert_eq!(got, expected, "the fields that pass");

    let all = |name: &str| reference::values(&lines, name);
    assert_eq!(all("host"), [o.host]);
    let said = match o.framing {
        Framing::None => Said::Nothing,
        Framing::Length(length) => Said::Length(length),
        Framing::Chunked => Said::Chunked,
    };
    assert_eq!(reference::framing(&lines), said);
    for gone in ["keep-alive", "proxy-connection", "te", "http2-settings", "proxy", "proxy-authorization"] {
        assert_eq!(all(gone), [b""; 0], "{gone} passed");
    }
    let upgraded: Vec<&[u8]> = o.upgrade.into_iter().collect();
    assert_eq!(all("upgrade"), upgraded);
    assert_eq!(all("connection"), vec![&b"Upgrade"[..]; upgraded.len()]);
    assert_eq!(all("expect"), vec![&b"100-continue"[..]; usize::from(o.expect_continue)]);
    forwarded(&lines, request, bytes, o, &edits, &received);
}

fn forwarded(
    lines: &[(&[u8], &[u8])],
    request: &Request,
    bytes: &[u8],
    o: &Outgoing<'_>,
    edits: &[&fastgate_core::filter::Edit],
    received: &[(&[u8], &[u8])],
) {
    let all = |name: &str| reference::values(lines, name);
    let once = |name: &str, value: &[u8]| {
        let expected = if replaced(edits, name.as_bytes()) { vec![] } else { vec![value] };
        assert_eq!(all(name), expected, "{name}");
    };
    once("x-request-id", o.request_id);
    if !o.client.trusted {
        for name in ["forwarded", "x-real-ip", "x-client-ip", "true-client-ip", "x-original-url", "x-rewrite-url"] {
            assert_eq!(all(name), [b""; 0], "{name} of an untrusted peer passed");
        }
        let own = ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"];
        let foreign = |n: &[u8]| reference::kind(&lower(n)) == FieldKind::XForwarded && !reference::is_odd(n);
        assert!(!lines.iter().any(|(n, _)| foreign(n)), "an X-Forwarded-* of an untrusted peer passed");
        once(own[1], o.scheme.as_bytes());
        if request.authority(bytes).is_empty() {
            assert_eq!(all(own[2]), [b""; 0]);
        } else {
            once(own[2], request.authority(bytes));
        }
    }
    if replaced(edits, b"x-forwarded-for") {
        assert_eq!(all("x-forwarded-for"), [b""; 0]);
        return;
    }
    let mut hops = Vec::new();
    if o.client.trusted {
        // `Connection` may not name it, so every line counts.
        hops.extend(
            reference::values(received, "x-forwarded-for").into_iter().filter(|v| !v.is_empty()).map(<[u8]>::to_vec),
        );
    }
    hops.extend(o.peer.map(|ip| ip.to_string().into_bytes()));
    let list = hops.join(&b", "[..]);
    let expected: Vec<&[u8]> = if hops.is_empty() { vec![] } else { vec![&list] };
    assert_eq!(all("x-forwarded-for"), expected);
}
