//! `Accept-Encoding`: which of the codings on offer a client takes, best first (RFC 9110 §12.5.3).

use super::range::trim;
use crate::route::Fields;
use crate::snapshot::Coding;

/// The codings of `offered` to try, in this order: by the client's weight, then as they are offered. Those that it
/// wants less than the file as it is are left out.
pub fn accepted(fields: &dyn Fields, offered: &[Coding]) -> Vec<Coding> {
    if offered.is_empty() {
        return Vec::new();
    }
    // Weights in thousandths; none: not named.
    let mut named: Vec<Option<u16>> = vec![None; offered.len()];
    let (mut identity, mut any) = (None, None);
    fields.values(b"accept-encoding", &mut |value| {
        for member in value.split(|&b| b == b',').map(trim) {
            let Some((name, weight)) = member_of(member) else { continue };
            if name.eq_ignore_ascii_case(b"identity") {
                identity = Some(weight);
            } else if name == b"*" {
                any = Some(weight);
            }
            for (coding, place) in offered.iter().zip(&mut named) {
                if coding.is_called(name) {
                    *place = Some(weight);
                }
            }
        }
        true
    });
    let weights = named.into_iter().map(|weight| weight.or(any).unwrap_or(0));
    let least = identity.unwrap_or(0).max(1);
    let mut wanted: Vec<_> = offered.iter().copied().zip(weights).filter(|(_, weight)| *weight >= least).collect();
    wanted.sort_by_key(|(_, weight)| std::cmp::Reverse(*weight));
    wanted.into_iter().map(|(coding, _)| coding).collect()
}

/// A member's name and weight; `None` where it is not valid.
fn member_of(member: &[u8]) -> Option<(&[u8], u16)> {
    let Some(at) = member.iter().position(|&b| b == b';') else {
        return (!member.is_empty()).then_some((member, 1000));
    };
    let (name, parameter) = member.split_at_checked(at)?;
    let parameter = trim(parameter.get(1..)?);
    let weight = parameter.strip_prefix(b"q=").or_else(|| parameter.strip_prefix(b"Q="))?;
    Some((trim(name), quality(weight)?))
}

/// `0` to `1` with at most three decimals (RFC 9110 §12.4.2), in thousandths.
fn quality(weight: &[u8]) -> Option<u16> {
    let (whole, decimals) = match weight {
        [whole @ (b'0' | b'1')] => (*whole, &[][..]),
        [whole @ (b'0' | b'1'), b'.', decimals @ ..] if decimals.len() <= 3 => (*whole, decimals),
        _ => return None,
    };
    let mut value = u16::from(whole.wrapping_sub(b'0'));
    for place in 0..3 {
        let digit = decimals.get(place).copied().unwrap_or(b'0');
        if !digit.is_ascii_digit() {
            return None;
        }
        value = value.wrapping_mul(10).wrapping_add(u16::from(digit.wrapping_sub(b'0')));
    }
    (value <= 1000).then_some(value)
}
