//! What is written comes back, and what a killed run left is read.

use std::fs::OpenOptions;
use std::io::Write;

use super::super::{Block, FORMAT, Mark, Record, Recorder, Recount, RunEnd, RunHeader};
use super::{create_folder, load, save_recount, write_whole};

fn header() -> RunHeader {
    RunHeader {
        format: FORMAT,
        backend: "tis".to_owned(),
        ..RunHeader::default()
    }
}

fn record(index: u32) -> Record {
    Record {
        index,
        outcome: "ok".to_owned(),
        text: "é\n".to_owned(),
        marks: vec![Mark {
            at_ns: 7,
            tokens: 2,
        }],
        ..Record::default()
    }
}

#[tokio::test]
async fn what_is_written_comes_back_in_the_order_of_the_plan() {
    let parent = tempfile::tempdir().expect("temporary folder");
    let folder = create_folder(parent.path(), "run").expect("folder");
    let recorder = Recorder::create(&folder, &header()).expect("writable");
    for index in [1, 0] {
        recorder.door().send(record(index)).expect("open");
    }
    let end = RunEnd {
        span_ns: 5,
        ..RunEnd::default()
    };
    recorder.finish(&end).await.expect("written");
    let recount = Recount {
        in_blocks: Vec::new(),
        answers: vec![(0, 2, 1)],
    };
    save_recount(&folder, &recount).expect("written");
    let run = load(&folder).expect("readable");
    assert_eq!(run.header, header());
    assert_eq!(run.records, [record(0), record(1)]);
    assert_eq!(
        (run.recount, run.end, run.broken_lines),
        (recount, Some(end), 0)
    );
}

#[tokio::test]
async fn blocks_come_back_with_their_requests() {
    let parent = tempfile::tempdir().expect("temporary folder");
    let mut recorder = Recorder::create(parent.path(), &header()).expect("writable");
    for (block, index, lead_in) in [(1, 0, false), (1, 5, true), (0, 0, false), (0, 1, false)] {
        let record = Record {
            block,
            lead_in,
            ..record(index)
        };
        recorder.door().send(record).expect("open");
    }
    for number in [0, 1] {
        let block = Block {
            number,
            end_ns: 9,
            ..Block::default()
        };
        recorder.block(&block).await.expect("written");
    }
    recorder.finish(&RunEnd::default()).await.expect("written");
    let run = load(parent.path()).expect("readable");
    let order: Vec<_> = run
        .records
        .iter()
        .map(|one| (one.block, one.index))
        .collect();
    assert_eq!(order, [(0, 0), (0, 1), (1, 0)]);
    let second = run.of_block(1).expect("there");
    assert_eq!((second.records.len(), second.lead_in.len()), (1, 1));
    assert_eq!(second.end.map(|end| end.span_ns), Some(9));
    assert_eq!(run.of_block(2), None);
}

#[tokio::test]
async fn half_a_line_costs_only_itself() {
    let parent = tempfile::tempdir().expect("temporary folder");
    let recorder = Recorder::create(parent.path(), &header()).expect("writable");
    recorder.door().send(record(0)).expect("open");
    recorder.finish(&RunEnd::default()).await.expect("written");
    std::fs::remove_file(parent.path().join("end.json")).expect("there");
    let mut file = OpenOptions::new()
        .append(true)
        .open(parent.path().join("requests.jsonl"))
        .expect("there");
    file.write_all(b"{\"index\":1,\"sl").expect("writable");
    let run = load(parent.path()).expect("readable");
    assert_eq!((run.records.len(), run.broken_lines, run.end), (1, 1, None));
}

#[test]
fn an_older_folder_is_left_alone() {
    let parent = tempfile::tempdir().expect("temporary folder");
    let first = create_folder(parent.path(), "run").expect("folder");
    let second = create_folder(parent.path(), "run").expect("folder");
    assert!(first.ends_with("run") && second.ends_with("run-2"));
}

#[test]
fn a_place_for_folders_is_found_out_beforehand() {
    let parent = tempfile::tempdir().expect("temporary folder");
    super::check_parent(&parent.path().join("a/b")).expect("can be made");
    assert!(!parent.path().join("a").exists(), "nothing is made");
    let file = parent.path().join("file");
    std::fs::write(&file, "").expect("writable");
    for place in [file.clone(), file.join("below")] {
        let error = super::check_parent(&place).expect_err("a file is no folder");
        assert!(error.to_string().contains("--records"), "{error}");
    }
}

#[test]
fn a_stranger_is_refused_in_words() {
    let parent = tempfile::tempdir().expect("temporary folder");
    let error = load(parent.path()).expect_err("empty").to_string();
    assert!(error.contains("no run folder"), "{error}");
    let other = RunHeader {
        format: 99,
        ..header()
    };
    drop(Recorder::create(parent.path(), &other).expect("writable"));
    let error = load(parent.path()).expect_err("other format").to_string();
    assert!(error.contains("format 99"), "{error}");
}

#[test]
fn a_run_that_died_at_its_start_is_read() {
    let folder = tempfile::tempdir().expect("temporary folder");
    super::write_json(&folder.path().join("run.json"), &header()).expect("writable");
    let run = load(folder.path()).expect("readable");
    assert_eq!((run.records.len(), run.end), (0, None));
}

#[tokio::test]
async fn a_damaged_file_is_named_and_the_others_count() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let mut recorder = Recorder::create(folder.path(), &header()).expect("writable");
    recorder.door().send(record(0)).expect("open");
    recorder.block(&Block::default()).await.expect("written");
    recorder.finish(&RunEnd::default()).await.expect("written");
    let blocks = folder.path().join("blocks.jsonl");
    let torn = std::fs::read_to_string(&blocks).expect("there") + "{\"number\":1,";
    std::fs::write(&blocks, torn).expect("writable");
    for name in ["end.json", "recount.json"] {
        std::fs::write(folder.path().join(name), "").expect("writable");
    }
    let run = load(folder.path()).expect("readable");
    assert_eq!(
        (run.records.len(), run.blocks.len(), run.broken_lines),
        (1, 1, 1)
    );
    assert_eq!(run.damaged, ["recount.json", "end.json"]);
}

#[test]
fn a_file_is_written_whole_over_an_older_one() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("page");
    for content in ["first", "second, longer", "3"] {
        write_whole(&path, content.as_bytes()).expect("writable");
        assert_eq!(std::fs::read_to_string(&path).expect("there"), content);
    }
    let left: Vec<_> = std::fs::read_dir(folder.path()).expect("there").collect();
    assert_eq!(left.len(), 1, "no temporary file stays");
    // Where it cannot be put into place, nothing is left of it.
    let taken = folder.path().join("taken");
    std::fs::create_dir(&taken).expect("new");
    write_whole(&taken, b"x").expect_err("a folder");
    let left: Vec<_> = std::fs::read_dir(folder.path()).expect("there").collect();
    assert_eq!(left.len(), 2);
}

#[cfg(unix)]
#[test]
fn a_link_is_followed_and_a_device_is_written_to() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let (file, link) = (folder.path().join("file"), folder.path().join("link"));
    std::fs::write(&file, "old").expect("writable");
    std::os::unix::fs::symlink(&file, &link).expect("a link");
    write_whole(&link, b"new").expect("writable");
    assert_eq!(std::fs::read_to_string(&file).expect("there"), "new");
    assert!(
        std::fs::symlink_metadata(&link)
            .expect("there")
            .is_symlink()
    );
    let device = std::path::Path::new("/dev/null");
    write_whole(device, b"x").expect("takes everything");
    assert!(!std::fs::metadata(device).expect("there").is_file());
}
