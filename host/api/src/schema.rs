//! The schemas of what is text on the wire and has rules of its own. Those of all else are derived beside it.

use std::borrow::Cow;

use utoipa::{
    PartialSchema, ToSchema,
    openapi::{KnownFormat, ObjectBuilder, RefOr, Schema, SchemaFormat, Type, schema::SchemaType},
};

use crate::{
    BulkActionId, Digest, HandlerName, HandlerPath, JobId, Json, LimitKey, LimitTarget, ModuleName, QueueName,
    RecurringName, ServerId, Timestamp,
};

/// What `names.rs` allows.
const NAME: &str = "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$";

/// Two of them.
const PATH: &str = "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}/[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$";

/// What `limit.rs` allows as a key, but that it counts bytes.
const KEY: &str = r"^[^*\u0000-\u001f\u007f-\u009f]{1,200}$";

/// What a limit may be on.
const TARGET: &str = concat!(
    "^(queue:[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}",
    "|handler:[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}/[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}",
    r"|key:([^*\u0000-\u001f\u007f-\u009f]{1,200}\*?|\*))$"
);

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::new(Type::String))
}

fn uuid() -> ObjectBuilder {
    text().format(Some(SchemaFormat::Custom("uuid".to_owned())))
}

/// One of these words.
pub(crate) fn words(words: impl Iterator<Item = &'static str>) -> RefOr<Schema> {
    text().enum_values(Some(words)).into()
}

macro_rules! schemas {
    ($($name:ident: $schema:expr, $description:literal;)*) => {$(
        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                $schema.description(Some($description)).into()
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                stringify!($name).into()
            }
        }
    )*};
}

schemas! {
    JobId: uuid(), "Names a job. Ids that Windlass makes are UUIDv7, so they sort by the time at which they were made.";
    ServerId: uuid(), "Names one start of one host process.";
    BulkActionId: uuid(), "Names a bulk action on the host that took it.";
    Digest: text().pattern(Some("^[0-9A-Fa-f]{64}$")), "The SHA-256 of a component: the name of a version.";
    ModuleName: text().pattern(Some(NAME)), "Names a module.";
    HandlerName: text().pattern(Some(NAME)), "Names a handler within its module.";
    QueueName: text().pattern(Some(NAME)), "Names a queue.";
    RecurringName: text().pattern(Some(NAME)), "Names a recurring job.";
    HandlerPath: text().pattern(Some(PATH)), "Where a job goes: `module/handler`.";
    LimitKey: text().pattern(Some(KEY)), "A key that jobs count under.";
    LimitTarget: text().pattern(Some(TARGET)), "What a limit is on: `queue:NAME`, `handler:MODULE/HANDLER`, `key:KEY` or `key:START*`.";
    Timestamp: text().format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime))), "An instant: RFC 3339.";
    Json: ObjectBuilder::new().schema_type(SchemaType::AnyValue), "Any JSON.";
}
