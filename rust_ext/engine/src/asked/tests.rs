//! Both kinds against a server that answers as it is told.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use fastgate_core::filter::Edit;
use fastgate_core::http1::{Method, Progress, Request, RequestRules};
use fastgate_core::snapshot::{Snapshot, policies as plain};

use super::ext_auth::Said;
use super::{ExtAuth, Facts, Introspection, Introspections, Worth};
use crate::fetch::testing::{Provider, ok};
use crate::fetch::{Client, Fetcher};
use crate::log::Log;
use crate::rt::{self, Runtime};
use crate::trust::Trusts;

/// A runtime with the client's task on it.
fn with_client<F: Future>(fetcher: &Fetcher, work: F) -> F::Output {
    Runtime::new().unwrap().block_on(async {
        rt::spawn(crate::fetch::serve_notes(fetcher.notes(), Rc::new(Client::new(Vec::new(), Log::new().0))));
        work.await
    })
}

fn introspection(url: &str, max_stale_ms: Option<u64>) -> Arc<Introspection> {
    let plain = plain::Introspection {
        url: url.to_owned(),
        client_id: Some("gate".to_owned()),
        client_secret: Some(fastgate_core::snapshot::SecretString("s3cret".to_owned())),
        token: plain::TokenPlaces { header: None, cookie: None, query: None },
        max_stale_ms,
        allow_private: false,
        timeout_ms: 5_000,
        ca: None,
    };
    Introspections::default().get(&plain, &Trusts::default()).unwrap()
}

const ACTIVE: &str = r#"{"active":true,"sub":"ada","scope":"read"}"#;

#[test]
fn a_token_is_asked_about_once_and_then_known() {
    let provider = Provider::start(ok(ACTIVE));
    let (one, fetcher) = (introspection(&provider.url, None), Fetcher::default());
    let key = one.key(b"t0ken");
    assert_eq!(one.known(key, 0), None);
    with_client(&fetcher, async {
        let asks: Vec<_> = (0..50).map(|_| one.ask(key, b"t0ken", 0, &fetcher)).collect();
        for ask in asks {
            let Worth::Good(identity) = ask.await else { panic!("good") };
            assert_eq!(identity.subject.as_deref(), Some("ada"));
        }
    });
    assert_eq!(provider.asked.load(SeqCst), 1);
    assert!(matches!(one.known(key, 59_999_000_000), Some(Worth::Good(_))));
    assert_eq!(one.known(key, 60_000_000_000), None);
    let request = provider.requests.lock().unwrap()[0].clone();
    assert!(request.contains("token=t0ken&token_type_hint=access_token"), "{request}");
    assert!(request.contains("Authorization: Basic Z2F0ZTpzM2NyZXQ="), "{request}");
    assert!(!format!("{one:?}").contains("s3cret"));
}

#[test]
fn a_question_outlives_whoever_asked_it_first() {
    let provider = Provider::start(ok(ACTIVE));
    let (one, fetcher) = (introspection(&provider.url, None), Fetcher::default());
    let key = one.key(b"t");
    with_client(&fetcher, async {
        let first = one.ask(key, b"t", 0, &fetcher);
        let second = one.ask(key, b"t", 0, &fetcher);
        drop(first);
        assert!(matches!(second.await, Worth::Good(_)));
    });
}

