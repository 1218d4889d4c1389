//! The Redis that processes share their cache in: its URL, the files for TLS, and what of it may be shown.

use super::{ConfigError, Layer, Switch};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The longest that `redis_timeout_ms` may be, in milliseconds: the library gives a connection up after a second of
/// silence, and a call must have ended by then.
const MAX_TIMEOUT_MS: u64 = 650;
/// The longest namespace: each key begins with it, and memory is what a cache is short of.
const MAX_NAMESPACE_BYTES: usize = 64;
/// What stands where a password was.
const HIDDEN: &str = "***";
/// How a URL is to be written.
const FORM: &str = "write it as redis://[user:password@]host[:port][/database], or rediss:// for TLS";

/// A setting that may hold a password: it is never shown.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl Secret {
    /// What it hides.
    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(HIDDEN)
    }
}

/// The Redis that the cache is in, or is to be in once there is a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisSettings {
    /// Where it is; `None` keeps the cache in this process.
    pub url: Option<RedisUrl>,
    /// What stands before all keys; empty for nothing.
    pub namespace: String,
    /// The authorities that may vouch for the server, in PEM, instead of those of this machine.
    pub ca_file: Option<PathBuf>,
    /// The certificate and the key, in PEM, that this client shows.
    pub client_files: Option<(PathBuf, PathBuf)>,
    /// The longest that one call may take before the answer is found without Redis.
    pub timeout: Duration,
    /// Whether copies of what is in Redis are kept in this process.
    pub local_tier: Switch,
}

/// Which part of which Redis: whoever names the same one shares a cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisPlace(String);

impl std::fmt::Display for RedisPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl RedisSettings {
    pub(super) fn of(over: &mut Layer, under: &mut Layer) -> Result<Self, ConfigError> {
        let url = text(&mut over.redis_url, &mut under.redis_url);
        let url = url.map(|url| RedisUrl::parse(&url.0)).transpose().map_err(ConfigError)?;
        let file = |over, under| text::<PathBuf>(over, under);
        let ca_file = file(&mut over.redis_ca_file, &mut under.redis_ca_file);
        let certificate = file(&mut over.redis_client_cert_file, &mut under.redis_client_cert_file);
        let key = file(&mut over.redis_client_key_file, &mut under.redis_client_key_file);
        let client_files = match (certificate, key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => {
                return Err(ConfigError::new(
                    "redis_client_cert_file and redis_client_key_file go together: name both files, or neither"
                        .to_owned(),
                ));
            }
        };
        let speaks_tls = url.as_ref().is_some_and(|url| url.tls);
        if (ca_file.is_some() || client_files.is_some()) && !speaks_tls {
            return Err(ConfigError::new(
                "redis_ca_file, redis_client_cert_file and redis_client_key_file are for TLS, which redis_url does \
                 not ask for: begin it with `rediss://`, or leave the files out"
                    .to_owned(),
            ));
        }
        let timeout_ms = over.redis_timeout_ms.or(under.redis_timeout_ms).unwrap_or(500);
        let timeout_ms = super::within("redis_timeout_ms", timeout_ms, 1, MAX_TIMEOUT_MS)?;
        Ok(Self {
            url,
            namespace: namespace(text(&mut over.redis_namespace, &mut under.redis_namespace))?,
            ca_file,
            client_files,
            timeout: Duration::from_millis(timeout_ms),
            local_tier: over.redis_local_tier.or(under.redis_local_tier).unwrap_or(Switch::On),
        })
    }

    /// Which part of which Redis this is; `None` without a URL.
    #[must_use]
    pub fn place(&self) -> Option<RedisPlace> {
        let RedisUrl { host, port, database, .. } = self.url.as_ref()?;
        let under = match self.namespace.as_str() {
            "" => String::new(),
            namespace => format!(", namespace {namespace}"),
        };
        Some(RedisPlace(format!("{host}:{port}/{database}{under}")))
    }

    /// What the library needs to reach it; `None` without a URL. This reads the files for TLS.
    ///
    /// # Errors
    /// A file cannot be read, or is none of PEM.
    pub fn connection(&self) -> Result<Option<larder::Redis>, ConfigError> {
        let Some(url) = &self.url else { return Ok(None) };
        let mut redis = larder::Redis::at(&url.url)
            .namespace(&self.namespace)
            .operation_limit(self.timeout)
            .local_tier(self.local_tier == Switch::On);
        if let Some(file) = &self.ca_file {
            redis = redis.ca_pem(pem("redis_ca_file", file, "CERTIFICATE")?);
        }
        if let Some((certificate, key)) = &self.client_files {
            redis = redis.client_pem(
                pem("redis_client_cert_file", certificate, "CERTIFICATE")?,
                pem("redis_client_key_file", key, "PRIVATE KEY")?,
            );
        }
        Ok(Some(redis))
    }
}

