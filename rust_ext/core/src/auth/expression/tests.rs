//! Expressions on requests, by what the specification says.

use std::borrow::Cow;
use std::sync::Arc;

use proptest::prelude::*;

use super::{Expression, Facts, Field};
use crate::auth::Identity;

struct Ask {
    headers: Vec<(&'static str, &'static [u8])>,
    query: &'static [u8],
    identity: Option<Identity>,
}

impl Facts for Ask {
    fn text(&self, field: Field) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(match field {
            Field::Method => "GET",
            Field::Path => "/a/b",
            Field::Host => "api.example.com",
            Field::Scheme => "https",
            Field::ClientIp => "192.0.2.7",
            Field::Id => "r1",
            Field::Route => "projects",
        }))
    }

    fn header<'a>(&'a self, name: &str, take: &mut dyn FnMut(&'a [u8])) {
        self.headers.iter().filter(|(one, _)| one.eq_ignore_ascii_case(name)).for_each(|(_, value)| take(value));
    }

    fn query(&self) -> &[u8] {
        self.query
    }

    fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    fn now(&self) -> u64 {
        1_795_000_000_500
    }
}

fn ask() -> Ask {
    let claims = r#"{"tenant":"acme","level":3,"ratio":0.5,"big":18446744073709551615,"on":true,"none":null,
        "tags":["a","b"],"deep":{"a":{"b":[1,2,3]}},"exp":1795000100,"many":["x"]}"#;
    let mut claims: serde_json::Map<String, serde_json::Value> = serde_json::from_str(claims).unwrap();
    claims.insert("many".into(), vec![serde_json::Value::from("x"); 257].into());
    Ask {
        headers: vec![
            ("x-tenant", b"acme"),
            ("x-role", b"user, admin"),
            ("x-role", b"owner"),
            ("x-bytes", b"\xff"),
            ("x-number", b"12"),
        ],
        query: b"a=1&b=x%20y&c=1&c=2&d&%ff=1&e=%ff",
        identity: Some(Identity {
            method: "jwt",
            subject: Some("alice".into()),
            roles: ["editor".into(), "admin".into()].into(),
            claims: Arc::new(claims),
            ..Identity::default()
        }),
    }
}

fn judge(text: &str) -> Result<bool, String> {
    let expression = Expression::compile(text).unwrap_or_else(|fault| panic!("{text}: {fault:?}"));
    expression.holds(&ask()).map_err(|trouble| trouble.to_string())
}

