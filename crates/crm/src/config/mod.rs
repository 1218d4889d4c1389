//! The settings: flags over `CRM_…` variables over `crm.toml` over what stands here.

mod database;
mod limits;
mod redis;

pub use database::{DatabaseKind, DatabaseUrl};
pub use limits::Limits;
pub use redis::{RedisPlace, RedisSettings, RedisUrl, Secret};

use clap::Args;
use serde::Deserialize;
use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The file of settings that is read when it is there and no other is named.
pub const DEFAULT_FILE: &str = "crm.toml";

/// Settings as one source gives them: the flags and variables together, or the file. What it leaves out stays open.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Args)]
#[serde(deny_unknown_fields)]
pub struct Layer {
    /// The file of settings [default: crm.toml, if there is one]
    #[arg(long, value_name = "FILE", env = "CRM_CONFIG", global = true, help_heading = "Settings")]
    #[serde(skip)]
    pub config: Option<PathBuf>,
    /// The database: `sqlite:` and the path of a file, `sqlite::memory:`, or postgres://user:password@host:port/database. Others can
    /// read arguments: give a password by the variable or the file [default: sqlite:crm.db]
    #[arg(
        long,
        value_name = "URL",
        env = "CRM_DATABASE_URL",
        hide_env_values = true,
        global = true,
        help_heading = "Settings"
    )]
    pub database_url: Option<Secret>,
    /// The address to serve on [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS:PORT", env = "CRM_LISTEN", global = true, help_heading = "Settings")]
    pub listen: Option<String>,
    /// The address that browsers have of it, as behind a proxy that speaks TLS: `https://crm.example.com` [default: that of `listen`, without
    /// TLS]
    #[arg(long, value_name = "URL", env = "CRM_PUBLIC_URL", global = true, help_heading = "Settings")]
    pub public_url: Option<String>,
    /// The proxies, as addresses or networks, whose `X-Forwarded-For` says where a request came from: 127.0.0.1, 10.0.0.0/8 [default: none
    /// is believed]
    #[arg(
        long,
        value_name = "NETWORKS",
        env = "CRM_TRUSTED_PROXIES",
        global = true,
        help_heading = "Settings"
    )]
    pub trusted_proxies: Option<String>,
    /// How many requests a minute one user may send; 0 for any number [default: 1200]
    #[arg(long, value_name = "COUNT", env = "CRM_LIMIT_PER_USER", global = true, help_heading = "Settings")]
    pub limit_per_user: Option<u64>,
    /// How many requests a minute may come from one address; 0 for any number [default: 6000]
    #[arg(
        long,
        value_name = "COUNT",
        env = "CRM_LIMIT_PER_ADDRESS",
        global = true,
        help_heading = "Settings"
    )]
    pub limit_per_address: Option<u64>,
    /// How many requests are answered at a time, before more are told to come back [default: 512]
    #[arg(long, value_name = "COUNT", env = "CRM_MAX_REQUESTS", global = true, help_heading = "Settings")]
    pub max_requests: Option<u64>,
    /// The sites whose pages may use the API from a browser, with a token: `https://app.example.com` [default: none]
    #[arg(long, value_name = "ORIGINS", env = "CRM_CORS_ORIGINS", global = true, help_heading = "Settings")]
    pub cors_origins: Option<String>,
    /// Whether each request is logged, in one line [default: off]
    #[arg(
        long,
        value_name = "on|off",
        env = "CRM_ACCESS_LOG",
        hide_possible_values = true,
        global = true,
        help_heading = "Settings"
    )]
    pub access_log: Option<Switch>,
    /// Whether reads are cached; `off` asks the database each time [default: on]
    #[arg(
        long,
        value_name = "on|off",
        env = "CRM_CACHE",
        hide_possible_values = true,
        global = true,
        help_heading = "Settings"
    )]
    pub cache: Option<Switch>,
    /// How much the cache may hold, in megabytes [default: 256]
    #[arg(long, value_name = "MB", env = "CRM_CACHE_CAPACITY_MB", global = true, help_heading = "Settings")]
    pub cache_capacity_mb: Option<u64>,
    /// The Redis that processes share their cache in: redis://user:password@host:port/database, or rediss:// for TLS; all
    /// but the host can be left out. Others can read arguments: give a password by the variable or the file [default: none,
    /// the cache is in this process]
    #[arg(
        long,
        value_name = "URL",
        env = "CRM_REDIS_URL",
        hide_env_values = true,
        global = true,
        help_heading = "Settings"
    )]
    pub redis_url: Option<Secret>,
    /// What stands before the keys in Redis, for databases that it shares [default: none]
    #[arg(long, value_name = "NAME", env = "CRM_REDIS_NAMESPACE", global = true, help_heading = "Settings")]
    pub redis_namespace: Option<String>,
    /// The authorities that may vouch for Redis, in PEM, instead of those of this machine; with rediss://
    #[arg(long, value_name = "FILE", env = "CRM_REDIS_CA_FILE", global = true, help_heading = "Settings")]
    pub redis_ca_file: Option<PathBuf>,
    /// The certificate that is shown to Redis, in PEM; with rediss://
    #[arg(
        long,
        value_name = "FILE",
        env = "CRM_REDIS_CLIENT_CERT_FILE",
        global = true,
        help_heading = "Settings"
    )]
    pub redis_client_cert_file: Option<PathBuf>,
    /// The key of that certificate, in PEM
    #[arg(
        long,
        value_name = "FILE",
        env = "CRM_REDIS_CLIENT_KEY_FILE",
        global = true,
        help_heading = "Settings"
    )]
    pub redis_client_key_file: Option<PathBuf>,
    /// How long one call to Redis may take, in milliseconds, before the answer is found without it [default: 500]
    #[arg(long, value_name = "MS", env = "CRM_REDIS_TIMEOUT_MS", global = true, help_heading = "Settings")]
    pub redis_timeout_ms: Option<u64>,
    /// Whether copies of what is in Redis are kept in this process: an answer from them may be a second old [default: on]
    #[arg(
        long,
        value_name = "on|off",
        env = "CRM_REDIS_LOCAL_TIER",
        hide_possible_values = true,
        global = true,
        help_heading = "Settings"
    )]
    pub redis_local_tier: Option<Switch>,
    /// Whether companies and their pipelines are loaded into the cache in the background when the server has started [default: off]
    #[arg(
        long,
        value_name = "on|off",
        env = "CRM_WARM_AT_START",
        hide_possible_values = true,
        global = true,
        help_heading = "Settings"
    )]
    pub warm_at_start: Option<Switch>,
    /// Whether each answer says in `X-Db-Queries` how many SQL statements it took [default: off]
    #[arg(
        long,
        value_name = "on|off",
        env = "CRM_SHOW_QUERIES",
        hide_possible_values = true,
        global = true,
        help_heading = "Settings"
    )]
    pub show_queries: Option<Switch>,
    /// How long a request may take, in milliseconds, before it is answered with 503 [default: 10000]
    #[arg(long, value_name = "MS", env = "CRM_REQUEST_LIMIT_MS", global = true, help_heading = "Settings")]
    pub request_limit_ms: Option<u64>,
    /// When the months of all companies are added up anew, by one of the processes: at each hour or day of UTC [default: hourly]
    #[arg(
        long,
        value_name = "hourly|daily|off",
        env = "CRM_ANALYTICS_JOB",
        hide_possible_values = true,
        global = true,
        help_heading = "Settings"
    )]
    pub analytics_job: Option<Schedule>,
    /// How long a client may take to send the headers of a request, and a connection may wait for one, in milliseconds [default: 30000]
    #[arg(long, value_name = "MS", env = "CRM_HEADER_LIMIT_MS", global = true, help_heading = "Settings")]
    pub header_limit_ms: Option<u64>,
    /// How long requests may go on after a signal to stop, in milliseconds [default: 15000]
    #[arg(long, value_name = "MS", env = "CRM_DRAIN_LIMIT_MS", global = true, help_heading = "Settings")]
    pub drain_limit_ms: Option<u64>,
    /// What is logged to stderr, as `tracing` filters are written [default: warn,crm=info,larder=info]
    #[arg(long, value_name = "FILTER", env = "CRM_LOG", global = true, help_heading = "Settings")]
    pub log: Option<String>,
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Switch {
    /// Yes.
    On,
    /// No.
    Off,
}

