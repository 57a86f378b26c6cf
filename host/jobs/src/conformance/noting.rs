//! What runs write while they go on.

use windlass_api::{LogLevel, LogLine, Progress, RequeueRequest, Timestamp};

use super::world::{World, job, json, released, success};
use crate::{
    Fence,
    storage::{MAX_CHECKPOINTS, Note, StorageError, Superseded},
};

fn line(fence: Fence, at: Timestamp, message: &str) -> LogLine {
    LogLine { run: fence.run, at, level: LogLevel::Warn, message: message.into(), fields: Some(json(r#"{"a":1}"#)) }
}

async fn log(world: &World, fence: Fence, at: Timestamp, messages: &[&str]) {
    let lines = messages.iter().map(|message| line(fence, at, message)).collect();
    let noted = world.storage.note(vec![Note { fence, progress: None, lines }]).await.unwrap();
    assert_eq!(noted, [Ok(())]);
}

pub async fn progress_is_kept_for_its_run_only(world: World) {
    let id = world.add(job()).await;
    let server = world.server().await;
    let run = world.claim_one(server).await;
    for percent in [10.5, 250.0] {
        let progress = Progress { percent, note: Some("on it".into()), at: run.created_at };
        let note = Note { fence: run.fence, progress: Some(progress.clone()), lines: Vec::new() };
        world.storage.note(vec![note]).await.unwrap();
        let expected = Progress { percent: percent.min(100.0), ..progress };
        assert_eq!(world.detail(id).await.job.progress, Some(expected));
    }
    world.settle(&run, released()).await.unwrap();
    world.claim_one(server).await;
    assert_eq!(world.detail(id).await.job.progress, None);
}

pub async fn a_log_is_followed_by_its_cursor(world: World) {
    let id = world.add(job()).await;
    let server = world.server().await;
    let run = world.claim_one(server).await;
    let empty = world.storage.logs(id, None, 10).await.unwrap();
    assert!(empty.items.is_empty() && empty.next.is_some());
    log(&world, run.fence, run.created_at, &["one", "two", "three"]).await;
    let first = world.storage.logs(id, empty.next.as_deref(), 2).await.unwrap();
    assert_eq!(first.items[0], line(run.fence, run.created_at, "one"));
    assert_eq!(first.items[1].message, "two");
    let second = world.storage.logs(id, first.next.as_deref(), 2).await.unwrap();
    assert_eq!(second.items[0].message, "three");
    let none = world.storage.logs(id, second.next.as_deref(), 2).await.unwrap();
    assert!(none.items.is_empty());
    world.settle(&run, released()).await.unwrap();
    let run = world.claim_one(server).await;
    log(&world, run.fence, run.created_at, &["four"]).await;
    let third = world.storage.logs(id, none.next.as_deref(), 2).await.unwrap();
    assert_eq!((third.items[0].message.as_str(), third.items[0].run), ("four", 2));
}

pub async fn a_log_ends_at_its_limit_and_says_so(world: World) {
    let id = world.add(job()).await;
    let run = world.claim_one(world.server().await).await;
    let megabyte = "x".repeat(1024 * 1024);
    for _ in 0..6 {
        log(&world, run.fence, run.created_at, &[&megabyte]).await;
    }
    let lines = world.storage.logs(id, None, 100).await.unwrap().items;
    assert_eq!(lines.len(), 4, "three whole lines fit into 4 MiB, and one tells of the limit");
    assert!(lines[3].message.contains("limit of 4194304 bytes"), "{}", lines[3].message);
    world.settle(&run, success()).await.unwrap();
    world.clock.advance_ms(7 * 24 * 3_600_000);
    world.storage.prune(0).await.unwrap();
    assert!(world.storage.logs(id, None, 100).await.unwrap().items.is_empty(), "lines go after 7 days");
}

pub async fn each_run_that_finds_the_log_full_says_so_once(world: World) {
    let id = world.add(job()).await;
    let server = world.server().await;
    let run = world.claim_one(server).await;
    log(&world, run.fence, run.created_at, &[&"x".repeat(5 * 1024 * 1024)]).await;
    world.settle(&run, released()).await.unwrap();
    let run = world.claim_one(server).await;
    for _ in 0..3 {
        log(&world, run.fence, run.created_at, &["more"]).await;
    }
    let lines = world.storage.logs(id, None, 100).await.unwrap().items;
    assert_eq!(lines.iter().map(|line| line.run).collect::<Vec<_>>(), [1, 2]);
    assert!(lines.iter().all(|line| line.message.contains("limit of 4194304 bytes")), "{lines:?}");
}

pub async fn a_requeue_starts_the_log_anew(world: World) {
    let id = world.add(job()).await;
    let server = world.server().await;
    let run = world.claim_one(server).await;
    log(&world, run.fence, run.created_at, &[&"x".repeat(5 * 1024 * 1024)]).await;
    world.settle(&run, success()).await.unwrap();
    world.storage.requeue(id, RequeueRequest::default(), "ann").await.unwrap();
    let run = world.claim_one(server).await;
    log(&world, run.fence, run.created_at, &["heard again"]).await;
    let lines = world.storage.logs(id, None, 100).await.unwrap().items;
    assert_eq!(lines, [line(run.fence, run.created_at, "heard again")]);
}

pub async fn a_checkpoint_outlives_its_attempt(world: World) {
    let id = world.add(job()).await;
    let server = world.server().await;
    let run = world.claim_one(server).await;
    assert_eq!(world.storage.checkpoint(id, "at").await.unwrap(), None);
    for value in ["1", r#"{"row": 2}"#] {
        world.storage.put_checkpoint(run.fence, "at", &json(value)).await.unwrap().unwrap();
    }
    world.lose(server).await;
    world.claim_one(world.server().await).await;
    assert_eq!(world.storage.checkpoint(id, "at").await.unwrap(), Some(json(r#"{"row": 2}"#)));
}

pub async fn checkpoints_are_refused_beyond_their_limits(world: World) {
    world.add(job()).await;
    let run = world.claim_one(world.server().await).await;
    for key in 0..MAX_CHECKPOINTS {
        world.storage.put_checkpoint(run.fence, &key.to_string(), &json("1")).await.unwrap().unwrap();
    }
    let one_more = world.storage.put_checkpoint(run.fence, "one more", &json("1")).await;
    assert!(matches!(&one_more, Err(StorageError::TooLarge(text)) if text.contains("at most 1000")), "{one_more:?}");
    let long = json(&format!("\"{}\"", "x".repeat(6 * 1024 * 1024)));
    for key in ["0", "1", "1"] {
        world.storage.put_checkpoint(run.fence, key, &long).await.unwrap().unwrap();
    }
    let over = world.storage.put_checkpoint(run.fence, "2", &long).await;
    assert!(matches!(&over, Err(StorageError::TooLarge(text)) if text.contains("at most 16777216")), "{over:?}");
}

pub async fn a_superseded_note_among_good_ones_keeps_them_from_nothing(world: World) {
    for _ in 0..3 {
        world.add(job()).await;
    }
    let runs = world.claim(world.server().await, 9, 0).await;
    world.settle(&runs[1], released()).await.unwrap();
    let note = |fence: Fence, text: &str| Note {
        fence,
        progress: Some(Progress { percent: 25.0, note: Some(text.into()), at: world.now() }),
        lines: vec![line(fence, world.now(), text)],
    };
    let elsewhere = Fence { server: windlass_api::ServerId(uuid::Uuid::new_v4()), ..runs[0].fence };
    let gone = Fence { job: windlass_api::JobId(uuid::Uuid::now_v7()), ..runs[0].fence };
    let notes = vec![
        note(runs[1].fence, "late"),
        note(runs[0].fence, "one"),
        note(elsewhere, "of another"),
        note(runs[2].fence, "two"),
        note(gone, "of none"),
        note(runs[0].fence, "three"),
    ];
    let noted = world.storage.note(notes).await.unwrap();
    let held = [Err(Superseded), Ok(()), Err(Superseded), Ok(()), Err(Superseded), Ok(())];
    assert_eq!(noted, held);
    for (run, lines, shown) in
        [(&runs[0], &["one", "three"][..], Some("three")), (&runs[1], &[], None), (&runs[2], &["two"], Some("two"))]
    {
        let items = world.storage.logs(run.fence.job, None, 9).await.unwrap().items;
        assert_eq!(items.iter().map(|line| line.message.as_str()).collect::<Vec<_>>(), lines);
        let progress = world.detail(run.fence.job).await.job.progress;
        assert_eq!(progress.and_then(|progress| progress.note).as_deref(), shown);
    }
}
