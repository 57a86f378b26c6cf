//! Hosts that only tell, that mask what some must not see, that speak TLS, and that believe a proxy.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use windlass_api::{AuditEntry, Page, Problem, ProblemCode, Role, SessionView};
use windlass_test_services::Certificates;
use windlass_tests::{Host, Site, guest, run};

fn code(answer: &windlass_tests::HttpAnswer) -> Option<ProblemCode> {
    serde_json::from_str::<Problem>(&answer.body).ok().map(|problem| problem.code)
}

/// Makes a token and gives it, with its entry in the settings.
fn token(role: Role) -> Result<(String, String)> {
    let made: Value = run(&["token", "new", "--role", role.as_str(), "--name", role.as_str(), "--json"], "")?.json()?;
    let text = |key: &str| made[key].as_str().map(str::to_owned).context("not a token");
    let entry = format!("[[access.tokens]]\nname = \"{role}\"\nrole = \"{role}\"\nsha256 = \"{}\"\n", text("sha256")?);
    Ok((text("token")?, entry))
}

#[test]
fn a_host_that_is_only_to_be_read_changes_nothing_and_runs_jobs() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    host.deploy("mixed", &guest("mixed")?)?;
    let job = host.enqueue("mixed/add", &json!({ "a": 1, "b": 2 }), &["--delay", "2s"])?;
    host.stop()?;
    let host = site.start(&["--read-only"])?;
    ensure!(host.result::<i64>(job)? == 3, "jobs do not run");
    for (method, path) in [
        ("POST", "/api/v1/jobs"),
        ("POST", "/api/v1/modules"),
        ("POST", "/api/v1/queues/mail/pause"),
        ("PUT", "/api/v1/recurring/daily"),
        ("DELETE", "/api/v1/jobs/0199f3a8-7c00-7a3e-9c1d-2b6f1e0a4d55"),
    ] {
        let answer = host.ask(method, path, &[], "{}")?;
        ensure!(answer.status == 403 && code(&answer) == Some(ProblemCode::ReadOnly), "{method} {path}: {answer:?}");
    }
    let session: SessionView = host.ask("GET", "/api/v1/session", &[], "")?.json()?;
    ensure!(session.read_only, "{session:?}");
    host.windlass(&["queues", "pause", "mail"])?.complains_of(&["read_only"])
}

#[test]
fn what_a_handler_names_is_masked_for_those_who_only_look() -> Result<()> {
    let site = Site::new()?;
    let ((viewer, one), (operator, other), (admin, third)) =
        (token(Role::Viewer)?, token(Role::Operator)?, token(Role::Admin)?);
    let config = site.write("windlass.toml", format!("{one}{other}{third}"))?;
    let host = site.start(&["--config", &config.to_string_lossy()])?;
    let component = guest("mixed")?.to_string_lossy().into_owned();
    host.json::<Value>(&["deploy", &component, "--name", "mixed", "--token", &admin])?;
    let enqueue = |payload: Value| -> Result<String> {
        let payload = payload.to_string();
        let made: Value = host.json(&["enqueue", "mixed/charge", &payload, "--wait", "--token", &operator])?;
        Ok(made["job"]["id"].as_str().or(made["id"].as_str()).context("no id")?.to_owned())
    };
    let good = enqueue(json!({ "card": "4111-1111", "cents": 500 }))?;
    let refused = json!({ "card": "4222-2222", "cents": 0 }).to_string();
    host.windlass(&["enqueue", "mixed/charge", &refused, "--wait", "--token", &operator])?.complaint()?;
    let every: Value = json!({
        "schedule": "@daily", "job": { "handler": "mixed/charge", "payload": { "card": "4333-3333", "cents": 1 } }
    });
    let bearer = |token: &str| format!("Bearer {token}");
    let put =
        host.ask("PUT", "/api/v1/recurring/charging", &[("Authorization", &bearer(&operator))], &every.to_string())?;
    ensure!(put.status == 200, "{put:?}");

    for path in [
        "/api/v1/jobs",
        "/api/v1/recurring",
        "/api/v1/recurring/charging",
        "/api/v1/modules",
        &format!("/api/v1/jobs/{good}"),
        &format!("/api/v1/jobs/{good}/wait"),
    ] {
        let seen = host.ask("GET", path, &[("Authorization", &bearer(&viewer))], "")?;
        ensure!(seen.status == 200, "{path}: {seen:?}");
        for secret in ["4111-1111", "4222-2222", "4333-3333"] {
            ensure!(!seen.body.contains(secret), "{path} tells a viewer {secret}: {}", seen.body);
        }
    }
    let seen = |token: &str| host.ask("GET", &format!("/api/v1/jobs/{good}"), &[("Authorization", &bearer(token))], "");
    let (by_viewer, by_operator): (Value, Value) = (seen(&viewer)?.json()?, seen(&operator)?.json()?);
    ensure!(by_viewer["payload"] == json!({ "card": "[masked]", "cents": 500 }), "{by_viewer}");
    ensure!(by_viewer["result"] == json!({ "card": "[masked]", "cents": 500 }), "{by_viewer}");
    ensure!(by_operator["payload"]["card"] == "4111-1111", "{by_operator}");

    for path in ["/api/v1/jobs?text=4111", "/api/v1/jobs/count?text=4111", "/api/v1/jobs?text=4111&handler=charge"] {
        let answer = host.ask("GET", path, &[("Authorization", &bearer(&viewer))], "")?;
        ensure!(code(&answer) == Some(ProblemCode::RoleTooLow), "{path} as a viewer: {answer:?}");
        let answer = host.ask("GET", path, &[("Authorization", &bearer(&operator))], "")?;
        ensure!(answer.status == 200, "{path} as an operator: {answer:?}");
    }
    let elsewhere = host.ask("GET", "/api/v1/jobs?text=1&handler=add", &[("Authorization", &bearer(&viewer))], "")?;
    ensure!(elsewhere.status == 200, "{elsewhere:?}");
    Ok(())
}

