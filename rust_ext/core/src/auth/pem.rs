//! PEM (RFC 7468): labels and the DER behind them.

use super::base64url;

/// The blocks of a text; what stands between them is not looked at.
///
/// # Errors
/// A sentence: a block without end, another label at its end, or content that is no base64.
pub(super) fn blocks(text: &str) -> Result<Vec<(&str, Vec<u8>)>, String> {
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("-----BEGIN ") {
        let inner = &rest[at + 11..];
        let (label, body) = inner.split_once("-----").ok_or("a PEM block whose first line does not end")?;
        let (content, after) =
            body.split_once("-----END ").ok_or_else(|| format!("no end of the PEM block {label}"))?;
        let (end, after) = after.split_once("-----").ok_or("a PEM block whose last line does not end")?;
        if end != label {
            return Err(format!("the PEM block {label} ends as {end}"));
        }
        blocks.push((label, der(content).ok_or_else(|| format!("the PEM block {label} is no base64"))?));
        rest = after;
    }
    Ok(blocks)
}

/// Standard base64 with its padding, over lines.
fn der(content: &str) -> Option<Vec<u8>> {
    let mut text: Vec<u8> = content
        .bytes()
        .filter(|byte| !matches!(byte, b'\r' | b'\n' | b' ' | b'\t'))
        .map(|byte| match byte {
            b'+' => b'-',
            b'/' => b'_',
            b'-' | b'_' => b'.',
            byte => byte,
        })
        .collect();
    if !text.len().is_multiple_of(4) {
        return None;
    }
    while text.len() % 4 != 2 && text.last() == Some(&b'=') {
        text.pop();
    }
    base64url::decode(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_found_and_strict() {
        let text =
            "note\n-----BEGIN A-----\nAA+/\nAA==\n-----END A-----\n\n-----BEGIN B C-----\nAAA=\n-----END B C-----";
        assert_eq!(blocks(text).unwrap(), [("A", vec![0, 15, 191, 0]), ("B C", vec![0, 0])]);
        assert_eq!(blocks("none").unwrap(), []);
        for wrong in [
            "-----BEGIN A-----\nAAAA\n",
            "-----BEGIN A-----\nAAAA\n-----END B-----",
            "-----BEGIN A-----\nAAA\n-----END A-----",
            "-----BEGIN A-----\nAA-_\n-----END A-----",
            "-----BEGIN A-----\nA===\n-----END A-----",
            "-----BEGIN A",
        ] {
            assert!(blocks(wrong).is_err(), "{wrong}");
        }
    }
}
