//! Services that are asked about a request: what a token is worth (RFC 7662), and whether a request may pass.

mod ext_auth;
mod introspection;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use fastgate_core::fetch::{Host, Reach, Url};

pub(crate) use ext_auth::{ExtAuth, Facts, Said};
pub(crate) use introspection::{Introspection, Introspections, Worth};

use crate::fetch::{Bounds, Place, Purpose};
use crate::trust::{Terms, Trusts};

/// A place that a config names, for https with the CAs to trust. The error: the key that is wrong, and a sentence.
pub(crate) fn place(
    url: &str,
    ca: Option<&str>,
    reach: Reach,
    bounds: Bounds,
    purpose: Purpose,
    trusts: &Trusts,
) -> Result<Arc<Place>, (&'static str, String)> {
    let url = Url::parse(url).map_err(|why| ("url", format!("found no URL that is asked: {why}")))?;
    if purpose != Purpose::ExtAuth && !url.is_secure() {
        return Err(("url", "found http://; allowed: https://, and http:// for this machine alone".to_owned()));
    }
    // What a name comes to is judged when it is asked.
    if let Host::Ip(ip) = url.host {
        reach.admits(&url, ip).map_err(|why| ("url", format!("found {why}, which is not asked")))?;
    }
    let trust = match (url.tls, ca) {
        (true, ca) => Some(trusts.get(&Terms::of_ca(ca, true))?),
        (false, Some(_)) => return Err(("ca", "needs a URL that begins with https://".to_owned())),
        (false, None) => None,
    };
    Ok(Arc::new(Place { url, reach, trust, bounds, purpose }))
}

/// Bounds of an answer about one request.
fn bounds(bytes: usize, ms: u64) -> Bounds {
    Bounds { bytes, time: Duration::from_millis(ms) }
}
