//! Modules and versions.

use windlass_api::{Digest, Mode, ModuleName, RequeueRequest, State};

use super::world::{World, job, released, success, told, version};
use crate::{NewJob, Next, Start, storage::Signal};

fn shop() -> ModuleName {
    "shop".parse().unwrap()
}

pub async fn a_version_is_known_before_it_is_active(world: World) {
    let new = version(1, &[("bill", Mode::Async)]);
    assert!(!world.storage.activate(&shop(), new.digest).await.unwrap());
    assert!(!world.storage.add_version(new.clone()).await.unwrap());
    assert!(world.storage.add_version(new.clone()).await.unwrap(), "it is known by now");
    assert_eq!(world.storage.active_version(&shop()).await.unwrap(), None);
    let known = world.storage.version(&shop(), new.digest).await.unwrap().unwrap();
    assert_eq!((known.active, known.size_bytes, known.handlers.clone()), (false, 10, new.handlers));
    assert_eq!(world.storage.component(new.digest).await.unwrap(), Some(new.bytes));
    assert_eq!(world.storage.component(Digest([9; 32])).await.unwrap(), None);
    let mut signals = world.storage.wake().map(crate::storage::Wake::signals);
    assert!(world.storage.activate(&shop(), new.digest).await.unwrap());
    if let Some(signals) = &mut signals {
        told(signals, Signal::Modules).await;
    }
    assert!(world.storage.active_version(&shop()).await.unwrap().unwrap().active);
    let second = world.deploy(2, &[("bill", Mode::Sync)]).await;
    let modules = world.storage.modules().await.unwrap();
    let shown = modules[0].versions.iter().map(|version| (version.digest, version.active)).collect::<Vec<_>>();
    assert_eq!(shown, [(second, true), (new.digest, false)]);
}

pub async fn a_job_keeps_the_version_of_its_first_run(world: World) {
    let server = world.server().await;
    let old = world.deploy(1, &[("bill", Mode::Sync)]).await;
    world.add(job()).await;
    let run = world.claim_one(server).await;
    assert_eq!(run.version, Some(old));
    world.settle(&run, released()).await.unwrap();
    let new = world.deploy(2, &[("bill", Mode::Sync)]).await;
    let run = world.claim_one(server).await;
    assert_eq!(run.version, Some(old));
    world.settle(&run, success()).await.unwrap();
    world.add(job()).await;
    assert_eq!(world.claim_one(server).await.version, Some(new));
}

pub async fn a_requeue_may_ask_for_the_newest_version(world: World) {
    let server = world.server().await;
    let old = world.deploy(1, &[("bill", Mode::Sync)]).await;
    let id = world.add(job()).await;
    let run = world.claim_one(server).await;
    world.settle(&run, success()).await.unwrap();
    let new = world.deploy(2, &[("bill", Mode::Async)]).await;
    for (newest, version, mode) in [(false, old, Mode::Sync), (true, new, Mode::Async)] {
        let how = RequeueRequest { newest, ..RequeueRequest::default() };
        world.storage.requeue(id, how, "ann").await.unwrap();
        let run = world.claim_one(server).await;
        assert_eq!((run.version, run.mode), (Some(version), mode));
        world.settle(&run, success()).await.unwrap();
    }
}

pub async fn an_activation_wakes_the_jobs_that_wait_for_their_handler(world: World) {
    let mut new = job();
    new.start = Start::WithHandler;
    let id = world.add(new.clone()).await;
    world.deploy(1, &[("other", Mode::Sync)]).await;
    assert_eq!(world.state(id).await, State::Awaiting);
    world.deploy(2, &[("bill", Mode::Async), ("other", Mode::Sync)]).await;
    let shown = world.detail(id).await.job;
    assert_eq!((shown.state, shown.mode, shown.reason), (State::Enqueued, Mode::Async, None));
    new.id = job().id;
    let late = world.add(new).await;
    assert_eq!(world.state(late).await, State::Enqueued, "its handler is there already");
}

