//! Modules and versions.

use std::collections::BTreeMap;

use uuid::Uuid;
use windlass_api::{Digest, JobId, Mode, ModuleName, RequeueRequest, State, falls_to_canary};

use super::{
    moving::exported,
    world::{World, job, released, retry, success, told, version},
};
use crate::{
    NewJob, Next, Start,
    storage::{NewVersion, Retirement, Signal},
};

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

/// A job whose id ends in a number, so that it is known which share it falls into.
fn job_ending(end: u32) -> NewJob {
    NewJob { id: JobId(Uuid::from_u128((7 << 76) | (2 << 62) | u128::from(end))), ..job() }
}

async fn canary(world: &World) -> Option<(Digest, u8)> {
    let modules = world.storage.modules().await.unwrap();
    let mut shares = modules[0].versions.iter().filter_map(|version| Some((version.digest, version.canary_percent?)));
    let canary = shares.next();
    assert_eq!(shares.next(), None);
    let live = world.storage.live_versions(&shop()).await.unwrap();
    let beside = live.iter().filter(|version| !version.active).map(|version| version.digest).collect::<Vec<_>>();
    assert_eq!(beside, canary.map(|(digest, _)| digest).into_iter().collect::<Vec<_>>());
    canary
}

pub async fn a_canary_gets_the_jobs_that_fall_to_it_and_those_only(world: World) {
    let server = world.server().await;
    let active = world.deploy(1, &[("bill", Mode::Sync)]).await;
    let new = version(2, &[("bill", Mode::Sync)]);
    assert!(!world.storage.set_canary(&shop(), new.digest, 30).await.unwrap(), "it is not known yet");
    world.storage.add_version(new.clone()).await.unwrap();
    let mut signals = world.storage.wake().map(crate::storage::Wake::signals);
    assert!(world.storage.set_canary(&shop(), new.digest, 30).await.unwrap());
    if let Some(signals) = &mut signals {
        told(signals, Signal::Modules).await;
    }
    assert_eq!(canary(&world).await, Some((new.digest, 30)));
    let live = world.storage.live_versions(&shop()).await.unwrap();
    assert_eq!(live.iter().map(|version| version.digest).collect::<Vec<_>>(), [active, new.digest]);
    // The ends of the ids reach over all 32 bits.
    let ends = [0, 29, 30, 99, 129, 130, 4_294_967_295, 4_294_967_229, 2_147_483_648, 3_000_000_029, 3_000_000_030];
    for end in ends {
        world.add(job_ending(end)).await;
    }
    let runs = world.claim(server, 99, 0).await;
    assert_eq!(runs.len(), ends.len());
    for run in &runs {
        let expected = if falls_to_canary(run.fence.job, 30) { new.digest } else { active };
        assert_eq!(run.version, Some(expected), "{}", run.fence.job);
    }
    // Whoever has begun keeps its version when the canary ends.
    assert_eq!(world.storage.end_canary(&shop()).await.unwrap(), Some(new.digest));
    assert_eq!(world.storage.end_canary(&shop()).await.unwrap(), None);
    assert_eq!(canary(&world).await, None);
    world.settle(&runs[0], released()).await.unwrap();
    assert_eq!(world.claim_one(server).await.version, Some(new.digest));
    world.add(job_ending(100)).await;
    assert_eq!(world.claim_one(server).await.version, Some(active));
}

