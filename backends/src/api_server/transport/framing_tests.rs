//! Heads of real and odd servers, and bodies cut at every place.

use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};

use super::{Chunk, Framing, Head, Step, head};

fn read(text: &str) -> Head {
    let (head, length) = head(text.as_bytes()).expect("HTTP").expect("whole");
    assert_eq!(length, text.len(), "{text}");
    head
}

#[test]
fn a_head_tells_where_the_body_lies() {
    let chunked = Framing::Chunked(Chunk::Size);
    for (fields, framing, keeps) in [
        ("1.1 200 OK\r\nTransfer-Encoding: chunked", chunked, true),
        ("1.1 200\r\ntransfer-encoding: gzip, Chunked", chunked, true),
        ("1.1 200 OK\r\ncontent-length: 5", Framing::Length(5), true),
        (
            "1.1 200 OK\r\ncontent-length: 5, 5\r\nContent-Length: 5",
            Framing::Length(5),
            true,
        ),
        ("1.1 200 OK\r\ncontent-length: 0", Framing::Ended, true),
        ("1.1 204 No Content", Framing::Ended, true),
        ("1.1 304 Same\r\ncontent-length: 9", Framing::Ended, true),
        ("1.1 101 Other\r\nupgrade: h2c", Framing::Ended, false),
        ("1.1 200 OK", Framing::ToClose, false),
        (
            "1.1 200 OK\r\ntransfer-encoding: gzip",
            Framing::ToClose,
            false,
        ),
        (
            "1.1 200 OK\r\nconnection: x, Close\r\ncontent-length: 5",
            Framing::Length(5),
            false,
        ),
        ("1.0 200 OK\r\ncontent-length: 5", Framing::Length(5), false),
        (
            "1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 5",
            Framing::Length(5),
            true,
        ),
        (
            "1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked",
            chunked,
            false,
        ),
    ] {
        let head = read(&format!("HTTP/{fields}\r\n\r\n"));
        assert_eq!((head.framing, head.keeps), (framing, keeps), "{fields}");
    }
}

#[test]
fn a_head_says_what_is_asked() {
    let head = read(
        "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n\
         HTTP/1.1 307 Moved\r\nLocation: http://h/\r\nContent-Type: Text/HTML\r\n\
         content-length: 0\r\n\r\n",
    );
    assert_eq!(head.status, 307);
    assert_eq!(head.location.as_deref(), Some("http://h/"));
    assert_eq!(head.content_type, "text/html");
}

#[test]
fn what_is_no_head_is_refused() {
    for text in [
        "\0\0\0\u{4}\0\0",
        "HTTP/2 200\r\n\r\n",
        "SSH-2.0-OpenSSH\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: +5\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: \r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n",
    ] {
        head(text.as_bytes()).expect_err(text);
    }
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(101));
    head(many.as_bytes()).expect_err("too many fields");
    for text in ["", "HTT", "HTTP/1.1 200 OK\r\na: b\r\n"] {
        assert_eq!(head(text.as_bytes()), Ok(None), "{text}");
    }
}

/// The body of `bytes` that come in pieces of these lengths, read as a
/// connection does: what is not read stays in front of what comes next. And
/// whether it ended, and how much was left. The same with whole chunks in one go
/// as without.
fn body(
    framing: Framing,
    bytes: &[u8],
    lengths: &[usize],
) -> Result<(Vec<u8>, bool, usize), &'static str> {
    let by_step = walk(framing, bytes, lengths, false);
    assert_eq!(by_step, walk(framing, bytes, lengths, true));
    by_step
}

fn walk(
    mut framing: Framing,
    bytes: &[u8],
    lengths: &[usize],
    whole_chunks: bool,
) -> Result<(Vec<u8>, bool, usize), &'static str> {
    let (mut found, mut buffer, mut rest) = (Vec::new(), Vec::new(), bytes);
    let mut lengths = lengths.iter().cycle();
    loop {
        let mut at = 0;
        loop {
            if whole_chunks && let Some(chunk) = framing.whole_chunk(&buffer, &mut at) {
                found.extend_from_slice(&buffer[chunk]);
                continue;
            }
            match framing.step(&buffer, &mut at)? {
                Step::Piece(piece) => {
                    assert!(!piece.is_empty());
                    found.extend_from_slice(&buffer[piece]);
                }
                Step::More => break,
                Step::End => return Ok((found, true, buffer.len() - at + rest.len())),
            }
        }
        buffer.drain(..at);
        if rest.is_empty() {
            return Ok((found, false, buffer.len()));
        }
        let length = rest.len().min(*lengths.next().expect("cycle"));
        let (piece, after) = rest.split_at(length);
        buffer.extend_from_slice(piece);
        rest = after;
    }
}

