//! A server that speaks TLS: certificates that clients which are not ours check and accept, or refuse.

use std::path::PathBuf;

use tempfile::TempDir;
use testkit::redis::{Connection, RedisServer};
use testkit::run;
use tokio::process::Command;

/// What a client has, as files.
struct Files {
    _folder: TempDir,
    ca: PathBuf,
    wrong_ca: PathBuf,
    client_cert: PathBuf,
    client_key: PathBuf,
}

fn files(redis: &RedisServer) -> Files {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let tls = redis.tls();
    let write = |name: &str, pem: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, pem).expect("a file can be written");
        path
    };
    Files {
        ca: write("ca.pem", &tls.ca_pem),
        wrong_ca: write("wrong.pem", &tls.wrong_ca_pem),
        client_cert: write("client.pem", &tls.client_cert_pem),
        client_key: write("client.key", &tls.client_key_pem),
        _folder: folder,
    }
}

/// What `redis-cli` gets to hear over TLS.
async fn ping(redis: &RedisServer, ca: &PathBuf, client: Option<&Files>) -> Result<String, String> {
    let mut cli = Command::new("redis-cli");
    cli.args(["-h", "127.0.0.1", "-p", &redis.port().to_string(), "--tls", "--cacert"]).arg(ca);
    if let Some(Files { client_cert, client_key, .. }) = client {
        cli.arg("--cert").arg(client_cert).arg("--key").arg(client_key);
    }
    let output = cli.arg("PING").output().await.expect("redis-cli can be started");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

#[test]
fn a_server_with_tls_is_trusted_by_its_authority_only() {
    run(async {
        let redis = RedisServer::builder().tls().start().await;
        assert_eq!(redis.url(), format!("rediss://127.0.0.1:{}/", redis.port()));
        let files = files(&redis);
        assert_eq!(ping(&redis, &files.ca, None).await, Ok("PONG".to_owned()));
        let refused = ping(&redis, &files.wrong_ca, None).await.unwrap_err();
        assert!(refused.contains("certificate verify failed"), "{refused}");
        let mut plain = Connection::to(redis.address()).await.unwrap();
        assert!(plain.command(&["PING"]).await.is_err(), "it speaks without TLS too");
        // The testkit itself needs none.
        assert_eq!(redis.command(&["PING"]).await.text(), "PONG");
        redis.kill().await;
        redis.restart_empty().await;
        assert_eq!(ping(&redis, &files.ca, None).await, Ok("PONG".to_owned()));
    });
}

#[test]
fn a_client_without_a_certificate_is_refused_where_one_is_required() {
    run(async {
        let redis = RedisServer::builder().tls_with_client_certificates().start().await;
        let files = files(&redis);
        assert_eq!(ping(&redis, &files.ca, Some(&files)).await, Ok("PONG".to_owned()));
        let refused = ping(&redis, &files.ca, None).await;
        assert!(refused.is_err(), "{refused:?}");
    });
}

/// `curl` checks the name, which `redis-cli` does not. To speak HTTP with Redis fails too, but otherwise.
#[test]
fn the_certificate_is_for_localhost_and_its_address_only() {
    /// `curl(1)`: "Peer certificate cannot be authenticated", or "The remote peer's certificate was not OK".
    const NOT_TRUSTED: [i32; 2] = [60, 51];
    run(async {
        let redis = RedisServer::builder().tls().start().await;
        let files = files(&redis);
        let port = redis.port();
        let trusts = async |host: &str, ca: &PathBuf| {
            let mut curl = Command::new("curl");
            curl.args(["--silent", "--noproxy", "*", "--resolve", &format!("elsewhere:{port}:127.0.0.1")]);
            curl.arg("--cacert").arg(ca).arg(format!("https://{host}:{port}/"));
            let code = curl.output().await.unwrap().status.code().unwrap();
            assert!([0, 1, 52, 56, 60, 51].contains(&code), "curl ended with {code}");
            !NOT_TRUSTED.contains(&code)
        };
        assert!(trusts("127.0.0.1", &files.ca).await);
        assert!(trusts("localhost", &files.ca).await);
        assert!(!trusts("elsewhere", &files.ca).await);
        assert!(!trusts("127.0.0.1", &files.wrong_ca).await);
    });
}
