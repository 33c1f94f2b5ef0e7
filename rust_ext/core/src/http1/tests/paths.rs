//! Targets and canonical paths: P1 and the canonical path of the security rules.

use super::*;
use Reason as R;

fn canonical(target: &str, rules: &RequestRules) -> Result<(String, String), Reason> {
    let head = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes();
    let request = parse_by(&head, rules)?;
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    Ok((text(request.path(&head)), text(request.raw_path(&head))))
}

#[test]
fn p1_refused() {
    for (target, reason) in [
        ("/%", R::PathPercent),
        ("/%4", R::PathPercent),
        ("/%zz", R::PathPercent),
        ("/%00", R::PathControl),
        ("/%0d%0aX:y", R::PathControl),
        ("/%7F", R::PathControl),
        ("/x%2f..%2fadmin", R::PathSlash),
        ("/admin%2F", R::PathSlash),
        ("/%5cadmin", R::PathBackslash),
        ("/\\admin", R::PathBackslash),
        ("\\admin", R::TargetForm),
        ("/%252e", R::PathDoubleEncoding),
        ("/%25%32e", R::PathDoubleEncoding),
        ("/%252F", R::PathDoubleEncoding),
        ("/%c0%af", R::PathUtf8),
        ("/%ff", R::PathUtf8),
        ("/%ed%a0%80", R::PathUtf8),
        ("/./admin", R::PathDotSegment),
        ("/x/../admin", R::PathDotSegment),
        ("/x/%2e%2E/admin", R::PathDotSegment),
        ("/x/.%2e", R::PathDotSegment),
        ("/..;/admin", R::PathDotSegment),
        ("/x/..%3b/admin", R::PathDotSegment),
        ("/x/.;a=b/admin", R::PathDotSegment),
        ("/..", R::PathDotSegment),
        ("/sixteen-bytes-aa/../admin", R::PathDotSegment),
        ("/fifteen-bytes-a/../admin", R::PathDotSegment),
        ("/admin#", R::TargetFragment),
        ("/a\"b", R::TargetByte),
        ("/a<b>", R::TargetByte),
        ("/a{b}", R::TargetByte),
        ("/a^b", R::TargetByte),
        ("/a`b", R::TargetByte),
        ("/b\u{fc}cher", R::TargetByte),
        ("/?q=\"", R::TargetByte),
        ("/?q=#x", R::TargetFragment),
        ("/?q=\u{fc}", R::TargetByte),
    ] {
        assert_eq!(canonical(target, &rules()), Err(reason), "{target}");
    }
}

#[test]
fn p1_canonical() {
    for (target, path) in [
        ("/", "/"),
        ("/%61dmin", "/admin"),
        ("/ADMIN", "/ADMIN"),
        ("//admin", "/admin"),
        ("//host/admin", "/host/admin"),
        ("/a///b//", "/a/b/"),
        ("/admin;x", "/admin"),
        ("/admin;x=1/y;z", "/admin/y"),
        ("/;x/admin", "/admin"),
        ("/admin/;x", "/admin/"),
        ("/admin%3Bx", "/admin"),
        ("/admin?", "/admin"),
        ("/admin?x=/../y", "/admin"),
        ("/api../admin", "/api../admin"),
        ("/...", "/..."),
        ("/.well-known/x", "/.well-known/x"),
        ("/a%20b", "/a b"),
        ("/%c3%bc%C3%BC", "/\u{fc}\u{fc}"),
        ("/100%25", "/100%"),
        ("/100%25zz", "/100%zz"),
        ("/a%3Fb%23c", "/a?b#c"),
        ("/[x]|y", "/[x]|y"),
        ("/~a/b_c-d.e!$&'()*+,=:@", "/~a/b_c-d.e!$&'()*+,=:@"),
        (
            "/a-path-longer-than-sixteen-bytes/and/another~one/x.y",
            "/a-path-longer-than-sixteen-bytes/and/another~one/x.y",
        ),
        ("/fifteen-bytes-a//b", "/fifteen-bytes-a/b"),
        ("/fourteen-bytes//b", "/fourteen-bytes/b"),
    ] {
        let (got, raw) = canonical(target, &rules()).unwrap_or_else(|e| panic!("{target}: {e:?}"));
        assert_eq!(got, path, "{target}");
        assert_eq!(raw, target.split('?').next().unwrap(), "the upstream gets the received bytes");
    }
}

#[test]
fn queries_pass_as_they_are() {
    for query in ["", "?", "a=b&c", "x=%zz%", "{}^\\`[]|", "a/b?c", "%2F%00", "q=a-query-longer-than-sixteen-bytes{x}"]
    {
        let head = format!("GET /?{query} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes();
        assert_eq!(parse(&head).unwrap().query(&head), Some(query.as_bytes()));
    }
    let head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(parse(head).unwrap().query(head), None);
}

#[test]
fn encoded_slash_kept() {
    let keep = RequestRules { encoded_slash: EncodedSlash::Keep, ..rules() };
    assert_eq!(canonical("/a%2fb", &keep), Ok(("/a%2Fb".into(), "/a%2fb".into())));
    assert_eq!(canonical("/a%2Fb;c%2Fd/e", &keep), Ok(("/a%2Fb/e".into(), "/a%2Fb;c%2Fd/e".into())));
    for (target, reason) in [
        ("/x%2f..%2fadmin", R::PathDotSegment),
        ("/%2e%2e%2fadmin", R::PathDotSegment),
        ("/%252Fadmin", R::PathDoubleEncoding),
        ("/a%2Fb;/..%2f", R::PathDotSegment),
    ] {
        assert_eq!(canonical(target, &keep), Err(reason), "{target}");
    }
}

#[test]
fn dot_segments_resolved() {
    let resolve = RequestRules { dot_segments: DotSegments::Resolve, ..rules() };
    for (target, path, raw) in [
        ("/a/b/c/./../../g", "/a/g", "/a/g"),
        ("/x/../admin", "/admin", "/admin"),
        ("/..", "/", "/"),
        ("/../..", "/", "/"),
        ("/a/.", "/a/", "/a/"),
        ("/a/b/..", "/a/", "/a/"),
        ("/x/%2e%2E/%61dmin", "/admin", "/%61dmin"),
        ("/..;x/admin", "/admin", "/admin"),
        ("/a//../b", "/a/b", "/a/b"),
        ("/a/../b//c", "/b/c", "/b//c"),
        ("/%61", "/a", "/%61"),
    ] {
        assert_eq!(canonical(target, &resolve), Ok((path.into(), raw.into())), "{target}");
    }
    let both = RequestRules { encoded_slash: EncodedSlash::Keep, ..resolve };
    assert_eq!(canonical("/a/..%2fb", &both), Err(R::PathDotSegment));
}
