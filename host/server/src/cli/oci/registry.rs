//! Speaking to a registry, as the distribution specification of OCI has it, as far as fetching needs it.

use std::{fmt, time::Duration};

use anyhow::bail;
use reqwest::{
    Client, Response, StatusCode, Url,
    header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue, WWW_AUTHENTICATE},
    redirect::{Attempt, Policy},
};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::{
    credentials::{Credentials, PASSWORD_VARIABLE, USERNAME_VARIABLE},
    reference::{Reference, Version},
};
use crate::{outbound, secret::hexadecimal};

/// The kinds of manifests that hold layers.
const MANIFESTS: &str =
    "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";

/// No answer with a token is longer, in bytes.
const MAX_TOKEN_BYTES: usize = 64 << 10;

/// How often an answer may lead elsewhere: components often lie in another place than the registry.
const MAX_REDIRECTS: usize = 5;

/// How long a registry may say nothing.
const PATIENCE: Duration = Duration::from_secs(30);

/// No more of what a registry says is shown, in bytes.
const MAX_SAID_BYTES: usize = 300;

/// A registry, and who somebody is to it.
pub(super) struct Registry {
    client: Client,
    /// All of the name that is asked for.
    base: String,
    name: String,
    credentials: Option<Credentials>,
    /// What it let this user in with.
    pass: Option<HeaderValue>,
    is_here: bool,
}

/// What a token is answered with: its name differs.
#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

impl Registry {
    pub(super) fn new(reference: &Reference, credentials: Option<Credentials>) -> anyhow::Result<Self> {
        // Docker's has another name than the one that everybody knows.
        let host = if reference.registry == "docker.io" { "registry-1.docker.io" } else { &reference.registry };
        let is_here = outbound::is_loopback(&format!("http://{host}").parse()?);
        // Without TLS only what listens on this machine is spoken to.
        let scheme = if is_here { "http" } else { "https" };
        let url = format!("{scheme}://{host}/").parse()?;
        let policy = Policy::custom(move |attempt| follow(attempt, is_here));
        let client = outbound::builder(&url, policy).read_timeout(PATIENCE).build()?;
        let base = format!("{scheme}://{host}/v2/{}", reference.name);
        Ok(Self { client, base, name: reference.name.clone(), credentials, pass: None, is_here })
    }

    /// The manifest of a version, which is what its digest says where it has one.
    pub(super) async fn manifest(&mut self, reference: &Reference, most_bytes: usize) -> anyhow::Result<Vec<u8>> {
        let answer = self.get(&format!("manifests/{}", reference.version.as_str()), MANIFESTS).await?;
        let manifest = read(answer, most_bytes).await?;
        if let Version::Digest(digest) = &reference.version {
            check(&manifest, digest)?;
        }
        Ok(manifest)
    }

    /// What has this digest and is so long.
    pub(super) async fn blob(&mut self, digest: &str, size: usize) -> anyhow::Result<Vec<u8>> {
        let answer = self.get(&format!("blobs/{digest}"), "*/*").await?;
        let blob = read(answer, size).await?;
        check(&blob, digest)?;
        Ok(blob)
    }

    async fn get(&mut self, path: &str, accept: &'static str) -> anyhow::Result<Response> {
        let mut answer = self.send(path, accept).await?;
        if answer.status() == StatusCode::UNAUTHORIZED && self.pass.is_none() {
            self.pass = Some(self.let_in(answer.headers()).await?);
            answer = self.send(path, accept).await?;
        }
        match answer.status() {
            status if status.is_success() => Ok(answer),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(shut_out()),
            StatusCode::NOT_FOUND => {
                bail!("the registry has nothing under this name and version: correct the reference")
            }
            status => bail!("the registry answered with {}", status.as_u16()),
        }
    }

    async fn send(&self, path: &str, accept: &'static str) -> anyhow::Result<Response> {
        let mut request = self.client.get(format!("{}/{path}", self.base)).header(ACCEPT, accept);
        if let Some(pass) = &self.pass {
            request = request.header(AUTHORIZATION, pass.clone());
        }
        request.send().await.map_err(|error| anyhow::anyhow!("the registry: {}", outbound::reason(&error)))
    }