impl Switch {
    const fn word(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
        }
    }
}

/// When a job is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// At each hour.
    Hourly,
    /// At each day, of UTC.
    Daily,
    /// Never.
    Off,
}

impl Schedule {
    const fn word(self) -> &'static str {
        match self {
            Self::Hourly => "hourly",
            Self::Daily => "daily",
            Self::Off => "off",
        }
    }

    /// How much time lies between two runs; nothing where there are none.
    #[must_use]
    pub const fn every(self) -> Option<Duration> {
        match self {
            Self::Hourly => Some(Duration::from_secs(60 * 60)),
            Self::Daily => Some(Duration::from_secs(24 * 60 * 60)),
            Self::Off => None,
        }
    }
}

/// The settings that hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where the data is.
    pub database_url: DatabaseUrl,
    /// Where requests come in.
    pub listen: SocketAddr,
    /// The origin that browsers have of it, if that is another one.
    pub public_url: Option<String>,
    /// Who may ask how much.
    pub limits: Limits,
    /// How many requests are answered at a time.
    pub max_requests: usize,
    /// The origins whose pages may use the API.
    pub cors_origins: Vec<String>,
    /// Whether each request is logged.
    pub access_log: Switch,
    /// Whether reads are cached.
    pub cache: Switch,
    /// How much the cache may hold.
    pub cache_capacity_bytes: u64,
    /// The Redis that the cache is in, if it is in one.
    pub redis: RedisSettings,
    /// Whether the cache is warmed when the server has started.
    pub warm_at_start: Switch,
    /// Whether answers say how many statements they took.
    pub show_queries: Switch,
    /// How long a request may take.
    pub request_limit: Duration,
    /// When the months of all companies are added up anew.
    pub analytics_job: Schedule,
    /// How long a client may take to send the headers of a request.
    pub header_limit: Duration,
    /// How long requests may go on after a signal to stop.
    pub drain_limit: Duration,
    /// What is logged.
    pub log: String,
}

