//! How a server is to be started.

use std::path::Path;

use parking_lot::Mutex;

use super::RedisServer;
use super::home::Home;
use super::tls::{ClientCertificates, Tls};
use super::users::{self, Login};
use crate::port::Port;
use crate::shared::workspace_root;
use crate::supervisor::Supervisor;

/// How many ports are tried: 10. Only a program that takes the port between our look and the server's start, without
/// asking for it as the testkit does, makes a second one necessary.
const PORTS_TRIED: usize = 10;

/// What a server is started with, over `deploy/redis.conf`: [`RedisServer::builder`].
#[derive(Clone, Debug, Default)]
#[must_use = "start it"]
pub struct Builder {
    settings: Vec<(String, String)>,
    aof: bool,
    tls: Option<ClientCertificates>,
    users: bool,
}

impl Builder {
    /// Any line of redis.conf: it stands over `deploy/redis.conf` and over what the testkit sets itself.
    ///
    /// The value is written as it is, so that it may have several words (`"pubsub 1mb 1mb 1"`); one with blanks
    /// that is one word needs its quotes. A `requirepass` is part of [`RedisServer::url`] then.
    pub fn set(mut self, directive: &str, value: &str) -> Self {
        self.settings.push((directive.to_owned(), value.to_owned()));
        self
    }

    /// Keeps a log of all writes, in which every acknowledged write is on disk: a test knows what a server that was
    /// killed comes back with. (`set("appendfsync", "everysec")` makes it as forgetful as production.)
    pub fn aof(mut self) -> Self {
        self.aof = true;
        self
    }

    /// Serves TLS only, and asks clients for no certificate. [`RedisServer::tls`] has what clients need.
    pub fn tls(mut self) -> Self {
        self.tls = Some(ClientCertificates::Ignored);
        self
    }

    /// Serves TLS only, and refuses clients that have no certificate of its authority.
    pub fn tls_with_client_certificates(mut self) -> Self {
        self.tls = Some(ClientCertificates::Required);
        self
    }

    /// Lets in those of `deploy/users.acl` only: [`RedisServer::url`] then names the user `larder` and its
    /// password, [`USER`](super::USER) and [`PASSWORD`](super::PASSWORD).
    pub fn users(mut self) -> Self {
        self.users = true;
        self
    }

    /// Starts it, and returns when it answers.
    ///
    /// # Panics
    ///
    /// If it does not start, with what it said; `cargo xtask setup` installs `redis-server`.
    ///
    /// # Cancel safety
    ///
    /// Dropping it ends the server.
    pub async fn start(self) -> RedisServer {
        for _ in 0..PORTS_TRIED {
            let server = self.prepare(Port::claim());
            match server.run().await {
                Ok(()) => return server,
                Err(said) if said.contains("Address already in use") => {}
                Err(said) => panic!("redis-server did not start; it said:\n{said}"),
            }
        }
        panic!("redis-server found {PORTS_TRIED} ports in use, one after the other");
    }

    /// Writes all files that the server reads.
    fn prepare(&self, port: Port) -> RedisServer {
        let home = Home::new();
        let deploy = workspace_root().join("deploy");
        let number = port.number().to_string();
        let tls = self.tls.map(|clients| (clients, Tls::make(&home)));

        let mut settings: Vec<(&str, String)> = vec![
            ("bind", "127.0.0.1".to_owned()),
            ("dir", quoted(&home.data())),
            ("unixsocket", quoted(&home.socket())),
            ("unixsocketperm", "700".to_owned()),
            ("save", "\"\"".to_owned()),
            ("appendonly", if self.aof { "yes" } else { "no" }.to_owned()),
            ("appendfsync", "always".to_owned()),
        ];
        match &tls {
            None => settings.push(("port", number)),
            Some((clients, tls)) => {
                settings.push(("port", "0".to_owned()));
                settings.push(("tls-port", number));
                settings.extend(tls.settings(*clients));
            }
        }
        if self.users {
            settings.push(("aclfile", quoted(&users::write(&home, &deploy.join("users.acl")))));
        }
        let ours = settings.iter().map(|(directive, value)| (*directive, value.as_str()));
        let theirs = self.settings.iter().map(|(directive, value)| (directive.as_str(), value.as_str()));
        home.configure(&deploy.join("redis.conf"), ours.chain(theirs));
        let password = self.settings.iter().rev().find(|(directive, _)| directive == "requirepass");
        let password = password.map(|(_, password)| Login::everybody(password));
        let command = ["redis-server".into(), home.path().join("redis.conf").into_os_string()];
        RedisServer {
            supervisor: Mutex::new(Supervisor::new("redis-server", home.path(), "KILL", &command)),
            process: Mutex::default(),
            home,
            port,
            aof: self.aof,
            tls: tls.map(|(_, tls)| tls),
            clients: if self.users { Some(Login::larder()) } else { password.clone() },
            testkit: if self.users { Some(Login::testkit()) } else { password },
            limits: Mutex::default(),
        }
    }
}

fn quoted(path: &Path) -> String {
    format!("\"{}\"", path.display())
}
