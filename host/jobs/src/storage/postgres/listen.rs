//! The task that hears what other processes tell, over a connection of its own. Where none comes through, it looks each
//! second instead.
//!
//! A host that finds less work than it has slots asks to be told; whoever stores a job next takes that wish back and sends
//! one notification. So a busy host costs no notification, of which PostgreSQL can send only some thousand a second.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use uuid::Uuid;

use super::{
    commands,
    core::{Core, attempt},
    fault::Fault,
    news::News,
    tx::{Kind, Tx},
};
use crate::storage::Signal;

/// How often to look where notifications do not come through, and for what may be missed where they do.
const TICK: Duration = Duration::from_secs(1);

/// How long a ping may take.
const PING: Duration = Duration::from_secs(3);

/// How often a ping is sent to see that notifications still come through.
const PING_EVERY: Duration = Duration::from_secs(10);

/// How long to wait before the connection is made anew: at first, and at most.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(15);

/// How long a wish to be told of ends holds; it is renewed while somebody waits.
const ENDS_WISH_S: i32 = 10;

/// How long a wish to be told of work holds at most: it ends with the telling.
pub(super) const WORK_WISH_S: i32 = 24 * 3_600;

/// Listens and looks as long as the storage is there.
pub(super) async fn run(core: Arc<Core>) {
    core.hub.wanted.notified().await;
    if core.may_listen {
        tokio::join!(listen(&core), tick(&core));
    } else {
        tick(&core).await;
    }
}

/// Keeps a connection for notifications.
async fn listen(core: &Core) {
    let mut wait = FIRST_WAIT;
    loop {
        let began = Instant::now();
        let ended = hear(core).await;
        core.hub.listening.store(false, Ordering::Release);
        // What was asked for may have been lost with the connection, and the telling of it too.
        core.hub.has_wish.store(false, Ordering::Release);
        core.hub.signal(Signal::Work);
        match ended {
            Ok(()) => {
                tracing::info!(storage = core.name, "notifications do not come through; looking each second instead");
            }
            Err(fault) => tracing::debug!(storage = core.name, ?fault, "the connection for notifications broke"),
        }
        if began.elapsed() > LONGEST_WAIT {
            wait = FIRST_WAIT;
        }
        sleep(wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// Hears until the connection breaks, or a ping does not come back.
async fn hear(core: &Core) -> Result<(), Fault> {
    let options = core.lanes.options().clone();
    let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(PING).connect_lazy_with(options);
    let late = |_| Fault::Late(PING);
    let mut listener = timeout(PING * 2, PgListener::connect_with(&pool)).await.map_err(late)??;
    timeout(PING, listener.listen(&core.channel)).await.map_err(late)??;
    let mut ping = Some(send_ping(core).await?);
    let mut pinged_at = Instant::now();
    loop {
        let until = pinged_at + if ping.is_some() { PING } else { PING_EVERY };
        match tokio::time::timeout_at(until, listener.try_recv()).await {
            Ok(Ok(Some(notification))) => match News::read(notification.payload()) {
                Some(News::Ping(id)) if ping != Some(id) => {}
                Some(News::Ping(_)) => {
                    ping = None;
                    if !core.hub.listening.swap(true, Ordering::AcqRel) {
                        // What was told before was told to nobody.
                        core.hub.signal(Signal::Work);
                        core.hub.signal(Signal::Modules);
                    }
                }
                Some(news) => tell(core, news),
                None => {}
            },
            Ok(Ok(None)) => return Err(Fault::Again),
            Ok(Err(error)) => return Err(error.into()),
            Err(_) if ping.is_some() => return Ok(()),
            Err(_) => {
                ping = Some(send_ping(core).await?);
                pinged_at = Instant::now();
            }
        }
    }
}

async fn send_ping(core: &Core) -> Result<Uuid, Fault> {
    let id = Uuid::new_v4();
    core.notify(&[News::Ping(id).write()]).await.map_err(|_| Fault::Late(PING))?;
    Ok(id)
}

fn tell(core: &Core, news: News) {
    match news {
        News::Work => {
            core.hub.has_wish.store(false, Ordering::Release);
            core.hub.signal(Signal::Work);
        }
        News::Modules => core.hub.signal(Signal::Modules),
        News::Cancel(fence) => core.hub.signal(Signal::Cancel(fence)),
        News::Ends(jobs) => jobs.into_iter().for_each(|job| core.hub.end(job)),
        News::EndsWanted => core.hub.ends_wanted.store(true, Ordering::Relaxed),
        News::Ping(_) => {}
    }
}

/// Looks each second for what nobody tells.
async fn tick(core: &Core) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut seen_modules = None;
    let mut wished_at = None::<Instant>;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            // Somebody has begun to listen: it may be for ends.
            () = core.hub.wanted.notified() => {}
        }
        if !core.hub.is_heard() {
            continue;
        }
        let renew_after = Duration::from_secs(ENDS_WISH_S.unsigned_abs().into()) / 2;
        if core.hub.waits_for_ends() && core.hub.is_listening() && wished_at.is_none_or(|at| at.elapsed() > renew_after)
        {
            let is_new = wished_at.is_none_or(|at| at.elapsed() > 2 * renew_after);
            let wished = core.wish(2, ENDS_WISH_S).await.is_ok();
            if wished && is_new {
                let _ = core.notify(&[News::EndsWanted.write()]).await;
            }
            wished_at = wished.then(Instant::now);
        }
        let Ok((ends_wanted, modules)) = core.look_around().await else { continue };
        core.hub.ends_wanted.store(ends_wanted, Ordering::Relaxed);
        if core.hub.is_listening() {
            seen_modules = Some(modules);
            continue;
        }
        core.hub.signal(Signal::Work);
        if seen_modules.replace(modules) != Some(modules) {
            core.hub.signal(Signal::Modules);
        }
        let asked = async |tx: &mut Tx<'_>| commands::asked_runs(tx, None).await;
        if let Ok(runs) = attempt!(core, Kind::Single, |tx| asked(tx)).0 {
            runs.into_iter().for_each(|run| core.hub.signal(Signal::Cancel(run)));
        }
    }
}

/// After a claim that found less than there is room for: asks to be told of work, and has the host look once more, since
/// some may have come in between.
pub(super) fn ask_for_work(core: &Arc<Core>) {
    if !core.hub.is_listening() || core.hub.has_wish.swap(true, Ordering::AcqRel) {
        return;
    }
    let home = core.lanes.home.clone();
    let core = Arc::clone(core);
    home.spawn(async move {
        match core.wish(1, WORK_WISH_S).await {
            Ok(()) => core.hub.signal(Signal::Work),
            Err(error) => {
                tracing::debug!(%error, "failed to ask to be told of work");
                core.hub.has_wish.store(false, Ordering::Release);
            }
        }
    });
}

/// Takes our wishes back, so that nobody tells a process that is gone.
pub(super) async fn forget(core: &Core) {
    let forget = async |tx: &mut Tx<'_>| {
        let query = tx.query("DELETE FROM @wishes WHERE listener = $1").bind(core.listener);
        tx.run(query).await.map(drop)
    };
    let _ = attempt!(core, Kind::Single, |tx| forget(tx)).0;
}
