//! Fetching from a registry of the test's own.

use std::sync::{Arc, Mutex};

use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{reference::Version, *};

/// A registry: what it holds, and what it has been asked.
#[derive(Clone, Default)]
struct Fake {
    address: String,
    manifest: Vec<u8>,
    blob: Vec<u8>,
    /// Whether it lets in only those who have its token.
    asks: bool,
    /// Who asked for a token, as the header says it.
    asked: Arc<Mutex<Vec<String>>>,
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", crate::secret::hexadecimal(&Sha256::digest(bytes)))
}

fn manifest(layers: &[Value]) -> Vec<u8> {
    let config = json!({ "mediaType": "application/vnd.wasm.config.v0+json", "digest": digest(b"{}"), "size": 2 });
    let kind = "application/vnd.oci.image.manifest.v1+json";
    json!({ "schemaVersion": 2, "mediaType": kind, "config": config, "layers": layers }).to_string().into_bytes()
}

fn layer(kind: &str, digest: &str, size: usize) -> Value {
    json!({ "mediaType": kind, "digest": digest, "size": size })
}

impl Fake {
    /// One with this component.
    fn with(blob: &[u8]) -> Self {
        let layer = layer("application/wasm", &digest(blob), blob.len());
        Self { manifest: manifest(&[layer]), blob: blob.to_vec(), ..Self::default() }
    }

    /// Listens on loopback until the test's runtime ends, and gives the reference of what is there.
    async fn serve(mut self) -> Reference {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        self.address = listener.local_addr().unwrap().to_string();
        let reference = format!("{}/acme/images:1", self.address).parse().unwrap();
        let routes = Router::new()
            .route("/token", get(token))
            .route("/v2/acme/images/manifests/{reference}", get(manifest_of))
            .route("/v2/acme/images/blobs/{digest}", get(blob))
            .with_state(self);
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        reference
    }

    fn refuses(&self, headers: &HeaderMap) -> Option<Response> {
        let is_in = headers.get(header::AUTHORIZATION).is_some_and(|value| value == "Bearer secret-token");
        let challenge = format!("Bearer realm=\"http://{}/token\",service=\"test\"", self.address);
        (self.asks && !is_in)
            .then(|| (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, challenge)]).into_response())
    }
}

async fn token(State(registry): State<Fake>, headers: HeaderMap) -> Response {
    let who = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    registry.asked.lock().unwrap().push(who.clone());
    // ann:pass
    if who == "Basic YW5uOnBhc3M=" {
        Json(json!({ "token": "secret-token" })).into_response()
    } else {
        StatusCode::UNAUTHORIZED.into_response()
    }
}

async fn manifest_of(State(registry): State<Fake>, headers: HeaderMap) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/vnd.oci.image.manifest.v1+json")];
    let found = || (kind, Bytes::from(registry.manifest.clone())).into_response();
    registry
        .refuses(&headers)
        .unwrap_or_else(|| if registry.manifest.is_empty() { StatusCode::NOT_FOUND.into_response() } else { found() })
}

async fn blob(State(registry): State<Fake>, headers: HeaderMap) -> Response {
    registry.refuses(&headers).unwrap_or_else(|| Bytes::from(registry.blob.clone()).into_response())
}

async fn refusal(registry: Fake, credentials: Option<Credentials>) -> String {
    let reference = registry.serve().await;
    format!("{:#}", fetch_as(&reference, credentials, 1_000).await.unwrap_err())
}

#[tokio::test]
async fn a_component_is_fetched_by_tag_and_by_digest() {
    let registry = Fake::with(b"component");
    let pinned = digest(&registry.manifest);
    let reference = registry.serve().await;
    let fetch = async |reference: &Reference| fetch_as(reference, None, 1_000).await;
    assert_eq!(fetch(&reference).await.unwrap(), b"component");
    let with = |digest| Reference { version: Version::Digest(digest), ..reference.clone() };
    let by_digest = with(pinned);
    assert_eq!(fetch(&by_digest).await.unwrap(), b"component");
    let other = with(digest(b"another manifest"));
    let error = format!("{:#}", fetch(&other).await.unwrap_err());
    assert!(error.contains("not what its digest says"), "{error}");
}

#[tokio::test]
async fn what_is_not_what_its_digest_says_is_refused() {
    let changed = Fake { blob: b"componenT".to_vec(), ..Fake::with(b"component") };
    let error = refusal(changed, None).await;
    assert!(error.contains("not what its digest says") && error.contains("nothing was deployed"), "{error}");
}

#[tokio::test]
async fn what_is_too_big_is_refused_whether_it_says_so_or_not() {
    let error = refusal(Fake::with(&[0; 1_001]), None).await;
    assert!(error.contains("more than the 1000 bytes"), "{error}");
    let longer = Fake { blob: vec![0; 5_000], ..Fake::with(&[0; 900]) };
    let error = refusal(longer, None).await;
    assert!(error.contains("sends more than the 900 bytes"), "{error}");
    let mut layer = layer("application/wasm", &digest(b""), 0);
    layer["size"] = json!(-1);
    let negative = Fake { manifest: manifest(&[layer]), ..Fake::with(b"") };
    let error = refusal(negative, None).await;
    assert!(error.contains("more than the 1000 bytes"), "{error}");
}

#[tokio::test]
async fn what_holds_no_component_or_several_is_refused() {
    let tar = layer("application/vnd.oci.image.layer.v1.tar+gzip", &digest(b"x"), 1);
    let wasm = layer("application/wasm", &digest(b"x"), 1);
    for (layers, said) in [
        (vec![], "holds no component, but nothing"),
        (vec![tar.clone()], "but application/vnd.oci.image.layer.v1.tar+gzip: push one"),
        (vec![wasm.clone(), wasm], "several components"),
    ] {
        let registry = Fake { manifest: manifest(&layers), ..Fake::with(b"x") };
        let error = refusal(registry, None).await;
        assert!(error.contains(said), "{error}");
    }
    let error = refusal(Fake::default(), None).await;
    assert!(error.contains("nothing under this name"), "{error}");
    for text in ["{", "[]", "{\"layers\":7}"] {
        let other = Fake { manifest: text.as_bytes().to_vec(), ..Fake::default() };
        let error = refusal(other, None).await;
        assert!(error.contains("no manifest"), "{text}: {error}");
    }
    let index = Fake { manifest: b"{\"manifests\":[{}]}".to_vec(), ..Fake::default() };
    assert!(refusal(index, None).await.contains("an index of several"));
}

#[tokio::test]
async fn credentials_are_changed_for_a_token_and_what_to_do_without_is_said() {
    let closed = Fake { asks: true, ..Fake::with(b"component") };
    let asked = closed.asked.clone();
    let reference = closed.serve().await;
    let ann = Some(Credentials::new("ann", "pass"));
    assert_eq!(fetch_as(&reference, ann, 1_000).await.unwrap(), b"component");
    assert_eq!(*asked.lock().unwrap(), ["Basic YW5uOnBhc3M="], "once, for both that was fetched");
    let error = format!("{:#}", fetch_as(&reference, None, 1_000).await.unwrap_err());
    assert!(error.contains("docker login") && error.contains("WINDLASS_REGISTRY_PASSWORD"), "{error}");
}
