//! The dashboard as a part of applications in axum and actix-web, behind their own password.

use std::fs;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use windlass_browser_tests::{Browser, Proxy};
use windlass_tests::{Application, Site};

const TABLE: &str = "date,region,product,quantity,unit_price_cents\n2026-01-05,north,bolt,2,150\n";

/// A browser whose user has typed the password.
async fn known_browser(base: &str) -> Result<Browser> {
    let browser = Browser::open(base).await?;
    let (name, value) = Application::admin();
    browser.devtools("Network.enable", json!({})).await?;
    let headers = Value::Object([(name.to_owned(), json!(value))].into_iter().collect());
    browser.devtools("Network.setExtraHTTPHeaders", json!({ "headers": headers })).await?;
    Ok(browser)
}

/// Follows a failed job to its page and retries it there.
async fn retries_a_failed_job(name: &str, behind: Option<&'static str>) -> Result<()> {
    let site = Site::new()?;
    let application = site.start_application(name)?;
    let asked: Value = application.ask("POST", "/reports", &[], br#"{"path":"sales.csv"}"#)?.json()?;
    let job = asked["job"].as_str().unwrap_or_default();
    let failed: Value = application.ask("GET", &format!("/reports/{job}"), &[], b"")?.json()?;
    ensure!(failed["state"] == "failed", "{failed}");
    let base = match behind {
        Some(prefix) => format!("{}jobs/", Proxy::start(prefix, application.address().to_owned()).await?.base()),
        None => format!("http://{}/jobs/", application.address()),
    };
    let browser = known_browser(&base).await?;
    browser.open_page("").await?;
    browser.sees(".tiles").await?;
    // Who one is, is up to the application: there is a name, and no way to sign out.
    browser.reads("admin").await?;
    ensure!(!browser.text().await?.contains("Sign out"), "there is a way to sign out");
    browser.click("Jobs").await?;
    browser.sees(&format!("a[href='jobs/{job}']")).await?.click().await?;
    browser.reads("Retry").await?;
    assert_eq!(browser.path().await?, format!("jobs/{job}"));
    // Loaded there, it finds its files, the API and the way back as well.
    browser.open_page(&format!("jobs/{job}")).await?;
    fs::write(site.path("tables/sales.csv"), TABLE)?;
    browser.click("Retry").await?;
    browser.reads("The job is enqueued again.").await?;
    browser.sees(".head .state-succeeded").await?;
    browser.is_content().await?;
    browser.close().await
}

#[tokio::test]
async fn an_application_in_axum_has_a_failed_job_retried() -> Result<()> {
    retries_a_failed_job("axum-app", None).await
}

#[tokio::test]
async fn an_application_in_actix_web_has_a_failed_job_retried() -> Result<()> {
    retries_a_failed_job("actix-app", None).await
}

#[tokio::test]
async fn an_application_behind_a_reverse_proxy_has_a_failed_job_retried() -> Result<()> {
    retries_a_failed_job("axum-app", Some("/tools")).await
}
