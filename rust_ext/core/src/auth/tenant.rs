//! Whose tenant's request it is: from a header that may be believed, from a claim, or from both where they agree.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use serde_json::Value;

use super::Identity;
use crate::snapshot::policies::Tenant;

/// Bytes of a tenant's name.
pub const MAX_TENANT: usize = 128;

/// Why there is no tenant: for the log, never for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoTenant(pub &'static str);

/// A tenant, and whether the target has yet to be told in the policy's header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its name.
    pub name: Arc<str>,
    /// The client did not send the header.
    pub tell: bool,
}

/// The tenant of a request with these values of the policy's header, from that peer.
///
/// # Errors
/// There is none, more than one, or one that the peer or the identity may not name.
pub fn find<'a>(
    policy: &Tenant,
    peer: IpAddr,
    mut values: impl Iterator<Item = &'a [u8]>,
    identity: Option<&Identity>,
) -> Result<Found, NoTenant> {
    let claimed = match &policy.must_equal {
        None => None,
        Some(path) => {
            let identity = identity.ok_or(NoTenant("no identity to name a tenant"))?;
            Some(identity.claim(path).ok_or(NoTenant("the claim that names the tenant is missing"))?)
        }
    };
    let (name, tell) = match (values.next(), values.next()) {
        (Some(_), Some(_)) => return Err(NoTenant("the tenant's header is there more than once")),
        (Some(value), None) => {
            if !policy.trusted_from.is_empty() && !trusts(&policy.trusted_from, peer) {
                return Err(NoTenant("this peer may not name a tenant"));
            }
            let name = std::str::from_utf8(value).ok().filter(|name| is_name(name));
            let name = name.ok_or(NoTenant("the tenant's header is no name"))?;
            if claimed.is_some_and(|claim| !names(claim, name)) {
                return Err(NoTenant("the tenant's header and claim differ"));
            }
            (Arc::from(name), false)
        }
        (None, _) => match claimed {
            Some(Value::String(name)) if is_name(name) => (Arc::from(name.as_str()), policy.header.is_some()),
            Some(Value::Number(number)) if number.is_u64() => (number.to_string().into(), policy.header.is_some()),
            Some(_) => return Err(NoTenant("the claim does not name one tenant")),
            None => return Err(NoTenant("the tenant's header is missing")),
        },
    };
    let own = identity.and_then(|identity| identity.tenant.as_deref());
    if own.is_some_and(|own| *own != *name) {
        return Err(NoTenant("the consumer is another tenant's"));
    }
    Ok(Found { name, tell })
}

/// Whether the peer, an IPv4 one also in IPv6's clothes, is in one of the networks.
fn trusts(networks: &[IpNet], peer: IpAddr) -> bool {
    let peer = peer.to_canonical();
    networks.iter().any(|network| network.contains(&peer))
}

/// Whether a claim names that tenant; a list of them names each.
fn names(claim: &Value, name: &str) -> bool {
    match claim {
        Value::String(one) => one == name,
        Value::Number(number) => number.is_u64() && number.to_string() == name,
        Value::Array(items) => items.iter().any(|item| !item.is_array() && names(item, name)),
        _ => false,
    }
}

