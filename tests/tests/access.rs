//! Who may do what.

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use windlass_api::{JobSummary, Page, Problem, ProblemCode, Role, SessionView};
use windlass_tests::{Host, Site, guest, run};

#[derive(Deserialize)]
struct Made {
    token: String,
    sha256: String,
}

/// Makes a token for each role, and the settings of a host that knows them.
fn tokens(site: &Site) -> Result<(Vec<(Role, String)>, String)> {
    let (mut tokens, mut settings) = (Vec::new(), String::new());
    for &role in Role::ALL {
        let made: Made =
            run(&["token", "new", "--role", role.as_str(), "--name", role.as_str(), "--json"], "")?.json()?;
        settings += &format!("[[access.tokens]]\nname = \"{role}\"\nrole = \"{role}\"\nsha256 = \"{}\"\n", made.sha256);
        tokens.push((role, made.token));
    }
    let file = site.write("windlass.toml", settings)?;
    Ok((tokens, file.to_string_lossy().into_owned()))
}

fn token(tokens: &[(Role, String)], role: Role) -> Result<&str> {
    let found = tokens.iter().find(|(other, _)| *other == role);
    found.map(|(_, token)| token.as_str()).context("no such token")
}

fn code(host: &Host<'_>, method: &str, path: &str, headers: &[(&str, &str)]) -> Result<Option<ProblemCode>> {
    let answer = host.ask(method, path, headers, "")?;
    let problem = serde_json::from_str::<Problem>(&answer.body).ok();
    ensure!(answer.status != 401 || answer.header("www-authenticate").is_some(), "{answer:?}");
    Ok(problem.map(|problem| problem.code))
}

#[test]
fn each_role_may_do_what_it_is_for_and_no_more() -> Result<()> {
    let site = Site::new()?;
    let (tokens, config) = tokens(&site)?;
    let host = site.start(&["--config", &config])?;
    // Method and path, and the lowest role that gets in.
    let routes = [
        ("GET", "/api/v1/jobs", Role::Viewer),
        ("GET", "/api/v1/modules", Role::Viewer),
        ("GET", "/metrics", Role::Viewer),
        ("POST", "/api/v1/jobs", Role::Operator),
        ("POST", "/api/v1/jobs/bulk-actions", Role::Operator),
        ("DELETE", "/api/v1/jobs/0199f3a8-7c00-7a3e-9c1d-2b6f1e0a4d55", Role::Operator),
        ("POST", "/api/v1/queues/mail/pause", Role::Operator),
        ("POST", "/api/v1/modules", Role::Deployer),
        ("POST", "/api/v1/modules/none/activate", Role::Deployer),
    ];
    for (method, path, lowest) in routes {
        let none = code(&host, method, path, &[])?;
        ensure!(none == Some(ProblemCode::Unauthenticated), "{method} {path} without a token: {none:?}");
        for (role, token) in &tokens {
            let bearer = format!("Bearer {token}");
            let code = code(&host, method, path, &[("Authorization", &bearer)])?;
            let is_refused = code == Some(ProblemCode::RoleTooLow);
            ensure!(is_refused == (*role < lowest), "{method} {path} as {role}: {code:?}");
            ensure!(code != Some(ProblemCode::Unauthenticated), "{method} {path} as {role}: {code:?}");
        }
    }
    for path in ["/healthz", "/readyz"] {
        ensure!(host.get(path)?.0 == 200, "{path} asks for a token");
    }
    ensure!(host.ask("PATCH", "/api/v1/jobs", &[], "")?.status == 405, "another method is not refused as such");
    Ok(())
}

