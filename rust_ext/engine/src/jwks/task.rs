//! What keeps one key set fresh, on the background thread.

use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};
use std::time::Duration;

use fastgate_core::auth::discovery;
use fastgate_core::fetch::{Reach, Verb, max_age};

use super::{Origin, Remote};
use crate::clock::{self, Clock};
use crate::fetch::{self, Call, Client, Got, Place, Purpose};
use crate::host::Level;
use crate::rt;

/// Fetches until nobody needs the key set any more.
pub(super) async fn keep<T: Send + Sync>(remote: Weak<Remote<T>>, client: Rc<Client>, figures: Arc<fetch::Figures>) {
    let clock = Clock::start();
    let now = || u64::try_from(clock.elapsed().as_millis()).unwrap_or(u64::MAX);
    let mut random = clock::seed(0);
    loop {
        let Some(one) = remote.upgrade() else { return };
        let next = one.next();
        if next > now() {
            let bell = one.bell.clone();
            // Whoever waits does not keep it alive.
            drop(one);
            rt::timeout(Duration::from_millis(next - now()), bell.receive()).await;
            continue;
        }
        one.begin(now());
        let fetched = fetch_keys(&one, &client, &figures).await;
        let taken = fetched.and_then(|(got, url)| {
            let age = max_age(got.get(b"cache-control"));
            one.take(&got.body, age, now()).map_err(|why| format!("the key set at {url} is not used: {why}"))
        });
        let counter = match &taken {
            Ok(true) => &one.figures.changed,
            Ok(false) => &one.figures.same,
            Err(_) => &one.figures.failed,
        };
        counter.fetch_add(1, Relaxed);
        match taken {
            Ok(true) => {
                let _ = client.log.line(Level::Info, format!("the keys at {} are in use", one.origin.place().url));
            }
            Ok(false) => {}
            Err(why) => {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                if one.failed(now(), random >> 16) == 1 {
                    let kept = if one.current().is_some() { "; the keys from before stay in use" } else { "" };
                    client.log.line(Level::Warning, format!("{why}{kept}"));
                }
            }
        }
        one.release();
    }
}

/// The key set's answer, and where it came from.
async fn fetch_keys<T>(remote: &Remote<T>, client: &Client, figures: &fetch::Figures) -> Result<(Got, String), String> {
    let place = match &remote.origin {
        Origin::Url(place) => place.clone(),
        Origin::Issuer { issuer, metadata } => {
            let got = get(client, metadata, figures).await?;
            let url = discovery::jwks_url(&got.body, issuer)
                .map_err(|why| format!("the metadata at {} is not used: {why}", metadata.url))?;
            // The issuer's word leads no nearer than the issuer is (class A2).
            let reach = Reach::told_by(got.peer);
            let refused = |why| format!("the metadata at {} is not used: its jwks_uri leads to {why}", metadata.url);
            reach.follows(&url).map_err(refused)?;
            let (trust, bounds) = (metadata.trust.clone(), metadata.bounds);
            Arc::new(Place { url, reach, trust, bounds, purpose: Purpose::Jwks })
        }
    };
    get(client, &place, figures).await.map(|got| (got, place.url.to_string()))
}

async fn get(client: &Client, place: &Arc<Place>, figures: &fetch::Figures) -> Result<Got, String> {
    let fields = vec![("Accept".into(), b"application/json, application/jwk-set+json".to_vec())];
    let call = Call { place: place.clone(), verb: Verb::Get, fields, body: None };
    let result = client.call(&call).await;
    figures.count(place.purpose, result.as_ref().err());
    match result {
        Ok(got) if got.status() == 200 => Ok(got),
        Ok(got) => Err(format!("{} answers {}", place.url, got.status())),
        Err(error) => Err(format!("{} cannot be asked: {error}", place.url)),
    }
}
