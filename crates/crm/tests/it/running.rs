//! The real application on a free port, with demo data, and a client that talks to it.

use crate::ground;
use crm::app::App;
use crm::config::{Layer, Settings, Switch};
use crm::database::Database;
use crm::time::Day;
use crm::{demo, server, warm};
use larder::Clock;
use reqwest::{Method, StatusCode};
use serde_json::Value;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// A database with demo data.
pub(crate) struct Data {
    pub(crate) database: Database,
    settings: Settings,
    /// Removed when this is dropped.
    _directory: tempfile::TempDir,
}

impl Data {
    pub(crate) async fn demo() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = ground::url(directory.path()).await;
        let flags =
            Layer { database_url: Some(url.into()), show_queries: Some(Switch::On), ..Layer::default() };
        let settings = Settings::of(flags, Layer::default()).unwrap();
        let database = Database::open(&settings.database_url).await.unwrap();
        assert!(demo::fill(&database, Day::today()).await.unwrap());
        Self { database, settings, _directory: directory }
    }

    /// A server on this data. Several can be started: then each has a cache of its own, as several processes would.
    pub(crate) async fn serve(&self, cache: Switch) -> Running {
        self.serve_with(Settings { cache, ..self.settings.clone() }).await
    }

    pub(crate) async fn serve_with(&self, settings: Settings) -> Running {
        self.serve_at(Clock::system(), settings).await
    }

    /// A server whose entries age by this clock.
    pub(crate) async fn serve_at(&self, clock: Clock, settings: Settings) -> Running {
        Running::start(self.database.clone(), clock, settings).await
    }

    pub(crate) fn settings(&self) -> Settings {
        self.settings.clone()
    }
}

/// A client that talks to this machine, whatever proxy the environment names for the world outside.
pub(crate) fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// A running server. It ends when this is dropped.
pub(crate) struct Running {
    pub(crate) app: Arc<App>,
    pub(crate) address: std::net::SocketAddr,
    client: reqwest::Client,
    _stop: oneshot::Sender<()>,
    _tasks: JoinSet<()>,
}

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) async fn to(request: reqwest::RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        Self { status, headers, text: response.text().await.unwrap() }
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The names of the fields that a problem document complains about.
    pub(crate) fn wrong_fields(&self) -> Vec<String> {
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", self.text);
        let problem = self.json();
        assert_eq!(problem["status"], self.status.as_u16());
        let errors = problem["errors"].as_array().cloned().unwrap_or_default();
        errors.iter().map(|error| error["field"].as_str().unwrap().to_owned()).collect()
    }
}

impl Running {
    /// Starts a server on this database.
    pub(crate) async fn start(database: Database, clock: Clock, settings: Settings) -> Self {
        let cache = server::cache(&settings, clock).unwrap();
        let outbox = database.tell(&cache).await.unwrap();
        let app = App::new(database, cache, outbox, settings);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let mut tasks = JoinSet::new();
        let routes = server::routes().merge(warm::router());
        let serving = server::serve(Arc::clone(&app), routes, listener, async move {
            stopped.await.ok();
        });
        tasks.spawn(async move { serving.await.unwrap() });
        Self { app, address, client: client(), _stop: stop, _tasks: tasks }
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = self.client.request(method, format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        Answer::to(request).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None, &[]).await
    }

    /// The same, and nothing that is older than the request.
    pub(crate) async fn get_latest(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None, &[("cache-control", "no-cache")]).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, Some(body), &[]).await
    }

    pub(crate) async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::PATCH, path, Some(body), &[]).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, None, &[]).await
    }

    /// The id of the first company, by name.
    pub(crate) async fn company(&self) -> String {
        self.first("/api/companies").await
    }

    /// The id of the first row of a list.
    pub(crate) async fn first(&self, list: &str) -> String {
        let list = self.get(list).await.json();
        list["items"][0]["id"].as_str().unwrap().to_owned()
    }
}
