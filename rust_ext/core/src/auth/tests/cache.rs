//! The cache against a plain map, at its bounds, and what it must tell apart.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

fn token(n: usize) -> (String, Token) {
    let text = hs256(r#"{"alg":"HS256"}"#, format!(r#"{{"n":{n}}}"#));
    let token = open(&text, &secret_set()).unwrap();
    (text, token)
}

#[test]
fn a_token_is_that_of_its_text_and_its_key_set() {
    let mut cache: TokenCache<u8> = TokenCache::new([1, 2, 3, 4], Bounds::default());
    let (text, token) = token(1);
    assert_eq!(cache.find(7, text.as_bytes()), None);
    let place = cache.put(7, text.as_bytes(), token.clone()).unwrap();
    assert_eq!(cache.find(7, text.as_bytes()), Some(place));
    assert_eq!(cache.token(place), Some(&token));
    assert_eq!(cache.find(8, text.as_bytes()), None, "another key set");
    let mut other = text.clone().into_bytes();
    for at in 0..other.len() {
        other[at] ^= 1;
        assert_eq!(cache.find(7, &other), None, "{at}");
        other[at] ^= 1;
    }
    for cut in 0..text.len() {
        assert_eq!(cache.find(7, &text.as_bytes()[..cut]), None, "{cut}");
    }
    assert_eq!(cache.derived(place), None);
    cache.derive(place, 9);
    assert_eq!(cache.derived(place), Some(&9));
    cache.put(7, text.as_bytes(), token);
    let again = cache.find(7, text.as_bytes()).unwrap();
    assert_eq!((cache.len(), cache.derived(again)), (1, None));
    cache.remove(again);
    assert_eq!((cache.len(), cache.bytes(), cache.find(7, text.as_bytes())), (0, 0, None));
}

#[test]
fn at_the_bound_one_that_was_asked_for_stays() {
    let mut cache: TokenCache<()> = TokenCache::new([1, 2, 3, 4], Bounds { entries: 4, bytes: 1 << 20 });
    let tokens: Vec<_> = (0..64).map(token).collect();
    for (at, (text, token)) in tokens.iter().enumerate() {
        cache.put(1, text.as_bytes(), token.clone());
        assert!(cache.find(1, tokens[0].0.as_bytes()).is_some(), "{at}");
        assert!(cache.len() <= 4);
    }
    let mut small: TokenCache<()> = TokenCache::new([1, 2, 3, 4], Bounds { entries: 1000, bytes: 5000 });
    for (text, token) in &tokens {
        assert!(small.put(1, text.as_bytes(), token.clone()).is_some());
        assert!(small.bytes() <= 5000);
    }
    assert!(small.len() >= 2);
    let mut none: TokenCache<()> = TokenCache::new([1, 2, 3, 4], Bounds { entries: 4, bytes: 100 });
    assert_eq!(none.put(1, tokens[0].0.as_bytes(), tokens[0].1.clone()), None);
    assert!(none.is_empty());
}

proptest! {
    #[test]
    fn what_is_found_is_what_was_put(steps in prop::collection::vec((0..3_u8, 0..2_u64, 0..40_usize), 1..200)) {
        let (_, shared) = token(0);
        let mut cache: TokenCache<usize> = TokenCache::new([5, 6, 7, 8], Bounds { entries: 16, bytes: 1 << 20 });
        let mut all = HashMap::new();
        for (number, (step, generation, text)) in steps.into_iter().enumerate() {
            let text = vec![b'x'; text * 5 + 1];
            match step {
                0 => {
                    let place = cache.put(generation, &text, shared.clone()).unwrap();
                    cache.derive(place, number);
                    all.insert((generation, text), number);
                }
                1 => {
                    if let Some(place) = cache.find(generation, &text) {
                        prop_assert_eq!(cache.derived(place), all.get(&(generation, text)));
                    }
                }
                _ => {
                    if let Some(place) = cache.find(generation, &text) {
                        cache.remove(place);
                        prop_assert_eq!(cache.find(generation, &text), None);
                    }
                    all.remove(&(generation, text));
                }
            }
            prop_assert!(cache.len() <= 16);
        }
    }
}
