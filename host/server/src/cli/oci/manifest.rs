//! What a manifest says of what is under a name: which part of it is the component.

use anyhow::bail;
use serde::{Deserialize, Deserializer};

use super::{reference::is_digest, registry::begin};

/// The media types of a component: as its specification has it, and as older tools push it.
const COMPONENT_TYPES: [&str; 3] = [
    "application/wasm",
    "application/vnd.wasm.content.layer.v1+wasm",
    "application/vnd.module.wasm.content.layer.v1+wasm",
];

#[derive(Deserialize)]
struct Manifest {
    #[serde(default)]
    layers: Vec<Layer>,
    /// There where it is a list of manifests.
    manifests: Option<Vec<serde::de::IgnoredAny>>,
}

/// One part.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Layer {
    #[serde(rename = "mediaType")]
    media_type: String,
    pub(super) digest: String,
    /// In bytes; none where that is no number of bytes.
    #[serde(deserialize_with = "size")]
    pub(super) size: Option<usize>,
}

/// Finds the one component in it.
pub(super) fn component(text: &[u8]) -> anyhow::Result<Layer> {
    let Ok(manifest) = serde_json::from_slice::<Manifest>(text) else {
        bail!("what the registry has under this name is no manifest")
    };
    if manifest.manifests.is_some() {
        bail!("it is an index of several: name the digest of one of them");
    }
    let is_component = |layer: &&Layer| COMPONENT_TYPES.contains(&layer.media_type.as_str());
    let mut found = manifest.layers.iter().filter(is_component);
    match (found.next(), found.next()) {
        (Some(component), None) if is_digest(&component.digest) => Ok(component.clone()),
        (Some(component), None) => bail!("its digest is not of SHA-256: {}", begin(&component.digest)),
        (Some(_), Some(_)) => bail!("it holds several components: push each under a name of its own"),
        (None, _) => {
            let types: Vec<_> = manifest.layers.iter().map(|layer| begin(&layer.media_type)).take(5).collect();
            let types = if types.is_empty() { "nothing".to_owned() } else { types.join(", ") };
            let wanted = COMPONENT_TYPES[0];
            bail!(
                "it holds no component, but {types}: push one with `wkg oci push`, or as a layer of the type {wanted}"
            )
        }
    }
}

fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
    let size = serde_json::Number::deserialize(deserializer)?;
    Ok(size.as_u64().and_then(|size| usize::try_from(size).ok()))
}
