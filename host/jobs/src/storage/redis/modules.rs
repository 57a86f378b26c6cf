//! Modules, their versions and their bytes.

use std::collections::BTreeMap;

use redis::cmd;
use windlass_api::{Digest, HandlerSpec, ModuleName, ModuleView, State, Timestamp, VersionView};

use super::{
    RedisStorage,
    answer::{self, List},
    bytes::{mode_number, state_number},
    fault::damaged,
    record::digest,
    script,
};
use crate::storage::{NewVersion, Retirement, Signal, StorageError};

/// A component is kept in parts of this size, so that no answer holds up the others on its connection for long: 1 MiB.
const PART: usize = 1024 * 1024;

/// How many jobs are looked at by one step of moving them to other lines.
const STEP: usize = 500;

/// A component's bytes, and what is known of it.
pub(super) struct VersionRow {
    pub(super) module: ModuleName,
    pub(super) view: VersionView,
}

pub(super) fn handlers_json(handlers: &[HandlerSpec]) -> Result<String, StorageError> {
    serde_json::to_string(handlers).map_err(|error| damaged("a version's handlers", error))
}

impl RedisStorage {
    fn component_key(&self, digest: Digest) -> Vec<u8> {
        [self.prefix.as_bytes(), b"b:", &digest.0].concat()
    }

    /// Stores a component's bytes, which nobody sees before a version names them. Where they are there, nothing is sent.
    pub(super) async fn put_component(&self, digest: Digest, bytes: &[u8]) -> Result<(), StorageError> {
        let mut call = self.call(&script::HAS_COMPONENT);
        call.arg(&digest.0).arg(bytes.len());
        if answer::number::<i64>(self.run(call).await?)? == 1 {
            return Ok(());
        }
        let key = self.component_key(digest);
        for (n, part) in bytes.chunks(PART).enumerate() {
            let mut command = cmd("HSET");
            command.arg(&key).arg(n).arg(part);
            self.link.ask(&command).await?;
        }
        let mut command = cmd("HSET");
        command.arg(&key).arg("size").arg(bytes.len());
        self.link.ask(&command).await.map(drop)
    }

    pub(super) async fn keep_version(&self, new: &NewVersion) -> Result<bool, StorageError> {
        // Of a version that is known, bytes that were lost come back thus.
        self.put_component(new.digest, &new.bytes).await?;
        let mut call = self.call(&script::ADD_VERSION);
        call.arg(new.module.as_str())
            .arg(&new.digest.0)
            .arg(new.bytes.len())
            .arg(&new.version)
            .arg(&new.sdk)
            .arg(handlers_json(&new.handlers)?)
            .arg("");
        Ok(answer::number::<i64>(self.run(call).await?)? == 1)
    }

    pub(super) async fn make_active(&self, module: &ModuleName, digest: Digest) -> Result<bool, StorageError> {
        let known = self.versions(Some(module)).await?;
        let Some(row) = known.into_iter().find(|row| row.view.digest == digest) else { return Ok(false) };
        let mut call = self.call(&script::ACTIVATE);
        call.arg(module.as_str()).arg(&digest.0);
        for spec in &row.view.handlers {
            call.arg(format!("{module}/{}", spec.name)).arg(mode_number(spec.mode));
        }
        let mut answer = List::of(self.run(call).await?)?;
        if answer.is_empty() {
            return Ok(false);
        }
        let activation = answer.text()?;
        self.hub.tell(Signal::Modules);
        self.rehome_all(&activation, answer).await?;
        Ok(true)
    }

    pub(super) async fn make_canary(
        &self,
        module: &ModuleName,
        digest: Digest,
        percent: u8,
    ) -> Result<bool, StorageError> {
        let known = self.versions(Some(module)).await?;
        let Some(row) = known.into_iter().find(|row| row.view.digest == digest) else { return Ok(false) };
        let mut call = self.call(&script::SET_CANARY);
        call.arg(module.as_str()).arg(&digest.0).arg(percent);
        for spec in &row.view.handlers {
            call.arg(format!("{module}/{}", spec.name));
        }
        let is_set = answer::number::<i64>(self.run(call).await?)? == 1;
        self.hub.tell(Signal::Modules);
        Ok(is_set)
    }

    pub(super) async fn drop_canary(&self, module: &ModuleName) -> Result<Option<Digest>, StorageError> {
        let mut call = self.call(&script::END_CANARY);
        call.arg(module.as_str());
        let Some(was) = answer::optional(self.run(call).await?)? else { return Ok(None) };
        self.hub.tell(Signal::Modules);
        digest(&was).map(Some).map_err(|why| damaged(format_args!("the canary of module {module}"), why))
    }

    /// Retires a version where no job is found that needs it. One that is pinned to it meanwhile, by a claim that was under way, finds
    /// it gone and is given back by its server.
    pub(super) async fn retire_version(&self, module: &ModuleName, digest: Digest) -> Result<Retirement, StorageError> {
        let known = self.versions(Some(module)).await?;
        let Some(row) = known.into_iter().find(|row| row.view.digest == digest) else {
            return Ok(Retirement::Unknown);
        };
        if row.view.active || row.view.canary_percent.is_some() {
            return Ok(Retirement::Live);
        }
        // Looked at again below: one that runs now may wait for its next attempt when those that wait have been looked at.
        let ran = self.count_pinned(module, digest, State::Processing).await?;
        let scheduled = self.count_pinned(module, digest, State::Scheduled).await?;
        let waiting = scheduled + self.count_pinned(module, digest, State::Enqueued).await?;
        let running = ran.max(self.count_pinned(module, digest, State::Processing).await?);
        if waiting + running > 0 {
            return Ok(Retirement::Needed { waiting, running });
        }
        let mut call = self.call(&script::RETIRE);
        call.arg(module.as_str()).arg(&digest.0);
        let retirement = match answer::text(self.run(call).await?)?.as_str() {
            "done" => Retirement::Done,
            "live" => Retirement::Live,
            _ => Retirement::Unknown,
        };
        self.hub.tell(Signal::Modules);
        Ok(retirement)
    }

