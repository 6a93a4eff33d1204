//! The agent's own webserver: `/healthz`, `/readyz`, `/versions`, `/metrics`. It shares nothing with a plugin's webhook.

mod limits;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use axum_server::Handle;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::task::JoinHandle;

use crate::config::WebserverConfig;
use crate::metrics::{Format, Metrics};
use crate::readiness::Readiness;
use crate::webserver::limits::{LIMITS, Limited, Limits, MAX_HEADER_BYTES};

/// Why the webserver could not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WebserverError {
    #[error(
        "an error occurred while starting webserver: cannot listen on {address} (webserver.listen_port)"
    )]
    Listen { address: SocketAddr, source: io::Error },
    #[error("invalid webserver configuration: cannot use webserver.ssl_certificate {}", path.display())]
    Certificate { path: PathBuf, source: io::Error },
}

/// The running webserver.
#[derive(Debug)]
pub(crate) struct Webserver {
    handle: Handle<SocketAddr>,
    task: JoinHandle<io::Result<()>>,
    pub(crate) address: SocketAddr,
    /// The address that was asked for; its port may be 0.
    asked: SocketAddr,
    /// The socket, for a successor on the same address.
    listener: TcpListener,
}

impl Webserver {
    /// Binds the port, then serves on `runtime`. `versions` is the body of `/versions`; without `metrics`, `/metrics` is
    /// not there.
    ///
    /// A `predecessor` on the same address shares its socket, so that no connection is refused between the two.
    pub(crate) fn start(
        config: &WebserverConfig,
        versions: String,
        readiness: Arc<Readiness>,
        metrics: Option<Arc<Metrics>>,
        predecessor: Option<&Webserver>,
        runtime: &tokio::runtime::Handle,
    ) -> Result<Self, WebserverError> {
        let router = router(config, versions, readiness, metrics);
        Webserver::start_with(config, router, predecessor, runtime, LIMITS)
    }

    fn start_with(
        config: &WebserverConfig,
        router: Router,
        predecessor: Option<&Webserver>,
        runtime: &tokio::runtime::Handle,
        limits: Limits,
    ) -> Result<Self, WebserverError> {
        let asked = SocketAddr::new(config.address, config.port);
        let listen_error = |source| WebserverError::Listen { address: asked, source };
        let listener = match predecessor.filter(|predecessor| predecessor.asked == asked) {
            Some(predecessor) => predecessor.listener.try_clone(),
            None => TcpListener::bind(asked),
        };
        let listener = listener.map_err(listen_error)?;
        let kept = listener.try_clone().map_err(listen_error)?;
        listener.set_nonblocking(true).map_err(listen_error)?;
        let address = listener.local_addr().map_err(listen_error)?;
        let tls = config.tls_certificate.as_deref().map(tls_config).transpose()?;
        let handle = Handle::new();
        let _guard = runtime.enter();
        let mut server = axum_server::from_tcp(listener)
            .map_err(listen_error)?
            .handle(handle.clone())
            .first_request_timeout(limits.greeting);
        let http = server.http_builder();
        http.http1().header_read_timeout(limits.idle).max_buf_size(MAX_HEADER_BYTES as usize);
        http.http2().keep_alive_interval(limits.idle).max_header_list_size(MAX_HEADER_BYTES);
        let server = server.acceptor(Limited::new(limits));
        let service = router.into_make_service();
        let task = match tls {
            None => runtime.spawn(server.serve(service)),
            Some(tls) => {
                let acceptor = RustlsAcceptor::new(tls).handshake_timeout(limits.greeting);
                runtime.spawn(server.map(|limited| acceptor.acceptor(limited)).serve(service))
            }
        };
        Ok(Webserver { handle, task, address, asked, listener: kept })
    }

    /// Stops listening, and waits a moment for answers under way.
    pub(crate) fn stop(self, runtime: &tokio::runtime::Handle) {
        self.handle.graceful_shutdown(Some(Duration::from_secs(1)));
        match runtime.block_on(self.task) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!("webserver: {error}"),
            Err(panic) => tracing::error!("webserver: {panic}"),
        }
    }
}

/// Says what would keep a webserver of this configuration from starting, save for its port.
pub(crate) fn check(config: &WebserverConfig) -> Result<(), WebserverError> {
    match config.tls_certificate.as_deref().filter(|_| config.enabled) {
        Some(path) => tls_config(path).map(drop),
        None => Ok(()),
    }
}

/// TLS with the certificate and its key in one PEM file.
fn tls_config(path: &Path) -> Result<RustlsConfig, WebserverError> {
    let read = || {
        let chain = CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(io::Error::other)?;
        let key = PrivateKeyDer::from_pem_file(path).map_err(io::Error::other)?;
        // Named here, since a default of the process would have to be set before by somebody.
        let mut server = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
            .map_err(io::Error::other)?;
        server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(RustlsConfig::from_config(Arc::new(server)))
    };
    read().map_err(|source| WebserverError::Certificate { path: path.to_owned(), source })
}

