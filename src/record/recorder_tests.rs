//! What is handed over is on the disk when it has to be, and what cannot be
//! written is said.

use std::path::Path;
use std::time::Duration;

use super::super::{Block, FORMAT, Mark, Record, RunEnd, RunHeader, load};
use super::{Closed, Door, Recorder};

fn header() -> RunHeader {
    RunHeader {
        format: FORMAT,
        ..RunHeader::default()
    }
}

fn record(index: u32) -> Record {
    Record {
        index,
        outcome: "ok".to_owned(),
        end_ns: u64::from(index) * 1_000,
        ..Record::default()
    }
}

fn lines(folder: &Path) -> usize {
    let text = std::fs::read_to_string(folder.join("requests.jsonl")).expect("there");
    assert!(text.is_empty() || text.ends_with('\n'), "whole lines");
    text.lines().count()
}

/// Looks for a while whether so many lines are there.
fn soon(folder: &Path, wanted: usize) {
    for _ in 0..500 {
        if lines(folder) == wanted {
            return;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    panic!("{} of {wanted} lines after a second", lines(folder));
}

#[test]
fn what_has_finished_is_there_while_the_run_goes_on() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let recorder = Recorder::create(folder.path(), &header()).expect("writable");
    for count in 1..=3 {
        recorder.door().send(record(count)).expect("open");
        soon(folder.path(), usize::try_from(count).expect("small"));
    }
    let run = load(folder.path()).expect("readable");
    assert_eq!((run.records.len(), run.end), (3, None));
}

#[test]
fn a_recorder_that_is_given_up_writes_what_it_was_handed() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let recorder = Recorder::create(folder.path(), &header()).expect("writable");
    // A slot that is still at work holds the door open.
    let door = recorder.door();
    for index in 0..20_000 {
        door.send(record(index)).expect("open");
    }
    drop(recorder);
    assert_eq!(lines(folder.path()), 20_000);
    door.send(record(20_000)).expect("open");
    drop(door);
}

#[tokio::test]
async fn a_blocks_records_are_there_before_it() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let mut recorder = Recorder::create(folder.path(), &header()).expect("writable");
    let door = recorder.door();
    for number in 0..3 {
        for index in 0..1_000 {
            door.send(record(index)).expect("open");
        }
        let block = Block {
            number,
            ..Block::default()
        };
        recorder.block(&block).await.expect("written");
        let run = load(folder.path()).expect("readable");
        let blocks = usize::try_from(number + 1).expect("small");
        assert_eq!(
            (run.records.len(), run.blocks.len()),
            (blocks * 1_000, blocks)
        );
    }
}

#[tokio::test]
async fn what_cannot_be_written_is_said_and_the_rest_is_still_tried() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let mut recorder = Recorder::create(folder.path(), &header()).expect("writable");
    recorder.door().send(record(0)).expect("open");
    std::fs::create_dir(folder.path().join("blocks.jsonl")).expect("new");
    let error = recorder
        .block(&Block::default())
        .await
        .expect_err("no file");
    assert!(format!("{error:#}").contains("blocks.jsonl"), "{error:#}");
    recorder.finish(&RunEnd::default()).await.expect("written");
    let run = std::fs::read_to_string(folder.path().join("end.json"));
    assert!(run.is_ok() && lines(folder.path()) == 1);
}

/// A disk that is full from the start.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_closes_the_doors_and_is_named() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let requests = folder.path().join("requests.jsonl");
    std::os::unix::fs::symlink("/dev/full", requests).expect("a link");
    let recorder = Recorder::create(folder.path(), &header()).expect("writable");
    let door = recorder.door();
    let sent = (0..5_000).find(|index| {
        std::thread::sleep(Duration::from_millis(1));
        door.send(record(*index)) == Err(Closed)
    });
    assert!(sent.is_some(), "somebody has to notice");
    let error = recorder.finish(&RunEnd::default()).await.expect_err("full");
    let error = format!("{error:#}");
    assert!(
        error.contains("requests.jsonl") && error.contains("No space"),
        "{error}"
    );
}

#[test]
fn a_disk_that_does_not_follow_fills_the_queue_up_to_its_bound() {
    let (door, records) = Door::to_memory(1 << 20);
    let long = Record {
        marks: vec![
            Mark {
                at_ns: 1,
                tokens: 1
            };
            4_096
        ],
        ..Record::default()
    };
    let mut sent = 0;
    while !door.is_full() {
        door.send(long.clone()).expect("open");
        sent += 1;
    }
    // 64 KiB of marks each, and what is around them.
    assert_eq!(sent, 16);
    drop(door);
    assert_eq!(records.records().len(), 16);
}

#[test]
fn a_queue_that_was_written_has_room_again() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let recorder = Recorder::create(folder.path(), &header()).expect("writable");
    let door = recorder.door();
    for index in 0..100 {
        door.send(record(index)).expect("open");
    }
    soon(folder.path(), 100);
    drop(recorder);
    let waiting = door
        .waiting
        .bytes
        .load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(waiting, 0);
}
