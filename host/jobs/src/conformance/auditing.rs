//! Who did what.

use windlass_api::{AuditEntry, Role};

use super::world::World;

fn entry(world: &World, number: u32) -> AuditEntry {
    AuditEntry {
        at: world.now(),
        by: "token ünï".into(),
        role: (!number.is_multiple_of(2)).then_some(Role::Operator),
        action: "POST /api/v1/queues/{name}/pause".into(),
        target: Some(format!("mail-{number}")),
        status: 204,
        from: number.is_multiple_of(3).then(|| "127.0.0.1".to_owned()),
    }
}

async fn all(world: &World, limit: usize) -> Vec<AuditEntry> {
    let (mut entries, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let page = world.storage.audit(cursor.as_deref(), limit).await.unwrap();
        assert!(page.items.len() <= limit);
        entries.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            return entries;
        }
    }
}

pub async fn entries_are_read_from_the_newest_on_page_by_page(world: World) {
    assert!(all(&world, 10).await.is_empty());
    let entries = (0..7).map(|number| entry(&world, number)).collect::<Vec<_>>();
    for part in entries.chunks(3) {
        world.storage.record_audit(part.to_vec()).await.unwrap();
    }
    let expected = entries.into_iter().rev().collect::<Vec<_>>();
    assert_eq!(all(&world, 2).await, expected);
    assert_eq!(all(&world, 100).await, expected);
}

pub async fn a_cursor_that_is_none_of_the_audit_log_is_refused(world: World) {
    for cursor in ["x", "-", "1:2:3"] {
        let refused = world.storage.audit(Some(cursor), 10).await;
        assert!(matches!(refused, Err(crate::storage::StorageError::InvalidCursor(_))), "{cursor}: {refused:?}");
    }
}

pub async fn old_entries_are_pruned(world: World) {
    world.storage.record_audit(vec![entry(&world, 1)]).await.unwrap();
    world.clock.advance_ms(90 * 24 * 3_600_000 - 1);
    world.storage.record_audit(vec![entry(&world, 2)]).await.unwrap();
    world.storage.prune(100).await.unwrap();
    assert_eq!(all(&world, 10).await.len(), 2);
    world.clock.advance_ms(1);
    world.storage.prune(100).await.unwrap();
    assert_eq!(all(&world, 10).await.len(), 1);
}

pub async fn the_audit_log_is_moved_where_there_is_none_yet(world: World) {
    let entries = (0..7).map(|number| entry(&world, number)).collect::<Vec<_>>();
    world.storage.record_audit(entries).await.unwrap();
    let other = world.another().await;
    let records = super::moving::exported(&world, 3).await;
    other.storage.import(records.clone()).await.unwrap();
    assert_eq!(all(&other, 10).await, all(&world, 10).await);
    assert_eq!(super::moving::exported(&other, 100).await, records);
    other.storage.import(records).await.unwrap();
    assert_eq!(all(&other, 10).await.len(), 7, "it has one already");
}

pub async fn entries_that_are_alike_stay_as_many_however_they_are_moved(world: World) {
    world
        .storage
        .record_audit(vec![entry(&world, 1), entry(&world, 1), entry(&world, 2), entry(&world, 1)])
        .await
        .unwrap();
    let other = world.another().await;
    let records = super::moving::exported(&world, 3).await;
    for record in &records {
        other.storage.import(vec![record.clone()]).await.unwrap();
    }
    assert_eq!(all(&other, 10).await, all(&world, 10).await);
    // A part that comes again, as after an answer that was lost, adds nothing; nor does what was moved on from there.
    other.storage.import(records.clone()).await.unwrap();
    assert_eq!(super::moving::exported(&other, 100).await, records);
    let third = world.another().await;
    third.storage.import(records[..2].to_vec()).await.unwrap();
    third.storage.import(super::moving::exported(&other, 100).await).await.unwrap();
    assert_eq!(all(&third, 10).await, all(&world, 10).await);
}