impl std::fmt::Display for RedisSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (certificate, key) = self.client_files.as_ref().map_or((None, None), |(c, k)| (Some(c), Some(k)));
        let shown = |file: Option<&PathBuf>| file.map(|file| file.display().to_string()).unwrap_or_default();
        writeln!(f, "redis_url = {:?}", self.url.as_ref().map(ToString::to_string).unwrap_or_default())?;
        writeln!(f, "redis_namespace = {:?}", self.namespace)?;
        writeln!(f, "redis_ca_file = {:?}", shown(self.ca_file.as_ref()))?;
        writeln!(f, "redis_client_cert_file = {:?}", shown(certificate))?;
        writeln!(f, "redis_client_key_file = {:?}", shown(key))?;
        writeln!(f, "redis_timeout_ms = {}", self.timeout.as_millis())?;
        writeln!(f, "redis_local_tier = \"{}\"", self.local_tier.word())
    }
}

/// What one layer says over the other. What is empty says that there is nothing, also over a layer that names something.
fn text<T: Default + PartialEq>(over: &mut Option<T>, under: &mut Option<T>) -> Option<T> {
    over.take().or(under.take()).filter(|text| *text != T::default())
}

fn namespace(name: Option<String>) -> Result<String, ConfigError> {
    let name = name.unwrap_or_default();
    if name.len() <= MAX_NAMESPACE_BYTES
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    {
        return Ok(name);
    }
    Err(ConfigError::new(format!(
        "redis_namespace: {name:?} cannot be one: give at most {MAX_NAMESPACE_BYTES} letters, digits, `-`, `_` and `.`"
    )))
}

fn pem(setting: &str, file: &Path, kind: &str) -> Result<Vec<u8>, ConfigError> {
    let shown = file.display();
    let text = std::fs::read(file)
        .map_err(|error| ConfigError::new(format!("{setting}: {shown} cannot be read: {error}")))?;
    // `BEGIN RSA PRIVATE KEY` and `BEGIN EC PRIVATE KEY` are keys too.
    let is_one = String::from_utf8_lossy(&text)
        .lines()
        .any(|line| line.starts_with("-----BEGIN ") && line.trim_end().ends_with(&format!("{kind}-----")));
    if is_one {
        return Ok(text);
    }
    Err(ConfigError::new(format!(
        "{setting}: {shown} holds no PEM: there must be a line `-----BEGIN {kind}-----` in it"
    )))
}

/// Where Redis is, as a setting says it. Shown, it has no password.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl {
    /// As it was given, for the library.
    url: String,
    tls: bool,
    /// Who asks, as it may be shown.
    user: String,
    host: String,
    port: u16,
    database: u32,
}

impl RedisUrl {
    /// Reads `redis://[user:password@]host[:port][/database]`, or `rediss://` for TLS.
    ///
    /// # Errors
    /// A sentence on what is wrong and what to write instead; it never repeats the URL, which may hold a password.
    pub fn parse(url: &str) -> Result<Self, String> {
        let wrong = |what: &str| format!("redis_url: {what}: {FORM}");
        let (tls, rest) = match (url.strip_prefix("redis://"), url.strip_prefix("rediss://")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            _ => return Err(wrong("it begins with neither `redis://` nor `rediss://`")),
        };
        if rest.contains(|c: char| c.is_whitespace() || c.is_control() || c == '\\') {
            return Err(wrong(
                "it contains a blank or a backslash; in a password they are written as %20 and %5C",
            ));
        }
        if rest.contains(['?', '#']) {
            return Err(wrong("it has options; in a password, `?` is written as %3F and `#` as %23"));
        }
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, place) = match authority.rsplit_once('@') {
            Some((login, place)) => (Some(login), place),
            None => (None, authority),
        };
        let (host, port) = host_and_port(place).ok_or_else(|| {
            wrong("its host or its port cannot be one; in a password, `/` is written as %2F and `@` as %40")
        })?;
        let database = match database {
            "" => 0,
            digits => number(digits)
                .ok_or_else(|| wrong("what follows its host is not the number of a database"))?,
        };
        if login.is_some_and(|login| login.split_once(':').map_or(login, |(_, password)| password) == HIDDEN)
        {
            return Err(wrong("`***` stands where its password was hidden; put the password there"));
        }
        let user = match login.map(|login| login.split_once(':')) {
            None => String::new(),
            Some(Some((user, ""))) => format!("{user}@"),
            Some(Some((user, _password))) => format!("{user}:{HIDDEN}@"),
            Some(None) => format!("{HIDDEN}@"), // a name alone is most often a password in the wrong place
        };
        Ok(Self { url: url.to_owned(), tls, user, host, port, database })
    }
}

/// The host in lower case, an IPv6 address in its brackets, and the port.
fn host_and_port(place: &str) -> Option<(String, u16)> {
    let (host, port) = match place.strip_prefix('[').map(|rest| rest.split_once(']')) {
        Some(Some((address, port))) => {
            let address: std::net::Ipv6Addr = address.parse().ok()?;
            (format!("[{address}]"), port)
        }
        Some(None) => return None,
        None => {
            let (host, port) = place.split_at(place.find(':').unwrap_or(place.len()));
            let plain = |c: char| c.is_alphanumeric() || "-_.".contains(c);
            (Some(host).filter(|host| !host.is_empty() && host.chars().all(plain))?.to_lowercase(), port)
        }
    };
    let port = match port {
        "" => 6379,
        port => number(port.strip_prefix(':')?).filter(|port| *port > 0)?,
    };
    Some((host, port))
}

