//! The real application on a free port, with demo data, and a client that talks to it.

use crate::ground;
use crm::access;
use crm::app::App;
use crm::caller::CompanyId;
use crm::companies;
use crm::config::{Layer, Schedule, Settings, Switch};
use crm::database::Database;
use crm::page::{Order, Paging};
use crm::time::Day;
use crm::users::{self, Active, UserQuery, UserSort};
use crm::{demo, server};
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
        let flags = Layer { database_url: Some(url.into()), show_queries: Some(Switch::On), ..unlimited() };
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

/// What the admins of companies send to say who they are, by the name of their company.
#[derive(Clone)]
pub(crate) struct Keys(Vec<(CompanyId, String)>);

impl Keys {
    /// Signs an admin of each company in, as `POST /api/auth/login` does it, but without its password.
    pub(crate) async fn of(database: &Database) -> Self {
        let mut snapshot = database.snapshot().await.unwrap();
        let mut named = Vec::new();
        for id in companies::ids(&mut snapshot).await.unwrap() {
            let company = companies::find(&mut snapshot, &id).await.unwrap().unwrap();
            let query = UserQuery {
                paging: Paging::default(),
                order: Order { by: UserSort::Created, descending: false },
                role: None,
                active: Some(Active(true)),
                search: None,
            };
            // Imported companies have no admin yet.
            let users = users::page(&mut snapshot, &id, &query).await.unwrap().items;
            let highest = users.into_iter().max_by_key(|user| user.role);
            named.extend(highest.map(|user| (company.name, id, user.id)));
        }
        drop(snapshot);
        named.sort_by(|(one, ..), (other, ..)| one.cmp(other));
        let mut keys = Vec::new();
        for (_name, id, admin) in named {
            keys.push((id, bearer(&access::issue(database, &admin).await.unwrap())));
        }
        Self(keys)
    }

    /// The companies.
    pub(crate) fn companies(&self) -> impl Iterator<Item = &CompanyId> {
        self.0.iter().map(|(company, _)| company)
    }

    /// That of the company that a path names, or else of the first.
    pub(crate) fn for_path(&self, path: &str) -> Option<&str> {
        let named = self.0.iter().find(|(company, _)| path.contains(company.as_str()));
        named.or(self.0.first()).map(|(_, key)| key.as_str())
    }
}

/// What stands in the header of a request that comes with a token.
pub(crate) fn bearer(token: &larder::session::Token) -> String {
    format!("Bearer {}", token.expose())
}

/// Settings by which everybody may ask as much as it likes, as tests do, and nothing happens by itself.
pub(crate) fn unlimited() -> Layer {
    Layer {
        limit_per_user: Some(0),
        limit_per_address: Some(0),
        analytics_job: Some(Schedule::Off),
        ..Layer::default()
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
    keys: Keys,
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

    pub(crate) fn all_of(&self, name: &str) -> Vec<String> {
        self.headers.get_all(name).iter().map(|value| value.to_str().unwrap().to_owned()).collect()
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
        let keys = Keys::of(&database).await;
        let cache = server::cache(&settings, clock).unwrap();
        let outbox = database.tell(&cache).await.unwrap();
        let app = App::new(database, cache, outbox, settings);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let mut tasks = JoinSet::new();
        let serving = server::serve(Arc::clone(&app), server::routes(), listener, async move {
            stopped.await.ok();
        });
        tasks.spawn(serving);
        Self { app, address, client: client(), keys, _stop: stop, _tasks: tasks }
    }

    /// The same server, asked as an admin of this company where no path says otherwise.
    pub(crate) fn asked_by_admin_of(mut self, company: &str) -> Self {
        self.keys.0.sort_by_key(|(other, _)| other.as_str() != company);
        self
    }

    /// What an admin of the first company sends.
    pub(crate) fn key(&self) -> &str {
        self.keys.for_path("").unwrap()
    }

    /// What an admin of this company sends.
    pub(crate) fn key_of(&self, company: &str) -> &str {
        self.keys.for_path(company).unwrap()
    }

    /// Sends a request, as an admin of the company that the path names, or else of the first; or as who the headers say.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = self.client.request(method, format!("http://{}{path}", self.address));
        let says_who = headers.iter().any(|(name, _)| ["authorization", "cookie"].contains(name));
        if let Some(key) = self.keys.for_path(path).filter(|_| !says_who) {
            request = request.header("authorization", key);
        }
        for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
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

    /// Sends a request as the operator.
    pub(crate) async fn operate(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let token = access::operator_token(&self.app.database, access::ERRAND).await.unwrap();
        self.send(method, path, body, &[("authorization", &bearer(&token))]).await
    }

    /// The id of the first company, by name.
    pub(crate) async fn company(&self) -> String {
        self.first("/api/companies").await
    }

    /// The id of the company of the user with this address.
    pub(crate) async fn company_of(&self, email: &str) -> String {
        let login = serde_json::json!({"email": email, "password": demo::PASSWORD});
        let me = self.send(Method::POST, "/api/auth/login", Some(&login), &[("authorization", "")]).await;
        me.json()["company_id"].as_str().unwrap().to_owned()
    }

    /// The id of another company.
    pub(crate) fn other_company(&self) -> String {
        self.keys.companies().nth(1).unwrap().to_string()
    }

    /// The id of the first row of a list.
    pub(crate) async fn first(&self, list: &str) -> String {
        let list = self.get(list).await.json();
        list["items"][0]["id"].as_str().unwrap().to_owned()
    }
}
