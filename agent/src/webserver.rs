//! The agent's own webserver: `/healthz`, `/readyz`, `/versions`, `/metrics`. It shares nothing with a plugin's webhook.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use tokio::task::JoinHandle;

use crate::config::WebserverConfig;
use crate::metrics::Metrics;
use crate::readiness::Readiness;

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
}

impl Webserver {
    /// Binds the port, then serves on `runtime`. `versions` is the body of `/versions`; without `metrics`, `/metrics` is
    /// not there.
    pub(crate) fn start(
        config: &WebserverConfig,
        versions: String,
        readiness: Arc<Readiness>,
        metrics: Option<Arc<Metrics>>,
        runtime: &tokio::runtime::Handle,
    ) -> Result<Self, WebserverError> {
        let address = SocketAddr::new(config.address, config.port);
        let listen_error = |source| WebserverError::Listen { address, source };
        let listener = TcpListener::bind(address).map_err(listen_error)?;
        listener.set_nonblocking(true).map_err(listen_error)?;
        let address = listener.local_addr().map_err(listen_error)?;
        let tls =
            match &config.tls_certificate {
                None => None,
                Some(path) => {
                    let loaded = runtime.block_on(RustlsConfig::from_pem_file(path, path));
                    Some(loaded.map_err(|source| WebserverError::Certificate {
                        path: path.clone(),
                        source,
                    })?)
                }
            };
        let service = router(config, versions, readiness, metrics).into_make_service();
        let handle = Handle::new();
        let _guard = runtime.enter();
        let task = match tls {
            None => {
                let server = axum_server::from_tcp(listener).map_err(listen_error)?;
                runtime.spawn(server.handle(handle.clone()).serve(service))
            }
            Some(tls) => {
                let server = axum_server::from_tcp_rustls(listener, tls).map_err(listen_error)?;
                runtime.spawn(server.handle(handle.clone()).serve(service))
            }
        };
        Ok(Webserver { handle, task, address })
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

fn router(
    config: &WebserverConfig,
    versions: String,
    readiness: Arc<Readiness>,
    metrics: Option<Arc<Metrics>>,
) -> Router {
    const JSON: [(axum::http::HeaderName, &str); 1] = [(CONTENT_TYPE, "application/json")];
    const OPEN_METRICS: [(axum::http::HeaderName, &str); 1] =
        [(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")];
    let router = Router::new()
        .route(&config.healthz_path, get(async || (JSON, r#"{"status": "ok"}"#)))
        .route(
            "/readyz",
            get(async move || {
                let (is_ready, report) = readiness.report();
                let status =
                    if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
                (status, JSON, report)
            }),
        )
        .route("/versions", get(async move || (JSON, versions.clone())));
    match metrics {
        Some(metrics) => {
            router.route("/metrics", get(async move || (OPEN_METRICS, metrics.encode())))
        }
        None => router,
    }
}
