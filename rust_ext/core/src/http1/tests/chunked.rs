//! The chunked coding: S4, S5, S6, S16.

use super::*;
use Reason as R;

fn decode(input: &[u8]) -> Result<(Vec<u8>, Decoded, ChunkedDecoder), Reason> {
    let (mut decoder, mut data) = (ChunkedDecoder::default(), Vec::new());
    let decoded = decoder.decode(input, &mut data)?;
    Ok((data.into_iter().flat_map(|range| input[range].to_vec()).collect(), decoded, decoder))
}

#[test]
fn s4_sizes() {
    for (input, reason) in [
        ("0x5\r\nhello\r\n", R::ChunkSize),
        ("5_0\r\n", R::ChunkSize),
        (" 5\r\nhello\r\n", R::ChunkSize),
        ("5 \r\nhello\r\n", R::ChunkSize),
        ("5 ;a\r\nhello\r\n", R::ChunkSize),
        ("\t5\r\n", R::ChunkSize),
        ("-1\r\n", R::ChunkSize),
        ("+5\r\n", R::ChunkSize),
        ("\r\n", R::ChunkSize),
        (";a\r\n", R::ChunkSize),
        ("00000000000000005\r\nhello\r\n", R::ChunkSize),
        ("fffffffffffffffff\r\n", R::ChunkSize),
        ("5\r\nhello0\r\n\r\n", R::ChunkEnd),
        ("5\r\nhellos\r\n", R::ChunkEnd),
        ("3\r\nhello\r\n", R::ChunkEnd),
        ("5\nhello\r\n", R::BareLf),
        ("5\rhello\r\n", R::BareCr),
        ("5\r\nhello\n0\r\n\r\n", R::BareLf),
        ("5\r\nhello\rx", R::BareCr),
        ("0\r\n\rx", R::BareCr),
        ("0\r\n\n", R::BareLf),
    ] {
        assert_eq!(decode(input.as_bytes()).map(|_| ()), Err(reason), "{input:?}");
    }
    for (input, data) in [
        ("5\r\nhello\r\n0\r\n\r\n", "hello"),
        ("0000000000000005\r\nhello\r\n000\r\n\r\n", "hello"),
        ("A\r\n0123456789\r\na\r\nabcdefghij\r\n0\r\n\r\n", "0123456789abcdefghij"),
        ("0\r\n\r\n", ""),
    ] {
        let (got, decoded, _) = decode(input.as_bytes()).unwrap();
        assert_eq!(
            (got.as_slice(), decoded),
            (data.as_bytes(), Decoded { consumed: input.len(), ended: true }),
            "{input:?}"
        );
    }
    let (_, decoded, _) = decode(b"ffffffffffffffff\r\nxyz").unwrap();
    assert_eq!(decoded, Decoded { consumed: 21, ended: false });
    let (_, decoded, _) = decode(b"0\r\n\r\nGET / HTTP/1.1\r\n").unwrap();
    assert_eq!(decoded, Decoded { consumed: 5, ended: true });
}

#[test]
fn s5_extensions() {
    for (input, reason) in [
        ("5;\nhello\r\n", R::BareLf),
        ("5;\r\nhello\r\n", R::ChunkExtension),
        ("5;a\0\r\n", R::ChunkExtension),
        ("5;bad[=x\r\n", R::ChunkExtension),
        ("5;a=\r\n", R::ChunkExtension),
        ("5;a=\"x\r\n", R::ChunkExtension),
        ("5;a=\"x\"y\r\n", R::ChunkExtension),
        ("5;a \r\n", R::ChunkExtension),
        ("5;a=b \r\n", R::ChunkExtension),
        ("5;=b\r\n", R::ChunkExtension),
        ("5;a b\r\n", R::ChunkExtension),
        ("5;a\rb\r\n", R::BareCr),
        ("5;a\nb\r\n", R::BareLf),
        ("5;a=\"\n\"\r\n", R::BareLf),
    ] {
        assert_eq!(decode(input.as_bytes()).map(|_| ()), Err(reason), "{input:?}");
    }
    for good in [";a", ";a=b", "; a = b", ";a=\"x;y\\\"z\";c", ";a;b;c=d", ";a=\"\""] {
        let input = format!("5{good}\r\nhello\r\n0{good}\r\n\r\n");
        assert_eq!(decode(input.as_bytes()).unwrap().0, b"hello", "{good}");
    }
    let chunk = |n: usize| format!("1;{}\r\nx\r\n", "e".repeat(n - 1));
    assert!(decode(chunk(256).as_bytes()).is_ok());
    assert_eq!(decode(chunk(257).as_bytes()).map(|_| ()), Err(R::ChunkExtensionTooLong));
    assert!(decode(chunk(256).repeat(64).as_bytes()).is_ok());
    assert_eq!(decode(chunk(256).repeat(65).as_bytes()).map(|_| ()), Err(R::ChunkExtensionTooLong));
}

#[test]
fn s16_trailers() {
    let input = "1\r\nx\r\n0\r\nX-Sum: abc\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nHost: evil\r\nAuthorization: x\r\n\
        Cookie: a=b\r\nSet-Cookie: a=b\r\nX-Forwarded-For: 1.2.3.4\r\nX_User_Id: 1\r\nConnection: close\r\nX-User-Id: 7\r\nEtag: \"1\"\r\n\r\nrest";
    let (data, decoded, decoder) = decode(input.as_bytes()).unwrap();
    assert_eq!((data.as_slice(), decoded.consumed, decoded.ended), (&b"x"[..], input.len() - 4, true));
    let trailers = decoder.trailers().unwrap();
    let names: Vec<_> = trailers.iter().map(|(name, _)| name).collect();
    assert_eq!(names, [&b"X-Sum"[..], b"X-User-Id", b"Etag"]);
    let mut out = Vec::new();
    write::last_chunk(&mut out, Some(trailers), Some(&rules().reserved));
    assert_eq!(out, b"0\r\nX-Sum: abc\r\nEtag: \"1\"\r\n\r\n");
    for (input, reason) in [
        ("0\r\nX: a\n\r\n", R::BareLf),
        ("0\r\nX: a\rb\r\n\r\n", R::BareCr),
        ("0\r\n X: a\r\n\r\n", R::TrailerSyntax),
        ("0\r\nX : a\r\n\r\n", R::TrailerSyntax),
        ("0\r\nX\r\n\r\n", R::TrailerSyntax),
        ("0\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", R::TrailerSyntax),
    ] {
        assert_eq!(decode(input.as_bytes()).map(|_| ()), Err(reason), "{input:?}");
    }
    let section = |line: String| format!("0\r\n{line}\r\n");
    assert_eq!(decode(section(format!("X: {}\r\n", "v".repeat(8192))).as_bytes()).map(|_| ()), Err(R::TrailerTooLarge));
    assert_eq!(decode(section("A: b\r\n".repeat(101)).as_bytes()).map(|_| ()), Err(R::TrailerTooLarge));
    assert!(decode(b"0\r\n\r\n").unwrap().2.trailers().is_none());
}