pub async fn a_canary_gets_no_job_for_a_handler_that_it_lacks(world: World) {
    let server = world.server().await;
    let active = world.deploy(1, &[("bill", Mode::Sync), ("ship", Mode::Sync)]).await;
    world.storage.add_version(version(2, &[("ship", Mode::Sync)])).await.unwrap();
    assert!(world.storage.set_canary(&shop(), Digest([2; 32]), 100).await.unwrap());
    world.add(job()).await;
    assert_eq!(world.claim_one(server).await.version, Some(active));
    world.add(NewJob { handler: "ship".parse().unwrap(), ..job() }).await;
    assert_eq!(world.claim_one(server).await.version, Some(Digest([2; 32])));
    // A handler that the active version lacks is not there for the canary's having it.
    world.storage.add_version(version(3, &[("bill", Mode::Sync), ("wrap", Mode::Sync)])).await.unwrap();
    assert!(world.storage.set_canary(&shop(), Digest([3; 32]), 100).await.unwrap());
    let new = NewJob { handler: "wrap".parse().unwrap(), start: Start::WithHandler, ..job() };
    let id = world.add(new).await;
    assert_eq!(world.state(id).await, State::Awaiting);
    world.add(NewJob { handler: "ship".parse().unwrap(), ..job() }).await;
    assert_eq!(world.claim_one(server).await.version, Some(active));
}

pub async fn an_activation_ends_the_canary(world: World) {
    let server = world.server().await;
    world.deploy(1, &[("bill", Mode::Sync)]).await;
    world.storage.add_version(version(2, &[("bill", Mode::Sync)])).await.unwrap();
    world.storage.set_canary(&shop(), Digest([2; 32]), 100).await.unwrap();
    assert!(!world.storage.activate(&shop(), Digest([9; 32])).await.unwrap());
    assert_eq!(canary(&world).await, Some((Digest([2; 32]), 100)), "nothing was activated");
    assert!(world.storage.activate(&shop(), Digest([2; 32])).await.unwrap());
    assert_eq!(canary(&world).await, None);
    world.storage.set_canary(&shop(), Digest([1; 32]), 100).await.unwrap();
    let third = world.deploy(3, &[("bill", Mode::Sync)]).await;
    assert_eq!(canary(&world).await, None);
    world.add(job()).await;
    assert_eq!(world.claim_one(server).await.version, Some(third));
}

pub async fn a_module_has_one_canary_at_most(world: World) {
    let server = world.server().await;
    let active = world.deploy(1, &[("bill", Mode::Sync), ("ship", Mode::Sync)]).await;
    let second = version(2, &[("bill", Mode::Sync), ("ship", Mode::Sync)]);
    let third = version(3, &[("bill", Mode::Async)]);
    for new in [&second, &third] {
        world.storage.add_version(new.clone()).await.unwrap();
    }
    assert!(world.storage.set_canary(&shop(), second.digest, 5).await.unwrap());
    assert!(world.storage.set_canary(&shop(), second.digest, 100).await.unwrap());
    assert_eq!(canary(&world).await, Some((second.digest, 100)));
    assert!(world.storage.set_canary(&shop(), third.digest, 100).await.unwrap());
    assert_eq!(canary(&world).await, Some((third.digest, 100)));
    world.add(job()).await;
    let run = world.claim_one(server).await;
    assert_eq!((run.version, run.mode), (Some(third.digest), Mode::Sync), "its mode was given when it was made");
    world.add(NewJob { handler: "ship".parse().unwrap(), ..job() }).await;
    assert_eq!(world.claim_one(server).await.version, Some(active), "the canary before has no share any more");
}