/// Why settings are refused, with what to write instead.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

impl ConfigError {
    /// Refuses a setting whose meaning only its user knows.
    #[must_use]
    pub const fn new(message: String) -> Self {
        Self(message)
    }
}

impl Settings {
    /// Puts the flags and variables over the file, and that over the defaults.
    ///
    /// # Errors
    /// The file cannot be read, names a setting that does not exist, or a value is out of its range.
    pub fn load(flags: Layer) -> Result<Self, ConfigError> {
        let named = flags.config.clone();
        let path = named.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_FILE));
        let file = if named.is_some() || path.exists() { read_file(&path)? } else { Layer::default() };
        Self::of(flags, file)
    }

    /// Puts one layer over another, and that over the defaults.
    ///
    /// # Errors
    /// A value is out of its range.
    pub fn of(mut over: Layer, mut under: Layer) -> Result<Self, ConfigError> {
        let redis = RedisSettings::of(&mut over, &mut under)?;
        let url = over.database_url.or(under.database_url);
        let listen = over.listen.or(under.listen);
        let public_url = over.public_url.or(under.public_url);
        let capacity_mb = over.cache_capacity_mb.or(under.cache_capacity_mb).unwrap_or(256);
        let settings = Self {
            database_url: DatabaseUrl::parse(url.as_ref().map_or("sqlite:crm.db", Secret::expose))
                .map_err(ConfigError)?,
            listen: address(listen.as_deref().unwrap_or("127.0.0.1:8080"))?,
            public_url: public_url
                .filter(|url| !url.is_empty())
                .map(|url| origin("public_url", &url))
                .transpose()?,
            limits: Limits::of(
                over.trusted_proxies.or(under.trusted_proxies).as_deref(),
                over.limit_per_user.or(under.limit_per_user),
                over.limit_per_address.or(under.limit_per_address),
            )?,
            max_requests: usize::try_from(within(
                "max_requests",
                over.max_requests.or(under.max_requests).unwrap_or(512),
                1,
                100_000,
            )?)
            .unwrap_or(usize::MAX),
            cors_origins: over
                .cors_origins
                .or(under.cors_origins)
                .iter()
                .flat_map(|origins| origins.split(','))
                .map(str::trim)
                .filter(|text| !text.is_empty())
                .map(|text| origin("cors_origins", text))
                .collect::<Result<_, _>>()?,
            access_log: over.access_log.or(under.access_log).unwrap_or(Switch::Off),
            cache: over.cache.or(under.cache).unwrap_or(Switch::On),
            cache_capacity_bytes: within("cache_capacity_mb", capacity_mb, 1, 1 << 20)? << 20,
            redis,
            warm_at_start: over.warm_at_start.or(under.warm_at_start).unwrap_or(Switch::Off),
            show_queries: over.show_queries.or(under.show_queries).unwrap_or(Switch::Off),
            request_limit: millis(
                "request_limit_ms",
                over.request_limit_ms.or(under.request_limit_ms).unwrap_or(10_000),
            )?,
            analytics_job: over.analytics_job.or(under.analytics_job).unwrap_or(Schedule::Hourly),
            header_limit: millis(
                "header_limit_ms",
                over.header_limit_ms.or(under.header_limit_ms).unwrap_or(30_000),
            )?,
            drain_limit: millis(
                "drain_limit_ms",
                over.drain_limit_ms.or(under.drain_limit_ms).unwrap_or(15_000),
            )?,
            log: over.log.or(under.log).unwrap_or_else(|| "warn,crm=info,larder=info".to_owned()),
        };
        if settings.database_url.is_in_memory() && settings.shared_cache().is_some() {
            return Err(ConfigError::new(
                "redis_url: the database is in the memory of this process, and what Redis holds would outlive it: name \
                 a file, as in sqlite:crm.db, or leave redis_url out"
                    .to_owned(),
            ));
        }
        Ok(settings)
    }

    /// Whether browsers reach it over TLS, so that a cookie needs to go no other way.
    #[must_use]
    pub fn is_over_tls(&self) -> bool {
        self.public_url.as_ref().is_some_and(|url| url.starts_with("https://"))
    }

    /// How many answers may be made as they are sent, at a time: an eighth of the requests.
    #[must_use]
    pub fn streams(&self) -> usize {
        (self.max_requests / 8).max(1)
    }

    /// Where the cache is that processes share; `None` when each has its own, or none.
    #[must_use]
    pub fn shared_cache(&self) -> Option<RedisPlace> {
        self.redis.place().filter(|_| self.cache == Switch::On)
    }
}

