//! `/api/v1/openapi.json`: the API's own description, after OpenAPI 3.1.
//!
//! What a route takes and gives is said beside its function. What holds for all of them is added here: the role, from the
//! table that lets people in, and the problems that any request may meet.

use std::sync::LazyLock;

use axum::{
    body::Bytes,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value, json};
use utoipa::OpenApi;
use windlass_api::{Grain, Problem};

use super::access::{Need, TABLE};

#[derive(OpenApi)]
#[openapi(
    info(title = "Windlass", description = "Background jobs whose handlers are WebAssembly components."),
    paths(
        super::jobs::list,
        super::jobs::enqueue,
        super::jobs::count,
        super::jobs::enqueue_many,
        super::bulk_actions::start,
        super::jobs::show,
        super::jobs::delete,
        super::jobs::logs,
        super::jobs::relations,
        super::jobs::wait,
        super::jobs::cancel,
        super::jobs::requeue,
        super::bulk_actions::list,
        super::bulk_actions::show,
        super::bulk_actions::stop,
        super::jobs::counts,
        super::stats::counters,
        super::modules::list,
        super::modules::deploy,
        super::modules::show,
        super::grants::show,
        super::modules::activate,
        super::canary::begin,
        super::canary::end,
        super::canary::promote,
        super::modules::retire,
        super::queues::list,
        super::queues::pause,
        super::queues::resume,
        super::limits::list,
        super::limits::put,
        super::limits::remove,
        super::recurring::list,
        super::recurring::show,
        super::recurring::put,
        super::recurring::remove,
        super::recurring::pause,
        super::recurring::resume,
        super::recurring::trigger,
        super::servers::list,
        super::events::follow,
        super::session::show,
        super::session::sign_in,
        super::session::sign_out,
        super::audit::list,
        show,
        super::metrics::scrape,
        super::health::live,
        super::health::ready,
        super::dashboard::asset,
    ),
    components(schemas(Grain, Problem))
)]
struct Described;

static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| document().to_string().into());

/// This description.
#[utoipa::path(
    get,
    path = "/api/v1/openapi.json",
    responses((status = 200, description = "An OpenAPI document.", body = serde_json::Value))
)]
pub(super) async fn show() -> Response {
    let kind = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, kind)], DOCUMENT.clone()).into_response()
}

/// The description itself.
pub(crate) fn document() -> Value {
    // Plain data: it can always be written.
    let mut document = serde_json::to_value(Described::openapi()).unwrap_or_default();
    document["info"]["version"] = json!(env!("CARGO_PKG_VERSION"));
    document["info"]["license"] = json!({ "name": "Apache-2.0 OR MIT", "identifier": "Apache-2.0 OR MIT" });
    document["components"]["securitySchemes"] = json!({
        "token": { "type": "http", "scheme": "bearer", "description": "Where the host asks for tokens." },
        "session": { "type": "apiKey", "in": "cookie", "name": super::access::COOKIE },
    });
    loosen(&mut document);
    if let Some(schemas) = document["components"]["schemas"].as_object_mut() {
        merge(schemas);
    }
    for (method, path, need) in TABLE {
        if let Some(operation) = document["paths"][path].get_mut(method.to_lowercase()) {
            complete(operation, method, path, *need);
        }
    }
    document
}