/// A number of digits only: `+1` and `-1` are none.
fn number<T: std::str::FromStr>(digits: &str) -> Option<T> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

impl std::fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { user, host, port, database, .. } = self;
        write!(f, "redis{}://{user}{host}:{port}/{database}", if self.tls { "s" } else { "" })
    }
}

impl std::fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_its_password() {
        for (url, shown) in [
            ("redis://localhost", "redis://localhost:6379/0"),
            ("redis://LocalHost:7000/3", "redis://localhost:7000/3"),
            ("rediss://cache.internal/", "rediss://cache.internal:6379/0"),
            ("redis://:secret@h", "redis://:***@h:6379/0"),
            ("redis://u:secret@h:1/2", "redis://u:***@h:1/2"),
            ("redis://u:se%40cret%2F@h", "redis://u:***@h:6379/0"),
            ("redis://u:se:cret@h", "redis://u:***@h:6379/0"),
            ("redis://u:se@cret@h", "redis://u:***@h:6379/0"),
            ("redis://u:@h", "redis://u@h:6379/0"),
            ("redis://secret@h", "redis://***@h:6379/0"),
            ("rediss://u:secret@[0:0::1]:7000", "rediss://u:***@[::1]:7000/0"),
        ] {
            let url = RedisUrl::parse(url).unwrap();
            assert_eq!((url.to_string().as_str(), format!("{url:?}").as_str()), (shown, shown));
        }
    }

    #[test]
    fn urls_that_are_refused_say_what_to_write_and_not_the_password() {
        for url in [
            "localhost:6379",
            "http://:secret@h",
            "redis+sentinel://:secret@h",
            "REDIS://:secret@h",
            " redis://:secret@h",
            "redis://",
            "redis://:secret@",
            "redis://:secret@h:",
            "redis://:secret@h:0",
            "redis://:secret@h:70000",
            "redis://:secret@h:+1",
            "redis://:secret@h:1:2",
            "redis://:secret@[::1",
            "redis://:secret@[h]",
            "redis://:secret@a,b",
            "redis://:secret@h/x",
            "redis://:secret@h/-1",
            "redis://:secret@h/0/1",
            "redis://:sec/secret@h",
            "redis://:sec?secret@h",
            "redis://:sec#secret@h",
            "redis://:sec\\secret@h",
            "redis://:sec secret@h",
            "rediss://:secret@h/#insecure",
            "redis://secret:***@h",
            "redis://***@h",
        ] {
            let message = RedisUrl::parse(url).unwrap_err();
            assert!(message.starts_with("redis_url: ") && message.contains("rediss://"), "{url}: {message}");
            assert!(!message.contains("secret"), "{message}");
        }
    }

    #[test]
    fn two_spellings_of_one_place_are_one() {
        let place = |url: &str, namespace: &str| {
            let mut layer = Layer {
                redis_url: Some(url.to_owned().into()),
                redis_namespace: Some(namespace.to_owned()),
                ..Layer::default()
            };
            RedisSettings::of(&mut layer, &mut Layer::default()).unwrap().place().unwrap().to_string()
        };
        assert_eq!(place("redis://:secret@LOCALHOST", ""), "localhost:6379/0");
        assert_eq!(place("rediss://other:one@localhost:6379/", ""), "localhost:6379/0");
        assert_eq!(place("redis://h/2", "crm"), "h:6379/2, namespace crm");
    }

    #[test]
    fn files_for_tls_are_read_and_named_when_they_are_none() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            std::fs::write(directory.path().join(name), text).unwrap();
            Some(directory.path().join(name))
        };
        let certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let key = "-----BEGIN EC PRIVATE KEY-----\nsecret\n-----END EC PRIVATE KEY-----\n";
        let with = |ca: Option<PathBuf>, certificate, key| {
            let mut layer = Layer {
                redis_url: Some("rediss://h".to_owned().into()),
                redis_ca_file: ca,
                redis_client_cert_file: certificate,
                redis_client_key_file: key,
                ..Layer::default()
            };
            RedisSettings::of(&mut layer, &mut Layer::default()).unwrap().connection()
        };
        let (ca, certificate, key) = (file("ca", certificate), file("cert", certificate), file("key", key));
        assert!(with(ca.clone(), certificate.clone(), key.clone()).unwrap().is_some());
        for (ca, certificate, key, words) in [
            (Some(directory.path().join("none")), None, None, "redis_ca_file: "),
            (key.clone(), None, None, "BEGIN CERTIFICATE"),
            (None, certificate.clone(), certificate, "redis_client_key_file: "),
            (None, key.clone(), key, "redis_client_cert_file: "),
        ] {
            let message = with(ca, certificate, key).unwrap_err().to_string();
            assert!(message.contains(words) && !message.contains("secret"), "{message}");
        }
    }
}
