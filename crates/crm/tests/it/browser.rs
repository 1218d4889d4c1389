//! A real browser: headless Chromium, driven as a person would drive it (W3C WebDriver).

use fantoccini::elements::Element;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use reqwest::{Method, Url};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::time::Duration;

/// How long an element may take to be there; a machine that is busy with builds is slow.
const PATIENCE: Duration = Duration::from_secs(20);

/// A screen of a desk, and one of a phone: width and height in CSS pixels.
pub(crate) const DESK: (u32, u32) = (1280, 900);
pub(crate) const PHONE: (u32, u32) = (390, 844);

/// `chromedriver`, which starts browsers. All of them end when this is dropped.
pub(crate) struct Driver {
    child: Child,
    url: String,
}

impl Driver {
    pub(crate) fn start() -> Self {
        let mut command = Command::new("chromedriver");
        // A group of its own, so that the browsers end with it, whatever has happened.
        command.arg("--port=0").process_group(0).stdout(Stdio::piped()).stderr(Stdio::null());
        let started = command.spawn();
        let mut child = started.expect("chromedriver is there: `cargo xtask setup` installs it");
        let lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
        let port = lines.map(Result::unwrap).find_map(|line| {
            let port = line.split("started successfully on port ").nth(1)?.trim_end_matches('.');
            port.parse::<u16>().ok()
        });
        Self { child, url: format!("http://127.0.0.1:{}", port.unwrap()) }
    }

    /// A browser that nobody has used before.
    pub(crate) async fn browser(&self, (width, height): (u32, u32), scheme: &str) -> Browser {
        let mut arguments = vec![
            "--headless=new".to_owned(),
            "--disable-gpu".to_owned(),
            "--no-first-run".to_owned(),
            "--no-proxy-server".to_owned(),
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--hide-scrollbars".to_owned(),
            format!("--window-size={width},{height}"),
        ];
        if is_root() {
            arguments.push("--no-sandbox".to_owned()); // which root cannot have
        }
        let metrics = json!({"width": width, "height": height, "pixelRatio": 1, "touch": false});
        let options = json!({"args": arguments, "mobileEmulation": {"deviceMetrics": metrics}});
        let capabilities = json!({"goog:chromeOptions": options});
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(capabilities.as_object().unwrap().clone());
        let browser = Browser(builder.connect(&self.url).await.unwrap());
        browser.prefer(scheme).await;
        browser
    }
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout.trim_ascii() == b"0")
}

impl Drop for Driver {
    fn drop(&mut self) {
        let group = format!("-{}", self.child.id());
        Command::new("kill").args(["-KILL", "--", &group]).status().ok();
        self.child.wait().ok();
    }
}

/// A command of Chromium's own.
#[derive(Debug)]
struct DevTools(Value);

impl fantoccini::wd::WebDriverCompatibleCommand for DevTools {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, <Url as FromStr>::Err> {
        base.join(&format!("session/{}/goog/cdp/execute", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _url: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.0.to_string()))
    }
}

/// A browser with one page.
pub(crate) struct Browser(Client);

impl Browser {
    /// Prefers this scheme of colours from now on: `light` or `dark`.
    pub(crate) async fn prefer(&self, scheme: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        let command = json!({"cmd": "Emulation.setEmulatedMedia", "params": {"features": features}});
        self.0.issue_cmd(DevTools(command)).await.unwrap();
    }

    pub(crate) async fn goto(&self, url: &str) {
        self.0.goto(url).await.unwrap();
    }

    /// The path and query of the page that is shown.
    pub(crate) async fn path(&self) -> String {
        let url = self.0.current_url().await.unwrap();
        format!("{}{}", url.path(), url.query().map(|query| format!("?{query}")).unwrap_or_default())
    }

    /// What this selector finds, as soon as it is there.
    pub(crate) async fn find(&self, selector: &str) -> Element {
        let found = self.0.wait().at_most(PATIENCE).for_element(Locator::Css(selector)).await;
        match found {
            Ok(element) => element,
            Err(error) => panic!("{selector}: {error} at {}: {}", self.path().await, self.text("body").await),
        }
    }

    pub(crate) async fn click(&self, selector: &str) {
        self.find(selector).await.click().await.unwrap();
    }

    /// Types into a field, instead of what is there.
    pub(crate) async fn fill(&self, selector: &str, text: &str) {
        let field = self.find(selector).await;
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    /// Chooses an option by what is sent for it.
    pub(crate) async fn choose(&self, selector: &str, value: &str) {
        let option = format!("option[value='{value}']");
        self.find(selector).await.select_by(Locator::Css(&option)).await.unwrap();
    }

    /// Presses keys where the focus is.
    pub(crate) async fn press(&self, keys: &str) {
        self.0.active_element().await.unwrap().send_keys(keys).await.unwrap();
    }

    pub(crate) async fn text(&self, selector: &str) -> String {
        let text = self.run(&format!("return document.querySelector({selector:?})?.innerText ?? ''")).await;
        text.as_str().unwrap().to_owned()
    }

    /// Waits until this selector finds this text.
    pub(crate) async fn becomes(&self, selector: &str, text: &str) {
        let wanted = format!("return (document.querySelector({selector:?})?.innerText ?? '') === {text:?}");
        self.until(&wanted, &format!("{selector} becomes {text}")).await;
    }

    /// Waits until a script answers `true`.
    pub(crate) async fn until(&self, script: &str, what: &str) {
        // It answers nothing while one page goes over into another.
        let look = async || self.0.execute(script, Vec::new()).await.unwrap_or_default() == json!(true);
        testkit::until(what, look).await;
    }

    pub(crate) async fn run(&self, script: &str) -> Value {
        self.0.execute(script, Vec::new()).await.unwrap()
    }

    /// Keeps a picture of the whole page for people to look at.
    pub(crate) async fn picture(&self, name: &str) {
        let folder = testkit::workspace_root().join("target/screenshots");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{name}.png")), self.0.screenshot().await.unwrap()).unwrap();
    }

    pub(crate) async fn close(self) {
        self.0.close().await.unwrap();
    }
}
