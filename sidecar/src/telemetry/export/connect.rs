//! Connections to a collector, behind TLS where its URL says so.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use stowage_config::{Otlp, OtlpProtocol};

use super::ANSWER_MAX;

/// How long a connection without a message is kept.
const REST_MAX: Duration = Duration::from_secs(30);

type CollectorClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// How a collector is connected to, and the connections that are open.
pub(super) struct Connections {
    protocol: OtlpProtocol,
    is_https: bool,
    ca_file: Option<PathBuf>,
    client: Option<CollectorClient>,
}

impl Connections {
    /// None yet.
    pub(super) fn new(otlp: &Otlp) -> Self {
        Self {
            protocol: otlp.protocol,
            is_https: otlp.endpoint.is_https(),
            ca_file: otlp.ca_file.clone(),
            client: None,
        }
    }

    /// Forgets those that are open, and the certificates: new ones may be there.
    pub(super) fn forget(&mut self) {
        self.client = None;
    }

    /// What messages are sent by.
    ///
    /// # Errors
    /// Why no certificate can be checked, in words.
    pub(super) async fn client(&mut self) -> Result<CollectorClient, String> {
        if let Some(client) = &self.client {
            return Ok(client.clone());
        }
        let mut tcp = HttpConnector::new();
        tcp.set_connect_timeout(Some(ANSWER_MAX));
        tcp.enforce_http(false);
        let mut builder = Client::builder(TokioExecutor::new());
        builder.pool_timer(TokioTimer::new()).pool_idle_timeout(REST_MAX);
        builder.http2_only(self.protocol == OtlpProtocol::Grpc);
        let client = builder.build(HttpsConnector::from((tcp, self.tls().await?)));
        self.client = Some(client.clone());
        Ok(client)
    }

    async fn tls(&self) -> Result<ClientConfig, String> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| e.to_string())?;
        let (is_https, ca_file) = (self.is_https, self.ca_file.clone());
        // Files are read.
        let made = tokio::task::spawn_blocking(move || {
            let builder = match ca_file {
                Some(file) => builder.with_root_certificates(roots(&file)?),
                None if is_https => builder
                    .try_with_platform_verifier()
                    .map_err(|e| format!("the system's certificates cannot be read: {e}"))?,
                // It is never asked for.
                None => builder.with_root_certificates(RootCertStore::empty()),
            };
            Ok(builder.with_no_client_auth())
        });
        let mut config = made.await.unwrap_or_else(|e| Err(e.to_string()))?;
        // RFC 7301: without it a server speaks HTTP/1.1.
        config.alpn_protocols = match self.protocol {
            OtlpProtocol::Http => vec![b"http/1.1".to_vec()],
            OtlpProtocol::Grpc => vec![b"h2".to_vec()],
        };
        Ok(config)
    }
}

fn roots(file: &Path) -> Result<RootCertStore, String> {
    let unreadable = |e| format!("its caFile cannot be read: {e}");
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(unreadable)? {
        roots
            .add(certificate.map_err(unreadable)?)
            .map_err(|e| format!("its caFile holds a certificate that cannot be used: {e}"))?;
    }
    if roots.is_empty() {
        return Err("its caFile holds no certificate in PEM".to_owned());
    }
    Ok(roots)
}