/// The variables that begin with `CRM_` and are no setting: a misspelt one would be overlooked.
#[must_use]
pub fn unknown_variables(given: impl Iterator<Item = OsString>) -> Vec<String> {
    let layer = Layer::augment_args(clap::Command::new("crm"));
    let known: Vec<&OsStr> = layer.get_arguments().filter_map(clap::Arg::get_env).collect();
    let given = given.filter(|name| !known.contains(&name.as_os_str()));
    given.filter_map(|name| name.into_string().ok()).filter(|name| name.starts_with("CRM_")).collect()
}

impl std::fmt::Display for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "database_url = {:?}", self.database_url.to_string())?;
        writeln!(f, "listen = \"{}\"", self.listen)?;
        writeln!(f, "public_url = {:?}", self.public_url.as_deref().unwrap_or_default())?;
        write!(f, "{}", self.limits)?;
        writeln!(f, "max_requests = {}", self.max_requests)?;
        writeln!(f, "cors_origins = \"{}\"", self.cors_origins.join(", "))?;
        writeln!(f, "access_log = \"{}\"", self.access_log.word())?;
        writeln!(f, "cache = \"{}\"", self.cache.word())?;
        writeln!(f, "cache_capacity_mb = {}", self.cache_capacity_bytes >> 20)?;
        write!(f, "{}", self.redis)?;
        writeln!(f, "warm_at_start = \"{}\"", self.warm_at_start.word())?;
        writeln!(f, "show_queries = \"{}\"", self.show_queries.word())?;
        writeln!(f, "request_limit_ms = {}", self.request_limit.as_millis())?;
        writeln!(f, "analytics_job = \"{}\"", self.analytics_job.word())?;
        writeln!(f, "header_limit_ms = {}", self.header_limit.as_millis())?;
        writeln!(f, "drain_limit_ms = {}", self.drain_limit.as_millis())?;
        writeln!(f, "log = {:?}", self.log)
    }
}