fn complete(operation: &mut Value, method: &str, path: &str, need: Need) {
    // Two routes may have functions of one name.
    let words = path.trim_start_matches("/api/v1").replace(['/', '{', '}', '.'], "_");
    operation["operationId"] = json!(format!("{}{words}", method.to_lowercase()));
    let topic = path.trim_start_matches("/api/v1").trim_start_matches('/').split('/').next().unwrap_or_default();
    operation["tags"] = json!([topic]);
    if let Need::Role(role) = need {
        operation["x-windlass-role"] = json!(role);
        operation["description"] =
            json!(format!("Takes the role `{role}` or one above it, where tokens are asked for."));
        operation["security"] = json!([{ "token": [] }, { "session": [] }, {}]);
    }
    let has_body = operation.get("requestBody").is_some();
    if path.ends_with("/requeue") {
        operation["requestBody"]["required"] = json!(false);
    }
    let is_data = path.starts_with("/api/v1/");
    if is_data && method == "GET" && path != "/api/v1/session" && path != "/api/v1/events" {
        add(operation, 304, "It is as it was when the tag in `If-None-Match` was given.");
    }
    if is_data || path == "/metrics" {
        add(operation, 400, "The request cannot be read.");
        add(operation, 403, "Not served here, not for this role, or not by a host that is only to be read.");
        add(operation, 500, "The host failed; its log tells how.");
    }
    if need != Need::Nothing {
        add(operation, 401, "A token is needed, or the one given is not good.");
    }
    if need != Need::Nothing || path == "/api/v1/session" {
        add(operation, 429, "Too many wrong tokens.");
    }
    if has_body {
        add(operation, 408, "The body came too slowly.");
        add(operation, 413, "The body is over the limit.");
    }
    add(operation, 503, "The storage is away, or the host cannot do it now; the request may be repeated.");
    let responses = operation["responses"].as_object_mut().into_iter().flatten();
    for (_, response) in responses.filter(|(status, _)| status.starts_with(['4', '5'])) {
        response["content"] =
            json!({ "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } });
    }
}

/// What may be absent is said to be `null` or something else, but not both: and yet any JSON may be `null` itself.
fn loosen(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(loosen),
        Value::Object(members) => {
            let either =
                |choices: &mut Value| choices.as_array().is_some_and(|all| all.contains(&json!({ "type": "null" })));
            if members.get_mut("oneOf").is_some_and(either)
                && let Some(choices) = members.remove("oneOf")
            {
                members.insert("anyOf".to_owned(), choices);
            }
            // What is derived for whole numbers up to 2^64.
            if members.get("format").is_some_and(|format| format == "int64") {
                members.remove("format");
            }
            members.values_mut().for_each(loosen);
        }
        _ => {}
    }
}

/// A type that takes in the fields of another is not also that other, which has no more fields than its own.
fn merge(schemas: &mut Map<String, Value>) {
    let known = schemas.clone();
    for schema in schemas.values_mut().filter_map(Value::as_object_mut) {
        let Some(Value::Array(parts)) = schema.remove("allOf") else { continue };
        let (mut properties, mut required) = (Map::new(), Vec::new());
        for part in parts {
            let name = part["$ref"].as_str().and_then(|path| path.rsplit('/').next());
            let part = name.and_then(|name| known.get(name)).unwrap_or(&part);
            properties.extend(part["properties"].as_object().cloned().unwrap_or_default());
            required.extend(part["required"].as_array().cloned().unwrap_or_default());
        }
        schema.extend([
            ("type".to_owned(), json!("object")),
            ("properties".to_owned(), Value::Object(properties)),
            ("required".to_owned(), Value::Array(required)),
        ]);
    }
}

/// Says of a status what it means, unless the route has said so itself.
fn add(operation: &mut Value, status: u16, description: &str) {
    if let Some(responses) = operation["responses"].as_object_mut() {
        responses.entry(status.to_string()).or_insert_with(|| json!({ "description": description }));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use windlass_api::ProblemCode;

    use super::*;

    #[test]
    fn the_description_has_exactly_the_routes_of_the_table_of_roles() {
        let document = document();
        assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
        let described: BTreeSet<(String, String)> = document["paths"]
            .as_object()
            .unwrap()
            .iter()
            .flat_map(|(path, methods)| {
                let methods = methods.as_object().unwrap().keys();
                methods.map(move |method| (method.to_uppercase(), path.clone()))
            })
            .collect();
        let in_table: BTreeSet<_> =
            TABLE.iter().map(|(method, path, _)| ((*method).to_owned(), (*path).to_owned())).collect();
        assert_eq!(described, in_table);
    }

    #[test]
    fn every_route_says_its_role_and_what_problems_look_like() {
        let document = document();
        let mut ids = BTreeSet::new();
        for (method, path, need) in TABLE {
            let operation = &document["paths"][path][method.to_lowercase()];
            let role = operation["x-windlass-role"].as_str();
            assert_eq!(
                role,
                match need {
                    Need::Nothing => None,
                    Need::Role(role) => Some(role.as_str()),
                },
                "{method} {path}"
            );
            assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{method} {path}");
            assert!(operation["summary"].is_string(), "{method} {path} says nothing of itself");
            for (status, response) in operation["responses"].as_object().unwrap() {
                let is_problem = status.starts_with(['4', '5']);
                assert_eq!(
                    response["content"].get("application/problem+json").is_some(),
                    is_problem,
                    "{method} {path} {status}"
                );
            }
        }
    }

    #[test]
    fn whatever_is_referred_to_is_there() {
        let document = document();
        let text = document.to_string();
        let names: BTreeSet<&str> =
            text.split("\"#/components/schemas/").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert!(names.len() > 20, "{names:?}");
        for name in names {
            assert!(document["components"]["schemas"].get(name).is_some(), "there is no schema {name}");
        }
    }

    #[test]
    fn every_code_of_a_problem_is_known_to_the_description() {
        let document = document();
        let codes = document["components"]["schemas"]["ProblemCode"]["enum"].to_string();
        for code in [ProblemCode::BadRequest, ProblemCode::TooSlow, ProblemCode::ReadOnly, ProblemCode::KeyReused] {
            assert!(codes.contains(serde_json::to_value(code).unwrap().as_str().unwrap()), "{codes}");
        }
    }
}