#[test]
fn a_proxy_that_is_trusted_says_who_somebody_is() -> Result<()> {
    let site = Site::new()?;
    let settings = |trusted: &str| {
        let text = format!(
            "[access.proxy]\nheader = \"x-auth-request-email\"\nrole_header = \"x-auth-request-groups\"\nrole = \"viewer\"\n\
             trusted = [\"{trusted}\"]\n"
        );
        site.write("windlass.toml", text)
    };
    let config = settings("127.0.0.0/8")?.to_string_lossy().into_owned();
    let host = site.start(&["--config", &config])?;
    let anna = ("X-Auth-Request-Email", "anna@example.com");
    let forwarded = ("X-Forwarded-For", "203.0.113.9");
    let session = |headers: &[(&str, &str)]| host.ask("GET", "/api/v1/session", headers, "")?.json::<SessionView>();
    let known = session(&[anna, forwarded])?;
    ensure!(known.role == Some(Role::Viewer) && known.name.as_deref() == Some("anna@example.com"), "{known:?}");
    let operator = [anna, forwarded, ("X-Auth-Request-Groups", "staff,operator")];
    ensure!(host.ask("POST", "/api/v1/queues/mail/pause", &operator, "")?.status == 200, "an operator cannot pause");
    let answer = host.ask("POST", "/api/v1/queues/mail/pause", &[anna], "")?;
    ensure!(code(&answer) == Some(ProblemCode::RoleTooLow), "{answer:?}");
    let answer = host.ask(
        "POST",
        "/api/v1/queues/mail/pause",
        &[operator[0], operator[2], ("Origin", "https://evil.example")],
        "",
    )?;
    ensure!(
        code(&answer) == Some(ProblemCode::Forbidden),
        "another site's page may use the proxy's session: {answer:?}"
    );
    for nobody in [&[][..], &[anna, ("X-Auth-Request-Email", "root")], &[("X-Auth-Request-Groups", "admin")]] {
        let answer = host.ask("GET", "/api/v1/jobs", nobody, "")?;
        ensure!(code(&answer) == Some(ProblemCode::Unauthenticated), "{nobody:?}: {answer:?}");
    }
    host.stop()?;
    let config = settings("192.0.2.1")?.to_string_lossy().into_owned();
    let host = site.start(&["--config", &config])?;
    let answer = host.ask("GET", "/api/v1/jobs", &[anna], "")?;
    ensure!(code(&answer) == Some(ProblemCode::Unauthenticated), "whoever says so is believed: {answer:?}");
    Ok(())
}

