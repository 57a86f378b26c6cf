//! Who a trusted proxy says that somebody is.

use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use windlass_api::{ProblemCode, Role};

use super::{super::error::ApiError, Caller};
use crate::config::{Network, ProxySettings, check_name};

/// A proxy that signs people in.
#[derive(Debug)]
pub(super) struct Proxy {
    header: HeaderName,
    role_header: Option<HeaderName>,
    role: Option<Role>,
    trusted: Vec<Network>,
}

impl Proxy {
    /// Nothing where a header's name cannot be one, which the settings have refused before.
    pub(super) fn new(settings: &ProxySettings) -> Option<Self> {
        let role_header = settings.role_header.as_ref().map(|name| name.parse()).transpose();
        Some(Self {
            header: settings.header.parse().ok()?,
            role_header: role_header.ok()?,
            role: settings.role,
            trusted: settings.trusted.clone(),
        })
    }

    /// Whom the headers name, where they come from the proxy and name somebody.
    pub(super) fn caller(&self, headers: &HeaderMap, from: Option<IpAddr>) -> Result<Option<Caller>, ApiError> {
        let is_trusted = from.is_some_and(|from| self.trusted.iter().any(|network| network.contains(from)));
        if !is_trusted || !headers.contains_key(&self.header) {
            return Ok(None);
        }
        // More than one would be the proxy's beside somebody else's.
        let name = only(headers, &self.header)?.unwrap_or_default().trim();
        if check_name(name).is_err() {
            return Err(refused(format!("the proxy's header `{}` names nobody", self.header)));
        }
        let named = match &self.role_header {
            Some(header) => only(headers, header)?.and_then(highest),
            None => None,
        };
        let role = named.or(self.role);
        let role = role.ok_or_else(|| refused(format!("the proxy says of {name} no role that is known here")))?;
        Ok(Some(Caller::from_proxy(role, name)))
    }
}

fn highest(roles: &str) -> Option<Role> {
    roles.split(',').filter_map(|role| role.trim().parse().ok()).max()
}

fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, ApiError> {
    let mut values = headers.get_all(name).iter();
    let (value, more) = (values.next(), values.next());
    let text = value.map(HeaderValue::to_str).transpose();
    match (text, more) {
        (Ok(text), None) => Ok(text),
        _ => Err(refused(format!(
            "the header `{name}` must come once, as ASCII: the proxy must replace what comes from outside"
        ))),
    }
}

fn refused(detail: String) -> ApiError {
    ApiError::new(ProblemCode::Unauthenticated, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy() -> Proxy {
        Proxy::new(&ProxySettings {
            header: "x-user".to_owned(),
            role_header: Some("x-groups".to_owned()),
            role: Some(Role::Viewer),
            trusted: vec!["10.0.0.0/24".parse().unwrap()],
        })
        .unwrap()
    }

    fn asked(from: &str, headers: &[(&'static str, &'static str)]) -> Result<Option<Caller>, ProblemCode> {
        let mut all = HeaderMap::new();
        for (name, value) in headers {
            all.append(*name, HeaderValue::from_static(value));
        }
        proxy().caller(&all, from.parse().ok()).map_err(|error| error.code())
    }

    #[test]
    fn whoever_the_proxy_names_has_the_highest_role_that_it_says() {
        let known = |headers: &[_]| asked("10.0.0.9", headers).unwrap().unwrap();
        let anna = known(&[("x-user", "anna@example.com"), ("x-groups", "staff, operator,viewer")]);
        assert_eq!((anna.role(), anna.by()), (Role::Operator, "proxy anna@example.com"));
        assert_eq!(known(&[("x-user", "ben"), ("x-groups", "staff")]).role(), Role::Viewer);
        assert_eq!(known(&[("x-user", "ben")]).role(), Role::Viewer);
    }

    #[test]
    fn nobody_else_is_believed_and_two_names_are_none() {
        let headers = [("x-user", "anna"), ("x-groups", "admin")];
        assert_eq!(asked("10.0.1.9", &headers), Ok(None));
        assert_eq!(asked("", &headers), Ok(None));
        assert_eq!(asked("10.0.0.9", &headers[1..]), Ok(None));
        for wrong in [&[("x-user", "anna"), ("x-user", "root")][..], &[("x-user", "")], &[("x-user", "a\tb")]] {
            assert_eq!(asked("10.0.0.9", wrong), Err(ProblemCode::Unauthenticated), "{wrong:?}");
        }
    }
}
