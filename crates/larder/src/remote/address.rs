//! Where a server is: the way to it, by TCP, TLS or a Unix socket, and how one introduces oneself there.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::future::select_ok;
use redis::{Cmd, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, Pipeline, RedisConnectionInfo, cmd};
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::reply::{Refusal, Reply};
use super::trouble::Trouble;
use super::wire::{Hear, Stream, Wire};

/// A server, and what it has to be told first.
#[derive(Clone)]
pub(crate) struct Address {
    way: Way,
    introduction: RedisConnectionInfo,
}

#[derive(Clone)]
enum Way {
    Tcp {
        host: String,
        port: u16,
        tls: Option<Tls>,
    },
    #[cfg(unix)]
    Unix(std::path::PathBuf),
}

/// Whose certificate is asked for, and how.
#[derive(Clone)]
struct Tls {
    name: ServerName<'static>,
    config: Arc<ClientConfig>,
}

/// In PEM.
#[derive(Clone, Default)]
pub(super) struct Certificates {
    /// Of the authorities that may vouch for the server, instead of those of this machine.
    pub(super) authorities: Option<Vec<u8>>,
    /// What this client shows, and its key.
    pub(super) own: Option<(Vec<u8>, Vec<u8>)>,
}

/// Why there is no connection.
#[derive(Debug)]
pub(crate) enum NotOpen {
    /// The server does not want to speak RESP3, now or ever.
    NoResp3(Refusal),
    Trouble(Trouble),
}

impl From<Trouble> for NotOpen {
    fn from(trouble: Trouble) -> Self {
        NotOpen::Trouble(trouble)
    }
}

impl From<NotOpen> for Trouble {
    fn from(not_open: NotOpen) -> Self {
        match not_open {
            NotOpen::NoResp3(refusal) => Trouble::from(&refusal),
            NotOpen::Trouble(trouble) => trouble,
        }
    }
}

impl Address {
    /// An error says what is wrong, without the URL, which may hold a password.
    pub(super) fn new(url: &str, certificates: &Certificates) -> Result<Address, String> {
        let info: ConnectionInfo = url.into_connection_info().map_err(|error| error.to_string())?;
        let is_plain = certificates.authorities.is_none() && certificates.own.is_none();
        let way = match info.addr() {
            ConnectionAddr::TcpTls { insecure: true, .. } => {
                return Err("`#insecure` would trust anybody; name the authority instead".to_owned());
            }
            ConnectionAddr::TcpTls { host, port, .. } => {
                let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned())
                    .map_err(|_error| "its host is no name that a certificate can have".to_owned())?;
                let config = Arc::new(certificates.config()?);
                Way::Tcp { host: host.clone(), port: *port, tls: Some(Tls { name, config }) }
            }
            _ if !is_plain => return Err("certificates are for TLS, and this is not".to_owned()),
            ConnectionAddr::Tcp(host, port) => Way::Tcp { host: host.clone(), port: *port, tls: None },
            #[cfg(unix)]
            ConnectionAddr::Unix(path) => Way::Unix(path.clone()),
            _ => return Err("it names no kind of connection that is known".to_owned()),
        };
        Ok(Address { way, introduction: info.redis_settings().clone() })
    }

    /// Connects and introduces itself, in RESP3 if it is to be told of something.
    ///
    /// # Cancel safety
    /// A connection that is not open yet is closed.
    pub(super) async fn open(&self, hear: Option<Hear>) -> Result<Wire, NotOpen> {
        let speaks_resp3 = hear.is_some();
        let stream = self.way.connect().await.map_err(|error| Trouble::Lost(error.to_string()))?;
        let wire = Wire::over(stream, hear.unwrap_or_else(|| Box::new(|_told| {})));
        let mut words = introduction(&self.introduction, speaks_resp3);
        let needed = words.len();
        for name in names() {
            words.add_command(name); // a server that does not want to know them says so, and it is no harm
        }
        for (at, answer) in wire.send(&words).await?.iter().take(needed).enumerate() {
            match answer {
                Reply::Error(refusal) if at == 0 && speaks_resp3 => {
                    return Err(NotOpen::NoResp3(refusal.clone()));
                }
                Reply::Error(refusal) => return Err(Trouble::from(refusal).into()),
                _ => {}
            }
        }
        Ok(wire)
    }
}

