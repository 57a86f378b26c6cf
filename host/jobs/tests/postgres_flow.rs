//! What the suite cannot see of continuations, unique jobs and limits in PostgreSQL: very many children, several hosts at
//! once, transactions of the application's, damaged rows, and that plain jobs pay for none of it.
#![cfg(feature = "postgres")]
#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

mod postgres_room;

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use futures::future::join_all;
use postgres_room::{Namespace, claim, job, server, success};
use sqlx::{Connection as _, PgConnection};
use tokio::time::timeout;
use windlass_jobs::{
    Claimed, Conditions, NewJob,
    api::{After, AuditEntry, ContinueOn, Digest, JobId, LimitRule, LimitTarget, OnConflict, State, UniqueRule},
    storage::{
        AuditStore, Commanded, JobStore, LimitStore, Record, Refusal, ServerStore, StorageError, Transfer,
        postgres::PostgresStorage,
    },
};
use windlass_test_services::Postgres;

fn after(parents: &[JobId]) -> NewJob {
    let after = Some(After { jobs: parents.to_vec(), on: ContinueOn::Success });
    NewJob { conditions: Conditions { after, ..Conditions::default() }, ..job() }
}

fn only(key: u8) -> NewJob {
    let states = BTreeSet::from([State::Scheduled, State::Awaiting, State::Enqueued, State::Processing]);
    let rule = UniqueRule { key: Digest([key; 32]), states, period_ms: None, on_conflict: OnConflict::Reject };
    NewJob { conditions: Conditions { unique: Some(rule), ..Conditions::default() }, ..job() }
}

fn keyed(key: &str) -> NewJob {
    NewJob { conditions: Conditions { limit_key: Some(key.parse().unwrap()), ..Conditions::default() }, ..job() }
}

fn target(text: &str) -> LimitTarget {
    text.parse().unwrap()
}

fn at_once(concurrency: u32) -> LimitRule {
    LimitRule { concurrency: Some(concurrency), rate: None }
}

async fn state(storage: &PostgresStorage, id: JobId) -> State {
    storage.job(id).await.unwrap().unwrap().job.state
}

/// Promotes until nothing is left to do at once; gives how many steps it took, and the longest.
async fn promote_all(storage: &PostgresStorage, limit: usize) -> (usize, Duration) {
    let (mut steps, mut longest) = (0, Duration::ZERO);
    loop {
        let began = Instant::now();
        let promoted = storage.promote(limit).await.unwrap();
        longest = longest.max(began.elapsed());
        steps += 1;
        if promoted.next_in_ms != Some(0) {
            return (steps, longest);
        }
    }
}

#[tokio::test]
async fn a_chain_of_ten_thousand_is_deleted_step_by_step() {
    let namespace = Namespace::new();
    let storage = namespace.open().await;
    let first = job();
    let (parent, mut last) = (first.id, first.id);
    storage.enqueue(vec![first], "ann").await.unwrap();
    for _ in 0..10 {
        let mut jobs = Vec::new();
        for _ in 0..1_000 {
            jobs.push(after(&[last]));
            last = jobs.last().unwrap().id;
        }
        storage.enqueue(jobs, "ann").await.unwrap();
    }
    assert_eq!(storage.delete(parent, "ann").await.unwrap(), Commanded::Done(State::Deleted));
    let (steps, longest) = promote_all(&storage, 1_000).await;
    println!("{steps} promotions, the longest {longest:?}");
    assert!(steps >= 10);
    assert_eq!(state(&storage, last).await, State::Deleted);
    assert_eq!(storage.counts().await.unwrap().0, [(State::Deleted, 10_001)].into());
    assert_eq!(namespace.number("SELECT count(*) FROM @ripples").await, 0);
}