#[test]
fn a_whole_chunk_is_taken_in_one_go_or_left_alone() {
    for (bytes, wanted) in [
        ("5\r\nhello\r\n", Some("hello")),
        ("005\r\nhello\r\nmore", Some("hello")),
        ("A\r\n0123456789\r\n", Some("0123456789")),
        ("a\r\n0123456789\r\n", Some("0123456789")),
        ("10\r\n0123456789abcdef\r\n", Some("0123456789abcdef")),
        ("5\r\nhello\r", None),
        ("5\r\nhello\n\n", None),
        ("5\r\nhello!\r\n", None),
        ("5\r\nhel", None),
        ("5\r", None),
        ("5", None),
        ("", None),
        ("5;a\r\nhello\r\n", None),
        ("0\r\n\r\n", None),
        ("\r\n\r\n", None),
        ("\r\n", None),
        ("5\nhello\r\n", None),
        ("ffffffffffffffffffffff\r\n", None),
        ("7fffffffffffffff\r\n", None),
    ] {
        let bytes = format!("xx{bytes}");
        let mut at = 2;
        let found = CHUNKED.whole_chunk(bytes.as_bytes(), &mut at);
        assert_eq!(found.map(|chunk| &bytes[chunk]), wanted, "{bytes}");
        let read = wanted.map_or(0, |wanted| {
            bytes.find(wanted).expect("there") + wanted.len()
        });
        assert_eq!(at, if read == 0 { 2 } else { read + 2 }, "{bytes}");
    }
    let within = Framing::Chunked(Chunk::DataEnd);
    assert_eq!(within.whole_chunk(b"5\r\nhello\r\n", &mut 0), None);
}

const CHUNKED: Framing = Framing::Chunked(Chunk::Size);

#[test]
fn broken_chunks_are_refused() {
    for text in [
        "x\r\n",
        "5\nhello\r\n",
        "\r\n",
        "1\r\nab",
        "11111111111111111\r\n",
        "-1\r\n",
    ] {
        body(CHUNKED, text.as_bytes(), &[1]).expect_err(text);
        body(CHUNKED, text.as_bytes(), &[99]).expect_err(text);
    }
    let endless = [
        format!("1;{}", "a".repeat(5000)),
        format!("0\r\n{}", "a".repeat(5000)),
        format!("0\r\n{}", "a: b\r\n".repeat(20_000)),
    ];
    for text in endless {
        body(CHUNKED, text.as_bytes(), &[999]).expect_err("too long");
    }
}

proptest! {
    #[test]
    fn chunks_make_the_body_however_they_are_cut(
        chunks in prop::collection::vec(("[a-z\r\n]{1,30}", "|;a|;a=\"b\"| "), 0..6),
        trailer in "(a: b\r\n){0,3}",
        behind in "[a-z]{0,5}",
        lengths in prop::collection::vec(1_usize..20, 1..6),
    ) {
        let mut text = String::new();
        let mut wanted = String::new();
        for (chunk, extension) in &chunks {
            text += &format!("{:x}{extension}\r\n{chunk}\r\n", chunk.len());
            wanted += chunk;
        }
        let end = format!("0\r\n{trailer}\r\n{behind}");
        let (found, ended, left) = body(CHUNKED, (text.clone() + &end).as_bytes(), &lengths)
            .expect("chunks");
        prop_assert_eq!(found, wanted.as_bytes());
        prop_assert!(ended && left == behind.len(), "{ended} {left}");
        let (found, ended, _) = body(CHUNKED, text.as_bytes(), &lengths).expect("chunks");
        prop_assert_eq!(found, wanted.as_bytes());
        prop_assert!(!ended, "no last chunk");
    }

    #[test]
    fn a_length_is_kept(
        text in "[a-z]{1,90}",
        length in 1_u64..90,
        lengths in prop::collection::vec(1_usize..20, 1..6),
    ) {
        let (found, ended, left) = body(Framing::Length(length), text.as_bytes(), &lengths)
            .expect("bytes");
        let wanted = text.len().min(usize::try_from(length).expect("small"));
        prop_assert_eq!(&found, &text.as_bytes()[..wanted]);
        prop_assert_eq!(ended, text.len() as u64 >= length);
        prop_assert_eq!(left, text.len() - wanted);
    }

    #[test]
    fn noise_is_read_or_refused(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        near in "[0-9a-f\r\n;: ]{0,60}",
        lengths in prop::collection::vec(1_usize..40, 1..4),
    ) {
        for noise in [&bytes[..], near.as_bytes()] {
            let _ = head(noise);
            let _ = body(CHUNKED, noise, &lengths);
            let start = [b"HTTP/1.1 200 OK\r\n", noise].concat();
            let _ = head(&start);
        }
    }
}
