//! What an expression may read of a request that is judged.

use std::borrow::Cow;

use fastgate_core::auth::Identity;
use fastgate_core::auth::expression::{Facts, Field};

use super::Ask;
use crate::clock;

impl Facts for Ask<'_> {
    fn text(&self, field: Field) -> Option<Cow<'_, str>> {
        let bytes = match field {
            Field::Method => self.head.method_bytes(self.bytes),
            Field::Path => self.head.path(self.bytes),
            Field::Host => self.head.host(self.bytes),
            Field::Scheme => Ask::scheme(self).as_bytes(),
            // A client on a Unix socket has no address: the text is empty.
            Field::ClientIp => {
                return Some(self.about.client.ip.map_or(Cow::Borrowed(""), |ip| Cow::Owned(ip.to_string())));
            }
            Field::Id => self.about.request_id.as_bytes(),
            Field::Route => return Some(Cow::Borrowed(&self.route.name)),
        };
        std::str::from_utf8(bytes).ok().map(Cow::Borrowed)
    }

    fn header<'a>(&'a self, name: &str, take: &mut dyn FnMut(&'a [u8])) {
        let lower: Cow<'_, [u8]> = if name.bytes().any(|b| b.is_ascii_uppercase()) {
            Cow::Owned(name.as_bytes().to_ascii_lowercase())
        } else {
            Cow::Borrowed(name.as_bytes())
        };
        self.head.get(self.bytes, &lower).for_each(take);
    }

    fn query(&self) -> &[u8] {
        self.head.query(self.bytes).unwrap_or_default()
    }

    fn identity(&self) -> Option<&Identity> {
        Some(self.about.found()?.identity.get()?)
    }

    fn tenant(&self) -> Option<&str> {
        Ask::tenant(self).map(|tenant| &**tenant)
    }

    fn now(&self) -> u64 {
        clock::unix_ms()
    }
}
