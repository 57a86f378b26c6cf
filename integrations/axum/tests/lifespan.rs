//! From the start of an application's host to its end, and the settings that it has.

use std::{fs, future::ready};

use anyhow::Result;
use axum::{
    body::{Body, to_bytes},
    http::{Request, StatusCode, request::Parts},
};
use tower::ServiceExt as _;
use windlass_axum::{
    PluginError, Visitor, Windlass,
    config::{self, Settings},
    jobs::{
        api::{Problem, ProblemCode, Role},
        storage::StorageUrl,
    },
    open,
};

async fn admin(_: Parts) -> Result<Visitor, StatusCode> {
    Ok(Visitor::new("ann", Role::Admin))
}

fn settings(folder: &tempfile::TempDir) -> Settings {
    let storage = StorageUrl::sqlite(folder.path().join("jobs.db"));
    Settings {
        storage,
        sync_slots: 1,
        async_slots: 1,
        cache_dir: Some(folder.path().join("cache")),
        ..Settings::default()
    }
}

async fn windlass(settings: &Settings) -> Result<Windlass> {
    Ok(Windlass::new(open(settings).await?).dashboard("/jobs", admin)?)
}

async fn post(windlass: &Windlass, path: &str) -> Result<Problem> {
    let request = Request::post(format!("/jobs/api/v1/{path}")).body(Body::from("no component"))?;
    let answer = windlass.routes::<()>().oneshot(request).await?;
    Ok(serde_json::from_slice(&to_bytes(answer.into_body(), 1 << 20).await?)?)
}

#[tokio::test]
async fn without_the_hosts_settings_no_component_is_taken() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let windlass = windlass(&settings(&folder)).await?;
    windlass.start().await?;
    let told = post(&windlass, "modules").await?;
    assert_eq!(told.code, ProblemCode::Conflict);
    assert!(told.detail.contains("deploy to a host, or have the application give"), "{}", told.detail);
    windlass.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_dashboard_without_a_worker_keeps_to_the_hosts_settings() -> Result<()> {
    for (text, path, code, detail) in [
        ("", "modules", ProblemCode::ModuleRefused, "this is not WebAssembly"),
        (
            "[signatures]\ntrusted = [\"RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3\"]",
            "modules",
            ProblemCode::ModuleRefused,
            "it came without a signature",
        ),
        ("[compile]\ncomponent = \"4B\"", "modules", ProblemCode::TooLarge, "over the limit of 4 bytes"),
        ("[access]\nread_only = true", "queues/default/pause", ProblemCode::ReadOnly, "only to be read"),
    ] {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("windlass.toml");
        fs::write(&file, text)?;
        let Settings { storage, cache_dir, .. } = settings(&folder);
        let given = config::load(Some(&file), config::Overrides::default())?;
        let given = Settings { storage, cache_dir, ..given };
        let windlass = windlass(&given).await?.settings(given);
        windlass.start().await?;
        let told = post(&windlass, path).await?;
        assert_eq!(told.code, code, "{text}: {}", told.detail);
        assert!(told.detail.contains(detail), "{text}: {}", told.detail);
        windlass.stop().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_start_that_was_given_up_is_made_again() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let settings = settings(&folder);
    let windlass = windlass(&settings).await?.worker(settings);
    // Its first step alone: it then waits for the storage.
    let is_started = tokio::select! {
        biased;
        started = windlass.start() => { started?; true }
        () = ready(()) => false,
    };
    assert!(!is_started, "it was started in one step");
    windlass.start().await?;
    // With nothing that runs there is nothing to stop at once.
    windlass.hurry();
    windlass.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_stop_during_the_start_stops_what_is_started() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let settings = settings(&folder);
    let windlass = windlass(&settings).await?.worker(settings);
    let (started, stopped) = tokio::join!(windlass.start(), windlass.stop());
    started?;
    stopped?;
    let told = post(&windlass, "modules").await?;
    assert!(told.detail.contains("Windlass is stopped"), "{}", told.detail);
    assert!(matches!(windlass.start().await, Err(PluginError::Stopped)));
    Ok(())
}
