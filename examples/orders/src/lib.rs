//! Charges, reserves and mails an order in durable steps: whenever the run is interrupted, what is recorded is not done
//! again.

mod shop;

use std::{path::Path, thread, time::Duration};

use windlass_guest::prelude::*;

use crate::shop::Shop;

windlass_guest::export!(place);

/// Where the operator's directory appears to the handler.
const SHOP: &str = "/shop";

/// What somebody bought.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Order {
    /// The order's number.
    pub order: String,
    /// What was bought.
    pub sku: String,
    /// How much of it.
    pub quantity: u32,
    /// What it costs in all.
    pub cents: u64,
    /// Whom to write to.
    pub email: String,
    /// How long each step takes, in milliseconds, so that there is time to interrupt it; 0 where absent.
    #[serde(default)]
    pub pause_ms: u64,
}

/// What was done.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Placed {
    /// The number of the charge.
    pub charge: u64,
    /// The number of the reservation.
    pub reservation: u64,
    /// The mail's file below `/shop`.
    pub mail: String,
}

/// Charges an order, reserves what was bought and writes to the buyer.
#[handler(max_attempts = 10, retry = "exponential(1s, 1m)", timeout = "2m", redact("/email"))]
pub fn place(ctx: &Context, order: Order) -> Result<Placed, JobError> {
    place_in(ctx, &Shop::at(Path::new(SHOP)), &order)
}

fn place_in(ctx: &Context, shop: &Shop<'_>, order: &Order) -> Result<Placed, JobError> {
    let pause = || thread::sleep(Duration::from_millis(order.pause_ms));
    let charge = ctx.step("charge", |key| {
        pause();
        if order.cents == 0 {
            return Err(JobError::fatal("nothing-to-charge", format!("order {} costs nothing", order.order)));
        }
        Ok(shop.charge(key, &order.email, order.cents)?)
    })?;
    ctx.progress(33.0, "charged");
    let reservation = ctx.step("reserve", |key| {
        pause();
        Ok(shop.reserve(key, &order.sku, order.quantity)?)
    })?;
    ctx.progress(66.0, "reserved");
    let mail = ctx.step("mail", |key| {
        pause();
        let text = format!("Your order {} is on its way: charge {charge}, reservation {reservation}.", order.order);
        Ok(shop.mail(key, &order.email, &text)?)
    })?;
    Ok(Placed { charge, reservation, mail })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use windlass_guest::testing::TestContext;

    use super::*;

    fn order() -> Order {
        let (order, sku, email) = ("A-17".into(), "bolt".into(), "ada@example.com".into());
        Order { order, sku, quantity: 3, cents: 4500, email, pause_ms: 0 }
    }

    #[test]
    fn an_order_is_charged_reserved_and_mailed() {
        let folder = tempfile::tempdir().unwrap();
        let test = TestContext::new().with_id("J");
        let placed = place_in(&test.context(), &Shop::at(folder.path()), &order()).unwrap();
        assert_eq!(placed, Placed { charge: 1, reservation: 1, mail: "outbox/J-mail.txt".into() });
        let names: Vec<_> = test.steps().into_iter().map(|step| step.name).collect();
        assert_eq!(names, ["charge", "reserve", "mail"]);
        let mail = fs::read_to_string(folder.path().join(placed.mail)).unwrap();
        assert!(mail.starts_with("To: ada@example.com\n") && mail.contains("charge 1"), "{mail}");
    }

    #[test]
    fn whatever_is_interrupted_nobody_is_charged_twice() {
        let folder = tempfile::tempdir().unwrap();
        let shop = Shop::at(folder.path());
        let test = TestContext::new().with_id("J");
        let placed = place_in(&test.context(), &shop, &order()).unwrap();
        // After the work of a step and before it was recorded; what comes after it had not begun.
        for interrupted in [&["mail"][..], &["reserve", "mail"], &["charge", "reserve", "mail"]] {
            for name in interrupted {
                test.forget_step(name);
            }
            assert_eq!(place_in(&test.context(), &shop, &order()).unwrap(), placed);
        }
        assert_eq!(fs::read_to_string(folder.path().join("charges.csv")).unwrap(), "J-charge,ada@example.com,4500\n");
        assert_eq!(fs::read_to_string(folder.path().join("reservations.csv")).unwrap(), "J-reserve,bolt,3\n");
    }

    #[test]
    fn what_an_earlier_attempt_charged_is_written_into_the_mail() {
        let folder = tempfile::tempdir().unwrap();
        let test = TestContext::new().with_step("charge", 7);
        let placed = place_in(&test.context(), &Shop::at(folder.path()), &order()).unwrap();
        assert_eq!((placed.charge, placed.reservation), (7, 1));
        assert!(!folder.path().join("charges.csv").exists());
    }

    #[test]
    fn an_order_that_costs_nothing_is_refused_for_good_and_goes_no_further() {
        let folder = tempfile::tempdir().unwrap();
        let test = TestContext::new();
        let order = Order { cents: 0, ..order() };
        let error = place_in(&test.context(), &Shop::at(folder.path()), &order).unwrap_err();
        assert!(matches!(&error, JobError::Fatal(failure) if failure.code == "nothing-to-charge"), "{error}");
        assert!(test.steps().is_empty());
    }
}
