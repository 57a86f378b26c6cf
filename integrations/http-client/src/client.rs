//! Where the host is, who one is there, and how a request is made, repeated and understood.

use std::{env, sync::Once, time::Duration};

use reqwest::{Method, Request, RequestBuilder, Response, StatusCode, Url};
use serde::de::DeserializeOwned;
use windlass_api::{Problem, ProblemCode};

use crate::{
    error::Error,
    tries::{Again, Tries},
};

/// Where a host listens unless it is told otherwise.
pub const DEFAULT_URL: &str = "http://127.0.0.1:7878";

/// For how long a host that does not answer is tried again: as long as one takes to start or restart.
pub const DEFAULT_PATIENCE: Duration = Duration::from_secs(10);

/// A host that does not even take the connection in this time is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Longer than the host holds a request back for any reason: a long poll takes 60 s at most.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(90);

pub(crate) type Answer<T> = Result<T, Error>;

/// A client of one host. Cheap to clone.
///
/// A host that does not answer, or says that it cannot do it now, is tried again with growing pauses for as long as the client is
/// patient. What may do harm when it is done twice (cancelling, requeuing, deleting, triggering, removing, bulk actions) is not sent
/// again once it was sent.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    token: Option<Token>,
    patience: Duration,
}

/// Never shown.
#[derive(Clone)]
struct Token(String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

/// A request that failed.
struct Failure {
    error: Error,
    again: Again,
}

impl Client {
    /// Prepares to speak to a host, patient for [`DEFAULT_PATIENCE`]; sends nothing yet.
    ///
    /// # Errors
    /// [`Error::Url`] where the URL cannot be used.
    pub fn new(url: &str) -> Answer<Self> {
        let wrong = |reason: String| Error::Url { url: url.to_owned(), reason };
        let mut base: Url = url.parse().map_err(|error| wrong(format!("{error}")))?;
        if !matches!(base.scheme(), "http" | "https") {
            return Err(wrong(format!("its scheme is `{}`", base.scheme())));
        }
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        install_cryptography();
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("windlass/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(ANSWER_TIMEOUT);
        if base.scheme() == "http" {
            // Without TLS no root certificates are needed: they would be slow to load, and small containers have none.
            builder = builder.tls_certs_only([]);
        }
        if matches!(base.host_str(), Some("localhost" | "127.0.0.1" | "[::1]")) {
            // A proxy for the world outside cannot reach what listens on this machine.
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|error| wrong(innermost(&error)))?;
        Ok(Self { http, base, token: None, patience: DEFAULT_PATIENCE })
    }

    /// The host that `WINDLASS_URL` names, or else [`DEFAULT_URL`], with the token in `WINDLASS_TOKEN`, if there is one.
    ///
    /// # Errors
    /// Where one of them cannot be used.
    pub fn from_environment() -> Answer<Self> {
        let url = env::var("WINDLASS_URL").ok().filter(|url| !url.is_empty());
        let token = env::var("WINDLASS_TOKEN").ok();
        Self::new(url.as_deref().unwrap_or(DEFAULT_URL))?.with_token(token.as_deref())
    }

    /// Sends this token with every request. An empty one is none: so a variable is unset in a container.
    ///
    /// # Errors
    /// [`Error::Token`] where it is none that could be sent.
    pub fn with_token(self, token: Option<&str>) -> Answer<Self> {
        let token = token.map(str::trim).filter(|token| !token.is_empty());
        if token.is_some_and(|token| !token.bytes().all(|byte| byte.is_ascii_graphic())) {
            return Err(Error::Token);
        }
        Ok(Self { token: token.map(|token| Token(token.to_owned())), ..self })
    }

    /// Tries a host that is away again for this long; not at all where it is zero.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// The host's address.
    #[must_use]
    pub fn url(&self) -> &str {
        self.base.as_str()
    }

    /// Names may hold a `.` but none is `.` or `..`, so no segment changes the path's shape.
    pub(crate) fn request(&self, method: Method, path: &[&str]) -> Answer<RequestBuilder> {
        let url = self.base.join(&format!("api/v1/{}", path.join("/")));
        let url = url.map_err(|error| Error::Url { url: self.base.to_string(), reason: error.to_string() })?;
        let request = self.http.request(method, url);
        Ok(match &self.token {
            Some(Token(token)) => request.bearer_auth(token),
            None => request,
        })
    }

    pub(crate) fn tries(&self) -> Tries {
        Tries::new(self.patience)
    }

    /// Asks for something that is answered without a body.
    pub(crate) async fn tell(&self, request: RequestBuilder) -> Answer<()> {
        self.exchange(request, false).await.map(drop)
    }

    pub(crate) async fn ask<T: DeserializeOwned>(&self, request: RequestBuilder) -> Answer<T> {
        self.read(&self.exchange(request, false).await?)
    }

    /// The same for what does no harm when it is done twice, although it changes something.
    pub(crate) async fn ask_again<T: DeserializeOwned>(&self, request: RequestBuilder) -> Answer<T> {
        self.read(&self.exchange(request, true).await?)
    }

    fn read<T: DeserializeOwned>(&self, body: &[u8]) -> Answer<T> {
        serde_json::from_slice(body).map_err(|error| self.not_understood(error.to_string()))
    }

    async fn exchange(&self, request: RequestBuilder, is_harmless: bool) -> Answer<Vec<u8>> {
        let request = request.build().map_err(|error| self.not_reached(&error))?;
        let is_harmless = is_harmless || matches!(*request.method(), Method::GET | Method::PUT);
        let mut tries = self.tries();
        loop {
            // Every body is in memory, so there always is a copy.
            let Some(copy) = request.try_clone() else { return self.once(request).await.map_err(Failure::told) };
            match self.once(copy).await {
                Ok(body) => return Ok(body),
                Err(failure) => self.pause(failure, is_harmless, &mut tries).await?,
            }
        }
    }

    /// Waits before the next try, where there may be one.
    async fn pause(&self, failure: Failure, is_harmless: bool, tries: &mut Tries) -> Answer<()> {
        let may_repeat = match failure.again {
            Again::Never => false,
            Again::IfHarmless => is_harmless,
            Again::Always => true,
        };
        if !may_repeat {
            return Err(failure.error);
        }
        let Some(pause) = tries.next_pause() else { return Err(failure.after(tries)) };
        tracing::debug!(error = %failure.error, ?pause, "asking the host again");
        tokio::time::sleep(pause).await;
        Ok(())
    }

    async fn once(&self, request: Request) -> Result<Vec<u8>, Failure> {
        let response = self.open(request).await?;
        let body = response.bytes().await.map_err(|error| Failure::lost(self.not_reached(&error)))?;
        Ok(body.into())
    }

    /// Sends a request and gives the answer, where it is a success.
    async fn open(&self, request: Request) -> Result<Response, Failure> {
        let response = self.http.execute(request).await.map_err(|error| Failure {
            again: if error.is_connect() { Again::Always } else { Again::IfHarmless },
            error: self.not_reached(&error),
        })?;
        if response.status().is_success() { Ok(response) } else { Err(self.refused(response).await) }
    }

    /// A stream that stays open, with the same patience; `request` makes the request anew for each try.
    pub(crate) async fn open_stream(
        &self,
        request: impl Fn() -> Answer<RequestBuilder>,
        tries: &mut Tries,
    ) -> Answer<Response> {
        loop {
            let built = request()?.build().map_err(|error| self.not_reached(&error))?;
            match self.open(built).await {
                Ok(response) => return Ok(response),
                Err(failure) => self.pause(failure, true, tries).await?,
            }
        }
    }

    async fn refused(&self, response: Response) -> Failure {
        let status = response.status();
        let body = match response.bytes().await {
            Ok(body) => body,
            Err(error) => return Failure::lost(self.not_reached(&error)),
        };
        match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => {
                let again = match problem.code {
                    ProblemCode::Busy => Again::Always,
                    ProblemCode::StorageUnavailable => Again::IfHarmless,
                    _ => Again::Never,
                };
                Failure { error: Error::Refused(problem), again }
            }
            // A proxy says so in place of a host that is away.
            Err(_) if matches!(status, StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE) => {
                let reason = format!("a proxy before it answers {status}");
                Failure::lost(Error::Unreachable { url: self.base.clone(), reason })
            }
            Err(_) => Failure {
                error: self.not_understood(format!("it answered {status} without saying why")),
                again: Again::Never,
            },
        }
    }

    fn not_reached(&self, error: &reqwest::Error) -> Error {
        let mut reason = innermost(error);
        if self.base.scheme() == "https" && reason.contains("corrupt message") {
            reason += " (what listens there does not speak TLS: is its address one with http://?)";
        } else if self.base.scheme() == "http" && reason.contains("HTTP version") {
            reason += " (what listens there does not speak HTTP: is its address one with https://?)";
        }
        Error::Unreachable { url: self.base.clone(), reason }
    }

    pub(crate) fn not_understood(&self, reason: String) -> Error {
        Error::NotUnderstood { url: self.base.clone(), reason }
    }
}

impl Failure {
    /// There was a connection, and no whole answer.
    fn lost(error: Error) -> Self {
        Self { error, again: Again::IfHarmless }
    }

    fn told(self) -> Error {
        self.error
    }

    /// The error, saying for how long it was tried.
    fn after(self, tries: &Tries) -> Error {
        match self.error {
            Error::Unreachable { url, reason } => Error::Unreachable { url, reason: reason + &tries.told() },
            error => error,
        }
    }
}

/// Free text as one segment of a path.
pub(crate) fn segment(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_~".contains(&byte) {
            written.push(char::from(byte));
        } else {
            written += &format!("%{byte:02X}");
        }
    }
    written
}

