//! How long the certificates of listeners are valid, and which of them somebody should look at.

use fastgate_core::calendar;
use serde_json::{Value, json};

use crate::live::Live;

/// Seconds before its end from which a certificate is told of.
const SOON: i64 = 14 * 86_400;

/// Certificates that are told of; the others are counted.
const MAX_TOLD: usize = 100;

/// Names of a certificate that are shown.
const MAX_NAMES: usize = 5;

/// See [`validity`].
#[derive(Debug, Default)]
pub(crate) struct Validity {
    /// What somebody should look at.
    pub(crate) reasons: Vec<String>,
    /// By listener, its certificates in the order of the config.
    pub(crate) listeners: Value,
    /// How many end soon, and how many have ended or have not begun.
    pub(crate) ending: usize,
    pub(crate) invalid: usize,
}

/// The certificates of every listener, at a time in seconds since 1970.
pub(crate) fn validity(live: &Live, now: i64) -> Validity {
    let mut found = Validity { listeners: json!({}), ..Validity::default() };
    for (listener, served) in live.listeners.iter().filter_map(|listener| Some((listener, listener.tls.as_ref()?))) {
        let policy = served.current();
        let mut shown = Vec::new();
        for (entry, of) in policy.certificates.all().iter().zip(&served.settings().certificates) {
            let says = &entry.says;
            let names: Vec<String> = says.dns.iter().cloned().chain(says.ips.iter().map(ToString::to_string)).collect();
            if let Some(what) = trouble(says.not_before, says.not_after, now) {
                let soon = says.not_after > now && says.not_before <= now;
                *if soon { &mut found.ending } else { &mut found.invalid } += 1;
                if found.reasons.len() < MAX_TOLD {
                    let of_whom = names.first().map_or(says.subject.as_str(), String::as_str);
                    found.reasons.push(format!("{} ({of_whom}) of listener {} {what}", of.cert, listener.name));
                }
            }
            shown.push(json!({
                "file": of.cert,
                "names": &names[..names.len().min(MAX_NAMES)],
                "more_names": names.len().saturating_sub(MAX_NAMES),
                "not_before": says.not_before,
                "not_after": says.not_after,
            }));
        }
        found.listeners[&listener.name] = shown.into();
    }
    let told = found.reasons.len();
    if found.ending + found.invalid > told {
        found.reasons.push(format!("and {} more", found.ending + found.invalid - told));
    }
    found
}

/// What is wrong with its time, if anything is.
fn trouble(not_before: i64, not_after: i64, now: i64) -> Option<String> {
    if not_after <= now {
        Some(format!("has expired on {}", date(not_after)))
    } else if not_before > now {
        Some(format!("is not valid before {}", date(not_before)))
    } else if not_after - now <= SOON {
        let days = (not_after - now) / 86_400;
        Some(match days {
            0 => format!("expires within a day, on {}", date(not_after)),
            1 => format!("expires in a day, on {}", date(not_after)),
            days => format!("expires in {days} days, on {}", date(not_after)),
        })
    } else {
        None
    }
}

fn date(seconds: i64) -> String {
    let (year, month, day) = calendar::civil(u64::try_from(seconds).unwrap_or(0) / 86_400);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_soon_has_ended_or_has_not_begun_is_told() {
        let now = 1_800_000_000; // 2027-01-15
        let told = |from: i64, to: i64| trouble(now + from, now + to, now);
        assert_eq!(told(-1, SOON + 1), None);
        assert_eq!(told(-1, SOON).as_deref(), Some("expires in 14 days, on 2027-01-29"));
        assert_eq!(told(-1, 86_400).as_deref(), Some("expires in a day, on 2027-01-16"));
        assert_eq!(told(-1, 1).as_deref(), Some("expires within a day, on 2027-01-15"));
        assert_eq!(told(-1, 0).as_deref(), Some("has expired on 2027-01-15"));
        assert_eq!(told(-2, -1_800_000_001).as_deref(), Some("has expired on 1970-01-01"));
        assert_eq!(told(1, 99_999_999).as_deref(), Some("is not valid before 2027-01-15"));
        assert_eq!(told(0, 99_999_999), None);
    }
}
