//! Arms made by hand for tests: every cost of theirs is known.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::record::{Block, Experiment, HopRecord, Mark, Record, Run};
use crate::stats::fixture;

/// What a request of a made arm costs, in microseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way {
    pub(super) slip: u64,
    pub(super) connect: u64,
    pub(super) pre: u64,
    /// Front end and engine until the first token.
    pub(super) engine: u64,
    pub(super) pace: u64,
    /// A postprocessing call, if the client makes them.
    pub(super) post: Option<u64>,
    pub(super) tokens: u64,
}

pub(super) const PLAIN: Way = Way {
    slip: 0,
    connect: 0,
    pre: 0,
    engine: 20_000,
    pace: 5_000,
    post: None,
    tokens: 11,
};

fn hop(calls: u64, total_us: u64, first_us: u64) -> HopRecord {
    HopRecord {
        calls: u32::try_from(calls).expect("few"),
        total_ns: total_us * 1000,
        until_first_ns: first_us * 1000,
    }
}

fn at(at_us: u64) -> Mark {
    Mark {
        at_ns: at_us * 1000,
        tokens: 1,
    }
}

/// One request as the client records it: a channel for each call where there
/// is a cost of connecting, text one call behind the engine.
fn request(way: Way, index: u32, block: u32) -> Record {
    let start_us = u64::from(index) * 1_000_000 + 1;
    let issued_us = start_us + way.slip;
    let calls = u64::from(way.pre > 0);
    let opened = if way.connect > 0 { calls + 1 } else { 0 };
    let begun_us = issued_us + way.connect * opened + way.pre;
    let engine: Vec<u64> = (0..way.tokens)
        .map(|token| begun_us + way.engine + token * way.pace)
        .collect();
    let lag = way.post.map_or(0, |post| post + way.connect);
    let posts = way.post.map_or(0, |_| way.tokens);
    let marks: Vec<Mark> = engine.iter().map(|token| at(token + lag)).collect();
    let mut hops = BTreeMap::from([(
        "engine".to_owned(),
        hop(1, way.engine + (way.tokens - 1) * way.pace, way.engine),
    )]);
    if way.pre > 0 {
        hops.insert("preprocess".to_owned(), hop(1, way.pre, way.pre));
    }
    if let Some(post) = way.post {
        hops.insert("postprocess".to_owned(), hop(posts, post * posts, post));
    }
    if way.connect > 0 {
        let calls = opened + posts;
        let first = opened + u64::from(way.post.is_some());
        hops.insert(
            "connect".to_owned(),
            hop(calls, way.connect * calls, way.connect * first),
        );
    }
    let tokens = u32::try_from(way.tokens).expect("few");
    Record {
        index,
        block,
        requested_tokens: tokens,
        completion_tokens: Some(tokens),
        scheduled_ns: start_us * 1000,
        issued_ns: issued_us * 1000,
        end_ns: marks.last().map_or(0, |mark| mark.at_ns),
        outcome: "ok".to_owned(),
        engine_marks: way
            .post
            .map_or_else(Vec::new, |_| engine.iter().copied().map(at).collect()),
        marks,
        hops,
        ..Record::default()
    }
}

/// An arm of as many blocks as there are ways, two requests each.
pub(super) fn run(backend: &str, ways: &[Way]) -> Run {
    let mut run = fixture::run(Vec::new());
    backend.clone_into(&mut run.header.backend);
    run.header.experiment = Some(Experiment {
        id: "made".to_owned(),
        ..Experiment::default()
    });
    for (number, way) in (0..).zip(ways) {
        run.records
            .extend((0..2).map(|place| request(*way, number * 2 + place, number)));
        run.blocks.push(Block {
            number,
            ..Block::default()
        });
    }
    run
}

pub(super) const CHATBOT: Way = Way {
    slip: 400,
    connect: 3_000,
    pre: 8_000,
    post: Some(1_000),
    ..PLAIN
};

pub(super) fn way() -> impl Strategy<Value = Way> {
    let times = (0..9_u64, 0..9_u64, 0..9_u64, 1..50_u64, 0..9_u64);
    (times, prop::option::of(0..9_u64), 1..20_u64).prop_map(
        |((slip, connect, pre, engine, pace), post, tokens)| Way {
            slip: slip * 100,
            connect: connect * 1000,
            pre: pre * 1000,
            engine: engine * 1000,
            pace: pace * 1000,
            post: post.map(|post| post * 1000),
            tokens,
        },
    )
}
