//! Where things are kept unless the operator says.

use std::{
    env,
    path::{Path, PathBuf},
};

use windlass_jobs::storage::StorageUrl;

/// The folder for compiled components: `$XDG_CACHE_HOME/windlass`, else `~/.cache/windlass`, else `windlass-cache`
/// beside the storage.
pub(super) fn cache_dir(storage: &StorageUrl) -> PathBuf {
    let absolute = |variable: &str| env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    let caches = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")));
    caches.map_or_else(|| beside(storage), |caches| caches.join("windlass"))
}

fn beside(storage: &StorageUrl) -> PathBuf {
    storage.file().unwrap_or(Path::new("")).with_file_name("windlass-cache")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_home_the_cache_lies_beside_the_storage() {
        let beside = |url: &str| beside(&url.parse().unwrap());
        assert_eq!(beside("sqlite:/data/windlass.db"), PathBuf::from("/data/windlass-cache"));
        assert_eq!(beside("redis://localhost"), PathBuf::from("windlass-cache"));
    }
}
