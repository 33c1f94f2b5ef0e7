//! What internal listeners answer.

use std::net::IpAddr;

use fastgate_core::filter::{self, Answer, Content};
use fastgate_core::http1::{Framing, Method, Reason, Request, Version};
use fastgate_core::snapshot::InternalServes;

use super::{Internals, MAX_METRICS};
use crate::health::{State, health};
use crate::metrics::metrics_text;
use crate::{clock, date};

const TEXT: &str = "text/plain; charset=utf-8";
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
const JSON: &str = "application/json";

/// An answer of metrics that is being made or sent; the place is free again when this is dropped.
pub(super) struct Slot<'a>(&'a Internals);

impl<'a> Slot<'a> {
    fn take(internals: &'a Internals) -> Option<Self> {
        let taken = internals.metrics.get();
        (taken < MAX_METRICS).then(|| {
            internals.metrics.set(taken + 1);
            Self(internals)
        })
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.0.metrics.set(self.0.metrics.get() - 1);
    }
}

/// Status, media type and content.
struct Page {
    status: u16,
    media: &'static str,
    content: String,
}

impl Page {
    fn text(status: u16, content: impl Into<String>) -> Self {
        Self { status, media: TEXT, content: content.into() }
    }
}

impl Internals {
    /// Writes the answer to one request; whether its connection goes on, and the slot that a large answer holds.
    pub(super) fn answer(
        &self,
        out: &mut Vec<u8>,
        serves: InternalServes,
        request: &Request,
        bytes: &[u8],
        peer: Option<IpAddr>,
    ) -> (bool, Option<Slot<'_>>) {
        let empty = matches!(request.framing(), Framing::None | Framing::Length(0));
        let mut slot = None;
        let page = match (request.method(), request.path(bytes), serves) {
            _ if !empty => Page::text(413, "no request here has a body\n"),
            (Method::Get | Method::Head, b"/livez", _) => Page::text(200, "ok\n"),
            (Method::Get | Method::Head, b"/readyz", _) => self.readyz(),
            (Method::Get | Method::Head, b"/healthz", InternalServes::Admin) => {
                self.healthz(is_local(peer, request.host(bytes)))
            }
            (Method::Get | Method::Head, b"/metrics", InternalServes::Metrics) => {
                slot = Slot::take(self);
                match slot {
                    Some(_) => Page { status: 200, media: METRICS, content: metrics_text(&self.shared) },
                    None => Page::text(503, "too many answers are under way\n"),
                }
            }
            (_, b"/livez" | b"/readyz", _)
            | (_, b"/healthz", InternalServes::Admin)
            | (_, b"/metrics", InternalServes::Metrics) => Page::text(405, "GET and HEAD are allowed\n"),
            (_, _, InternalServes::Admin) => Page::text(404, "here are /livez, /readyz and /healthz\n"),
            (_, _, InternalServes::Metrics) => Page::text(404, "here are /livez, /readyz and /metrics\n"),
        };
        let keep_alive = request.keep_alive() && empty;
        write(out, &page, keep_alive, request.version(), request.method() == Method::Head);
        (keep_alive, slot)
    }

    fn readyz(&self) -> Page {
        match self.shared.status.not_ready() {
            None if self.shared.hub.broker().is_some_and(|broker| broker.trouble().is_some()) => {
                Page::text(200, "degraded: Redis is not connected, publications stay in this process\n")
            }
            None => Page::text(200, "ok\n"),
            Some(reason) => Page::text(503, format!("{reason}\n")),
        }
    }

    /// Reasons name targets and figures, so only somebody on this machine sees them.
    fn healthz(&self, detail: bool) -> Page {
        let (state, mut value) = health(&self.shared);
        if !detail {
            value = serde_json::json!({"status": state.word()});
        }
        let status = if state == State::Down { 503 } else { 200 };
        Page { status, media: JSON, content: format!("{value:#}\n") }
    }
}

/// Whether a client on this machine asks, by a name that no web page can make its browser send here.
fn is_local(peer: Option<IpAddr>, host: &[u8]) -> bool {
    let host = String::from_utf8_lossy(host);
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(&host);
    let named = bare.is_empty() || bare == "localhost" || bare.parse::<IpAddr>().is_ok();
    named && peer.is_none_or(|peer| peer.is_loopback())
}

/// Writes the answer to a message that is no valid request.
pub(super) fn refuse(out: &mut Vec<u8>, reason: Reason) {
    let page = Page::text(reason.status(), format!("{}\n", reason.name()));
    write(out, &page, false, Version::Http11, false);
}

fn write(out: &mut Vec<u8>, page: &Page, keep_alive: bool, version: Version, head_only: bool) {
    let allow: (&str, &[u8]) = ("Allow", b"GET, HEAD");
    let retry: (&str, &[u8]) = ("Retry-After", b"1");
    let cache: (&str, &[u8]) = ("Cache-Control", b"no-store");
    let fields = [cache, if page.status == 405 { allow } else { retry }];
    let fields = if matches!(page.status, 405 | 503) { &fields[..] } else { &fields[..1] };
    let answer = Answer {
        status: page.status,
        detail: "",
        request_id: &[],
        keep_alive,
        version,
        head_only,
        fields,
        edits: &filter::NO_EDITS,
        extra: None,
        content: Content::Bytes { content_type: Some(page.media), body: page.content.as_bytes() },
        date: &date::format(clock::unix_seconds()),
    };
    filter::write_answer(out, &answer);
}

#[cfg(test)]
mod tests {
    use super::is_local;

    #[test]
    fn only_this_machine_sees_reasons_and_no_web_page_of_it() {
        let local = Some("127.0.0.1".parse().unwrap());
        for host in ["", "localhost", "127.0.0.1", "[::1]", "10.0.0.7"] {
            assert!(is_local(local, host.as_bytes()), "{host}");
        }
        assert!(is_local(None, b"localhost") && is_local(Some("::1".parse().unwrap()), b"localhost"));
        assert!(!is_local(local, b"rebound.example"));
        assert!(!is_local(Some("192.0.2.7".parse().unwrap()), b"127.0.0.1"));
    }
}
