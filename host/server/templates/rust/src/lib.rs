//! Handlers of Windlass: plain functions, of which `windlass build` makes a WebAssembly component.

use windlass_guest::prelude::*;

/// Who is greeted. A job whose payload does not fit is refused before it is one.
#[derive(Deserialize, JsonSchema)]
pub struct Greeting {
    pub name: String,
}

/// Greets somebody.
#[handler(max_attempts = 3, timeout = "5s")]
pub fn greet(ctx: &Context, args: Greeting) -> Result<String, JobError> {
    if args.name.is_empty() {
        return Err(JobError::fatal("no-name", "there is nobody to greet"));
    }
    ctx.info(format!("greeting {}", args.name));
    Ok(format!("Hello, {}!", args.name))
}

windlass_guest::export!(greet);

#[cfg(test)]
mod tests {
    use windlass_guest::{
        serde_json::json,
        testing::{self, TestContext},
    };

    use super::*;

    #[test]
    fn somebody_is_greeted() {
        let test = TestContext::new();
        assert_eq!(testing::run::<greet>(&test, json!({ "name": "Ada" })).unwrap(), "Hello, Ada!");
        assert_eq!(test.logs()[0].message, "greeting Ada");
    }

    #[test]
    fn nobody_is_not_greeted() {
        let refused = testing::run::<greet>(&TestContext::new(), json!({ "name": "" })).unwrap_err();
        assert_eq!(refused.failure().unwrap().code, "no-name");
    }
}