#[test]
fn the_command_line_shows_its_token_and_the_history_says_whose_it_was() -> Result<()> {
    let site = Site::new()?;
    let (tokens, config) = tokens(&site)?;
    let host = site.start(&["--config", &config])?;
    host.windlass(&["jobs", "list"])?.complains_of(&["token", "--token", "windlass_token"])?;
    host.windlass(&["jobs", "list", "--token", "wl_wrong"])?.complains_of(&["not known", "windlass token new"])?;
    let viewer = token(&tokens, Role::Viewer)?;
    let page: Page<JobSummary> = host.json(&["jobs", "list", "--token", viewer])?;
    ensure!(page.items.is_empty(), "{page:?}");
    let component = guest("mixed")?.to_string_lossy().into_owned();
    let deploy = ["deploy", component.as_str(), "--name", "mixed", "--token"];
    host.windlass(&[&deploy[..], &[viewer]].concat())?.complains_of(&["viewer", "deployer"])?;
    host.json::<serde_json::Value>(&[&deploy[..], &[token(&tokens, Role::Deployer)?]].concat())?;
    let operator = token(&tokens, Role::Operator)?;
    let enqueue = ["enqueue", "mixed/add", r#"{ "a": 1, "b": 2 }"#, "--delay", "1h", "--token", operator];
    let job: windlass_api::Enqueued = host.json(&enqueue)?;
    let shown: windlass_api::JobDetail = host.json(&["jobs", "show", &job.id.to_string(), "--token", viewer])?;
    let by = shown.history.first().map(|line| line.by.as_str());
    ensure!(by == Some("token operator"), "{:?}", shown.history);
    for (_, token) in &tokens {
        ensure!(!host.said().contains(token), "the host's log holds a token");
    }
    Ok(())
}

#[test]
fn a_browser_signs_in_goes_on_with_its_cookie_and_signs_out() -> Result<()> {
    let site = Site::new()?;
    let (tokens, config) = tokens(&site)?;
    let host = site.start(&["--config", &config])?;
    let who = |headers: &[(&str, &str)]| host.ask("GET", "/api/v1/session", headers, "")?.json::<SessionView>();
    let nobody = SessionView { required: true, read_only: false, role: None, name: None, expires_at: None };
    ensure!(who(&[])? == nobody, "{:?}", who(&[])?);

    let body = serde_json::json!({ "token": token(&tokens, Role::Operator)? }).to_string();
    let answer = host.ask("POST", "/api/v1/session", &[], &body)?;
    ensure!(answer.status == 200, "{answer:?}");
    let set = answer.header("set-cookie").context("no cookie")?.to_owned();
    ensure!(set.contains("HttpOnly") && set.contains("SameSite=Strict") && !set.contains("Secure"), "{set}");
    let cookie = set.split(';').next().unwrap_or_default();
    let signed_in = [("Cookie", cookie)];
    ensure!(who(&signed_in)?.role == Some(Role::Operator), "{:?}", who(&signed_in)?);
    ensure!(host.ask("GET", "/api/v1/jobs", &signed_in, "")?.status == 200, "the cookie does not let in");
    let pause = "/api/v1/queues/mail/pause";
    ensure!(host.ask("POST", pause, &signed_in, "")?.status == 200, "the cookie does not let do");
    for other in [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Site", "same-site"), ("Origin", "https://evil.example")]
    {
        let code = code(&host, "POST", pause, &[("Cookie", cookie), other])?;
        ensure!(code == Some(ProblemCode::Forbidden), "{other:?}: {code:?}");
    }
    let answer = host.ask("DELETE", "/api/v1/session", &signed_in, "")?;
    ensure!(
        answer.status == 204 && answer.header("set-cookie").is_some_and(|set| set.contains("Max-Age=0")),
        "{answer:?}"
    );
    ensure!(host.ask("GET", "/api/v1/jobs", &signed_in, "")?.status == 401, "the session goes on");
    Ok(())
}

#[test]
fn who_tries_wrong_tokens_too_often_is_told_so_and_a_good_token_gets_in() -> Result<()> {
    let site = Site::new()?;
    let (tokens, config) = tokens(&site)?;
    let host = site.start(&["--config", &config])?;
    let sign_in = |token: &str| {
        let body = serde_json::json!({ "token": token }).to_string();
        host.ask("POST", "/api/v1/session", &[], &body)
    };
    for _ in 0..10 {
        let answer = sign_in("wl_wrong")?;
        ensure!(answer.status == 401 && answer.header("www-authenticate").is_some(), "{answer:?}");
    }
    let answer = sign_in("wl_wrong")?;
    ensure!(answer.status == 429 && answer.header("retry-after") == Some("60"), "{answer:?}");
    let admin = token(&tokens, Role::Admin)?;
    ensure!(sign_in(admin)?.status == 200, "whoever is behind the same proxy keeps others out");
    let bearer = format!("Bearer {admin}");
    let answer = host.ask("GET", "/api/v1/jobs", &[("Authorization", &bearer)], "")?;
    ensure!(answer.status == 200, "a good token is kept out: {answer:?}");
    Ok(())
}

#[test]
fn a_host_for_others_starts_with_tokens_only_or_when_told_so() -> Result<()> {
    let site = Site::new()?;
    let (_, config) = tokens(&site)?;
    let storage = site.storage();
    let open = ["serve", "--storage", storage.as_str(), "--listen", "192.0.2.1:0"];
    run(&open, "")?.complains_of(&["192.0.2.1:0", "windlass token new", "insecure"])?;
    let both = [&open[..], &["--config", config.as_str(), "--insecure-listen"]].concat();
    run(&both, "")?.complains_of(&["insecure_listen", "access.tokens"])?;
    let required = site.write("required.toml", "[access]\nrequired = true\n")?;
    run(&["serve", "--storage", &storage, "--config", &required.to_string_lossy()], "")?
        .complains_of(&["required", "windlass token new"])?;
    let wrong = site.write("wrong.toml", "[[access.tokens]]\nname = \"a\"\nrole = \"king\"\nsha256 = \"\"\n")?;
    run(&["serve", "--config", &wrong.to_string_lossy()], "")?.complains_of(&["access.tokens", "king", "viewer"])?;
    // With tokens the address is what keeps it from starting: nobody has this one.
    let with = [&open[..], &["--config", config.as_str()]].concat();
    run(&with, "")?.complains_of(&["failed to listen on 192.0.2.1:0"])
}

#[test]
fn a_stream_of_events_ends_with_the_session_that_it_was_opened_with() -> Result<()> {
    let site = Site::new()?;
    let (tokens, config) = tokens(&site)?;
    let host = site.start(&["--config", &config])?;
    let sign_in = || -> Result<String> {
        let body = serde_json::json!({ "token": token(&tokens, Role::Viewer)? }).to_string();
        let answer = host.ask("POST", "/api/v1/session", &[], &body)?;
        let cookie = answer.header("set-cookie").and_then(|cookie| cookie.split(';').next());
        cookie.map(str::to_owned).with_context(|| format!("no cookie in {answer:?}"))
    };
    let (own, other) = (sign_in()?, sign_in()?);
    let (mut ended, mut goes_on) = (host.follow("", &[("Cookie", &own)])?, host.follow("", &[("Cookie", &other)])?);
    ended.next_event()?;
    goes_on.until("the servers", |event| event.kind == "servers")?;
    let signed_out = host.ask("DELETE", "/api/v1/session", &[("Cookie", &own)], "")?;
    ensure!(signed_out.status == 204, "{signed_out:?}");
    let end = ended.until("nothing", |event| event.kind == "never");
    ensure!(end.is_err_and(|error| format!("{error:#}").contains("the stream has ended")), "it goes on");
    ensure!(host.follow("", &[("Cookie", &own)]).is_err(), "a session that was ended is let in");
    // Another browser of the same token is not concerned.
    let bearer = format!("Bearer {}", token(&tokens, Role::Operator)?);
    host.ask("POST", "/api/v1/queues/mail/pause", &[("Authorization", &bearer)], "")?;
    goes_on.until("the paused queue", |event| event.kind == "queues")?;
    Ok(())
}
