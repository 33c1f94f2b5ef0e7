//! Target `expression`: the first line is an expression, the rest the claims of whoever asks.

use std::borrow::Cow;
use std::sync::Arc;

use fastgate_core::auth::Identity;
use fastgate_core::auth::expression::{Expression, Facts, Field};

struct Ask {
    identity: Identity,
    text: Vec<u8>,
}

impl Facts for Ask {
    fn text(&self, _: Field) -> Option<Cow<'_, str>> {
        std::str::from_utf8(&self.text).ok().map(Cow::Borrowed)
    }

    fn header<'a>(&'a self, _: &str, take: &mut dyn FnMut(&'a [u8])) {
        self.text.split(|b| *b == b'\n').for_each(take);
    }

    fn query(&self) -> &[u8] {
        &self.text
    }

    fn identity(&self) -> Option<&Identity> {
        Some(&self.identity)
    }

    fn now(&self) -> u64 {
        1_795_000_000_000
    }
}

/// Whatever the text: it is refused with a place in it, or it is judged, the same twice, and its negation is not.
pub fn expression(bytes: &[u8]) {
    let mut parts = bytes.splitn(2, |b| *b == b'\n');
    let (first, rest) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let Ok(text) = std::str::from_utf8(first) else { return };
    let expression = match Expression::compile(text) {
        Ok(expression) => expression,
        Err(fault) => {
            assert!(fault.at <= text.len() && text.is_char_boundary(fault.at) && !fault.message.is_empty());
            return;
        }
    };
    let claims = serde_json::from_slice(rest).unwrap_or_default();
    let identity = Identity {
        method: "jwt",
        subject: Some("alice".into()),
        roles: ["editor".into(), "admin".into()].into(),
        claims: Arc::new(claims),
        ..Identity::default()
    };
    let ask = Ask { identity, text: rest.to_vec() };
    let held = expression.holds(&ask);
    assert_eq!(held, expression.holds(&ask), "the same request is judged the same");
    // A comment would take the bracket away; a longer text may break a bound.
    if let (Ok(held), Ok(negated)) = (held, Expression::compile(&format!("!({text})")))
        && let Ok(other) = negated.holds(&ask)
    {
        assert_ne!(held, other, "what holds and its negation differ");
    }
}
