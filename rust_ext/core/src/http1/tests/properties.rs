//! Properties: fed in every split equals fed at once, chunked in and out, no panic on any bytes.

use proptest::prelude::*;

use super::*;

/// What a request means, or why it was refused.
type Meaning = (Method, Framing, bool, Vec<u8>, Vec<u8>, Vec<u8>, Vec<Field>, usize);

fn at_once(head: &[u8], cuts: &[usize]) -> Result<Option<Meaning>, Reason> {
    let (mut request, rules) = (Request::new(), RequestRules { head_bytes: 600, header_count: 8, ..rules() });
    let mut progress = Progress::Incomplete;
    for cut in cuts.iter().copied().chain([head.len()]) {
        progress = request.parse(&head[..cut], &rules)?;
        if let Progress::Complete(_) = progress {
            break;
        }
    }
    let Progress::Complete(len) = progress else { return Ok(None) };
    Ok(Some((
        request.method(),
        request.framing(),
        request.keep_alive(),
        request.path(head).to_vec(),
        request.raw_path(head).to_vec(),
        request.host(head).to_vec(),
        request.fields().to_vec(),
        len,
    )))
}

/// What a response means.
type Answer = (u16, ResponseFraming, bool, Vec<Field>, usize);

fn response_at(head: &[u8], cuts: &[usize]) -> Result<Option<Answer>, Reason> {
    let mut response = Response::new();
    for cut in cuts.iter().copied().chain([head.len()]) {
        if let Progress::Complete(len) = response.parse(&head[..cut], Method::Get)? {
            return Ok(Some((
                response.status(),
                response.framing(),
                response.keep_alive(),
                response.fields().to_vec(),
                len,
            )));
        }
    }
    Ok(None)
}

/// Pieces that make heads nearly valid.
fn soup() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop::sample::select(vec![
        &b"GET / HTTP/1.1\r\n"[..],
        b"POST /a/%62//c;d?e=f HTTP/1.1\r\n",
        b"OPTIONS * HTTP/1.1\r\n",
        b"GET http://A.b:80/x HTTP/1.0\r\n",
        b"Host: a.example\r\n",
        b"Host: A:80\r\n",
        b"Content-Length: 5\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Connection: x-hop, close\r\n",
        b"X-Hop: 1\r\n",
        b"X_Y: 2\r\n",
        b"\r\n",
        b"\n",
        b"\r",
        b" ",
        b"\t",
        b":",
        b"X-Long-Field-Name-Of-Many-Letters: value of some length, ok\r\n",
        b"\0",
        b"\xff",
        b"Expect: 100-continue\r\n",
        b"abc",
        b"GET ",
        b"/../",
        b"HTTP/1.1",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.0 404\r\n",
    ]);
    prop::collection::vec(pieces, 0..14).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_request_means_the_same_in_every_split(mut head in soup(), start in any::<bool>(), cuts in prop::collection::vec(0_usize..700, 0..6)) {
        if start {
            head.splice(0..0, *b"GET /a HTTP/1.1\r\nHost: a\r\n");
        }
        let once = at_once(&head, &[]);
        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(head.len())).collect();
        cuts.sort_unstable();
        prop_assert_eq!(&at_once(&head, &cuts), &once);
        let drip: Vec<_> = (0..head.len()).collect();
        prop_assert_eq!(&at_once(&head, &drip), &once);
    }

    #[test]
    fn a_response_means_the_same_in_every_split(mut head in soup(), start in any::<bool>()) {
        if start {
            head.splice(0..0, *b"HTTP/1.1 200 OK\r\n");
        }
        let once = response_at(&head, &[]);
        let drip: Vec<_> = (0..head.len()).collect();
        prop_assert_eq!(&response_at(&head, &drip), &once);
        for cut in 0..head.len() {
            prop_assert_eq!(&response_at(&head, &[cut]), &once);
        }
    }

    #[test]
    fn any_bytes_are_judged_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), cut in 0_usize..300) {
        let cut = cut.min(bytes.len());
        let _ = at_once(&bytes, &[cut]);
        let _ = response_at(&bytes, &[cut]);
        let _ = ChunkedDecoder::default().decode(&bytes, &mut Vec::new());
        let target = [b"GET /", bytes.as_slice(), b" HTTP/1.1\r\nHost: a\r\n\r\n"].concat();
        let _ = at_once(&target, &[cut]);
        let field = [b"GET / HTTP/1.1\r\nHost: a\r\n", bytes.as_slice(), b"\r\n\r\n"].concat();
        let _ = at_once(&field, &[cut]);
    }

    #[test]
    fn chunked_out_and_in_is_the_same(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..6), cut in 0_usize..400) {
        let mut wire = Vec::new();
        for part in parts.iter().filter(|part| !part.is_empty()) {
            write::chunk_head(&mut wire, part.len());
            wire.extend_from_slice(part);
            wire.extend_from_slice(write::CHUNK_END);
        }
        wire.extend_from_slice(b"0\r\nX-T: 1\r\nEtag: x\r\n\r\n");
        let end = wire.len();
        wire.extend_from_slice(b"next");
        let cut = cut.min(end);
        for cuts in [vec![0, cut, wire.len()], (0..=wire.len()).collect()] {
            let (mut decoder, mut got) = (ChunkedDecoder::default(), Vec::new());
            let mut consumed = 0;
            for window in cuts.windows(2) {
                let (input, mut data) = (&wire[window[0]..window[1]], Vec::new());
                let decoded = decoder.decode(input, &mut data).unwrap();
                consumed += decoded.consumed;
                got.extend(data.into_iter().flat_map(|range| input[range].to_vec()));
            }
            prop_assert_eq!(&got, &parts.concat());
            prop_assert_eq!((consumed, decoder.ended()), (end, true));
            prop_assert_eq!(decoder.trailers().map(|t| t.iter().count()), Some(2));
        }
    }
}

#[test]
fn a_drip_is_linear() {
    // 32 KiB in one line, byte by byte: quadratic scanning would take minutes here.
    let head = [b"GET / HTTP/1.1\r\nHost: a\r\nX: ".as_slice(), &vec![b'v'; 32_000], b"\r\n\r\n"].concat();
    let (mut request, rules) = (Request::new(), rules());
    for end in 0..head.len() {
        assert_eq!(request.parse(&head[..end], &rules), Ok(Progress::Incomplete));
    }
    assert_eq!(request.parse(&head, &rules), Ok(Progress::Complete(head.len())));
}