    /// Does what a registry asks for that does not know who asks.
    async fn let_in(&self, headers: &HeaderMap) -> anyhow::Result<HeaderValue> {
        let challenge = headers.get(WWW_AUTHENTICATE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let (kind, parameters) = challenge.split_once(' ').unwrap_or((challenge, ""));
        if kind.eq_ignore_ascii_case("basic") {
            let Some(credentials) = &self.credentials else { return Err(shut_out()) };
            return pass(&credentials.basic());
        }
        let realm = parameter(parameters, "realm").and_then(|realm| realm.parse::<Url>().ok());
        let Some(realm) = realm.filter(|_| kind.eq_ignore_ascii_case("bearer")) else {
            bail!("the registry asks for what is not known here: {}", begin(challenge))
        };
        if !is_safe(&realm, self.is_here) {
            bail!("the registry wants the password to be sent without TLS, which is not done");
        }
        let mut request = self.client.get(realm).query(&[("scope", format!("repository:{}:pull", self.name))]);
        if let Some(service) = parameter(parameters, "service") {
            request = request.query(&[("service", service)]);
        }
        if let Some(credentials) = &self.credentials {
            request = request.header(AUTHORIZATION, pass(&credentials.basic())?);
        }
        let answer = request.send().await;
        let answer = answer.map_err(|error| anyhow::anyhow!("the registry's tokens: {}", outbound::reason(&error)))?;
        if !answer.status().is_success() {
            return Err(shut_out());
        }
        let token: Option<Token> = serde_json::from_slice(&read(answer, MAX_TOKEN_BYTES).await?).ok();
        match token.and_then(|token| token.token.or(token.access_token)) {
            Some(token) => pass(&format!("Bearer {token}")),
            None => bail!("the registry gave no token"),
        }
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("base", &self.base).finish_non_exhaustive()
    }
}

/// What leads elsewhere is followed where it is as safe as here; credentials are not sent along to another host.
fn follow(attempt: Attempt<'_>, is_here: bool) -> reqwest::redirect::Action {
    if attempt.previous().len() > MAX_REDIRECTS {
        attempt.error("it leads from one place to the next")
    } else if is_safe(attempt.url(), is_here) {
        attempt.follow()
    } else {
        attempt.error("it leads to a place without TLS")
    }
}

fn is_safe(url: &Url, is_here: bool) -> bool {
    url.scheme() == "https" || (is_here && outbound::is_loopback(url))
}

fn pass(text: &str) -> anyhow::Result<HeaderValue> {
    let Ok(mut value) = HeaderValue::try_from(text) else { bail!("the credentials hold what cannot be sent") };
    value.set_sensitive(true);
    Ok(value)
}

fn shut_out() -> anyhow::Error {
    anyhow::anyhow!(
        "the registry does not let this user read it: log in with `docker login`, or set {USERNAME_VARIABLE} and \
         {PASSWORD_VARIABLE} (credentials that docker keeps in a helper are not found)"
    )
}

/// A parameter of a challenge: `realm="…",service="…"`.
fn parameter<'a>(parameters: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = parameters;
    while let Some((key, after)) = rest.split_once("=\"") {
        let (value, more) = after.split_once('"')?;
        if key.trim_start_matches([',', ' ']).eq_ignore_ascii_case(name) {
            return Some(value);
        }
        rest = more;
    }
    None
}

/// Reads an answer to its end, where that comes in time.
async fn read(mut answer: Response, most_bytes: usize) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        match answer.chunk().await {
            Ok(Some(chunk)) if chunk.len() > most_bytes - bytes.len() => {
                bail!("the registry sends more than the {most_bytes} bytes that are taken")
            }
            Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
            Ok(None) => return Ok(bytes),
            Err(error) => bail!("the registry broke off: {}", outbound::reason(&error)),
        }
    }
}

fn check(bytes: &[u8], digest: &str) -> anyhow::Result<()> {
    if format!("sha256:{}", hexadecimal(&Sha256::digest(bytes))) != digest {
        bail!("what the registry sent is not what its digest says ({}): nothing was deployed", begin(digest));
    }
    Ok(())
}

/// What is shown of what a registry says.
pub(super) fn begin(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_SAID_BYTES)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_taken_apart() {
        let challenge = r#"realm="https://auth.example/token?a=b,c",service="registry",error="none""#;
        assert_eq!(parameter(challenge, "realm"), Some("https://auth.example/token?a=b,c"));
        assert_eq!(parameter(challenge, "Service"), Some("registry"));
        assert_eq!(
            (parameter(challenge, "scope"), parameter("realm=\"", "realm"), parameter("", "x")),
            (None, None, None)
        );
    }

    #[test]
    fn only_a_registry_on_this_machine_may_lead_to_places_without_tls_on_it() {
        let safe = |url: &str, is_here| is_safe(&url.parse().unwrap(), is_here);
        assert!(safe("https://auth.example/token", false) && safe("http://127.0.0.1:1/token", true));
        assert!(!safe("http://127.0.0.1:1/token", false) && !safe("http://auth.example/token", true));
    }
}
