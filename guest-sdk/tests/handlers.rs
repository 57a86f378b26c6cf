//! Handlers as an author writes them, and what becomes of them.

mod nested {
    use windlass_guest::prelude::*;

    #[handler]
    pub(crate) async fn inner() -> Result<u8, JobError> {
        Ok(7)
    }

    #[handler]
    pub(crate) fn outer() -> Result<u8, JobError> {
        Ok(8)
    }
}

use std::time::Duration;

use nested::inner;
use serde_json::{Value, json};
use windlass_guest::{
    CheckpointError, EnqueueError, Level, RetryPolicy, Start,
    http::{self, Request, Response},
    prelude::*,
    testing::{self, TestContext},
    time,
};

// Whatever is written here must compile, whichever modes the handlers have and wherever they are.
windlass_guest::export!(module = "everything"; charge, inner, nested::outer, bare);

#[derive(Deserialize, JsonSchema)]
struct Charge {
    cents: u64,
    card: String,
}

#[derive(Serialize, JsonSchema)]
struct Receipt {
    number: String,
}

/// Charges a card.
///
/// Twice, if need be.
#[handler(
    name = "charge-card",
    queue = "payments",
    priority = 2,
    max_attempts = 8,
    retry = "exponential(15s, 1h)",
    timeout = "1m30s",
    cancel_grace = "5s",
    fuel = 1_000_000,
    memory = "64MiB",
    redact("/card", "/owner/email"),
    schedule = "@daily",
    schedule("0 3 * * *", time_zone = "Europe/Zurich", payload = "{}", misfire = "skip", name = "nightly")
)]
fn charge(ctx: &Context, args: Charge) -> Result<Receipt, JobError> {
    if args.card == "stolen" {
        return Err(JobError::fatal("card-stolen", "the card is stolen").with_details(json!({ "cents": args.cents })));
    }
    ctx.log_with(Level::Info, "charged", json!({ "cents": args.cents }));
    Ok(Receipt { number: format!("{}/{}", ctx.id(), ctx.attempt()) })
}

/// Neither context nor payload, and a result without a schema.
#[handler]
fn bare() -> Result<Opaque, std::num::ParseIntError> {
    "7".parse().map(Opaque)
}

#[derive(Serialize)]
struct Opaque(u8);

#[handler]
fn context_only(ctx: &Context) -> Result<u32, JobError> {
    Ok(ctx.attempt())
}

#[test]
fn a_handler_is_described_by_what_its_author_wrote() {
    let described = testing::describe::<charge>();
    let expected = json!({
        "name": "charge-card", "summary": "Charges a card.\n\nTwice, if need be.", "queue": "payments", "priority": 2,
        "max_attempts": 8, "timeout_ms": 90_000, "cancel_grace_ms": 5_000, "fuel": 1_000_000,
        "memory_bytes": 64 << 20, "redact": ["/card", "/owner/email"], "schedules": ["@daily", "0 3 * * *"],
    });
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&described[key], value, "{key}");
    }
    assert!(described["retry"].as_str().unwrap().contains("15000"));
    assert_eq!(described["payload_schema"]["required"], json!(["cents", "card"]));
    assert_eq!(described["result_schema"]["properties"]["number"]["type"], "string");
}

#[test]
fn what_an_author_leaves_out_is_left_to_the_operator() {
    let described = testing::describe::<bare>();
    assert_eq!(described["name"], "bare");
    for key in
        ["queue", "priority", "max_attempts", "retry", "timeout_ms", "memory_bytes", "payload_schema", "result_schema"]
    {
        assert_eq!(described[key], Value::Null, "{key}");
    }
}

#[test]
fn a_handler_stays_a_plain_function() {
    let test = TestContext::new().with_attempt(3).with_id("job-1");
    let receipt = charge(&test.context(), Charge { cents: 5, card: "good".into() }).unwrap();
    assert_eq!(receipt.number, "job-1/3");
    assert_eq!(test.logs()[0].fields, json!({ "cents": 5 }));
    assert_eq!(context_only(&test.context()).unwrap(), 3);
    assert_eq!(testing::block_on(inner()).unwrap(), 7);
}

#[test]
fn a_run_goes_from_json_to_json() {
    let test = TestContext::new();
    let receipt = testing::run::<charge>(&test, json!({ "cents": 5, "card": "good" })).unwrap();
    assert!(receipt["number"].as_str().unwrap().ends_with("/1"));
    assert_eq!(testing::run::<bare>(&test, Value::Null).unwrap(), 7);
    assert_eq!(testing::run_async::<inner>(&test, json!("ignored")).unwrap(), 7);
}

#[test]
fn a_payload_that_cannot_be_read_is_fatal() {
    let error = testing::run::<charge>(&TestContext::new(), json!({ "cents": -1 })).unwrap_err();
    assert!(matches!(&error, JobError::Fatal(failure) if failure.code == "bad-payload"), "{error}");
    assert!(error.to_string().contains("failed to read the payload"), "{error}");
}