pub async fn jobs_that_wait_on_a_version_are_let_go(world: World) {
    let server = world.server().await;
    let active = world.deploy(1, &[("bill", Mode::Sync)]).await;
    let canary = version(2, &[("bill", Mode::Async)]).digest;
    world.storage.add_version(version(2, &[("bill", Mode::Async)])).await.unwrap();
    let before = world.add(job()).await;
    let run = world.claim_one(server).await;
    world.settle(&run, retry(10)).await.unwrap();
    world.storage.set_canary(&shop(), canary, 100).await.unwrap();
    let in_line = Next::Released { reason: "other-mode".into(), mode: Mode::Async };
    let mut ids = Vec::new();
    for next in [Some(retry(10)), Some(success()), None, Some(in_line)] {
        ids.push(world.add(job()).await);
        let run = world.claim_one(server).await;
        assert_eq!(run.version, Some(canary));
        if let Some(next) = next {
            world.settle(&run, next).await.unwrap();
        }
    }
    world.storage.end_canary(&shop()).await.unwrap();
    assert_eq!(world.storage.unpin(&shop(), Digest([9; 32])).await.unwrap(), 0, "there is no such version");
    assert_eq!(world.storage.unpin(&shop(), canary).await.unwrap(), 2);
    for (id, version, mode) in [
        (ids[0], None, Mode::Sync),
        (ids[1], Some(canary), Mode::Sync),
        (ids[2], Some(canary), Mode::Sync),
        (ids[3], None, Mode::Sync),
        (before, Some(active), Mode::Sync),
    ] {
        let shown = world.detail(id).await.job;
        assert_eq!((shown.version, shown.mode), (version, mode), "{id}");
    }
    assert_eq!(world.storage.unpin(&shop(), canary).await.unwrap(), 0);
    world.clock.advance_ms(10);
    world.promote().await;
    let runs = world.claim(server, 9, 9).await.into_iter().map(|run| (run.fence.job, run.version));
    let expected = [ids[0], ids[3], before].map(|id| (id, Some(active)));
    assert_eq!(runs.collect::<BTreeMap<_, _>>(), BTreeMap::from(expected));
}

pub async fn a_canary_is_moved_with_its_share(world: World) {
    let active = world.deploy(1, &[("bill", Mode::Sync)]).await;
    world.storage.add_version(version(2, &[("bill", Mode::Sync)])).await.unwrap();
    let share = (Digest([2; 32]), 40);
    world.storage.set_canary(&shop(), share.0, share.1).await.unwrap();
    let records = exported(&world, 1).await;
    // The canary comes first, so that what follows must not end it.
    for reversed in [false, true] {
        let mut records = records.clone();
        if reversed {
            records.reverse();
        }
        let other = world.another().await;
        for record in records {
            other.storage.import(vec![record]).await.unwrap();
        }
        assert_eq!(canary(&other).await, Some(share));
        assert_eq!(other.storage.active_version(&shop()).await.unwrap().map(|version| version.digest), Some(active));
        let server = other.server().await;
        for (end, version) in [(39, share.0), (40, active)] {
            other.add(job_ending(end)).await;
            assert_eq!(other.claim_one(server).await.version, Some(version));
        }
    }
    // What a storage has set itself stays.
    let other = world.another().await;
    other.storage.add_version(version(3, &[("bill", Mode::Sync)])).await.unwrap();
    other.storage.set_canary(&shop(), Digest([3; 32]), 7).await.unwrap();
    other.storage.import(records).await.unwrap();
    assert_eq!(canary(&other).await, Some((Digest([3; 32]), 7)));
}

pub async fn a_version_that_nobody_needs_is_retired_and_comes_back_when_it_is_deployed_again(world: World) {
    let server = world.server().await;
    let new = version(1, &[("bill", Mode::Sync)]);
    let old = world.deploy(1, &[("bill", Mode::Sync)]).await;
    // One that has ended needs it no more.
    world.add(job()).await;
    let run = world.claim_one(server).await;
    world.settle(&run, success()).await.unwrap();
    assert_eq!(world.storage.retire(&shop(), Digest([9; 32])).await.unwrap(), Retirement::Unknown);
    let active = world.deploy(2, &[("bill", Mode::Sync)]).await;
    world.clock.advance_ms(5);
    let mut signals = world.storage.wake().map(crate::storage::Wake::signals);
    assert_eq!(world.storage.retire(&shop(), old).await.unwrap(), Retirement::Done);
    if let Some(signals) = &mut signals {
        told(signals, Signal::Modules).await;
    }
    assert_eq!(world.storage.retire(&shop(), old).await.unwrap(), Retirement::Done);
    let shown = world.storage.version(&shop(), old).await.unwrap().unwrap();
    assert_eq!(shown.retired_at, Some(world.now()));
    assert_eq!(world.storage.component(old).await.unwrap(), None);
    assert!(!world.storage.activate(&shop(), old).await.unwrap());
    assert!(!world.storage.set_canary(&shop(), old, 100).await.unwrap());
    assert_eq!(world.storage.active_version(&shop()).await.unwrap().map(|version| version.digest), Some(active));
    assert_eq!(world.detail(run.fence.job).await.job.version, Some(old), "what has ended still tells what it ran on");
    let records = exported(&world, 100).await;
    let other = world.another().await;
    other.storage.import(records).await.unwrap();
    assert_eq!(other.storage.version(&shop(), old).await.unwrap(), None, "there is nothing to be moved");
    assert_eq!(other.detail(run.fence.job).await.job.state, State::Succeeded);

    assert!(world.storage.add_version(new.clone()).await.unwrap(), "it is known");
    assert_eq!(world.storage.version(&shop(), old).await.unwrap().unwrap().retired_at, None);
    assert_eq!(world.storage.component(old).await.unwrap(), Some(new.bytes));
    assert!(world.storage.activate(&shop(), old).await.unwrap());
}