    /// How many jobs in a state are pinned to a version.
    async fn count_pinned(&self, module: &ModuleName, digest: Digest, state: State) -> Result<u64, StorageError> {
        let (mut needed, mut from) = (0, "-inf".to_owned());
        while !from.is_empty() {
            let mut call = self.call(&script::NEEDED);
            call.arg(module.as_str()).arg(&digest.0).arg(state_number(state)).arg(&from).arg(STEP);
            let mut answer = List::of(self.run(call).await?)?;
            needed += answer.number::<u64>()?;
            from = answer.text()?;
        }
        Ok(needed)
    }

    /// Lets the jobs go that wait in a state and are pinned to a version; gives how many.
    pub(super) async fn let_go(&self, module: &ModuleName, digest: Digest, state: State) -> Result<u64, StorageError> {
        let (mut gone, mut from) = (0, "-inf".to_owned());
        while !from.is_empty() {
            let mut call = self.call(&script::UNPIN);
            call.arg(module.as_str()).arg(&digest.0).arg(state_number(state)).arg(&from).arg(STEP);
            let mut answer = List::of(self.run(call).await?)?;
            gone += answer.number::<u64>()?;
            from = answer.text()?;
        }
        self.hub.tell(Signal::Work);
        Ok(gone)
    }

    /// Moves all jobs of these handlers that an activation wants in other lines.
    pub(super) async fn rehome_all(&self, activation: &str, mut paths: List) -> Result<(), StorageError> {
        while !paths.is_empty() {
            let path = paths.text()?;
            while self.rehome(&path, activation).await? {}
        }
        Ok(())
    }

    /// Moves some jobs of a handler; gives whether there are more.
    pub(super) async fn rehome(&self, path: &str, activation: &str) -> Result<bool, StorageError> {
        let mut call = self.call(&script::REHOME);
        call.arg(path).arg(activation).arg(STEP);
        let more = answer::number::<i64>(self.run(call).await?)? == 1;
        self.hub.tell(Signal::Work);
        Ok(more)
    }

    /// Versions of a module, or of all, by module and then the newest first.
    pub(super) async fn versions(&self, module: Option<&ModuleName>) -> Result<Vec<VersionRow>, StorageError> {
        self.readable_versions(module).await?.into_iter().collect()
    }

    /// The same, each as far as it can be read.
    pub(super) async fn readable_versions(
        &self,
        module: Option<&ModuleName>,
    ) -> Result<Vec<Result<VersionRow, StorageError>>, StorageError> {
        let mut call = self.call(&script::MODULES);
        call.arg(module.map_or("", ModuleName::as_str));
        let mut answer = List::of(self.run(call).await?)?;
        let mut rows = Vec::new();
        while !answer.is_empty() {
            rows.push(read(&mut List::of(answer.next()?)?));
        }
        Ok(rows)
    }

    pub(super) async fn all_modules(&self) -> Result<Vec<ModuleView>, StorageError> {
        let mut modules = BTreeMap::<ModuleName, Vec<VersionView>>::new();
        for row in self.versions(None).await? {
            modules.entry(row.module).or_default().push(row.view);
        }
        Ok(modules.into_iter().map(|(name, versions)| ModuleView { name, versions }).collect())
    }

    pub(super) async fn bytes_of(&self, digest: Digest) -> Result<Option<Vec<u8>>, StorageError> {
        let key = self.component_key(digest);
        let field = |name: &dyn std::fmt::Display| {
            let mut command = cmd("HGET");
            command.arg(&key).arg(name.to_string());
            command
        };
        let Some(size) = answer::optional_number::<usize>(self.link.ask(&field(&"size")).await?)? else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        for n in 0..size.div_ceil(PART) {
            bytes.extend(answer::bytes(self.link.ask(&field(&n)).await?)?);
        }
        if bytes.len() != size {
            return Err(damaged(format_args!("the component {digest}"), "a part of it is missing"));
        }
        Ok(Some(bytes))
    }
}

fn read(fields: &mut List) -> Result<VersionRow, StorageError> {
    let module = fields.text()?.parse::<ModuleName>().map_err(|error| damaged("a module", error))?;
    let digest = digest(&fields.bytes()?).map_err(|why| damaged(format_args!("a version of module {module}"), why))?;
    let wrong = |why: &dyn std::fmt::Display| damaged(format_args!("version {digest} of module {module}"), why);
    let size_bytes = fields.text()?.parse().map_err(|error| wrong(&error))?;
    let (version, sdk) = (fields.text()?, fields.text()?);
    let handlers = serde_json::from_slice(&fields.bytes()?).map_err(|error| wrong(&error))?;
    let deployed_at = Timestamp(fields.text()?.parse().map_err(|error| wrong(&error))?);
    let active = fields.bytes()? == b"1";
    let canary_percent = Some(fields.number::<u8>()?).filter(|percent| *percent > 0);
    let retired_at = fields.text()?;
    let retired_at = (!retired_at.is_empty()).then(|| retired_at.parse().map(Timestamp)).transpose();
    let retired_at = retired_at.map_err(|error| wrong(&error))?;
    let view =
        VersionView { digest, size_bytes, version, sdk, handlers, deployed_at, active, canary_percent, retired_at };
    Ok(VersionRow { module, view })
}