fn read_file(path: &Path) -> Result<Layer, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        ConfigError(format!("the settings file {} cannot be read: {error}", path.display()))
    })?;
    toml::from_str(&text).map_err(|error| ConfigError(wrong_file(path, &text, &error)))
}

/// What is wrong with a file of settings, and in which line, but not the line itself: it may hold a password.
fn wrong_file(path: &Path, text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start));
    let line = before.map(|before| format!(", line {}", before.matches('\n').count() + 1));
    format!("the settings file {}{} is wrong: {}", path.display(), line.unwrap_or_default(), error.message())
}

fn address(text: &str) -> Result<SocketAddr, ConfigError> {
    text.parse().map_err(|_not_an_address| {
        ConfigError(format!(
            "listen: `{text}` is not an address and a port: write, for example, 127.0.0.1:8080"
        ))
    })
}

/// A scheme and a host, as browsers write an origin.
fn origin(setting: &str, text: &str) -> Result<String, ConfigError> {
    let origin = text.trim_end_matches('/').to_lowercase();
    let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
    if host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '@', '?', '#', ' '])) {
        return Ok(origin);
    }
    Err(ConfigError(format!(
        "{setting}: `{text}` is no address of a site: write it as https://crm.example.com, without a path"
    )))
}

fn within(name: &str, value: u64, least: u64, most: u64) -> Result<u64, ConfigError> {
    if (least..=most).contains(&value) {
        return Ok(value);
    }
    Err(ConfigError(format!("{name}: {value} is out of range: give a number from {least} to {most}")))
}

