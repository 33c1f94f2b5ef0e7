//! Regular expressions: linear in time, bounded in size so that compiling stays under 50 ms.

use regex::bytes::{Regex, RegexBuilder};

/// Bytes of a compiled expression; `(?:a{1000}){1000}` is far beyond it.
const MAX_SIZE: usize = 512 * 1024;
/// Bytes of an expression as written.
const MAX_TEXT: usize = 4 * 1024;
/// Bytes of the lazily built automaton of one thread; beyond it matching is slower, still linear.
const MAX_LAZY: usize = 512 * 1024;
/// Groups within groups.
const MAX_NESTING: u32 = 64;

/// Compiles `text` so that it matches a value only as a whole.
pub(super) fn whole(text: &str) -> Result<Regex, String> {
    // Alone first: `a)|(?:b` must not become valid by standing in a group.
    search(text)?;
    build(&format!(r"\A(?:{text})\z"), text)
        // Under `(?x)` a comment at the end would swallow the group's end; there a line break means nothing else.
        .or_else(|e| build(&format!("\\A(?:{text}\n)\\z"), text).map_err(|_| e))
}

/// Compiles `text` so that it matches any part of a value.
pub(crate) fn search(text: &str) -> Result<Regex, String> {
    if text.len() > MAX_TEXT {
        return Err(format!("the expression has {} bytes, at most {MAX_TEXT} are allowed", text.len()));
    }
    build(text, text)
}

fn build(wrapped: &str, text: &str) -> Result<Regex, String> {
    RegexBuilder::new(wrapped).size_limit(MAX_SIZE).dfa_size_limit(MAX_LAZY).nest_limit(MAX_NESTING).build().map_err(
        |e| {
            match e {
                regex::Error::CompiledTooBig(limit) => {
                    format!(
                        "the expression {text:?} is too large: compiled it needs more than {limit} bytes; repeat less"
                    )
                }
                // The parser's message draws the text over several lines; its last line says what is wrong.
                other => {
                    let message = other.to_string();
                    let reason = message.lines().last().unwrap_or_default().trim_start_matches("error: ");
                    format!("the expression {text:?} is not valid: {reason}")
                }
            }
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn matches_whole_values_only() {
        let r = whole("a|b").unwrap();
        assert!(r.is_match(b"a") && r.is_match(b"b"));
        assert!(!r.is_match(b"ab") && !r.is_match(b"xa") && !r.is_match(b"a\n"));
        let r = whole("(?m)^a$").unwrap();
        assert!(r.is_match(b"a") && !r.is_match(b"a\nb"));
        let r = whole("(?x) a # a comment").unwrap();
        assert!(r.is_match(b"a") && !r.is_match(b"ab") && !r.is_match(b"a\n"));
    }

    #[test]
    fn cannot_break_out_of_the_anchors() {
        assert!(whole("a)|(?:b").is_err());
        assert!(whole("a)(?:").is_err());
    }

    #[test]
    fn faults_name_the_expression() {
        let message = whole("(a").unwrap_err();
        assert!(message.contains("\"(a\"") && message.contains("unclosed group"), "{message}");
        let message = whole("(?:a{1000}){1000}").unwrap_err();
        assert!(message.contains("(?:a{1000}){1000}") && message.contains("too large"), "{message}");
        assert!(whole(&"a".repeat(5000)).unwrap_err().contains("5000 bytes"));
        assert!(whole(r"(a)\1").is_err());
    }

    #[test]
    fn costly_expressions_are_judged_in_time() {
        let nested = format!("{}a{}", "(".repeat(2000), ")".repeat(2000));
        for text in ["(?:a{1000}){1000}", r"\w{1000}", "(?:(?:a{100}){100}){100}", r"(?i)\pL{60}", "(a+)+$", &nested] {
            let start = Instant::now();
            let result = whole(text);
            let took = start.elapsed();
            // An unoptimised build on a busy machine is given more than the 50 ms of the release build.
            assert!(took < Duration::from_millis(500), "{text:.30}: {took:?} {}", result.is_ok());
        }
        let start = Instant::now();
        let slow = whole("(a+)+$").unwrap();
        assert!(!slow.is_match(format!("{}b", "a".repeat(8000)).as_bytes()));
        assert!(start.elapsed() < Duration::from_millis(500));
    }
}
