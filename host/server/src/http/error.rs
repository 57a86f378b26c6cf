//! The one body of every error, and how other errors become it.

use axum::{
    Json as JsonBody,
    extract::rejection::{BytesRejection, JsonRejection, PathRejection, QueryRejection},
    http::{HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use windlass_api::{Problem, ProblemCode};
use windlass_jobs::{ClientError, admission::AdmissionError, storage::StorageError};
use windlass_wasm::Refusal;

use super::{access, bounds::TooSlow};
use crate::modules::{CanaryError, DeployError, RetireError};

/// An error on its way out.
#[derive(Debug)]
pub(crate) struct ApiError(Problem);

pub(crate) type ApiResult<T> = Result<T, ApiError>;

impl ApiError {
    pub(crate) fn code(&self) -> ProblemCode {
        self.0.code
    }

    pub(crate) fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        Self(Problem::new(code, detail))
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let code = self.0.code;
        let mut response = (status, JsonBody(self.0)).into_response();
        let mut add = |name, value| response.headers_mut().insert(name, HeaderValue::from_static(value));
        add(header::CONTENT_TYPE, "application/problem+json");
        // How to be let in, or when.
        match code {
            ProblemCode::Unauthenticated => add(header::WWW_AUTHENTICATE, "Bearer realm=\"windlass\""),
            ProblemCode::TooManyAttempts => add(header::RETRY_AFTER, "60"),
            // What is left of the body is not waited for.
            ProblemCode::TooSlow => add(header::CONNECTION, "close"),
            _ => None,
        };
        response
    }
}

impl From<StorageError> for ApiError {
    fn from(error: StorageError) -> Self {
        let code = match error {
            StorageError::InvalidCursor(_) | StorageError::TooLarge(_) => {
                return Self::new(ProblemCode::BadRequest, error.to_string());
            }
            StorageError::Unavailable(_) => ProblemCode::StorageUnavailable,
            _ => ProblemCode::Internal,
        };
        tracing::error!(%error, "a request failed");
        Self::new(code, error.to_string())
    }
}

impl From<ClientError> for ApiError {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Admission(error) => error.into(),
            ClientError::Storage(error) => error.into(),
            error => Self::new(ProblemCode::Internal, error.to_string()),
        }
    }
}

impl From<AdmissionError> for ApiError {
    fn from(error: AdmissionError) -> Self {
        if let AdmissionError::Storage(error) = error {
            return error.into();
        }
        let mut told = Self::new(error.code(), error.to_string());
        told.0.job = error.holder();
        told
    }
}

impl From<DeployError> for ApiError {
    fn from(error: DeployError) -> Self {
        match error {
            DeployError::Storage(error) => error.into(),
            DeployError::WouldBreak(_) => Self::new(ProblemCode::WouldBreak, error.to_string()),
            DeployError::Refused(Refusal::TooLarge { .. }) => Self::new(ProblemCode::TooLarge, error.to_string()),
            error if error.may_pass() => Self::new(ProblemCode::Busy, error.to_string()),
            error => Self::new(ProblemCode::ModuleRefused, error.to_string()),
        }
    }
}

impl From<CanaryError> for ApiError {
    fn from(error: CanaryError) -> Self {
        let code = match error {
            CanaryError::Deploy(error) => return error.into(),
            CanaryError::Percent(_) => ProblemCode::InvalidField,
            CanaryError::UnknownVersion(..) | CanaryError::NoCanary(_) => ProblemCode::NotFound,
            CanaryError::IsActive(..) | CanaryError::IsRetired(..) | CanaryError::NothingActive(_) => {
                ProblemCode::Conflict
            }
        };
        Self::new(code, error.to_string())
    }
}

impl From<RetireError> for ApiError {
    fn from(error: RetireError) -> Self {
        let code = match error {
            RetireError::Storage(error) => return error.into(),
            RetireError::UnknownVersion(..) => ProblemCode::NotFound,
            RetireError::Live(..) | RetireError::Needed { .. } => ProblemCode::Conflict,
        };
        Self::new(code, error.to_string())
    }
}

/// Bodies, paths and queries that cannot be read: told as what they are, not as the framework's plain text.
macro_rules! unreadable {
    ($($rejection:ident),*) => {
        $(impl From<$rejection> for ApiError {
            fn from(rejection: $rejection) -> Self {
                if TooSlow::is_in(&rejection) {
                    return Self::new(ProblemCode::TooSlow, TooSlow.to_string());
                }
                let code = match rejection.status() {
                    StatusCode::PAYLOAD_TOO_LARGE => ProblemCode::TooLarge,
                    StatusCode::UNPROCESSABLE_ENTITY => ProblemCode::InvalidField,
                    _ => ProblemCode::BadRequest,
                };
                Self::new(code, plain(&rejection.body_text()))
            }
        })*
    };
}

unreadable!(BytesRejection, JsonRejection, PathRejection);

/// The framework's text, without words about how a body is read, and with numbers as people call them.
fn plain(text: &str) -> String {
    let text = text.strip_prefix("Failed to deserialize the JSON body into the target type: ").unwrap_or(text);
    let mut told = text.to_owned();
    for (name, words) in [
        ("u8", "a whole number, 0 to 255"),
        ("u32", "a whole number, 0 to 4294967295"),
        ("u64", "a whole number that is not below 0"),
    ] {
        told = told.replace(&format!(", expected {name} at line "), &format!(", expected {words}, at line "));
    }
    told
}

impl From<QueryRejection> for ApiError {
    fn from(rejection: QueryRejection) -> Self {
        // The framework's text names the parameter and what was expected of it, after words about how it was read.
        let text = rejection.body_text();
        let text = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text);
        Self::new(ProblemCode::BadRequest, text)
    }
}

pub(super) async fn no_such_route(uri: Uri) -> ApiError {
    ApiError::new(ProblemCode::NotFound, format!("there is nothing at {}", uri.path()))
}

/// A path that there is, by a method that it does not take; `route` is what the router has matched.
pub(super) fn wrong_method(method: &Method, uri: &Uri, route: &str) -> Response {
    let allowed = access::methods(route);
    let detail = format!("{} takes {allowed}, not {method}", uri.path());
    let mut error = ApiError::new(ProblemCode::BadRequest, detail);
    error.0.status = StatusCode::METHOD_NOT_ALLOWED.as_u16();
    let mut response = error.into_response();
    if let Ok(allowed) = HeaderValue::from_str(&allowed) {
        response.headers_mut().insert(header::ALLOW, allowed);
    }
    response
}
