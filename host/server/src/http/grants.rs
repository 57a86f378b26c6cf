//! `/api/v1/modules/{name}/grants`

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
};
use windlass_api::{GrantedDirectory, LimitRange, ModuleGrants, ModuleName, ProblemCode, RunLimits};
use windlass_wasm::PrivateNetworks;

use super::{
    Api,
    error::{ApiError, ApiResult},
};
use crate::config::{Bounded, Sandbox, Span};

/// What this host grants to a module of this name, deployed or not, and what its runs may take.
#[utoipa::path(
    get,
    path = "/api/v1/modules/{name}/grants",
    params(("name" = ModuleName, Path, description = "The module.")),
    responses(
        (status = 200, description = "As this host's settings have it.", body = ModuleGrants),
        (status = 404, description = "This host runs no jobs."),
    )
)]
pub(super) async fn show(
    State(api): State<Api>,
    name: Result<Path<ModuleName>, PathRejection>,
) -> ApiResult<Json<ModuleGrants>> {
    let Path(name) = name?;
    let Some(sandboxes) = &api.sandboxes else {
        let detail = "this host runs no jobs, and so grants nothing: ask one that does (`windlass servers`)";
        return Err(ApiError::new(ProblemCode::NotFound, detail));
    };
    Ok(Json(told(sandboxes.of(&name))))
}

fn told(sandbox: &Sandbox) -> ModuleGrants {
    let (grants, bounds) = (&sandbox.grants, &sandbox.bounds);
    let directories = grants.directories.iter();
    ModuleGrants {
        http: grants.http.iter().map(ToString::to_string).collect(),
        private_networks: grants.private_networks == PrivateNetworks::Granted,
        directories: directories.map(|one| GrantedDirectory { guest: one.guest.clone(), write: one.write }).collect(),
        environment: grants.environment.keys().cloned().collect(),
        config: grants.config.keys().cloned().collect(),
        secrets: grants.secrets.keys().cloned().collect(),
        limits: RunLimits {
            fuel: range(bounds.fuel, |fuel| fuel),
            timeout_ms: range(bounds.timeout, Span::as_ms),
            memory_bytes: range(bounds.memory, |memory| memory.0),
            log_bytes: bounds.logs.0,
            follow_ups: bounds.follow_ups,
            result_bytes: bounds.result.0,
        },
    }
}

fn range<T: Copy>(bounded: Bounded<T>, number: fn(T) -> u64) -> LimitRange {
    LimitRange { default: number(bounded.default), max: number(bounded.max) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Sandboxes, Settings};

    #[test]
    fn grants_are_told_by_name_and_what_is_secret_is_not() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("key"), "hunter2").unwrap();
        let settings = format!(
            "http = [\"*.example.com:8443\"]\nenvironment = {{ PASSWORD = \"hunter3\" }}\nconfig = {{ region = \"hunter4\" }}\n\
             directories = [{{ host = '{folder}', guest = \"/data\" }}]\nsecrets = {{ key = {{ file = '{folder}/key' }} }}\n\
             limits = {{ fuel = 5 }}",
            folder = folder.path().display(),
        );
        let shop = "shop".parse::<ModuleName>().unwrap();
        let mut all = Settings::default();
        all.module.insert(shop.clone(), toml::from_str(&settings).unwrap());
        let sandboxes = Sandboxes::new(&all).unwrap();
        let grants = told(sandboxes.of(&shop));
        assert_eq!(grants.http, ["*.example.com:8443"]);
        assert_eq!(grants.directories, [GrantedDirectory { guest: "/data".to_owned(), write: false }]);
        assert_eq!((grants.environment, grants.config), (vec!["PASSWORD".to_owned()], vec!["region".to_owned()]));
        assert_eq!(grants.secrets, ["key"]);
        assert_eq!(grants.limits.fuel, LimitRange { default: 5, max: 10_000_000_000_000 });
        let text = serde_json::to_string(&told(sandboxes.of(&shop))).unwrap();
        assert!(!text.contains("hunter") && !text.contains(&folder.path().display().to_string()), "{text}");

        let others = told(sandboxes.of(&"other".parse().unwrap()));
        assert!(others.http.is_empty() && others.secrets.is_empty() && !others.private_networks);
        assert_eq!(others.limits.timeout_ms, LimitRange { default: 300_000, max: 3_600_000 });
    }
}