#[tokio::test]
async fn a_hundred_thousand_children_go_on_step_by_step() {
    let namespace = Namespace::new();
    let storage = namespace.open().await;
    let first = NewJob { queue: "first".parse().unwrap(), ..job() };
    let parent = first.id;
    storage.enqueue(vec![first], "ann").await.unwrap();
    for _ in 0..20 {
        let jobs = (0..5_000).map(|_| after(&[parent])).collect();
        storage.enqueue(jobs, "ann").await.unwrap();
    }
    let run = claim(&storage, server(&storage).await, 1).await.remove(0);
    let began = Instant::now();
    storage.settle(vec![success(&run)]).await.unwrap();
    let settling = began.elapsed();
    assert_eq!(storage.counts().await.unwrap().of(State::Enqueued), 100);
    let (steps, longest) = promote_all(&storage, 1_000).await;
    println!("the settlement took {settling:?}, then {steps} promotions, the longest {longest:?}");
    assert!(steps >= 99);
    assert_eq!(storage.counts().await.unwrap().of(State::Enqueued), 100_000);
    assert_eq!(namespace.number("SELECT count(*) FROM @edges WHERE NOT met").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn hosts_that_store_settle_and_command_the_same_jobs_at_once_never_wait_in_a_circle() {
    const KEYS: u8 = 6;
    // A server of its own, so that the circles that it counts are these.
    let own = Postgres::start().unwrap();
    let namespace = Namespace::on(&own.url());
    let storages = [namespace.open().await, namespace.open().await, namespace.open().await];
    let parents = (0..12).map(|_| job()).collect::<Vec<_>>();
    let ids = parents.iter().map(|parent| parent.id).collect::<Vec<_>>();
    storages[0].enqueue(parents, "ann").await.unwrap();
    let tasks = (0..12_u8).map(|n| {
        let (storage, ids) = (Arc::clone(&storages[usize::from(n) % 3]), ids.clone());
        tokio::spawn(async move {
            for round in 0..12_u8 {
                let mut random = fastrand::Rng::with_seed(u64::from(n) * 100 + u64::from(round));
                let mut keys = (0..KEYS).collect::<Vec<_>>();
                random.shuffle(&mut keys);
                let mut jobs = keys.iter().take(3).map(|key| only(*key)).collect::<Vec<_>>();
                let rule = jobs[2].conditions.unique.as_mut().unwrap();
                rule.on_conflict = OnConflict::Replace;
                let mut some = ids.clone();
                random.shuffle(&mut some);
                jobs.push(after(&some[..3]));
                let stored = match storage.enqueue(jobs, "ann").await {
                    Ok(_) => true,
                    Err(StorageError::Refused { .. }) => false,
                    Err(error) => panic!("{error}"),
                };
                let parent = ids[random.usize(..ids.len())];
                match random.u8(..4) {
                    0 => drop(storage.delete(parent, "ann").await.unwrap()),
                    1 => drop(storage.requeue(parent, Default::default(), "ann").await.unwrap()),
                    _ => drop(storage.promote(50).await.unwrap()),
                }
                if !stored {
                    let id = server(&storage).await;
                    let runs = claim(&storage, id, 2).await;
                    storage.settle(runs.iter().map(success).collect()).await.unwrap();
                }
            }
        })
    });
    for done in timeout(Duration::from_secs(300), join_all(tasks)).await.unwrap() {
        done.unwrap();
    }
    // Of each key, one unfinished job at most.
    let twice = "SELECT count(*) FROM (SELECT c.unique_key FROM @live l JOIN @conditions c ON c.seq = l.seq
        WHERE c.unique_key IS NOT NULL GROUP BY c.unique_key HAVING count(*) > 1) AS twice";
    assert_eq!(namespace.number(twice).await, 0);
    drop(storages);
    // What a session met is told when it ends.
    let others =
        "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
    while namespace.number(others).await > 0 {
        tokio::task::yield_now().await;
    }
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    assert_eq!(namespace.number(deadlocks).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn hosts_that_claim_at_once_keep_to_a_limit_also_while_it_changes() {
    let namespace = Namespace::new();
    let storages = [namespace.open().await, namespace.open().await, namespace.open().await];
    storages[0].put_limit(&target("key:a"), at_once(3)).await.unwrap();
    storages[0].enqueue((0..120).map(|_| keyed("a")).collect(), "ann").await.unwrap();
    let (running, left) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicI64::new(120)));
    let tasks = storages.iter().flat_map(|storage| [Arc::clone(storage), Arc::clone(storage)]).map(|storage| {
        let (running, left) = (Arc::clone(&running), Arc::clone(&left));
        tokio::spawn(async move {
            let id = server(&storage).await;
            while left.load(Ordering::SeqCst) > 0 {
                let runs = claim(&storage, id, 2).await;
                let amount = i64::try_from(runs.len()).unwrap();
                let now = running.fetch_add(amount, Ordering::SeqCst) + amount;
                assert!(now <= 3, "{now} run at once");
                // The place is free once the settlement is there, which is before it is answered.
                running.fetch_sub(amount, Ordering::SeqCst);
                storage.settle(runs.iter().map(success).collect::<Vec<_>>()).await.unwrap();
                left.fetch_sub(amount, Ordering::SeqCst);
                storage.promote(10).await.unwrap();
            }
        })
    });
    let changing = async {
        while left.load(Ordering::SeqCst) > 60 {
            storages[1].put_limit(&target("key:a"), at_once(2)).await.unwrap();
            storages[2].put_limit(&target("key:a"), at_once(3)).await.unwrap();
        }
    };
    let all = async { tokio::join!(join_all(tasks), changing).0 };
    for done in timeout(Duration::from_secs(300), all).await.unwrap() {
        done.unwrap();
    }
    let limits = storages[0].limits().await.unwrap();
    assert_eq!((limits[0].running, limits[0].held), (0, 0));
    assert_eq!(storages[0].counts().await.unwrap().0, [(State::Succeeded, 120)].into());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_starts_while_a_limit_is_put_is_counted_under_it() {
    let namespace = Namespace::new();
    let storages = [namespace.open().await, namespace.open().await];
    for _ in 0..15 {
        storages[0].enqueue((0..40).map(|_| job()).collect(), "ann").await.unwrap();
        let id = server(&storages[0]).await;
        let claiming = async {
            let mut runs = Vec::new();
            for _ in 0..10 {
                runs.extend(claim(&storages[0], id, 2).await);
            }
            runs
        };
        let limit = target("queue:default");
        let putting = storages[1].put_limit(&limit, at_once(1_000));
        let (runs, put) = tokio::join!(claiming, putting);
        put.unwrap();
        let counted = storages[1].limits().await.unwrap()[0].running;
        assert_eq!(usize::try_from(counted).unwrap(), runs.len());
        storages[0].settle(runs.iter().map(success).collect()).await.unwrap();
        assert_eq!(storages[1].limits().await.unwrap()[0].running, 0);
        assert!(storages[1].remove_limit(&limit).await.unwrap());
    }
}

#[tokio::test]
async fn a_claim_that_waited_for_the_limits_begins_no_run_before_its_job_was_made() {
    let namespace = Namespace::new();
    let storage = namespace.open().await;
    storage.put_limit(&target("queue:default"), at_once(5)).await.unwrap();
    let id = server(&storage).await;
    assert!(claim(&storage, id, 1).await.is_empty(), "the next claim knows that there are limits");
    let mut blocker = PgConnection::connect(namespace.base()).await.unwrap();
    let mut lock = blocker.begin().await.unwrap();
    let sql = format!("LOCK TABLE \"{}\".limits IN EXCLUSIVE MODE", namespace.name());
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut *lock).await.unwrap();
    let claiming = claim(&storage, id, 1);
    let made = async {
        let waiting = "SELECT count(*) FROM pg_locks l WHERE NOT l.granted AND l.relation = '@limits'::regclass";
        while namespace.number(waiting).await == 0 {
            tokio::task::yield_now().await;
        }
        let new = job();
        let made = new.id;
        storage.enqueue(vec![new], "ann").await.unwrap();
        lock.rollback().await.unwrap();
        made
    };
    let (runs, made) = tokio::join!(claiming, made);
    assert_eq!(runs.len(), 1);
    let times: Vec<_> = storage.job(made).await.unwrap().unwrap().history.iter().map(|line| line.at).collect();
    assert!(times.is_sorted(), "{times:?}");
}

#[tokio::test]
async fn a_refusal_leaves_the_applications_transaction_usable() {
    let namespace = Namespace::new();
    let storage = namespace.open().await;
    namespace.run("CREATE TABLE @orders (id bigint)").await;
    let holder = only(1);
    storage.enqueue(vec![holder.clone()], "ann").await.unwrap();
    let mut connection = PgConnection::connect(namespace.base()).await.unwrap();
    let mut transaction = connection.begin().await.unwrap();
    let insert = format!("INSERT INTO \"{}\".orders VALUES (7)", namespace.name());
    sqlx::raw_sql(sqlx::AssertSqlSafe(insert)).execute(&mut *transaction).await.unwrap();
    let refused = storage.enqueue_in(&mut transaction, &[job(), only(1)], "ann").await;
    let Err(StorageError::Refused { position: 1, refusal: Refusal::Conflict { holder: found } }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(found, holder.id);
    let missing = job().id;
    let refused = storage.enqueue_in(&mut transaction, &[after(&[missing])], "ann").await;
    assert!(matches!(refused, Err(StorageError::Refused { position: 0, .. })), "{refused:?}");
    let kept = only(2);
    storage.enqueue_in(&mut transaction, std::slice::from_ref(&kept), "ann").await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(state(&storage, kept.id).await, State::Enqueued);
    assert_eq!(namespace.number("SELECT count(*) FROM @orders").await, 1);
    assert_eq!(storage.counts().await.unwrap().0, [(State::Enqueued, 2)].into());
    assert_eq!(namespace.number("SELECT count(*) FROM @uniques").await, 2);
}

#[tokio::test]
async fn a_child_of_a_transaction_that_stays_open_keeps_no_parent_from_ending_and_is_not_forgotten() {
    let namespace = Namespace::new();
    let storage = namespace.open().await;
    let parents = [job(), job(), job()];
    let [ends, stays, fails] = parents.clone().map(|parent| parent.id);
    storage.enqueue(parents.to_vec(), "ann").await.unwrap();
    let id = server(&storage).await;
    let runs = claim(&storage, id, 3).await;
    let run = |job: JobId| runs.iter().find(|run| run.fence.job == job).unwrap();
    let mut connection = PgConnection::connect(namespace.base()).await.unwrap();
    let mut transaction = connection.begin().await.unwrap();
    let children = [after(&[ends]), after(&[stays, ends]), after(&[fails])];
    let [first, second, third] = children.clone().map(|child| child.id);
    storage.enqueue_in(&mut transaction, &children, "ann").await.unwrap();
    let settling = storage.settle(vec![success(run(ends))]);
    timeout(Duration::from_millis(1_500), settling).await.unwrap().unwrap()[0].unwrap();
    assert_eq!(storage.promote(10).await.unwrap().moved, 0);
    transaction.commit().await.unwrap();
    assert_eq!(storage.promote(10).await.unwrap().moved, 1);
    assert_eq!((state(&storage, first).await, state(&storage, second).await), (State::Enqueued, State::Awaiting));
    storage.settle(vec![success(run(stays))]).await.unwrap();
    assert_eq!(state(&storage, second).await, State::Enqueued, "its parents know of it by now");
    storage.leave(id).await.unwrap();
    storage.delete(fails, "ann").await.unwrap();
    assert_eq!(state(&storage, third).await, State::Deleted);
    assert_eq!(namespace.number("SELECT count(*) FROM @ripples").await, 0);
}

#[tokio::test]
async fn plain_jobs_leave_nothing_where_conditions_are_kept() {
    let namespace = Namespace::new();
    let storage = namespace.open().await;
    storage.enqueue((0..20).map(|_| job()).collect(), "ann").await.unwrap();
    let id = server(&storage).await;
    let runs = claim(&storage, id, 20).await;
    storage.settle(runs.iter().map(success).collect::<Vec<_>>()).await.unwrap();
    for table in ["conditions", "edges", "ripples", "uniques", "limited"] {
        assert_eq!(namespace.number(&format!("SELECT count(*) FROM @{table}")).await, 0, "{table}");
    }
    let marked = "SELECT count(*) FROM @ended WHERE traits IS NOT NULL";
    assert_eq!(namespace.number(marked).await, 0);
}

#[tokio::test]
async fn a_damaged_limit_key_or_entry_keeps_nobody_from_working() {
    let namespace = Namespace::new();
    let storage = namespace.open().await;
    storage.put_limit(&target("key:a"), at_once(1)).await.unwrap();
    let (whole, bad) = (keyed("a"), only(1));
    let bad_id = bad.id;
    storage.enqueue(vec![bad, whole], "ann").await.unwrap();
    let entry = AuditEntry {
        at: windlass_jobs::api::Timestamp(7),
        by: "api".into(),
        role: None,
        action: "POST /api/v1/jobs".into(),
        target: None,
        status: 200,
        from: None,
    };
    storage.record_audit(vec![entry.clone(), entry]).await.unwrap();
    namespace
        .run(
            "INSERT INTO @limits (target) VALUES ('nonsense'); UPDATE @conditions SET unique_key = 'x' WHERE unique_key IS NOT NULL;
             UPDATE @audit SET entry = '{' WHERE n = (SELECT min(n) FROM @audit)",
        )
        .await;
    let id = server(&storage).await;
    assert_eq!(claim(&storage, id, 9).await.len(), 2);
    assert_eq!(storage.limits().await.unwrap().len(), 1);
    assert_eq!(storage.audit(None, 10).await.unwrap().items.len(), 1);
    let (mut kinds, mut skipped, mut cursor) = (Vec::new(), Vec::new(), None::<String>);
    loop {
        let part = storage.export_readable(cursor.as_deref(), 100).await.unwrap();
        kinds.extend(part.items.iter().map(|record| match record {
            Record::Limit(_) => "limit",
            Record::Audit(_) => "audit",
            Record::Job(_) => "job",
            _ => "other",
        }));
        skipped.extend(part.skipped);
        cursor = part.next;
        if cursor.is_none() {
            break;
        }
    }
    let count = |kind: &str| kinds.iter().filter(|other| **other == kind).count();
    assert_eq!((count("limit"), count("audit"), count("job")), (1, 1, 1));
    assert!(skipped.iter().any(|skipped| skipped.starts_with("limit nonsense: ")), "{skipped:?}");
    assert!(skipped.iter().any(|skipped| skipped.contains("of the audit log: ")), "{skipped:?}");
    assert!(skipped.iter().any(|skipped| skipped.starts_with(&format!("job {bad_id}: "))), "{skipped:?}");
}

#[tokio::test]
async fn lines_of_keys_that_nobody_uses_any_more_are_removed() {
    let namespace = Namespace::new();
    let storage = namespace.open().await;
    storage.put_limit(&target("key:*"), at_once(1)).await.unwrap();
    let jobs = (0..30).map(|n| keyed(&format!("tenant {n}"))).collect();
    storage.enqueue(jobs, "ann").await.unwrap();
    let id = server(&storage).await;
    let mut runs = Vec::<Claimed>::new();
    while runs.len() < 30 {
        runs.extend(claim(&storage, id, 10).await);
    }
    storage.prune(100).await.unwrap();
    assert_eq!(namespace.number("SELECT count(*) FROM @limited").await, 30);
    storage.settle(runs.iter().map(success).collect::<Vec<_>>()).await.unwrap();
    storage.prune(100).await.unwrap();
    assert_eq!(namespace.number("SELECT count(*) FROM @limited").await, 0);
}