#[test]
fn an_endpoint_that_fails_or_lies_says_nothing_about_a_token() {
    let provider = Provider::start(ok("{}"));
    let fetcher = Fetcher::default();
    let one = introspection(&provider.url, None);
    let stale = introspection(&provider.url, Some(3_600_000));
    let key = one.key(b"t");
    with_client(&fetcher, async {
        for lie in [ok("{}"), ok("<html>"), ok(r#"{"active":"true"}"#), ok("").replace("200", "401"), String::new()] {
            *provider.answer.lock().unwrap() = lie.clone();
            let said = one.ask(key, b"t", 0, &fetcher).await;
            assert!(matches!(said, Worth::Unknown(_)), "{lie}: {said:?}");
            assert!(!format!("{said:?}").contains("s3cret"));
        }
        // A good answer, then none: it stands in only where that was said.
        *provider.answer.lock().unwrap() = ok(ACTIVE);
        let (a, b) = (one.key(b"u"), stale.key(b"u"));
        assert!(matches!(one.ask(a, b"u", 0, &fetcher).await, Worth::Good(_)));
        assert!(matches!(stale.ask(b, b"u", 0, &fetcher).await, Worth::Good(_)));
        provider.answer.lock().unwrap().clear();
        let later = 61_000_000_000;
        assert_eq!(stale.known(b, later), None);
        assert!(matches!(one.ask(a, b"u", later, &fetcher).await, Worth::Unknown(_)));
        assert!(matches!(stale.ask(b, b"u", later, &fetcher).await, Worth::Good(_)));
        // What is not active is known at once, and stays out.
        *provider.answer.lock().unwrap() = ok(r#"{"active":false}"#);
        assert_eq!(stale.ask(b, b"u", later, &fetcher).await, Worth::Bad);
        assert_eq!(stale.known(b, later), Some(Worth::Bad));
        provider.answer.lock().unwrap().clear();
        assert!(matches!(stale.ask(b, b"u", later + 6_000_000_000, &fetcher).await, Worth::Unknown(_)));
    });
}

#[test]
fn settings_that_cannot_be_are_refused() {
    let trusts = Trusts::default();
    let mut plain = introspection("http://127.0.0.1:1/", None).plain();
    plain.url = "http://id.example.org/introspect".to_owned();
    assert_eq!(Introspections::default().get(&plain, &trusts).err().map(|wrong| wrong.0), Some("url"));
    plain.url = "http://127.0.0.1/".to_owned();
    plain.client_secret = None;
    assert_eq!(Introspections::default().get(&plain, &trusts).err().map(|wrong| wrong.0), Some("client_id"));
    let known = Introspections::default();
    plain.client_id = None;
    let first = known.get(&plain, &trusts).unwrap();
    assert!(Arc::ptr_eq(&first, &known.get(&plain, &trusts).unwrap()), "a reload keeps what is known");
}

fn ext_auth(url: &str) -> plain::ExtAuth {
    plain::ExtAuth {
        url: url.to_owned(),
        send: vec!["Cookie".to_owned(), "X-Role".to_owned()],
        take: vec!["X-User".to_owned()],
        set_cookie: false,
        body: 0,
        timeout_ms: 5_000,
        subject_from: Some("X-User".to_owned()),
        ca: None,
    }
}

/// What a service that answers so makes of a request, and what it was sent.
fn ask(answer: &str, set_cookie: bool) -> (Said, String) {
    let provider = Provider::start(answer.to_owned());
    let plain = plain::ExtAuth { set_cookie, ..ext_auth(&provider.url) };
    let one = Arc::new(ExtAuth::compile(&plain, &Trusts::default()).unwrap());
    let head = b"GET /a?b=1 HTTP/1.1\r\nHost: app.example\r\nCookie: s=1\r\nX-Role: user\r\nX-Role: admin\r\n\
                 X-User: forged\r\nAuthorization: Bearer t0ken\r\n\r\n";
    let snapshot = Snapshot::from_json(include_bytes!("../../tests/data/minimal.json")).unwrap();
    let rules = RequestRules::new(&snapshot.limits, &snapshot.listeners[0], &[]);
    let mut request = Request::default();
    assert!(matches!(request.parse(head, &rules), Ok(Progress::Complete(_))));
    assert_eq!(request.method(), Method::Get);
    let facts = Facts {
        scheme: "https",
        host: b"app.example",
        uri: b"/a?b=1".to_vec(),
        method: b"GET",
        client: Some([192, 0, 2, 7].into()),
        request_id: b"id-1",
    };
    let fetcher = Fetcher::default();
    let said = with_client(&fetcher, one.ask(&request, head, &facts, &fetcher));
    let sent = provider.requests.lock().unwrap().pop().unwrap_or_default();
    (said, sent)
}

#[test]
fn a_service_sees_what_is_listed_and_what_it_says_is_taken_as_listed() {
    let answer = "HTTP/1.1 204 No Content\r\nX-User: ada\r\nX-Other: no\r\nConnection: close\r\n\r\n";
    let (said, sent) = ask(answer, false);
    let Said::Pass { identity, edits } = said else { panic!("{said:?}") };
    assert_eq!((identity.method, identity.subject.as_deref()), ("ext_auth", Some("ada")));
    assert_eq!(edits, [Edit::remove(b"x-user").unwrap(), Edit::add(b"x-user", b"ada").unwrap()]);
    for line in [
        "GET /ask HTTP/1.1\r\n",
        "X-Forwarded-Method: GET\r\n",
        "X-Forwarded-Proto: https\r\n",
        "X-Forwarded-Host: app.example\r\n",
        "X-Forwarded-Uri: /a?b=1\r\n",
        "X-Forwarded-For: 192.0.2.7\r\n",
        "X-Request-Id: id-1\r\n",
        "cookie: s=1\r\n",
        "x-role: user\r\nx-role: admin\r\n",
    ] {
        assert!(sent.contains(line), "{line} is not in {sent}");
    }
    assert!(!sent.contains("t0ken") && !sent.contains("forged"), "{sent}");
}

#[test]
fn a_refusal_is_relayed_without_what_is_not_the_clients() {
    let answer = "HTTP/1.1 302 Found\r\nLocation: /login\r\nSet-Cookie: a=b\r\nX-Hop: 1\r\nConnection: close, x-hop\r\n\
                  Content-Length: 2\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\nno";
    let (said, _) = ask(answer, false);
    let Said::Relay { status, fields, body } = said else { panic!("{said:?}") };
    assert_eq!((status, &body[..]), (302, &b"no"[..]));
    assert_eq!(fields, [("Location".to_owned(), b"/login".to_vec())]);
    let (Said::Relay { fields, .. }, _) = ask(answer, true) else { panic!("relayed") };
    assert!(fields.contains(&("Set-Cookie".to_owned(), b"a=b".to_vec())));
}

#[test]
fn a_service_that_is_down_says_nothing() {
    assert!(matches!(ask("", false).0, Said::Unknown(_)));
    assert!(matches!(ask("HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n", false).0, Said::Unknown(_)));
}

#[test]
fn lists_that_cannot_be_are_refused() {
    let wrong = |change: &dyn Fn(&mut plain::ExtAuth)| {
        let mut plain = ext_auth("http://auth.internal:9000/check");
        change(&mut plain);
        ExtAuth::compile(&plain, &Trusts::default()).err().map(|wrong| wrong.0)
    };
    assert_eq!(wrong(&|_| {}), None);
    assert_eq!(wrong(&|plain| plain.send = vec!["Host".to_owned()]), Some("send"));
    assert_eq!(wrong(&|plain| plain.send = vec!["X-Forwarded-For".to_owned()]), Some("send"));
    assert_eq!(wrong(&|plain| plain.take = vec!["Content-Length".to_owned()]), Some("take"));
    assert_eq!(wrong(&|plain| plain.take = vec!["a b".to_owned()]), Some("take"));
    assert_eq!(wrong(&|plain| plain.body = 1), Some("body"));
    assert_eq!(wrong(&|plain| plain.url = "ftp://x".to_owned()), Some("url"));
}
