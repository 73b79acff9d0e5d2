//! docs/faults.md: what a user reads, fault by fault. Made of the rows, which
//! the matrix plays, so it cannot say what is not so.

use std::path::Path;

use crate::row::Row;
use crate::{
    grpc_ends, grpc_floods, grpc_frames, http_floods, http_refusals, http_streams, line_rows,
};

/// Every row.
pub fn rows() -> Vec<Row> {
    [
        http_refusals::all(),
        http_streams::all(),
        http_floods::all(),
        line_rows::all(),
        grpc_ends::all(),
        grpc_frames::all(),
        grpc_floods::all(),
    ]
    .concat()
}

const HEAD: &str = "\
# What a server can do wrong, and what you read then

Every line is played by `cargo test --test fault_matrix`: in the middle of a
run, with one request in flight and with 64, on each way that is named. The
request that got the fault fails as the line says, every other request is left
alone, and the counts add up: requests planned are those that finished and those
that failed, kind by kind. `...` stands for words of the server or the system;
`-` for nothing, as the answer is good.

This page is made of the test's own table (`WRITE_FAULTS=1 cargo test --test
fault_matrix`), and the test fails when they differ.

## How much memory a server can take

";

const BOUNDS: &str = "\
Whatever a server sends, pairbench keeps no more of it than this. More is a
failure of that request, counted as `malformed` where the line below does not
say otherwise.

| what | at most |
| --- | --- |
| HTTP: a head | 64 KiB |
| HTTP: what comes without completing an event | 1 MiB |
| HTTP: an answer in one piece | 8 MiB |
| HTTP: an error | 64 KiB, of which 300 bytes are shown |
| gRPC: headers or trailers | 64 KiB |
| gRPC: a message (turbomind repeats the whole session with every token) | 256 MiB |
| gRPC: messages of more than 1 MiB that are under way, all requests of a client thread together | 1 GiB |
| gRPC: sent ahead of what was read | 2 MiB a call, 256 MiB a connection |
| an answer: pieces (16 bytes each) | 65,536, or 4 for each token asked for |
| an answer: text | 16 MiB |

So a stream of an api_server takes at most 18 MiB, 64 of them less than 1.2 GiB; a client
thread has 128 requests in flight by default. Memory is taken as bytes come, not
as lengths are stated.
";

fn page() -> String {
    let mut page = HEAD.to_owned() + BOUNDS;
    let http = |row: &&Row| row.ways == ["api_server"];
    let rows = rows();
    section(&mut page, "api_server", rows.iter().filter(http));
    section(&mut page, "Triton", rows.iter().filter(|row| !http(row)));
    page
}

fn section<'a>(page: &mut String, title: &str, rows: impl Iterator<Item = &'a Row>) {
    page.push_str(&format!(
        "\n## {title}\n\n| the server | ways | counted as | you read |\n| --- | --- | --- | --- |\n"
    ));
    for row in rows {
        let ways = match row.ways {
            [only] => (*only).to_owned(),
            ways if ways == crate::row::GRPC => "all".to_owned(),
            ways => ways.join(", "),
        };
        for case in &row.cases {
            let cell = |text: &str| match text {
                "" => "-".to_owned(),
                text => text.replace('|', "\\|").replace('<', "\\<"),
            };
            let kinds = case.kinds.join(" or ");
            page.push_str(&format!(
                "| {} | {ways} | {kinds} | {} |\n",
                cell(&case.name),
                cell(&case.reads)
            ));
        }
    }
}

#[test]
fn the_page_says_what_is_played() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/faults.md");
    if std::env::var_os("WRITE_FAULTS").is_some() {
        std::fs::write(&path, page()).unwrap();
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        there == page(),
        "docs/faults.md is not what the matrix plays; write it anew with WRITE_FAULTS=1"
    );
}
