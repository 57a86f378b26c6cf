//! Components in OCI registries: fetched here, on the side of whoever deploys, so that no host needs to reach a registry.
//!
//! What is fetched counts by its digest alone: that of the component stands in the manifest, and that of the manifest in the
//! reference, where it names one. Everything that a registry sends is bounded.

mod credentials;
mod manifest;
mod reference;
mod registry;

use std::time::Duration;

use anyhow::{Context as _, bail};

use self::{credentials::Credentials, reference::Reference, registry::Registry};
use super::format;

/// What a reference begins with.
const SCHEME: &str = "oci://";

/// No bigger component is fetched, in bytes: four times what a host takes unless it is told otherwise.
const MAX_COMPONENT_BYTES: usize = 256 << 20;

/// No manifest is longer, in bytes: what the specification has registries take at least.
const MAX_MANIFEST_BYTES: usize = 4 << 20;

/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// The reference, where what is to be deployed lies in a registry.
pub(super) fn reference(component: &str) -> Option<&str> {
    component.strip_prefix(SCHEME)
}

/// Fetches the component that a reference such as `ghcr.io/acme/images:1.2` names, with the credentials that docker keeps or
/// that the environment holds.
///
/// # Errors
/// Where the reference cannot be read, or the registry does not give what it should; the text says what to do.
pub(super) async fn fetch(text: &str) -> anyhow::Result<Vec<u8>> {
    let reference: Reference = text.parse()?;
    let credentials = credentials::of(&reference.registry)?;
    let fetched = tokio::time::timeout(PATIENCE, fetch_as(&reference, credentials, MAX_COMPONENT_BYTES)).await;
    fetched
        .unwrap_or_else(|_| bail!("it took longer than 10 minutes"))
        .with_context(|| format!("failed to fetch {text}"))
}

async fn fetch_as(
    reference: &Reference,
    credentials: Option<Credentials>,
    most_bytes: usize,
) -> anyhow::Result<Vec<u8>> {
    let mut registry = Registry::new(reference, credentials)?;
    let manifest = registry.manifest(reference, MAX_MANIFEST_BYTES).await?;
    let layer = manifest::component(&manifest)?;
    let size = layer.size.filter(|size| *size <= most_bytes);
    let Some(size) = size else { bail!("its component has more than the {most_bytes} bytes that are fetched") };
    let component = registry.blob(&layer.digest, size).await?;
    tracing::info!(reference = %reference, digest = layer.digest, size = format::size(size as u64), "fetched");
    Ok(component)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
