//! Key sets from a provider that answers as it is told.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use fastgate_core::auth::refresh::SPACING_MS;
use fastgate_core::fetch::{Reach, Url};

use super::{Figures, Origin, Remote, task};
use crate::fetch::testing::{Provider, ok};
use crate::fetch::{self, Bounds, Client, Place, Purpose};
use crate::log::Log;
use crate::rt::{self, Runtime};

const KEYS: &str = r#"{"keys":[{"kty":"oct","kid":"a"}]}"#;

fn remote(provider: &Provider) -> Arc<Remote<String>> {
    let place = Place {
        url: Url::parse(&provider.url).unwrap(),
        reach: Reach { private: false, loopback: false },
        trust: None,
        bounds: Bounds { bytes: 256 * 1024, time: Duration::from_secs(5) },
        purpose: Purpose::Jwks,
    };
    let parse = |body: &[u8]| String::from_utf8(body.to_vec()).map_err(|_| "text".to_owned());
    Arc::new(Remote::new(Origin::Url(Arc::new(place)), parse, Arc::new(Figures::default())))
}

#[test]
fn ten_thousand_tokens_with_unknown_keys_are_one_fetch() {
    let provider = Provider::start(ok(KEYS));
    let remote = remote(&provider);
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let client = Rc::new(Client::new(Vec::new(), Log::new().0));
        rt::spawn(task::keep(Arc::downgrade(&remote), client, Arc::default()));
        remote.refresh().wait().await;
        let keys = remote.current().expect("fetched");
        let mut held = Vec::new();
        let mut full = 0;
        for n in 0..10_000 {
            let waiting = remote.refresh();
            if waiting.has_place() {
                held.push(waiting)
            } else {
                full += 1
            }
            if n % 100 == 0 {
                rt::yield_now().await;
            }
            // Those who know their key are not held up.
            assert!(Arc::ptr_eq(&keys, &remote.current().unwrap()));
        }
        assert_eq!((held.len(), full), (64, 9_936));
        assert_eq!(provider.asked.load(SeqCst), 1);
        assert_eq!(remote.figures.full.load(SeqCst), 9_936);
        // Those that left make room.
        held.truncate(10);
        assert!(remote.refresh().has_place());
    });
}

#[test]
fn a_provider_that_lies_or_falls_silent_takes_no_key_away() {
    let provider = Provider::start(ok(KEYS));
    let remote = remote(&provider);
    let place = |now| (now, Some(60));
    let (now, age) = place(0);
    assert_eq!(remote.take(KEYS.as_bytes(), age, now), Ok(true));
    let first = remote.current().unwrap();
    let many: Vec<_> = (0..65).map(|n| format!(r#"{{"kid":"{n}"}}"#)).collect();
    let many = format!(r#"{{"keys":[{}]}}"#, many.join(","));
    for lie in ["", "<html>", "[]", "{}", r#"{"keys":[]}"#, r#"{"keys":{}}"#, &many] {
        assert!(remote.take(lie.as_bytes(), age, 1).is_err(), "{lie}");
        assert!(Arc::ptr_eq(&first, &remote.current().unwrap()));
    }
    // The same keys with other words around them are the same keys.
    assert_eq!(remote.take(format!(" {KEYS}\n").as_bytes(), age, 2), Ok(false));
    assert!(Arc::ptr_eq(&first, &remote.current().unwrap()));
    assert_eq!(remote.take(KEYS.replace("\"a\"", "\"b\"").as_bytes(), age, 3), Ok(true));
    assert!(!Arc::ptr_eq(&first, &remote.current().unwrap()));
    // What the parser refuses is not taken either.
    remote.begin(10);
    assert_eq!(remote.failed(10, 0), 1);
    assert!(remote.next() >= 10 + SPACING_MS / 2);
    assert!(remote.current().is_some());
}

#[test]
fn who_waits_goes_on_when_the_provider_fails() {
    let provider = Provider::start("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned());
    let remote = remote(&provider);
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let client = Rc::new(Client::new(Vec::new(), Log::new().0));
        let figures = Arc::new(fetch::Figures::default());
        rt::spawn(task::keep(Arc::downgrade(&remote), client, figures.clone()));
        remote.refresh().wait().await;
        assert!(remote.current().is_none());
        assert_eq!(figures.all().collect::<Vec<_>>(), [("jwks", "answered", 1)]);
        assert_eq!(remote.figures.failed.load(SeqCst), 1);
    });
}