const TRUE: &[&str] = &[
    r#"request.method == "GET" && claims.tenant == request.headers["x-tenant"] && identity.subject == "alice""#,
    r#"request.path.startsWith("/a/") && request.host.endsWith(".example.com") && request.scheme == 'https'"#,
    r#"request.client_ip == "192.0.2.7" && request.id == "r1" && route == "projects""#,
    r#""admin" in identity.roles && !("root" in identity.roles) && size(identity.roles) == 2"#,
    r#"identity.roles.exists(r, r == "admin") && identity.roles.all(r, r.size() > 4) && identity.roles[0] == "editor""#,
    r#"identity.roles.exists_one(r, r.startsWith("e"))"#,
    r#"identity.roles.filter(r, r != "admin") == ["editor"] && identity.roles.map(r, r + "!")[1] == "admin!""#,
    r#"identity.roles.map(r, r == "admin", size(r)) == [5]"#,
    // H4: every line and every member is seen.
    r#"request.headers["X-Role"] == "user, admin, owner" && "admin" in request.header_values["x-role"]"#,
    r#"request.header_values["x-role"].size() == 3 && request.header_values["none"] == []"#,
    r#"request.headers["x-tenant"] == "acme" && "x-tenant" in request.headers && !("x-none" in request.headers)"#,
    r#"has(request.query.a) && request.query["b"] == "x y" && request.query["d"] == "" && !has(request.query.z)"#,
    r#"request.query_values["c"] == ["1", "2"]"#,
    r#"claims.level == 3 && claims.level < 3.5 && claims.ratio == 0.5 && claims.level + 1 == 4 && -claims.level == -3"#,
    "claims.big == 18446744073709551615u && claims.big > claims.level && claims.big > 1.5",
    r#"claims.on && claims.none == null && claims.tags == ["a", "b"] && claims["tenant"] == "acme""#,
    "claims.deep.a.b[2] == 3 && claims.deep == {'a': {'b': [1, 2, 3]}} && has(claims.deep.a) && !has(claims.deep.c)",
    "!has(claims.nothing) && ('tenant' in claims) && !('nothing' in claims)",
    "has(identity.subject) && !has(identity.tenant) && !has(identity.groups) && identity.method == 'jwt'",
    // An error on one side does not matter where the other decides.
    "claims.nothing == 1 || claims.on",
    "claims.on || claims.nothing == 1",
    "!(claims.nothing == 1 && !claims.on)",
    "claims.tags.exists(t, t == 'b' || t.nothing)",
    "claims.level == 3 ? claims.on : claims.nothing",
    r#"claims.tenant.matches("^ac") && !request.path.matches("^x") && matches(request.path, "b$")"#,
    "int(request.headers['x-number']) == 12 && string(claims.level) == '3' && double(claims.level) == 3.0",
    "string(100000.0) == '100000' && string(-1e6) == '-1e+06' && string(123456789.0) == '1.23456789e+08'",
    "string(0.0001) == '0.0001' && string(1.5e-5) == '1.5e-05' && string(-0.5) == '-0.5' && string(1e300) == '1e+300'",
    "uint(claims.level) == 3u && int(3.9) == 3 && int(-3.9) == -3 && bool('true') && size('äöü') == 3 && size(b'ä') == 2",
    "bytes('a') == b'a' && string(b'ab') == 'ab' && b'\\x01\\377' != b'' && r'\\n' == '\\\\n' && '''a'b''' == \"a'b\"",
    "now < timestamp(claims.exp) && timestamp(claims.exp) - now < duration('100s') && now.getFullYear() == 2026",
    "timestamp('2026-11-18T11:06:40.5+01:00') == timestamp('2026-11-18T10:06:40.500Z')",
    "string(timestamp(0)) == '1970-01-01T00:00:00Z' && timestamp('1969-12-31T23:59:59Z').getDayOfWeek() == 3",
    "duration('1h30m').getMinutes() == 90 && string(duration('-1.5s')) == '-1.5s' && duration('1m') > duration('59s')",
    "timestamp('2024-02-29T00:00:00Z').getDayOfYear() == 59 && timestamp('2024-02-29T00:00:00Z').getMonth() == 1",
    "7 / 2 == 3 && -7 / 2 == -3 && -7 % 3 == -1 && 7u % 4u == 3u && 0x1F == 31 && 1e3 == 1000.0 && .5 == 0.5",
    "-9223372036854775808 < 0 && 9007199254740993 > 9007199254740992.0 && [1, 2] + [3] == [1, 2, 3]",
    "'a' < 'b' && 'a' + 'b' == 'ab' && b'a' < b'b' && false < true && 1 in [1.0] && 2u in [1, 2] && 'k' in {'k': 1}",
    "{'a': 1}.a == 1 && {1: 'x'}[1u] == 'x' && {'a': 1} == {'a': 1.0} && {'a': 1} != {'b': 1} && [1,] == [1]",
    "claims.tags.map(t, t.upperAscii()) == ['A', 'B'] && 'AbC'.lowerAscii() == 'abc' && 'abc'.contains('b')",
    "claims.deep.all(k, k == 'a') // every key\n && claims.on",
    "dyn(1) != 'a' && !false && !!true && --1 == 1 && (1 < 2) == true",
    "[true, false][0] && request.headers['X-TENANT'] == 'acme'",
];

#[test]
fn what_holds() {
    for text in TRUE {
        assert_eq!(judge(text), Ok(true), "{text}");
        assert_eq!(judge(&format!("!({text}\n)")), Ok(false), "{text}");
    }
}

