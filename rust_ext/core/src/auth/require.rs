//! What an identity must have: roles, scopes, groups, claims, a method and an expression, denied where one is missing.

use std::fmt;

use super::Identity;
use super::expression::{Expression, Facts, Field, Trouble, same};
use crate::snapshot::policies::{ClaimRule, Names, Require};

/// Why a request may not pass: for the log, never for the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lacks {
    /// Nobody is known to ask.
    Identity,
    /// The method is not one of those.
    Method,
    /// `roles`, `scopes` or `groups`.
    Names(&'static str),
    /// The claim of that path.
    Claim(String),
    /// The expression is false.
    Expression,
    /// The expression has no boolean value.
    Trouble(Trouble),
}

impl fmt::Display for Lacks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Identity => f.write_str("no identity"),
            Self::Method => f.write_str("the method is not allowed"),
            Self::Names(kind) => write!(f, "{kind} are missing"),
            Self::Claim(path) => write!(f, "claim {path} is missing or another"),
            Self::Expression => f.write_str("the expression is false"),
            Self::Trouble(trouble) => write!(f, "the expression has no value: {trouble}"),
        }
    }
}

/// A list of an identity.
type Of = fn(&Identity) -> &[Box<str>];

/// A compiled `require`.
#[derive(Debug)]
pub struct Requirement {
    names: Vec<(&'static str, Of, Names)>,
    claims: Vec<(String, ClaimRule)>,
    methods: Vec<String>,
    expression: Option<Expression>,
}

impl Requirement {
    /// Compiles it.
    ///
    /// # Errors
    /// What is wrong with the expression, at the key `expression`: the byte counts from 1.
    pub fn compile(require: &Require) -> Result<Self, String> {
        let expression = match &require.expression {
            None => None,
            Some(text) => Some(Expression::compile(text).map_err(|fault| {
                let before = text.get(..fault.at).unwrap_or_default();
                let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
                let line = before.matches('\n').count() + 1;
                let place = if text.trim_end().contains('\n') { format!("line {line}, ") } else { String::new() };
                format!("{place}column {column} of the expression: {}", fault.message)
            })?),
        };
        let sources: [(&str, Of, &Option<Names>); 3] = [
            ("roles", |identity| &identity.roles, &require.roles),
            ("scopes", |identity| &identity.scopes, &require.scopes),
            ("groups", |identity| &identity.groups, &require.groups),
        ];
        let names = sources.into_iter().filter_map(|(kind, of, names)| Some((kind, of, names.clone()?))).collect();
        let claims = require.claims.iter().map(|(path, rule)| (path.clone(), rule.clone())).collect();
        Ok(Self { names, claims, methods: require.methods.clone(), expression })
    }

    /// Whether a request without an identity can never pass.
    pub fn reads_identity(&self) -> bool {
        !self.names.is_empty()
            || !self.claims.is_empty()
            || self.expression.as_ref().is_some_and(Expression::reads_identity)
    }