/// What a connection has to begin with.
fn introduction(info: &RedisConnectionInfo, speaks_resp3: bool) -> Pipeline {
    let mut words = Pipeline::new();
    if speaks_resp3 {
        let hello = words.cmd("HELLO").arg(3);
        if let Some(password) = info.password() {
            hello.arg("AUTH").arg(info.username().unwrap_or("default")).arg(password);
        }
    } else if let Some(password) = info.password() {
        words.cmd("AUTH").arg(info.username()).arg(password);
    }
    if info.db() != 0 {
        words.cmd("SELECT").arg(info.db());
    }
    words
}

/// What tells the server who speaks, for whoever lists its connections.
fn names() -> [Cmd; 2] {
    [("LIB-NAME", "larder"), ("LIB-VER", env!("CARGO_PKG_VERSION"))]
        .map(|(what, name)| cmd("CLIENT").arg("SETINFO").arg(what).arg(name).take())
}

impl Way {
    async fn connect(&self) -> io::Result<Box<dyn Stream>> {
        match self {
            Way::Tcp { host, port, tls } => {
                let all: Vec<_> =
                    tokio::net::lookup_host((host.trim_matches(['[', ']']), *port)).await?.collect();
                if all.is_empty() {
                    return Err(io::Error::new(io::ErrorKind::NotFound, "its host has no address"));
                }
                // The first that answers.
                let all = all.into_iter().map(|address| Box::pin(connect(address, tls.as_ref())));
                Ok(select_ok(all).await?.0)
            }
            #[cfg(unix)]
            Way::Unix(path) => Ok(Box::new(tokio::net::UnixStream::connect(path).await?)),
        }
    }
}

async fn connect(address: SocketAddr, tls: Option<&Tls>) -> io::Result<Box<dyn Stream>> {
    let stream = TcpStream::connect(address).await?;
    // What is sent behind an unanswered pipeline would otherwise wait for its answer.
    stream.set_nodelay(true)?;
    let Some(Tls { name, config }) = tls else { return Ok(Box::new(stream)) };
    Ok(Box::new(TlsConnector::from(Arc::clone(config)).connect(name.clone(), stream).await?))
}

impl Certificates {
    fn config(&self) -> Result<ClientConfig, String> {
        let mut roots = RootCertStore::empty();
        match &self.authorities {
            Some(pem) => {
                for certificate in certificates(pem)? {
                    let cannot = |error| format!("a certificate of an authority cannot be used: {error}");
                    roots.add(certificate).map_err(cannot)?;
                }
            }
            // A machine may have some that are damaged beside all that matter; without any, no server is trusted.
            None => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
        }
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots);
        let mut config = match &self.own {
            None => config.with_no_client_auth(),
            Some((own, key)) => {
                let key = PrivateKeyDer::from_pem_slice(key)
                    .map_err(|error| format!("the key of this client is no PEM: {error}"))?;
                config
                    .with_client_auth_cert(certificates(own)?, key)
                    .map_err(|error| format!("the certificate of this client cannot be used: {error}"))?
            }
        };
        // Each connection asks who answers, and not whether it is who answered before.
        config.resumption = Resumption::disabled();
        Ok(config)
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let all = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    let all = all.map_err(|error| format!("a certificate is no PEM: {error}"))?;
    if all.is_empty() { Err("there is no certificate in the PEM that was given".to_owned()) } else { Ok(all) }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Address").finish_non_exhaustive() // it may hold a password
    }
}
