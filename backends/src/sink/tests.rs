//! What the sink makes of messages and hops.

use super::{Clock, Hop, Pulse, Sink, Trace};

fn sink() -> Sink {
    Sink::start(Clock::start(), Pulse::default(), 8)
}

fn ftl_ns(trace: &Trace) -> u64 {
    trace.marks[0].at_ns - trace.issued_ns
}

fn until_first_ns(trace: &Trace) -> u64 {
    let hops: u64 = trace.hops.iter().map(|hop| hop.until_first_ns).sum();
    hops + trace.other_until_first_ns
}

#[test]
fn an_event_without_tokens_is_no_mark() {
    let mut sink = sink();
    sink.event();
    assert!(!sink.has_tokens());
    sink.tokens(3);
    let trace = sink.into_trace();
    assert_eq!(trace.marks.len(), 1);
    assert_eq!(trace.marks[0].tokens, 3);
    assert!(trace.first_event_ns.expect("seen") <= trace.marks[0].at_ns);
}

#[test]
fn running_totals_mark_only_what_is_new() {
    let mut sink = sink();
    let new: Vec<u32> = [0, 1, 1, 4, 3, 5]
        .into_iter()
        .map(|total| sink.tokens_so_far(total))
        .collect();
    assert_eq!(new, [0, 1, 0, 3, 0, 1]);
    assert_eq!(sink.token_count(), 5);
    assert_eq!(sink.into_trace().marks.len(), 3);
}

#[test]
fn hops_of_the_first_token_add_up_to_its_latency() {
    let mut sink = sink();
    sink.enter(Hop::Connect);
    sink.leave(Hop::Connect);
    sink.enter(Hop::Preprocess);
    sink.leave(Hop::Preprocess);
    sink.enter(Hop::Engine);
    sink.engine_tokens_so_far(1);
    sink.enter(Hop::Postprocess);
    sink.tokens(1);
    sink.leave(Hop::Postprocess);
    sink.enter(Hop::Postprocess);
    sink.tokens(1);
    sink.leave(Hop::Postprocess);
    let trace = sink.into_trace();
    assert_eq!(until_first_ns(&trace), ftl_ns(&trace));
    assert_eq!(trace.hops[Hop::Postprocess as usize].calls, 2);
    let engine = trace.hops[Hop::Engine as usize];
    assert!(
        engine.total_ns > engine.until_first_ns,
        "left open, so it lasts to the end"
    );
}

#[test]
fn a_wait_for_the_rest_of_a_character_is_the_engines() {
    let mut sink = sink();
    sink.enter(Hop::Engine);
    sink.enter(Hop::Postprocess);
    sink.leave(Hop::Postprocess);
    let before_ns = sink.trace.hops[Hop::Engine.index()].until_first_ns;
    while sink.clock.now_ns() - sink.phase_since_ns < 100_000 {}
    sink.tokens(1);
    let trace = sink.into_trace();
    let waited_ns = trace.hops[Hop::Engine.index()].until_first_ns - before_ns;
    assert!(waited_ns >= 100_000, "{waited_ns}");
    assert_eq!(until_first_ns(&trace), ftl_ns(&trace));
}

#[test]
fn the_end_is_stamped_once() {
    let mut sink = sink();
    sink.end();
    let first_ns = sink.trace.end_ns;
    sink.end();
    assert_eq!(sink.into_trace().end_ns, first_ns);
}

#[test]
fn the_pulse_tells_waiting_from_streaming() {
    let pulse = Pulse::default();
    let mut sink = Sink::start(Clock::start(), pulse.clone(), 1);
    let (start_ns, streaming) = pulse.read();
    assert!(!streaming);
    sink.event();
    assert_eq!(pulse.read(), (start_ns, false));
    sink.tokens(0);
    let (last_ns, streaming) = pulse.read();
    assert!(streaming && last_ns >= start_ns);
}

#[test]
fn text_of_the_first_piece_is_told_apart() {
    let mut sink = sink();
    sink.tokens(1);
    sink.text("ab");
    sink.tokens(1);
    sink.text("cde");
    let trace = sink.into_trace();
    assert_eq!((trace.text.as_str(), trace.first_text_bytes), ("abcde", 2));
}
