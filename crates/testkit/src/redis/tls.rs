//! Certificates for a server that speaks TLS, made when it starts.

use std::net::{IpAddr, Ipv4Addr};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType,
};

use super::home::Home;

/// What clients of a server that speaks TLS need: certificates and keys as PEM.
#[derive(Clone)]
pub struct Tls {
    /// The authority that clients must trust. The server's certificate is for `localhost` and `127.0.0.1`.
    pub ca_pem: String,
    /// A client's certificate, of the same authority.
    pub client_cert_pem: String,
    /// Its key.
    pub client_key_pem: String,
    /// Another authority of the same name: who trusts only this one must refuse the server.
    pub wrong_ca_pem: String,
    server_cert_pem: String,
    server_key_pem: String,
    files: Vec<(&'static str, String)>,
}

/// Whether clients have to show a certificate.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ClientCertificates {
    Required,
    Ignored,
}

impl Tls {
    /// Makes an authority, a server's and a client's certificate, and lays the server's into its home.
    pub(crate) fn make(home: &Home) -> Self {
        let ca = authority();
        let (server_cert_pem, server_key_pem) = issue(&ca, "server", ExtendedKeyUsagePurpose::ServerAuth);
        let (client_cert_pem, client_key_pem) = issue(&ca, "client", ExtendedKeyUsagePurpose::ClientAuth);
        let mut tls = Self {
            ca_pem: ca.pem(),
            client_cert_pem,
            client_key_pem,
            wrong_ca_pem: authority().pem(),
            server_cert_pem,
            server_key_pem,
            files: Vec::new(),
        };
        tls.files = [
            ("tls-cert-file", "server.pem", &tls.server_cert_pem),
            ("tls-key-file", "server.key", &tls.server_key_pem),
            ("tls-ca-cert-file", "ca.pem", &tls.ca_pem),
        ]
        .map(|(directive, name, pem)| (directive, format!("\"{}\"", home.write(name, pem).display())))
        .into();
        tls
    }

    /// The lines of redis.conf.
    pub(crate) fn settings(&self, clients: ClientCertificates) -> Vec<(&'static str, String)> {
        let required = match clients {
            ClientCertificates::Required => "yes",
            ClientCertificates::Ignored => "no",
        };
        let clients = ("tls-auth-clients", required.to_owned());
        self.files.iter().cloned().chain([clients]).collect()
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive() // keys
    }
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = named("an authority of tests");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    CertifiedIssuer::self_signed(params, key()).expect("an authority signs itself")
}

/// A certificate and its key.
fn issue(
    ca: &CertifiedIssuer<'static, KeyPair>,
    name: &str,
    purpose: ExtendedKeyUsagePurpose,
) -> (String, String) {
    let mut params = named(name);
    params.subject_alt_names = vec![
        SanType::DnsName("localhost".try_into().expect("a name in ASCII")),
        SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)),
    ];
    params.extended_key_usages = vec![purpose];
    params.use_authority_key_identifier_extension = true;
    let key = key();
    let cert = params.signed_by(&key, ca).expect("an authority signs what it is given");
    (cert.pem(), key.serialize_pem())
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn key() -> KeyPair {
    KeyPair::generate().expect("the system has random numbers")
}