/// reqwest is built without a cryptography of its own, and looks for the one that the process has installed.
fn install_cryptography() {
    static ONCE: Once = Once::new();
    // An error means that somebody installed one before, which is as good.
    ONCE.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
}

/// What went wrong in the end, without the layers around it that repeat the URL.
fn innermost(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it does not answer in time".to_owned();
    }
    let mut error: &dyn std::error::Error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_cannot_be_used_is_refused_with_an_example() {
        for url in ["localhost:7878", "ftp://host", "", "http://"] {
            let error = Client::new(url).unwrap_err().to_string();
            assert!(error.contains("such as http://127.0.0.1:7878"), "{error}");
        }
    }

    #[test]
    fn a_url_with_a_path_keeps_it() {
        let client = Client::new("http://proxy.example/windlass").unwrap();
        let request = client.request(Method::GET, &["jobs"]).unwrap().build().unwrap();
        assert_eq!(request.url().as_str(), "http://proxy.example/windlass/api/v1/jobs");
    }

    #[tokio::test]
    async fn a_host_with_tls_or_without_it_is_told_from_one_that_is_away() {
        for (scheme, bytes, advice) in [
            ("https", &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], "one with http://?"),
            ("http", &[0x15, 0x03, 0x03, 0, 2, 2, 50], "one with https://?"),
        ] {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("{scheme}://{}", listener.local_addr().unwrap());
            let other = tokio::spawn(async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                tokio::io::AsyncWriteExt::write_all(&mut stream, bytes).await.unwrap();
                tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut Vec::new()).await
            });
            let client = Client::new(&url).unwrap().with_patience(Duration::ZERO);
            let error = client.counts().await.unwrap_err().to_string();
            assert!(error.contains(advice), "{error}");
            other.abort();
        }
    }

    #[test]
    fn a_token_that_cannot_be_sent_is_refused_and_not_shown() {
        let client = Client::new(DEFAULT_URL).unwrap();
        let error = client.clone().with_token(Some("wl_secret\nwl_other")).unwrap_err();
        assert!(error.to_string().contains("`windlass token new`"), "{error}");
        assert!(!format!("{error:?}{error}").contains("secret"));
        assert!(client.with_token(Some(" wl_secret\n")).is_ok(), "what a file ends with is no part of it");
    }
}
