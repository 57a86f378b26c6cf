//! Looks for the broken links of a page: an async handler that waits for many things at once.

mod page;

use std::{collections::BTreeSet, time::Duration};

use futures::{StreamExt, stream};
use url::Url;
use windlass_guest::{
    http::{self, Request},
    prelude::*,
};

windlass_guest::export!(check, ping);

/// How many links are fetched at once: enough to hide their delays, few enough not to be a burden to one server.
const AT_ONCE: usize = 16;

/// Which page to check.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Check {
    /// The page: `http://…` or `https://…`.
    pub url: String,
    /// How many of its links to check at most; 200 where absent.
    #[serde(default = "default_limit")]
    pub limit: usize,
}

const fn default_limit() -> usize {
    200
}

/// What is wrong with a page's links.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Report {
    /// How many different links were checked.
    pub checked: usize,
    /// How many more there are, over the limit.
    pub left_out: usize,
    /// Those that lead nowhere.
    pub broken: Vec<Broken>,
}

/// A link that leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct Broken {
    /// Where it leads.
    pub url: String,
    /// Why it is broken.
    pub reason: String,
}

/// Fetches a page and all that it links to, and reports the links that lead nowhere.
#[handler(max_attempts = 5, timeout = "2m")]
pub async fn check(ctx: &Context, args: Check) -> Result<Report, JobError> {
    let base = Url::parse(&args.url).or_fatal("bad-url")?;
    let response = http::send_async(request(&base)).await?;
    if (400..500).contains(&response.status()) {
        return Err(JobError::fatal("no-such-page", format!("{base} answers {}", response.status())));
    }
    let response = response.error_for_status()?;
    let links = page::links(&base, response.bytes());
    let left_out = links.len().saturating_sub(args.limit);
    let links: BTreeSet<_> = links.into_iter().take(args.limit).collect();
    ctx.info(format!("{base} has {} links", links.len() + left_out));

    let checked = links.len();
    let mut answers = stream::iter(links).map(broken).buffer_unordered(AT_ONCE);
    let mut broken = Vec::new();
    let mut done = 0_u16;
    while let Some(answer) = answers.next().await {
        done = done.saturating_add(1);
        ctx.progress(f32::from(done) / checked as f32 * 100.0, "");
        broken.extend(answer);
    }
    broken.sort();
    Ok(Report { checked, left_out, broken })
}

/// Fetches one link, and gives it back where it is broken.
async fn broken(link: Url) -> Option<Broken> {
    let reason = match http::send_async(request(&link)).await {
        Ok(response) if response.status() < 400 => return None,
        Ok(response) => format!("status {}", response.status()),
        // There is something, and more of it than this handler cares for.
        Err(http::Error::ResponseTooLarge { .. }) => return None,
        Err(error) => error.to_string(),
    };
    Some(Broken { url: link.into(), reason })
}

fn request(url: &Url) -> Request {
    Request::get(url.as_str())
        .header("user-agent", concat!("windlass-links/", env!("CARGO_PKG_VERSION")))
        .timeout(Duration::from_secs(10))
        .max_response_bytes(1 << 20)
}

/// Which address to ask.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Ping {
    /// The address: `http://…` or `https://…`.
    pub url: String,
}

/// What an address answers.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Pong {
    /// The status of its response.
    pub status: u16,
    /// The size of its response.
    pub bytes: usize,
}

/// Fetches one address and says what it answers. Any answer will do; only none is a failure.
#[handler(max_attempts = 3, timeout = "15s")]
pub async fn ping(args: Ping) -> Result<Pong, JobError> {
    let url = Url::parse(&args.url).or_fatal("bad-url")?;
    let response = http::send_async(request(&url)).await?;
    Ok(Pong { status: response.status(), bytes: response.bytes().len() })
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use windlass_guest::{
        http::Response,
        testing::{self, TestContext},
    };

    use super::*;

    fn site() -> TestContext {
        TestContext::new().with_http(|request| match request.url() {
            "http://site.example/" => Ok(Response::new(
                200,
                r#"<a href="/fine">f</a> <a href="gone#part">g</a> <a href="http://down.example/">d</a> <a href="/fine">again</a>"#,
            )),
            "http://site.example/fine" => Ok(Response::new(200, "fine")),
            "http://down.example/" => Err(http::Error::Failed("connection refused".into())),
            "http://site.example/busy" => Ok(Response::new(503, "")),
            _ => Ok(Response::new(404, "")),
        })
    }

    #[test]
    fn the_report_names_the_links_that_lead_nowhere_and_why() {
        let test = site();
        let report = testing::run_async::<check>(&test, json!({ "url": "http://site.example/" })).unwrap();
        assert_eq!(report["checked"], 3);
        assert_eq!(report["broken"][0]["url"], "http://down.example/");
        assert_eq!(report["broken"][1], json!({ "url": "http://site.example/gone", "reason": "status 404" }));
        assert_eq!(report["broken"].as_array().unwrap().len(), 2);
        assert_eq!(test.progress().last().unwrap().percent, 100.0);
    }

    #[test]
    fn no_more_links_are_checked_than_the_limit() {
        let report =
            testing::run_async::<check>(&site(), json!({ "url": "http://site.example/", "limit": 1 })).unwrap();
        assert_eq!((&report["checked"], &report["left_out"]), (&json!(1), &json!(2)));
    }

    #[test]
    fn a_missing_page_is_fatal_and_a_busy_one_is_tried_again() {
        let run = |url: &str| testing::run_async::<check>(&site(), json!({ "url": url })).unwrap_err();
        assert!(
            matches!(run("http://site.example/missing"), JobError::Fatal(failure) if failure.code == "no-such-page")
        );
        assert!(matches!(run("http://site.example/busy"), JobError::Retry(failure) if failure.code == "http-status"));
        assert!(matches!(run("nonsense"), JobError::Fatal(failure) if failure.code == "bad-url"));
    }

    #[test]
    fn ping_takes_any_answer() {
        let pong = testing::run_async::<ping>(&site(), json!({ "url": "http://site.example/busy" })).unwrap();
        assert_eq!(pong, json!({ "status": 503, "bytes": 0 }));
    }
}
