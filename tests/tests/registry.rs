//! Deploying from an OCI registry, which here is a few routes on loopback.

use anyhow::{Context, Result, ensure};
use axum::{Router, body::Bytes, extract::Path, http::StatusCode, routing::get};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::runtime::Runtime;
use windlass_api::Deployed;
use windlass_tests::{Site, guest};

fn digest(bytes: &[u8]) -> String {
    let hexadecimal: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hexadecimal}")
}

/// Serves a component as `acme/mixed:1`, and what is not that component under the same digest as `acme/other:1`, until the
/// runtime ends. Gives the address.
fn registry(runtime: &Runtime, component: Vec<u8>) -> Result<String> {
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": { "mediaType": "application/vnd.wasm.config.v0+json", "digest": digest(b"{}"), "size": 2 },
        "layers": [{ "mediaType": "application/wasm", "digest": digest(&component), "size": component.len() }],
    });
    let manifest = Bytes::from(manifest.to_string());
    let component = Bytes::from(component);
    let blob = move |Path((name, _)): Path<(String, String)>| {
        let mut bytes = component.to_vec();
        if let (true, Some(last)) = (name == "other", bytes.last_mut()) {
            *last ^= 1;
        }
        async { bytes }
    };
    let manifest = move |Path((_, tag)): Path<(String, String)>| {
        let manifest = manifest.clone();
        async move { if tag == "1" { Ok(manifest) } else { Err(StatusCode::NOT_FOUND) } }
    };
    let routes = Router::new()
        .route("/v2/", get(|| async { "{}" }))
        .route("/v2/acme/{name}/manifests/{tag}", get(manifest))
        .route("/v2/acme/{name}/blobs/{digest}", get(blob));
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))?;
    let address = listener.local_addr()?.to_string();
    runtime.spawn(async move { axum::serve(listener, routes).await });
    Ok(address)
}

#[test]
fn a_component_is_deployed_from_a_registry_and_nothing_that_its_digest_does_not_name() -> Result<()> {
    let runtime = Runtime::new()?;
    let file = guest("mixed")?;
    let registry = registry(&runtime, std::fs::read(&file)?)?;
    let site = Site::new()?;
    let host = site.start(&[])?;
    let deploy =
        |reference: &str| host.windlass(&["deploy", &format!("oci://{registry}/{reference}"), "--name", "mixed"]);

    let complaint = deploy("acme/other:1")?;
    let complaint = complaint.complaint()?;
    ensure!(complaint.contains("not what its digest says"), "{complaint}");
    let absent = deploy("acme/mixed:2")?;
    ensure!(absent.complaint()?.contains("failed to fetch"), "{absent:?}");
    ensure!(host.json::<Vec<serde_json::Value>>(&["modules"])?.is_empty(), "nothing was to be deployed");

    let deployed: Deployed = deploy("acme/mixed:1")?.json()?;
    let same: Deployed = host.deploy("mixed", &file)?;
    ensure!(deployed.version.digest == same.version.digest && same.already_known, "{deployed:?}, {same:?}");
    let sum = host.enqueue("mixed/add", &json!({ "a": 1, "b": 2 }), &[])?;
    ensure!(host.result::<i64>(sum).context("the sum")? == 3, "not 3");
    Ok(())
}