pub async fn a_version_that_is_live_or_that_jobs_need_is_not_retired(world: World) {
    let server = world.server().await;
    let old = world.deploy(1, &[("bill", Mode::Sync)]).await;
    assert_eq!(world.storage.retire(&shop(), old).await.unwrap(), Retirement::Live);
    for next in [Some(retry(10)), Some(success()), None, Some(released())] {
        world.add(job()).await;
        let run = world.claim_one(server).await;
        if let Some(next) = next {
            world.settle(&run, next).await.unwrap();
        }
    }
    world.deploy(2, &[("bill", Mode::Sync)]).await;
    // Those that have not begun need none of them.
    world.add(job()).await;
    let needed = Retirement::Needed { waiting: 2, running: 1 };
    assert_eq!(world.storage.retire(&shop(), old).await.unwrap(), needed);
    assert!(world.storage.component(old).await.unwrap().is_some());
    world.storage.set_canary(&shop(), old, 1).await.unwrap();
    assert_eq!(world.storage.retire(&shop(), old).await.unwrap(), Retirement::Live);
    world.storage.end_canary(&shop()).await.unwrap();
    assert_eq!(world.storage.unpin(&shop(), old).await.unwrap(), 2);
    let needed = Retirement::Needed { waiting: 0, running: 1 };
    assert_eq!(world.storage.retire(&shop(), old).await.unwrap(), needed);
    world.lose(server).await;
    let needed = Retirement::Needed { waiting: 1, running: 0 };
    assert_eq!(world.storage.retire(&shop(), old).await.unwrap(), needed);
    assert_eq!(world.storage.unpin(&shop(), old).await.unwrap(), 1);
    assert_eq!(world.storage.retire(&shop(), old).await.unwrap(), Retirement::Done);
}

pub async fn a_component_stays_while_another_module_has_it(world: World) {
    let old = world.deploy(1, &[("bill", Mode::Sync)]).await;
    world.deploy(2, &[("bill", Mode::Sync)]).await;
    let module: ModuleName = "store".parse().unwrap();
    let same = NewVersion { module: module.clone(), ..version(1, &[("bill", Mode::Sync)]) };
    world.storage.add_version(same).await.unwrap();
    assert_eq!(world.storage.retire(&shop(), old).await.unwrap(), Retirement::Done);
    assert!(world.storage.component(old).await.unwrap().is_some());
    assert!(world.storage.activate(&module, old).await.unwrap());
    world.storage.add_version(NewVersion { module: module.clone(), ..version(3, &[]) }).await.unwrap();
    assert!(world.storage.activate(&module, Digest([3; 32])).await.unwrap());
    assert_eq!(world.storage.retire(&module, old).await.unwrap(), Retirement::Done);
    assert_eq!(world.storage.component(old).await.unwrap(), None);
}
