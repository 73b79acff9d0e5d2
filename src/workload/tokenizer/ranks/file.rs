//! Reads tiktoken's files: one token a line, base64, a space and its rank.
//!
//! Knows the lines. It refuses to know what the tokens are for.

use anyhow::{Context, Result, anyhow, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Tokens in the order of their ranks.
///
/// # Errors
/// A line is not of that form, a rank is there twice or missing; the text has the
/// line's number, from 1.
pub(in super::super) fn parse(bytes: &[u8]) -> Result<Vec<Box<[u8]>>> {
    let mut lines = Vec::new();
    for (number, line) in (1_usize..).zip(bytes.split(|&byte| byte == b'\n')) {
        let line = line.trim_ascii();
        if !line.is_empty() {
            let (token, rank) = parse_line(line).with_context(|| format!("line {number}"))?;
            lines.push((rank, number, token));
        }
    }
    ensure!(!lines.is_empty(), "the file is empty");
    lines.sort_unstable();
    for (wanted, (rank, number, _)) in (0_u32..).zip(&lines) {
        if *rank < wanted {
            let first = lines
                .get(*rank as usize)
                .map_or(0, |(_, number, _)| *number);
            return Err(anyhow!(
                "line {number}: rank {rank} is there twice, first on line {first}"
            ));
        }
        ensure!(
            *rank == wanted,
            "rank {wanted} is missing (the next is {rank}, on line {number}); was the file cut?"
        );
    }
    Ok(lines.into_iter().map(|(_, _, token)| token).collect())
}

fn parse_line(line: &[u8]) -> Result<(Box<[u8]>, u32)> {
    let mut words = line.split(u8::is_ascii_whitespace);
    let (Some(token), Some(rank), None) = (words.next(), words.next(), words.next()) else {
        return Err(anyhow!(
            "this is not a token in base64, a space and a rank; was the file cut off?"
        ));
    };
    let token = STANDARD
        .decode(token)
        .map_err(|error| anyhow!("the token is no base64: {error}"))?;
    let rank = std::str::from_utf8(rank)
        .ok()
        .and_then(|rank| rank.parse().ok());
    let rank = rank.context("the rank is no whole number below 2^32")?;
    Ok((token.into(), rank))
}