#[test]
fn what_has_no_boolean_value_denies() {
    for (text, trouble) in [
        ("claims.nothing == 1", "no such key"),
        ("claims.nothing.deeper == 1", "no such key"),
        ("claims.tenant", "not a boolean"),
        ("claims.level + 1", "not a boolean"),
        ("claims.on && claims.level", "no such overload"),
        ("claims.tenant < 1", "no such overload"),
        ("claims.tenant + 1 == 'acme1'", "no such overload"),
        ("claims.level / 0 == 1", "division by zero"),
        ("claims.level * 9223372036854775807 == 1", "a number out of range"),
        ("claims.many.all(x, x == 'x')", "a list of more than 256 entries"),
        ("'y' in claims.many", "a list of more than 256 entries"),
        ("claims.many == claims.many", "a list of more than 256 entries"),
        ("identity.tenant != 'acme'", "no such key"),
        ("request.headers['x-none'] != 'a'", "no such key"),
        ("request.headers['x-bytes'] != 'a'", "bytes that are not UTF-8"),
        ("request.query['c'] == '1'", "a query parameter that is there more than once"),
        ("request.query['e'] == '1'", "bytes that are not UTF-8"),
        ("request.query['z'] == '1'", "no such key"),
        ("claims.tags[2] == 'c'", "no such entry"),
        ("!(claims.none in claims.deep)", "no such overload"),
        ("!(claims.tags in claims.deep)", "no such overload"),
        ("claims.tags[-1] == 'c'", "no such key"),
        ("claims.tags['a'] == 'c'", "no such overload"),
        ("claims.tags.all(t, t.nothing)", "no such overload"),
        ("claims.tags.exists(t, t.nothing)", "no such overload"),
        ("int(request.headers['x-tenant']) == 1", "a text that is no number"),
        ("timestamp(request.path) < now", "a text that is no timestamp"),
        ("duration(request.path) == duration('1s')", "a text that is no duration"),
        ("now + duration(string(claims.exp) + 'h') > now", "a number out of range"),
        ("{claims.tenant: 1, 'acme': 2} == {}", "a key that is there twice"),
        ("claims.on ? claims.tenant : true", "not a boolean"),
        ("!claims.tenant", "no such overload"),
    ] {
        assert_eq!(judge(text), Err(trouble.to_owned()), "{text}");
    }
}

#[test]
fn without_an_identity_nothing_about_it_is_known() {
    let nobody = Ask { identity: None, ..ask() };
    for (text, held) in [
        ("identity.subject == 'alice'", Err("no identity".to_owned())),
        ("!('admin' in identity.roles)", Err("no identity".to_owned())),
        ("!has(claims.blocked)", Err("no identity".to_owned())),
        ("!has(identity.tenant)", Err("no identity".to_owned())),
        ("request.method == 'GET'", Ok(true)),
    ] {
        let expression = Expression::compile(text).unwrap();
        assert_eq!(expression.holds(&nobody).map_err(|trouble| trouble.to_string()), held, "{text}");
        assert_eq!(expression.reads_identity(), held.is_err(), "{text}");
    }
}