#[test]
fn errors_keep_their_words_and_get_a_code() {
    fn convert(error: impl Into<JobError>) -> JobError {
        error.into()
    }
    let retried = convert("x".parse::<u8>().unwrap_err());
    assert_eq!(retried, JobError::retry("error", "invalid digit found in string"));
    let code = |error: JobError| (matches!(error, JobError::Fatal(_)), error.failure().unwrap().code.clone());
    assert_eq!(code(convert(http::Error::Denied)), (false, "http-denied".into()));
    assert_eq!(code(convert(EnqueueError::UnknownHandler("x".into()))), (true, "unknown-handler".into()));
    assert_eq!(code(convert(CheckpointError::Superseded)), (false, "checkpoint".into()));
    assert_eq!(code(convert(CheckpointError::TooLarge("200".into()))), (true, "bad-checkpoint".into()));
    assert_eq!(code(Err::<(), _>("broken").or_fatal("why").unwrap_err()), (true, "why".into()));
    let details = testing::run::<charge>(&TestContext::new(), json!({ "cents": 5, "card": "stolen" })).unwrap_err();
    assert_eq!(details.failure().unwrap().details, Some(json!({ "cents": 5 })));
}

#[test]
fn the_messages_of_an_errors_sources_are_kept() {
    #[derive(Debug)]
    struct Outer(std::num::ParseIntError);
    impl std::fmt::Display for Outer {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("failed to read the rate")
        }
    }
    impl std::error::Error for Outer {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }
    let error = JobError::from(Outer("x".parse::<u8>().unwrap_err()));
    assert_eq!(error.failure().unwrap().message, "failed to read the rate: invalid digit found in string");
}

#[test]
fn a_checkpoint_is_there_for_the_next_attempt() {
    let test = TestContext::new().with_checkpoint("page", 3);
    let ctx = test.context();
    assert_eq!(ctx.checkpoint::<u32>("page").unwrap(), Some(3));
    assert_eq!(ctx.checkpoint::<u32>("other").unwrap(), None);
    assert!(matches!(ctx.checkpoint::<String>("page"), Err(CheckpointError::InvalidJson(_))));
    ctx.put_checkpoint("page", 4).unwrap();
    assert!(ctx.put_checkpoint("", 4).is_err());
    assert_eq!(test.context().checkpoint::<u32>("page").unwrap(), Some(4));
    assert_eq!(test.checkpoint("page"), Some(json!(4)));
}

#[test]
fn settings_that_are_missing_are_asked_for_by_name() {
    let test = TestContext::new().with_config("region", "eu").with_secret("token", "t");
    let ctx = test.context();
    assert_eq!(ctx.require_config("region").unwrap(), "eu");
    assert_eq!(ctx.require_secret("token").unwrap(), "t");
    assert_eq!(ctx.config("token"), None);
    assert!(ctx.require_secret("other").unwrap_err().to_string().contains("the secret `other` is missing"));
}

#[test]
fn jobs_that_a_handler_asks_for_are_kept_for_the_test() {
    let test = TestContext::new();
    let request = JobRequest::new("reports/publish", json!({ "n": 1 }))
        .after(Duration::from_secs(5))
        .retry(RetryPolicy::Fixed(Duration::from_secs(1)))
        .tag("monthly");
    let first = test.context().enqueue(request).unwrap();
    let second = test.context().enqueue(JobRequest::new("publish", ())).unwrap();
    let enqueued = test.enqueued();
    assert_ne!(first, second);
    assert_eq!((&enqueued[0].id, enqueued[0].handler.as_str()), (&first, "reports/publish"));
    assert_eq!(enqueued[0].request.start(), Start::After(Duration::from_secs(5)));
    assert_eq!(enqueued[1].payload, Value::Null);
    let unserialisable = std::collections::BTreeMap::from([((1, 2), 3)]);
    let refused = test.context().enqueue(JobRequest::new("publish", unserialisable)).unwrap_err();
    assert!(matches!(refused, EnqueueError::Invalid(_)), "{refused}");
}

#[test]
fn http_is_answered_by_the_test_and_by_nothing_after_it() {
    {
        let _test = TestContext::new().with_http(|request| {
            assert_eq!(request.header_value("Content-Type"), Some("application/json"));
            Ok(Response::json_body(201, json!({ "got": request.body_bytes().len() })))
        });
        let response = http::send(Request::post("http://a.example/").json(json!([1]))).unwrap();
        assert_eq!((response.status(), response.json::<Value>().unwrap()), (201, json!({ "got": 3 })));
        let response = testing::block_on(http::send_async(Request::post("http://a.example/").json(())));
        assert!(response.unwrap().is_success());
        assert!(matches!(http::send(Request::get("nowhere")), Err(http::Error::InvalidRequest(_))));
    }
    assert_eq!(http::send(Request::get("http://a.example/")), Err(http::Error::Unsupported));
}

#[test]
fn a_response_that_will_not_do_is_an_error() {
    assert_eq!(Response::new(404, "").error_for_status(), Err(http::Error::Status(404)));
    assert!(matches!(Response::new(200, [0xff]).text(), Err(http::Error::Body(_))));
    assert!(matches!(Response::new(200, "{").json::<Value>(), Err(http::Error::Body(_))));
}

#[test]
fn a_timeout_ends_what_never_would() {
    let forever = std::future::pending::<()>();
    assert!(testing::block_on(time::timeout(Duration::from_secs(1), forever)).is_err());
    assert_eq!(testing::block_on(time::timeout(Duration::from_secs(1), async { 7 })), Ok(7));
}

#[test]
fn a_cancelled_job_says_so_to_its_handler() {
    let test = TestContext::new();
    assert!(test.context().check_cancelled().is_ok());
    test.cancel();
    assert_eq!(test.context().check_cancelled(), Err(JobError::Cancelled));
}