    /// Whether the request may pass.
    ///
    /// # Errors
    /// The first thing that it lacks.
    pub fn judge(&self, facts: &dyn Facts) -> Result<(), Lacks> {
        if !self.methods.is_empty() {
            let method = facts.text(Field::Method);
            if !method.is_some_and(|method| self.methods.iter().any(|one| *one == method)) {
                return Err(Lacks::Method);
            }
        }
        if !self.names.is_empty() || !self.claims.is_empty() {
            let identity = facts.identity().ok_or(Lacks::Identity)?;
            for (kind, of, asked) in &self.names {
                if !has(asked, of(identity)) {
                    return Err(Lacks::Names(kind));
                }
            }
            if let Some((path, _)) = self.claims.iter().find(|(path, rule)| !fits(rule, identity.claim(path))) {
                return Err(Lacks::Claim(path.clone()));
            }
        }
        match self.expression.as_ref().map(|expression| expression.holds(facts)) {
            None | Some(Ok(true)) => Ok(()),
            Some(Ok(false)) => Err(Lacks::Expression),
            Some(Err(trouble)) => Err(Lacks::Trouble(trouble)),
        }
    }
}

fn has(asked: &Names, found: &[Box<str>]) -> bool {
    let there = |name: &String| found.iter().any(|one| **one == **name);
    (asked.any.is_empty() || asked.any.iter().any(there)) && asked.all.iter().all(there)
}

fn fits(rule: &ClaimRule, claim: Option<&serde_json::Value>) -> bool {
    match (rule, claim) {
        (ClaimRule::Present(asked), claim) => *asked == claim.is_some(),
        (ClaimRule::OneOf(_), None) => false,
        (ClaimRule::OneOf(values), Some(serde_json::Value::Array(items))) => {
            items.iter().any(|item| values.iter().any(|value| same(value, item)))
        }
        (ClaimRule::OneOf(values), Some(claim)) => values.iter().any(|value| same(value, claim)),
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    struct Ask(Option<Identity>);

    impl Facts for Ask {
        fn text(&self, field: Field) -> Option<Cow<'_, str>> {
            (field == Field::Method).then_some(Cow::Borrowed("GET"))
        }

        fn header<'a>(&'a self, _: &str, _: &mut dyn FnMut(&'a [u8])) {}

        fn query(&self) -> &[u8] {
            b""
        }

        fn identity(&self) -> Option<&Identity> {
            self.0.as_ref()
        }

        fn now(&self) -> u64 {
            0
        }
    }

    fn ask() -> Ask {
        let claims = json!({"tenant": "acme", "level": 3, "tags": ["a", "b"], "on": true, "deep": {"x": "y"}});
        Ask(Some(Identity {
            method: "jwt",
            roles: ["editor".into(), "admin".into()].into(),
            scopes: ["read".into()].into(),
            claims: Arc::new(claims.as_object().unwrap().clone()),
            ..Identity::default()
        }))
    }

    fn judge(require: serde_json::Value, ask: &Ask) -> Result<(), Lacks> {
        let mut whole = json!({"roles": null, "scopes": null, "groups": null, "claims": {}, "methods": [],
            "expression": null});
        whole.as_object_mut().unwrap().extend(require.as_object().unwrap().clone());
        Requirement::compile(&serde_json::from_value(whole).unwrap()).unwrap().judge(ask)
    }

    fn names(any: &[&str], all: &[&str]) -> serde_json::Value {
        json!({"any": any, "all": all})
    }

    #[test]
    fn every_part_must_hold() {
        let ask = ask();
        for (require, lacks) in [
            (json!({}), None),
            (json!({"roles": names(&["root", "admin"], &[])}), None),
            (json!({"roles": names(&[], &["editor", "admin"])}), None),
            (json!({"roles": names(&["root"], &[])}), Some(Lacks::Names("roles"))),
            (json!({"roles": names(&["admin"], &["root"])}), Some(Lacks::Names("roles"))),
            (json!({"roles": names(&["Admin"], &[])}), Some(Lacks::Names("roles"))),
            (json!({"scopes": names(&["read"], &[])}), None),
            (json!({"scopes": names(&["rea"], &[])}), Some(Lacks::Names("scopes"))),
            (json!({"groups": names(&["staff"], &[])}), Some(Lacks::Names("groups"))),
            (json!({"groups": names(&[], &[])}), None),
            (json!({"claims": {"tenant": {"one_of": ["acme", "other"]}}}), None),
            (json!({"claims": {"tenant": {"one_of": ["acm"]}}}), Some(Lacks::Claim("tenant".into()))),
            (
                json!({"claims": {"level": {"one_of": [3.0]}, "tags": {"one_of": ["b"]}, "on": {"one_of": [true]}}}),
                None,
            ),
            (json!({"claims": {"level": {"one_of": ["3"]}}}), Some(Lacks::Claim("level".into()))),
            (json!({"claims": {"on": {"one_of": ["true"]}}}), Some(Lacks::Claim("on".into()))),
            (json!({"claims": {"tags": {"one_of": ["c"]}}}), Some(Lacks::Claim("tags".into()))),
            (json!({"claims": {"deep.x": {"one_of": ["y"]}, "deep": {"present": true}}}), None),
            (json!({"claims": {"none": {"present": false}}}), None),
            (json!({"claims": {"none": {"present": true}}}), Some(Lacks::Claim("none".into()))),
            (json!({"claims": {"tenant": {"present": false}}}), Some(Lacks::Claim("tenant".into()))),
            (json!({"methods": ["POST", "GET"]}), None),
            (json!({"methods": ["POST"]}), Some(Lacks::Method)),
            (json!({"expression": "claims.level > 2"}), None),
            (json!({"expression": "claims.level > 3"}), Some(Lacks::Expression)),
            (json!({"roles": names(&["admin"], &[]), "expression": "claims.level > 3"}), Some(Lacks::Expression)),
        ] {
            assert_eq!(judge(require.clone(), &ask).err(), lacks, "{require}");
        }
        let lacks = judge(json!({"expression": "claims.nothing == 1"}), &ask).unwrap_err();
        assert_eq!(lacks.to_string(), "the expression has no value: no such key");
    }

    #[test]
    fn nobody_is_denied() {
        for require in [
            json!({"roles": names(&[], &[])}),
            json!({"scopes": names(&["read"], &[])}),
            json!({"claims": {"blocked": {"present": false}}}),
        ] {
            assert_eq!(judge(require.clone(), &Ask(None)), Err(Lacks::Identity), "{require}");
        }
        let lacks = judge(json!({"expression": "!has(claims.blocked)"}), &Ask(None)).unwrap_err();
        assert_eq!(lacks.to_string(), "the expression has no value: no identity");
        assert_eq!(judge(json!({"methods": ["GET"], "expression": "request.method == 'GET'"}), &Ask(None)), Ok(()));
    }

    #[test]
    fn faults_say_where() {
        let compile = |text: &str| {
            let require = Require { expression: Some(text.to_owned()), ..Require::default() };
            Requirement::compile(&require).map(|one| one.reads_identity())
        };
        assert_eq!(compile("request.method == 'GET'"), Ok(false));
        assert_eq!(compile("route == 'a' || claims.a == 1"), Ok(true));
        let fault = compile("a == 1").unwrap_err();
        assert!(fault.starts_with("column 1 of the expression: unknown name a"), "{fault}");
        let fault = compile("route == 'é' &&\n  b == 1\n").unwrap_err();
        assert!(fault.starts_with("line 2, column 3 of the expression: unknown name b"), "{fault}");
    }
}
