//! A window of a browser.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use fantoccini::{Client, ClientBuilder, Locator, elements::Element, wd::Capabilities};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::driver::{Command, Driver};

/// How long anything that should take a moment may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often the page is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// What the window looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// A wide window of a light system.
    Light,
    /// A wide window of a dark system.
    Dark,
    /// A phone in daylight.
    Phone,
    /// A phone at night.
    DarkPhone,
}

impl Look {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Light, Self::Dark, Self::Phone, Self::DarkPhone];

    /// Its name, in those of pictures.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Light => "light",
            Self::Dark => "dark",
            Self::Phone => "phone",
            Self::DarkPhone => "phone-dark",
        }
    }

    const fn size(self) -> (u32, u32) {
        match self {
            Self::Light | Self::Dark => (1360, 900),
            Self::Phone | Self::DarkPhone => (390, 844),
        }
    }

    const fn is_dark(self) -> bool {
        matches!(self, Self::Dark | Self::DarkPhone)
    }
}

/// A window of a browser.
#[derive(Debug)]
pub struct Browser {
    client: Client,
    base: String,
    driver: Driver,
    // Removed after the driver has ended, and with it the browser.
    _profile: TempDir,
}

impl Browser {
    /// Opens a window whose pages are below `base`, such as `http://127.0.0.1:7878/`.
    ///
    /// # Errors
    /// Where there is no Chromium, or it does not start.
    pub async fn open(base: &str) -> Result<Self> {
        let driver = Driver::start()?;
        let profile = TempDir::with_prefix("windlass-browser-")?;
        let mut arguments = vec![
            "--headless=new".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--force-color-profile=srgb".to_owned(),
            "--lang=en".to_owned(),
            format!("--user-data-dir={}", profile.path().display()),
        ];
        // Chromium's own sandbox does not start for root, as which containers run the tests.
        if rustix::process::geteuid().is_root() {
            arguments.push("--no-sandbox".to_owned());
        }
        let mut capabilities = Capabilities::new();
        capabilities.insert("goog:chromeOptions".to_owned(), json!({ "args": arguments }));
        capabilities.insert("goog:loggingPrefs".to_owned(), json!({ "browser": "ALL" }));
        let client =
            ClientBuilder::new(HttpConnector::new())
                .capabilities(capabilities)
                .connect(&driver.url())
                .await
                .context("Chromium does not start; install it (Debian: `apt-get install chromium chromium-driver`)")?;
        let browser = Self { client, base: base.to_owned(), driver, _profile: profile };
        browser.look(Look::Light).await?;
        Ok(browser)
    }

    /// Makes the window look so from now on.
    ///
    /// # Errors
    /// Where the browser refuses.
    pub async fn look(&self, look: Look) -> Result<()> {
        let (width, height) = look.size();
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await?;
        let scheme = if look.is_dark() { "dark" } else { "light" };
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.devtools("Emulation.setEmulatedMedia", features).await?;
        Ok(())
    }

    /// Says something to the browser itself rather than to the page.
    ///
    /// # Errors
    /// Where the browser refuses.
    pub async fn devtools(&self, command: &str, parameters: Value) -> Result<Value> {
        let body = json!({ "cmd": command, "params": parameters });
        Ok(self.client.issue_cmd(Command { path: "goog/cdp/execute", body }).await?)
    }

    /// Opens a page, named relative to the dashboard.
    ///
    /// # Errors
    /// Where the browser cannot reach it.
    pub async fn open_page(&self, path: &str) -> Result<()> {
        self.client.goto(&format!("{}{path}", self.base)).await?;
        self.sees("main").await.map(drop)
    }

    /// The address in its bar, relative to the dashboard.
    ///
    /// # Errors
    /// Where the browser is gone.
    pub async fn path(&self) -> Result<String> {
        let url = self.client.current_url().await?.to_string();
        Ok(url.strip_prefix(&self.base).unwrap_or(&url).to_owned())
    }

    /// Waits until something that CSS finds can be seen.
    ///
    /// # Errors
    /// Where it never can; with what can be seen instead.
    pub async fn sees(&self, selector: &str) -> Result<Element> {
        let found = async || {
            for element in self.client.find_all(Locator::Css(selector)).await? {
                if element.is_displayed().await.unwrap_or(false) {
                    return Ok(Some(element));
                }
            }
            Ok(None)
        };
        self.until(&format!("`{selector}`"), found).await
    }

    /// Waits until the page shows a text.
    ///
    /// # Errors
    /// Where it never does; with what it shows instead.
    pub async fn reads(&self, text: &str) -> Result<()> {
        let shown = async || Ok(self.text().await?.contains(text).then_some(()));
        self.until(&format!("the text `{text}`"), shown).await
    }

    /// Waits until the page no longer shows a text.
    ///
    /// # Errors
    /// Where it goes on showing it.
    pub async fn loses(&self, text: &str) -> Result<()> {
        let gone = async || Ok((!self.text().await?.contains(text)).then_some(()));
        self.until(&format!("no text `{text}`"), gone).await
    }

