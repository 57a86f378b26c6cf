//! The jobs that a job continues, and those that continue it.

use windlass_api::{ContinueOn, HandlerPath, JobId, Page, Relations, Relative};

use super::{
    RedisStorage,
    answer::List,
    conditions::read_on,
    fault::damaged,
    list::Cursor,
    record::{Record, id},
    script,
};
use crate::storage::StorageError;

/// No page is longer.
const MAX_PAGE: usize = 1000;

/// A parent or a child; of one that was removed, or cannot be read, no more is known than its id.
fn relative(job: JobId, record: &[u8], on: ContinueOn, met: bool) -> Relative {
    let record = if record.is_empty() { None } else { Record::read(job, record).ok() };
    let (path, state) = (record.as_ref().map(|record| record.path.clone()), record.map(|record| record.state));
    let (module, handler) = path.map(|HandlerPath { module, handler }| (module, handler)).unzip();
    Relative { id: job, module, handler, state, on, met }
}

fn on(number: u8, job: JobId) -> Result<ContinueOn, StorageError> {
    read_on(number).map_err(|why| damaged(format_args!("job {job}"), format_args!("what it continues: {why}")))
}

impl RedisStorage {
    pub(super) async fn relatives(
        &self,
        job: JobId,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Option<Relations>, StorageError> {
        let cursor = cursor.map(Cursor::parse).transpose()?;
        let mut call = self.call(&script::RELATIONS);
        call.arg(job.0.as_bytes());
        match &cursor {
            Some(cursor) => cursor.put(&mut call),
            None => call.arg("").arg(""),
        };
        call.arg(limit.clamp(1, MAX_PAGE));
        let mut answer = List::of(self.run_for(job, call).await?)?;
        if answer.is_empty() {
            return Ok(None);
        }
        let own_on = on(answer.number()?, job)?;
        let (mut given, mut parents) = (List::of(answer.next()?)?, Vec::new());
        while !given.is_empty() {
            let parent = id(&given.bytes()?)?;
            parents.push(relative(parent, &given.bytes()?, own_on, given.number::<i64>()? == 1));
        }
        let (mut given, mut children, mut last) = (List::of(answer.next()?)?, Vec::new(), None);
        while !given.is_empty() {
            let (seq, child) = (given.text()?, id(&given.bytes()?)?);
            let (record, its_on, met) = (given.bytes()?, on(given.number()?, child)?, given.number::<i64>()? == 1);
            children.push(relative(child, &record, its_on, met));
            last = Some(Cursor::parse(&format!("{seq}_{child}"))?.shown());
        }
        let more = answer.number::<i64>()? == 1;
        Ok(Some(Relations { parents, children: Page::new(children, last.filter(|_| more)) }))
    }
}