fn router(
    config: &WebserverConfig,
    versions: String,
    readiness: Arc<Readiness>,
    metrics: Option<Arc<Metrics>>,
) -> Router {
    const JSON: [(axum::http::HeaderName, &str); 1] = [(CONTENT_TYPE, "application/json")];
    let max_silence = config.max_silence;
    let router = Router::new()
        .route(&config.healthz_path, get(async || (JSON, r#"{"status": "ok"}"#)))
        .route(
            "/readyz",
            get(async move || {
                let (is_ready, report) = readiness.report(max_silence);
                let status =
                    if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
                (status, JSON, report)
            }),
        )
        .route("/versions", get(async move || (JSON, versions.clone())));
    match metrics {
        Some(metrics) => router.route(
            "/metrics",
            get(async move |headers: HeaderMap| {
                let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
                let format = Format::accepted(accept.unwrap_or_default());
                ([(CONTENT_TYPE, format.content_type())], metrics.encode(format))
            }),
        ),
        None => router,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{Read, Write};
    use std::net::{IpAddr, Ipv4Addr, TcpStream};

    use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
    use tokio::runtime::Runtime;

    use super::*;

    fn config(certificate: Option<&Path>) -> WebserverConfig {
        WebserverConfig {
            enabled: true,
            address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            port: 0,
            threads: 1,
            healthz_path: "/healthz".to_owned(),
            tls_certificate: certificate.map(Path::to_owned),
            max_silence: None,
            serves_metrics: false,
        }
    }

    fn start(certificate: &Path) -> Result<(Runtime, Webserver), WebserverError> {
        let config = config(Some(certificate));
        let runtime = Runtime::new().unwrap();
        let webserver =
            Webserver::start(&config, String::new(), Arc::default(), None, None, runtime.handle())?;
        Ok((runtime, webserver))
    }

    /// A connection from an address of this machine, with the start of a request.
    fn connect(from: [u8; 4], port: u16) -> TcpStream {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        let stream = runtime.block_on(async {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.bind((from, 0).into()).unwrap();
            socket.connect(([127, 0, 0, 1], port).into()).await.unwrap().into_std().unwrap()
        });
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        (&stream).write_all(b"GET /healthz HTTP/1.1\r\n").unwrap();
        stream
    }

    /// What comes after the rest of the request; nothing if the server closed the connection.
    fn finish(mut stream: TcpStream) -> String {
        let rest = b"host: localhost\r\nconnection: close\r\n\r\n";
        let mut answer = String::new();
        stream.write_all(rest).and_then(|()| stream.read_to_string(&mut answer).map(drop)).ok();
        answer
    }

    /// Waits until the server has closed one of the connections; returns the others.
    fn without_refused<const N: usize>(streams: [TcpStream; N]) -> Vec<TcpStream> {
        let is_open = |stream: &TcpStream| {
            stream.set_nonblocking(true).unwrap();
            let waits = stream.peek(&mut [0]).is_err_and(|e| e.kind() == io::ErrorKind::WouldBlock);
            stream.set_nonblocking(false).unwrap();
            waits
        };
        let deadline = std::time::Instant::now() + Duration::from_secs(30);
        while streams.iter().all(is_open) {
            assert!(std::time::Instant::now() < deadline, "none was refused");
            std::thread::yield_now();
        }
        streams.into_iter().filter(is_open).collect()
    }

    #[test]
    fn slow_clients_leave_room_for_others_and_are_let_go() {
        let runtime = Runtime::new().unwrap();
        let limits = Limits {
            connections: 3,
            per_client: 2,
            greeting: Duration::from_secs(60),
            idle: Duration::from_secs(60),
        };
        let start = |limits| {
            let config = config(None);
            let router = router(&config, String::new(), Arc::default(), None);
            Webserver::start_with(&config, router, None, runtime.handle(), limits).unwrap()
        };
        let webserver = start(limits);
        let port = webserver.address.port();
        let slow = without_refused([2, 2, 2].map(|last| connect([127, 0, 0, last], port)));
        let others = without_refused([3, 4].map(|last| connect([127, 0, 0, last], port)));
        assert_eq!((slow.len(), others.len()), (2, 1));
        // Whoever has a connection is served.
        for stream in slow.into_iter().chain(others) {
            assert!(finish(stream).ends_with(r#"{"status": "ok"}"#));
        }
        // And a connection that has ended makes room.
        while !finish(connect([127, 0, 0, 2], port)).ends_with(r#"{"status": "ok"}"#) {}
        webserver.stop(runtime.handle());

        let webserver = start(Limits { greeting: Duration::from_millis(20), ..limits });
        let mut slow = connect([127, 0, 0, 2], webserver.address.port());
        let mut rest = String::new();
        slow.read_to_string(&mut rest).ok();
        assert!(!rest.contains("200 OK"), "{rest}");
        webserver.stop(runtime.handle());
    }

    #[test]
    fn health_is_served_over_tls() {
        let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("both.pem");
        fs::write(&path, pair.signing_key.serialize_pem() + &pair.cert.pem()).unwrap();
        let (runtime, webserver) = start(&path).unwrap();

        let mut roots = RootCertStore::empty();
        roots.add(pair.cert.der().clone()).unwrap();
        let client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = "localhost".try_into().unwrap();
        let connection = ClientConnection::new(Arc::new(client), name).unwrap();
        let tcp = TcpStream::connect(("127.0.0.1", webserver.address.port())).unwrap();
        let mut stream = StreamOwned::new(connection, tcp);
        let request = "GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.ends_with(r#"{"status": "ok"}"#), "{answer}");
        webserver.stop(runtime.handle());
    }

    #[test]
    fn a_file_without_certificate_or_key_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("empty.pem");
        fs::write(&path, "").unwrap();
        for path in [path.as_path(), Path::new("/nowhere/falco.pem")] {
            let error = start(path).unwrap_err().to_string();
            let start = "invalid webserver configuration: cannot use webserver.ssl_certificate ";
            assert_eq!(error, format!("{start}{}", path.display()));
        }
    }
}