    /// What the page shows, as text.
    ///
    /// # Errors
    /// Where the browser is gone.
    pub async fn text(&self) -> Result<String> {
        Ok(self.run("return document.body.innerText").await?.as_str().unwrap_or_default().to_owned())
    }

    /// Clicks a button or link by its words.
    ///
    /// # Errors
    /// Where none can be seen.
    pub async fn click(&self, words: &str) -> Result<()> {
        let literal = format!("'{}'", words.replace('\'', "’"));
        let path = format!(
            "//*[self::button or self::a or self::summary or self::label][normalize-space(.)={literal} or @aria-label={literal}]"
        );
        let press = async || {
            for element in self.client.find_all(Locator::XPath(&path)).await? {
                // What is drawn anew in this very moment is looked for again.
                if element.is_displayed().await.unwrap_or(false) && element.click().await.is_ok() {
                    return Ok(Some(()));
                }
            }
            Ok(None)
        };
        self.until(&format!("something to click that says `{words}`"), press).await
    }

    /// Types into the field that CSS finds, in place of what stands there.
    ///
    /// # Errors
    /// Where there is none.
    pub async fn types(&self, selector: &str, text: &str) -> Result<()> {
        let field = self.sees(selector).await?;
        field.clear().await?;
        field.send_keys(text).await?;
        Ok(())
    }

    /// Chooses from the list that CSS finds, by the value of what it offers.
    ///
    /// # Errors
    /// Where there is no such list, or it does not offer that.
    pub async fn chooses(&self, selector: &str, value: &str) -> Result<()> {
        let list = self.sees(selector).await?;
        let offered = async || Ok(list.clone().select_by_value(value).await.is_ok().then_some(()));
        self.until(&format!("`{value}` in `{selector}`"), offered).await
    }

    /// Gives a file to a field for files, which need not be seen.
    ///
    /// # Errors
    /// Where there is no such field.
    pub async fn attach(&self, selector: &str, file: &str) -> Result<()> {
        let there = async || Ok(self.client.find_all(Locator::Css(selector)).await?.pop());
        self.until(&format!("`{selector}`"), there).await?.send_keys(file).await?;
        Ok(())
    }

    /// Presses keys, wherever the focus is.
    ///
    /// # Errors
    /// Where the browser refuses.
    pub async fn presses(&self, keys: &str) -> Result<()> {
        self.client.active_element().await?.send_keys(keys).await?;
        Ok(())
    }

    /// Runs a script in the page.
    ///
    /// # Errors
    /// Where it throws.
    pub async fn run(&self, script: &str) -> Result<Value> {
        Ok(self.client.execute(script, Vec::new()).await?)
    }

    /// Runs a script in the page that ends by calling its last argument.
    ///
    /// # Errors
    /// Where it throws or does not end.
    pub async fn run_until_called(&self, script: &str) -> Result<Value> {
        Ok(self.client.execute_async(script, Vec::new()).await?)
    }

    /// Waits until something is so.
    ///
    /// # Errors
    /// Where it never is; with what can be seen instead, also as a picture.
    pub async fn until<T>(&self, what: &str, look: impl AsyncFn() -> Result<Option<T>>) -> Result<T> {
        let started = Instant::now();
        loop {
            match look().await {
                Ok(Some(found)) => return Ok(found),
                Err(error) if started.elapsed() > PATIENCE => return Err(error),
                _ if started.elapsed() > PATIENCE => {
                    let picture = self.picture("failed").await?;
                    bail!("there is never {what}; see {}; the page shows:\n{}", picture.display(), self.text().await?)
                }
                _ => tokio::time::sleep(LOOK).await,
            }
        }
    }

    /// Takes a picture of the whole page, for people to look at. Gives its file.
    ///
    /// # Errors
    /// Where it cannot be taken or written.
    pub async fn picture(&self, name: &str) -> Result<PathBuf> {
        let folder = windlass_tests::pictures()?;
        fs::create_dir_all(&folder)?;
        let file = folder.join(format!("{name}.png"));
        fs::write(&file, self.client.screenshot().await?)?;
        Ok(file)
    }

    /// What the browser complained of so far: errors of scripts, refused content. Requests that found nobody or nothing
    /// are left out: pages ask for what is gone, and say so.
    ///
    /// # Errors
    /// Where something was complained of.
    pub async fn is_content(&self) -> Result<()> {
        let log = self.client.issue_cmd(Command { path: "se/log", body: json!({ "type": "browser" }) }).await?;
        let bad = log
            .as_array()
            .into_iter()
            .flatten()
            .filter(|entry| entry["level"] == "SEVERE" && entry["source"] != "network");
        let bad: Vec<_> = bad.map(|entry| entry["message"].to_string()).collect();
        ensure!(bad.is_empty(), "the browser complains: {}", bad.join("\n"));
        Ok(())
    }

    /// Closes the window.
    ///
    /// # Errors
    /// Where the browser is gone already.
    pub async fn close(self) -> Result<()> {
        self.client.close().await?;
        drop(self.driver);
        Ok(())
    }
}