/// One name: no comma that could make it two, no control character, not too long.
fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= MAX_TENANT
        && text.trim() == text
        && !text.chars().any(|c| c == ',' || c.is_control())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const HEADER: &str = "x-tenant";

    fn policy(header: bool, trusted: &[&str], claim: Option<&str>) -> Tenant {
        Tenant {
            header: header.then(|| HEADER.to_owned()),
            trusted_from: trusted.iter().map(|net| net.parse().unwrap()).collect(),
            must_equal: claim.map(str::to_owned),
        }
    }

    fn who(claims: Value, tenant: Option<&str>) -> Identity {
        let claims = Arc::new(claims.as_object().unwrap().clone());
        Identity { method: "jwt", claims, tenant: tenant.map(Arc::from), ..Identity::default() }
    }

    fn judge(policy: &Tenant, values: &[&str], identity: Option<&Identity>) -> Result<String, &'static str> {
        let values = values.iter().map(|value| value.as_bytes());
        find(policy, "10.0.0.1".parse().unwrap(), values, identity)
            .map(|found| format!("{}{}", found.name, if found.tell { " told" } else { "" }))
            .map_err(|none| none.0)
    }

    #[test]
    fn a_header_counts_from_trusted_peers_only() {
        let trusted = policy(true, &["10.0.0.0/8"], None);
        assert_eq!(judge(&trusted, &["acme"], None), Ok("acme".into()));
        assert_eq!(judge(&trusted, &[], None), Err("the tenant's header is missing"));
        assert_eq!(judge(&trusted, &["a", "a"], None), Err("the tenant's header is there more than once"));
        for none in ["", "a,b", "a, b", "a\tb", &"x".repeat(129)] {
            assert_eq!(judge(&trusted, &[none], None), Err("the tenant's header is no name"), "{none}");
        }
        let other = policy(true, &["192.0.2.0/24"], None);
        assert_eq!(judge(&other, &["acme"], None), Err("this peer may not name a tenant"));
        let mapped = find(&trusted, "::ffff:10.1.2.3".parse().unwrap(), [&b"a"[..]].into_iter(), None);
        assert_eq!(mapped.map(|found| found.name), Ok("a".into()));
        assert_eq!(judge(&trusted, &["acme"], Some(&who(json!({}), Some("acme")))), Ok("acme".into()));
        let another = who(json!({}), Some("other"));
        assert_eq!(judge(&trusted, &["acme"], Some(&another)), Err("the consumer is another tenant's"));
    }

    #[test]
    fn a_header_must_equal_the_claim() {
        let equal = policy(true, &[], Some("org.tenant"));
        let acme = who(json!({"org": {"tenant": "acme"}}), None);
        assert_eq!(judge(&equal, &["acme"], Some(&acme)), Ok("acme".into()));
        assert_eq!(judge(&equal, &["Acme"], Some(&acme)), Err("the tenant's header and claim differ"));
        assert_eq!(judge(&equal, &["acme", "acme"], Some(&acme)), Err("the tenant's header is there more than once"));
        assert_eq!(judge(&equal, &["acme"], None), Err("no identity to name a tenant"));
        assert_eq!(
            judge(&equal, &["acme"], Some(&who(json!({}), None))),
            Err("the claim that names the tenant is missing")
        );
        assert_eq!(judge(&equal, &[], Some(&acme)), Ok("acme told".into()));
        let several = who(json!({"org": {"tenant": ["a", "acme", 7]}}), None);
        assert_eq!(judge(&equal, &["acme"], Some(&several)), Ok("acme".into()));
        assert_eq!(judge(&equal, &["7"], Some(&several)), Ok("7".into()));
        assert_eq!(judge(&equal, &["b"], Some(&several)), Err("the tenant's header and claim differ"));
        assert_eq!(judge(&equal, &[], Some(&several)), Err("the claim does not name one tenant"));
        let both = policy(true, &["192.0.2.0/24"], Some("org.tenant"));
        assert_eq!(judge(&both, &["acme"], Some(&acme)), Err("this peer may not name a tenant"));
    }

    #[test]
    fn a_claim_names_it_alone() {
        let claim = policy(false, &[], Some("tenant"));
        assert_eq!(judge(&claim, &[], Some(&who(json!({"tenant": "acme"}), None))), Ok("acme".into()));
        assert_eq!(judge(&claim, &[], Some(&who(json!({"tenant": 12}), None))), Ok("12".into()));
        for none in [json!({"tenant": ""}), json!({"tenant": "a,b"}), json!({"tenant": true}), json!({"tenant": -1})] {
            assert!(judge(&claim, &[], Some(&who(none.clone(), None))).is_err(), "{none}");
        }
    }
}