#[test]
fn a_certificate_is_read_anew_when_it_is_renewed() -> Result<()> {
    let site = Site::new()?;
    let (folder, renewed) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let (first, second) = (Certificates::make(folder.path())?, Certificates::make(renewed.path())?);
    let [certificate, key] = [first.certificate(), first.key()];
    let text = format!("[tls]\ncertificate = \"{}\"\nkey = \"{}\"\n", certificate.display(), key.display());
    let config = site.write("windlass.toml", text)?;
    let mut host = site.spawn_on(&site.storage(), &["--config", &config.to_string_lossy()])?;
    let ready = |host: &Host<'_>| host.ask_over_tls(&first.authority(), "/readyz");
    host.until("a host that is ready", || Ok(ready(&host).ok().filter(|(answer, _)| answer.contains("200 OK"))))?;
    let (_, shown) = ready(&host)?;
    ensure!(
        host.ask_over_tls(&second.authority(), "/readyz").is_err(),
        "a certificate of another authority is trusted"
    );
    // A key that does not go with the certificate is no reason to show none.
    std::fs::copy(second.key(), &key)?;
    host.hang_up()?;
    host.until("a complaint", || Ok(host.said().contains("do not go together").then_some(())))?;
    ensure!(ready(&host)?.1 == shown, "another certificate is shown");
    std::fs::copy(second.certificate(), &certificate)?;
    host.hang_up()?;
    host.until("the new certificate", || Ok(host.ask_over_tls(&second.authority(), "/readyz").ok()))?;
    host.still_runs()
}

#[test]
fn settings_that_contradict_each_other_are_refused() -> Result<()> {
    let site = Site::new()?;
    let refused = |text: &str, words: &[&str]| -> Result<()> {
        let config = site.write("windlass.toml", text)?;
        run(&["serve", "--storage", &site.storage(), "--config", &config.to_string_lossy()], "")?.complains_of(words)
    };
    refused("[tls]\ncertificate = \"not-there.pem\"\nkey = \"not-there.key\"\n", &["not-there.pem"])?;
    refused("[access.proxy]\nheader = \"x-user\"\nrole = \"viewer\"\ntrusted = []\n", &["access.proxy", "trusted"])?;
    refused("[access.proxy]\nheader = \"x-user\"\ntrusted = [\"127.0.0.1\"]\n", &["role", "role_header"])?;
    refused(
        "[access.proxy]\nheader = \"x-user\"\nrole = \"viewer\"\ntrusted = [\"nowhere\"]\n",
        &["trusted", "nowhere"],
    )?;
    let open =
        "insecure_listen = true\n[access.proxy]\nheader = \"x-user\"\nrole = \"viewer\"\ntrusted = [\"127.0.0.1\"]\n";
    refused(open, &["insecure_listen", "access.proxy"])
}

#[test]
fn what_somebody_did_or_was_kept_from_stands_in_the_audit_log() -> Result<()> {
    let site = Site::new()?;
    let ((admin, one), (operator, other)) = (token(Role::Admin)?, token(Role::Operator)?);
    let config = site.write("windlass.toml", format!("{one}{other}"))?;
    let host = site.start(&["--config", &config.to_string_lossy()])?;
    let bearer = |token: &str| format!("Bearer {token}");
    host.ask("POST", "/api/v1/queues/mail/pause", &[("Authorization", &bearer(&operator))], "")?;
    host.ask("POST", "/api/v1/modules", &[("Authorization", &bearer(&operator))], "secret-body")?;
    host.ask("GET", "/api/v1/jobs", &[("Authorization", &bearer(&operator))], "")?;
    let entries = host.until("two entries", || {
        let page: Page<AuditEntry> = host.json(&["audit", "--token", &admin])?;
        Ok((page.items.len() >= 2).then_some(page.items))
    })?;
    let [deploy, pause] = &entries[..] else { anyhow::bail!("{entries:?}") };
    ensure!(pause.action == "POST /api/v1/queues/{name}/pause" && pause.target.as_deref() == Some("mail"), "{pause:?}");
    ensure!(pause.by == "token operator" && pause.role == Some(Role::Operator) && pause.status == 200, "{pause:?}");
    ensure!(pause.from.as_deref() == Some("127.0.0.1"), "{pause:?}");
    ensure!(deploy.action == "POST /api/v1/modules" && deploy.status == 403, "{deploy:?}");
    let first: Page<AuditEntry> = host.json(&["audit", "--limit", "1", "--token", &admin])?;
    let next = first.next.context("no next page")?;
    let second: Page<AuditEntry> = host.json(&["audit", "--limit", "1", "--cursor", &next, "--token", &admin])?;
    ensure!([first.items, second.items].concat() == entries, "the pages are not the list");
    host.windlass(&["audit", "--token", &operator])?.complains_of(&["admin"])?;
    for secret in [admin.as_str(), &operator, "secret-body"] {
        ensure!(!host.said().contains(secret), "the log tells a secret");
    }
    Ok(())
}
