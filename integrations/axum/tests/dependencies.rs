//! An application that only enqueues compiles no WebAssembly engine.

use std::{env, process::Command};

use anyhow::{Result, ensure};

/// What an application compiles that has a package with these features, by cargo's own word.
fn compiled(package: &str, features: &[&str]) -> Result<String> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["tree", "--locked", "--package", package, "--edges", "normal,build", "--prefix", "none"])
        .args(["--no-default-features", "--features", &features.join(",")])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

fn has_engine(tree: &str) -> bool {
    tree.lines().any(|line| line.starts_with("wasmtime ") || line.starts_with("cranelift-codegen "))
}

#[test]
fn only_with_a_dashboard_or_a_worker_is_an_engine_compiled() -> Result<()> {
    for package in ["windlass-axum", "windlass-actix"] {
        let enqueues = compiled(package, &["sqlite", "postgres", "redis"])?;
        ensure!(enqueues.contains("windlass-jobs "), "{enqueues}");
        ensure!(!has_engine(&enqueues), "{package} compiles an engine to enqueue:\n{enqueues}");
        for feature in ["dashboard", "worker"] {
            ensure!(has_engine(&compiled(package, &[feature])?), "{package} has none with {feature}");
        }
    }
    let client = compiled("windlass-http-client", &[])?;
    ensure!(!has_engine(&client) && !client.contains("rusqlite "), "{client}");
    Ok(())
}