fn millis(name: &str, value: u64) -> Result<Duration, ConfigError> {
    // Ten minutes: whoever waits longer has gone.
    within(name, value, 1, 600_000).map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(text: &str) -> Result<Settings, ConfigError> {
        let file = toml::from_str(text).map_err(|error| ConfigError(error.to_string()))?;
        Settings::of(Layer::default(), file)
    }

    #[test]
    fn a_flag_stands_over_the_file_and_the_file_over_the_default() {
        let file: Layer = toml::from_str("listen = \"127.0.0.1:1\"\ndrain_limit_ms = 7").unwrap();
        let flags = Layer { listen: Some("127.0.0.1:2".to_owned()), ..Layer::default() };
        let settings = Settings::of(flags, file).unwrap();
        assert_eq!((settings.listen.port(), settings.drain_limit), (2, Duration::from_millis(7)));
        assert_eq!(settings.request_limit, Duration::from_secs(10));
    }

    #[test]
    fn what_is_refused_says_what_to_write() {
        for (text, words) in [
            ("listn = \"127.0.0.1:1\"", "unknown field `listn`"),
            ("public_url = \"crm.example.com\"", "https://crm.example.com"),
            ("public_url = \"https://u@h/crm\"", "without a path"),
            ("listen = \"localhost:8080\"", "127.0.0.1:8080"),
            ("trusted_proxies = \"10.0.0.0/8, proxy\"", "`proxy` is no address"),
            ("limit_per_user = 1000001", "from 0"),
            ("max_requests = 0", "from 1"),
            ("cors_origins = \"https://a.example, b.example\"", "cors_origins: `b.example`"),
            ("cache = \"yes\"", "`on` or `off`"),
            ("cache_capacity_mb = 0", "from 1"),
            ("request_limit_ms = 700000", "to 600000"),
            ("redis_url = \"localhost\"", "redis://[user:password@]host[:port][/database]"),
            ("redis_url = \"redis://h\"\nredis_ca_file = \"ca.pem\"", "begin it with `rediss://`"),
            ("redis_ca_file = \"ca.pem\"", "begin it with `rediss://`"),
            ("redis_url = \"rediss://h\"\nredis_client_key_file = \"k.pem\"", "name both files"),
            ("redis_url = \"redis://h\"\nredis_namespace = \"a:b\"", "letters, digits"),
            ("redis_timeout_ms = 651", "from 1 to 650"),
            ("redis_url = \"redis://h\"\ndatabase_url = \"sqlite::memory:\"", "name a file"),
        ] {
            let message = with(text).unwrap_err().to_string();
            assert!(message.contains(words), "{text}: {message}");
        }
    }

    #[test]
    fn what_is_shown_is_read_back_as_it_was() {
        let strange = Layer {
            database_url: Some(r#"sqlite:a "b"\c.db"#.to_owned().into()),
            log: Some(r#"crm[{a="b"}]=info"#.to_owned()),
            public_url: Some("https://CRM.example.com/".to_owned()),
            trusted_proxies: Some("127.0.0.1,10.0.0.0/8, ::1".to_owned()),
            limit_per_user: Some(0),
            cors_origins: Some("https://app.example.com,http://localhost:3000/".to_owned()),
            access_log: Some(Switch::On),
            redis_url: Some("rediss://h:6379/1".to_owned().into()),
            redis_namespace: Some("crm".to_owned()),
            redis_client_cert_file: Some("a \"b\".pem".into()),
            redis_client_key_file: Some("k.pem".into()),
            ..Layer::default()
        };
        let settings = Settings::of(strange, Layer::default()).unwrap();
        assert_eq!(with(&settings.to_string()).unwrap(), settings);
    }

    #[test]
    fn a_password_is_nowhere_shown() {
        let layer: Layer = toml::from_str("redis_url = \"redis://u:secret@h/1\"").unwrap();
        let settings = Settings::of(layer.clone(), Layer::default()).unwrap();
        let connection = settings.redis.connection().unwrap();
        let shown = format!("{layer:?} {settings:?} {settings} {:?} {connection:?}", settings.shared_cache());
        assert!(shown.contains("redis://u:***@h:6379/1") && !shown.contains("secret"), "{shown}");
        let hidden = with(&settings.to_string()).unwrap_err().to_string();
        assert!(hidden.contains("put the password there"), "{hidden}");
        for broken in
            ["redis_url = \"redis://:secret@h", "redis_url = \"redis://:secret@h\" x", "\nx = 1 secret"]
        {
            let error = toml::from_str::<Layer>(broken).unwrap_err();
            let message = wrong_file(Path::new("crm.toml"), broken, &error);
            assert!(message.contains("crm.toml, line ") && !message.contains("secret"), "{message}");
        }
    }

    #[test]
    fn an_empty_setting_takes_redis_away_again_and_a_cache_that_is_off_needs_none() {
        let file: Layer = toml::from_str("redis_url = \"redis://h\"\nredis_namespace = \"crm\"").unwrap();
        let flags = Layer { redis_url: Some(String::new().into()), ..Layer::default() };
        let settings = Settings::of(flags, file.clone()).unwrap();
        assert_eq!((settings.shared_cache(), settings.redis.namespace.as_str()), (None, "crm"));
        let off = Layer { cache: Some(Switch::Off), ..Layer::default() };
        assert_eq!(Settings::of(off, file.clone()).unwrap().shared_cache(), None);
        let place = Settings::of(Layer::default(), file).unwrap().shared_cache().unwrap();
        assert_eq!(place.to_string(), "h:6379/0, namespace crm");
    }

    #[test]
    fn the_commented_file_shows_every_setting_with_its_default() {
        let shown = include_str!("../../../../deploy/crm.toml");
        let values: Vec<&str> = shown.lines().filter_map(|line| line.strip_prefix("# ")).collect();
        let values: Vec<&str> = values.into_iter().filter(|line| line.contains(" = ")).collect();
        let settings = with(&values.join("\n")).unwrap();
        assert_eq!(settings, with("").unwrap());
        assert_eq!(values.join("\n") + "\n", settings.to_string());
    }
}