#[test]
fn what_is_refused_at_load() {
    let long = format!("claims.a == '{}'", "x".repeat(5_000));
    let deep = format!("{}claims.on{}", "(".repeat(60), ")".repeat(60));
    let tall = format!("claims.a{} == 1", ".b".repeat(120));
    let wide = format!("claims.a in [{}]", "1,".repeat(300));
    let row = vec!["claims.on"; 120].join(" && ");
    for (text, at, message) in [
        ("", 0, "a value is missing before the end"),
        ("1 +", 3, "a value is missing before the end"),
        ("request.method = 'GET'", 15, "the expression has ended before \"=\""),
        ("user == 'a'", 0, "unknown name user; allowed: request, identity, claims, route, now"),
        ("request.user == 'a'", 7, "request has no user; allowed: method, path, host, scheme, client_ip, id, headers"),
        ("identity.name == 'a'", 8, "identity has no name; allowed: subject, consumer"),
        ("request == identity", 0, "request is read field by field"),
        ("size(request.headers) == 1", 12, "request.headers is read by name"),
        ("request['method'] == 'GET'", 0, "request is read field by field"),
        ("request.headers[1] == 'GET'", 16, "a int is no index"),
        ("1 + 1", 2, "the expression is a int, never a boolean"),
        ("'true'", 0, "the expression is a string, never a boolean"),
        ("identity.roles", 8, "the expression is a list, never a boolean"),
        ("request.method", 7, "the expression is a string, never a boolean"),
        ("[1, 2][0]", 6, "the expression is a int, never a boolean"),
        ("null", 0, "the expression is a null, never a boolean"),
        ("request.method == 1", 15, "this operator does not take string and int"),
        ("request.method && claims.on", 7, "a bool is needed here, this is a string"),
        ("!request.method", 8, "a bool is needed here"),
        ("-request.method == 'a'", 0, "a string cannot be negated"),
        ("1 / 0 == 1", 2, "an error whatever the request: division by zero"),
        ("1 + 1u == 2", 2, "this operator does not take int and uint"),
        ("9223372036854775807 + 1 == 0", 20, "a number out of range"),
        ("9223372036854775808 == 0", 0, "a number out of the range of int"),
        ("timestamp('soon') < now", 0, "a text that is no timestamp"),
        ("claims.tags.all(x, claims.tags.all(y, x == y))", 30, "only one level is allowed"),
        ("claims.tags.all(x)", 11, "all takes a variable and a part"),
        ("request.path.all(x, true)", 7, "a string has no entries"),
        ("request.path.matches('(')", 12, "unclosed group"),
        ("request.path.matches('(?:a{1000}){1000}')", 12, "too large"),
        ("request.path.matches(claims.pattern)", 12, "must be written here as text"),
        ("request.path.nothing()", 12, "unknown function nothing"),
        ("size(1) == 1", 0, "size is not there for (int)"),
        ("contains('a', 'b')", 0, "contains is not there for (string, string)"),
        ("'a'.string() == 'a'", 3, "string is not there on a value for (string)"),
        ("now.getHours('Europe/Berlin') == 1", 3, "getHours is not there"),
        ("has(claims)", 0, "has takes a field"),
        ("has(request.method)", 11, "has asks request.headers and request.query by name"),
        ("'a\nb' == 'a'", 0, "this text has no end"),
        ("'\\q' == 'a'", 1, "this escape is not known"),
        ("1x == 1", 0, "1 runs into what follows"),
        ("claims.on $ true", 10, "'$' means nothing here"),
        ("for == 1", 0, "for is reserved"),
        ("claims.on && f(", 15, "a value is missing before the end"),
        ("f(1,)", 4, "a value is missing before \")\""),
        ("{1.5: 2} == {}", 0, "no such overload"),
        (long.as_str(), 0, "at most 4096 are allowed"),
        (deep.as_str(), 48, "parts stand in more than 48 others here"),
        (tall.as_str(), 204, "more than 100 parts deep"),
        (wide.as_str(), 12, "a list has at most 256 entries"),
        (row.as_str(), 1284, "more than 100 parts deep"),
    ] {
        let fault = Expression::compile(text).expect_err(text);
        assert!(fault.message.contains(message), "{text}: {fault:?}");
        assert_eq!(fault.at, at, "{text}: {fault:?}");
    }
}

#[test]
fn the_work_is_bounded() {
    // 256 entries, each concatenated, searched and compared: stops, whatever the claims.
    let mut facts = ask();
    let text = "x".repeat(30_000);
    let claims = serde_json::json!({ "list": vec![text; 256] });
    facts.identity.as_mut().unwrap().claims = Arc::new(claims.as_object().unwrap().clone());
    let expression = Expression::compile("claims.list.all(x, (x + x + x).contains('y') || true)").unwrap();
    assert_eq!(expression.holds(&facts).unwrap_err().to_string(), "more work than an expression may make");
}

/// Expressions that are made of what the language is made of, most of them not valid.
fn texts() -> impl Strategy<Value = String> {
    const WORDS: &[&str] = &[
        "claims",
        "request",
        "identity",
        ".a",
        ".roles",
        "[",
        "]",
        "(",
        ")",
        "{",
        "}",
        "1",
        "2u",
        "1.5",
        "'a'",
        "b'\\x00'",
        " in ",
        " && ",
        " || ",
        "!",
        "-",
        "+",
        "/",
        "%",
        " == ",
        " < ",
        "?",
        ":",
        ",",
        ".all(x,",
        ".map(x,",
        "x",
        "size(",
        "has(",
        "now",
        "duration('1s')",
        ".headers",
        "['x']",
        "matches(",
        "timestamp(",
        "true",
        "null",
        "\"",
        "\\",
        "é",
    ];
    proptest::collection::vec(proptest::sample::select(WORDS), 0..14).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn nothing_panics(text in texts()) {
        match Expression::compile(&text) {
            Ok(expression) => drop(expression.holds(&ask())),
            Err(fault) => prop_assert!(fault.at <= text.len() && !fault.message.is_empty()),
        }
    }
}
