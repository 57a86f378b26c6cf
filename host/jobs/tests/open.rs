//! Storages opened by their URLs, as hosts and applications open them.
#![cfg(all(feature = "redis", feature = "sqlite"))]
#![expect(clippy::unwrap_used, reason = "a test may fail")]

use windlass_api::{JobRequest, Json};
use windlass_jobs::{
    Client,
    storage::{OpenOptions, Storage, StorageError, StorageUrl, migrate, open},
};
use windlass_test_services::Redis;

async fn records(storage: &dyn Storage) -> Vec<serde_json::Value> {
    let page = storage.export(None, 1_000).await.unwrap();
    assert_eq!(page.next, None);
    page.items.iter().map(|record| serde_json::to_value(record).unwrap()).collect()
}

#[tokio::test]
async fn everything_moves_from_sqlite_to_redis_and_back() {
    let (folder, redis) = (tempfile::tempdir().unwrap(), Redis::start().unwrap());
    let file = |name: &str| StorageUrl::sqlite(folder.path().join(name));
    let urls = [file("a.db"), redis.url().parse().unwrap(), file("b.db")];
    let first = open(&urls[0], OpenOptions::host()).await.unwrap();
    let client = Client::new(first.clone()).acting_as("ann");
    for number in 0..20 {
        let mut request = JobRequest::new("a/b".parse().unwrap(), Json::write(&number).unwrap());
        request.wait_for_handler = true;
        request.tags = vec![format!("t{}", number % 3)];
        client.enqueue(request).await.unwrap();
    }
    client.pause(&"mail".parse().unwrap()).await.unwrap();
    let before = records(&*first).await;
    let mut storage = first;
    for url in &urls[1..] {
        let next = open(url, OpenOptions::default()).await.unwrap();
        let exported = storage.export(None, 1_000).await.unwrap().items;
        assert_eq!(next.import(exported.clone()).await.unwrap(), before.len(), "{url}");
        assert_eq!(next.import(exported).await.unwrap(), 0, "{url}");
        assert_eq!(records(&*next).await, before, "{url}");
        storage = next;
    }
    let migrated = migrate(&urls[1]).await.unwrap();
    assert_eq!(migrated.from, Some(migrated.to));
}

#[tokio::test]
async fn a_redis_that_is_away_may_come_back_and_a_wrong_password_stays_wrong() {
    let redis = Redis::options().password("hunter2").start().unwrap();
    let right: StorageUrl = redis.url().parse().unwrap();
    let wrong: StorageUrl = redis.url().replace("hunter2", "hunter3").parse().unwrap();
    assert!(!format!("{right} {right:?}").contains("hunter2"));
    match open(&wrong, OpenOptions::host()).await {
        Err(StorageError::Unusable(text)) => assert!(!text.contains("hunter"), "{text}"),
        Err(error) => panic!("{error:?}"),
        Ok(_) => panic!("it was opened"),
    }
    open(&right, OpenOptions::host()).await.unwrap();
    drop(redis);
    assert!(matches!(open(&right, OpenOptions::host()).await, Err(StorageError::Unavailable(_))));
}