pub async fn a_job_whose_handler_vanished_waits_for_it(world: World) {
    let server = world.server().await;
    world.deploy(1, &[("other", Mode::Sync)]).await;
    let id = world.add(job()).await;
    let run = world.claim_one(server).await;
    assert_eq!(world.settle(&run, Next::HandlerMissing).await, Ok(State::Awaiting));
    let shown = world.detail(id).await.job;
    assert_eq!((shown.reason.as_deref(), shown.attempt, shown.version), (Some("handler-missing"), 0, None));
    let new = world.deploy(2, &[("bill", Mode::Sync)]).await;
    let run = world.claim_one(server).await;
    assert_eq!((run.version, run.attempt, run.fence.run), (Some(new), 1, 2));
    // A version that brings the handler while the run is on its way out must not leave the job behind.
    world.deploy(3, &[("bill", Mode::Sync)]).await;
    assert_eq!(world.settle(&run, Next::HandlerMissing).await, Ok(State::Enqueued));
}

pub async fn an_activation_moves_waiting_jobs_to_their_handlers_new_mode(world: World) {
    let server = world.server().await;
    world.deploy(1, &[("bill", Mode::Sync)]).await;
    let pinned = world.add(job()).await;
    let run = world.claim_one(server).await;
    world.settle(&run, released()).await.unwrap();
    let fresh = world.add(job()).await;
    let mut later = job();
    later.start = Start::After(10);
    let later = world.add(later).await;
    world.deploy(2, &[("bill", Mode::Async)]).await;
    assert_eq!(world.detail(fresh).await.job.mode, Mode::Async);
    assert_eq!(world.detail(later).await.job.mode, Mode::Async);
    assert_eq!(world.detail(pinned).await.job.mode, Mode::Sync, "it keeps its version and so its mode");
    assert_eq!(world.claim_from(server, &["default"], 9).await, [pinned]);
    let claimed = world.claim(server, 0, 9).await;
    assert_eq!(claimed[0].fence.job, fresh);
}

pub async fn an_older_version_that_is_activated_again_is_the_one_that_new_jobs_go_to(world: World) {
    let server = world.server().await;
    let old = world.deploy(1, &[("bill", Mode::Sync), ("ship", Mode::Sync)]).await;
    let new = world.deploy(2, &[("bill", Mode::Async)]).await;
    world.add(job()).await;
    let pinned = world.claim_one(server).await;
    assert_eq!((pinned.version, pinned.mode), (Some(new), Mode::Sync), "its mode was given when it was made");
    world.settle(&pinned, released()).await.unwrap();
    let fresh = world.add(NewJob { mode: Mode::Async, ..job() }).await;
    let later = world.add(NewJob { mode: Mode::Async, start: Start::After(10), ..job() }).await;
    let lacking = world.add(NewJob { handler: "ship".parse().unwrap(), start: Start::WithHandler, ..job() }).await;
    assert_eq!(world.state(lacking).await, State::Awaiting);
    assert!(world.storage.activate(&shop(), old).await.unwrap());
    assert_eq!(world.storage.active_version(&shop()).await.unwrap().map(|version| version.digest), Some(old));
    let modules = world.storage.modules().await.unwrap();
    let shown = modules[0].versions.iter().map(|version| (version.digest, version.active)).collect::<Vec<_>>();
    assert_eq!(shown, [(new, false), (old, true)], "they stay in the order in which they were deployed");
    assert_eq!(world.detail(fresh).await.job.mode, Mode::Sync);
    assert_eq!(world.detail(later).await.job.mode, Mode::Sync);
    assert_eq!(world.state(lacking).await, State::Enqueued, "the older version has its handler");
    let runs = world.claim(server, 9, 9).await;
    let told = runs.iter().map(|run| (run.fence.job, run.version)).collect::<Vec<_>>();
    assert_eq!(told, [(pinned.fence.job, Some(new)), (fresh, Some(old)), (lacking, Some(old))]);
}

pub async fn a_version_that_is_deployed_again_stays_as_it_is(world: World) {
    world.deploy(1, &[("bill", Mode::Sync)]).await;
    let mut again = version(1, &[("bill", Mode::Async), ("ship", Mode::Sync)]);
    again.version = "2.0".into();
    assert!(world.storage.add_version(again.clone()).await.unwrap());
    let known = world.storage.version(&again.module, again.digest).await.unwrap().unwrap();
    assert_eq!((known.version.as_str(), known.handlers.len(), known.active), ("1.0", 1, true));
}
