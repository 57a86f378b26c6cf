//! Behaves: sync and async handlers in one component.

use std::hint::black_box;
use std::time::{Duration, Instant};

use windlass_guest::prelude::*;

/// How long to compute.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
struct Compute {
    /// Milliseconds, by the clock on the wall.
    ms: u64,
}

/// Computes without pause and gives how many rounds it made.
#[handler]
fn compute(_ctx: &Context, args: Compute) -> Result<u64, JobError> {
    let end = Instant::now() + Duration::from_millis(args.ms);
    let mut rounds: u64 = 0;
    while Instant::now() < end {
        rounds = (0..1_000).fold(rounds, |rounds, _| black_box(rounds.wrapping_add(1)));
    }
    Ok(rounds)
}

/// How long to wait.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
struct Wait {
    /// Milliseconds.
    ms: u64,
}

/// Waits and gives how long.
#[handler]
async fn wait(_ctx: &Context, args: Wait) -> Result<u64, JobError> {
    windlass_guest::time::sleep(Duration::from_millis(args.ms)).await;
    Ok(args.ms)
}

/// What to add.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
struct Add {
    /// One number.
    a: i64,
    /// The other.
    b: i64,
}

/// Adds two numbers.
#[handler]
fn add(_ctx: &Context, args: Add) -> Result<i64, JobError> {
    args.a.checked_add(args.b).ok_or_else(|| JobError::fatal("overflow", "the sum is too large"))
}

/// A card to be charged.
#[derive(Deserialize, JsonSchema)]
struct Charge {
    /// Its number.
    card: String,
    /// How much.
    cents: u64,
}

/// What was charged.
#[derive(Serialize, JsonSchema)]
struct Charged {
    /// The card's number.
    card: String,
    /// How much.
    cents: u64,
}

/// Charges a card; nothing cannot be charged.
#[handler(redact("/card"))]
fn charge(_ctx: &Context, args: Charge) -> Result<Charged, JobError> {
    let Charge { card, cents } = args;
    if cents == 0 {
        return Err(JobError::fatal("nothing", "there is nothing to charge").with_details(card));
    }
    Ok(Charged { card, cents })
}

/// Whom to ask.
#[derive(Deserialize, JsonSchema)]
struct Ask {
    /// A URL.
    url: String,
}

/// Sends a request and gives the status of the answer.
#[handler]
async fn ask(_ctx: &Context, args: Ask) -> Result<u16, JobError> {
    let request = windlass_guest::http::Request::get(args.url);
    Ok(windlass_guest::http::send_async(request).await?.status())
}

windlass_guest::export!(compute, wait, add, charge, ask);
