//! The webhook: takes audit events from the API server, and answers when they were processed.
//!
//! ```text
//! request --checks--> room in the hand-over --body--> events --offer--> next_batch
//!                      | none: 429                              | processed: 200, closed before: 503
//! ```
//!
//! The API server sends a batch again unless it hears 200, so 200 is said only after the host is done with its events.

mod receive;
mod tls;

use std::{
    future::{Ready, ready},
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use axum::Router;
use axum_server::{Handle, accept::Accept, tls_rustls::RustlsAcceptor};
use plugin_support::handover::{BatchLimit, Receiver, handover};
use tokio::{net::TcpStream, runtime::Runtime, task::JoinHandle};

use crate::{config::Config, counters::Counters, open_params::Address, webhook::receive::Intake};

/// Two threads read sockets, two more parse: parsing a large body must not delay the answers to others.
const THREADS: usize = 2;
/// A body counts from when it is announced until its events were processed, so this is what the webhook holds at most,
/// copies of the bodies that are being parsed aside.
const CAPACITY_BYTES: usize = 64 << 20;
const MAX_CONNECTIONS: usize = 1024;
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// Time for the answers to what was not processed.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);

/// Why the webhook could not be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WebhookError {
    #[error("cannot start the webhook's threads")]
    Runtime(#[source] io::Error),
    #[error("cannot listen on {address}")]
    Listen { address: String, source: io::Error },
    #[error(transparent)]
    Tls(#[from] tls::TlsError),
}

/// A listening webhook.
#[derive(Debug)]
pub(crate) struct Webhook {
    runtime: Option<Runtime>,
    server: Option<JoinHandle<io::Result<()>>>,
    handle: Handle<SocketAddr>,
    receiver: Option<Receiver>,
    address: SocketAddr,
}

impl Webhook {
    /// Binds the address and starts to serve.
    pub(crate) fn open(
        address: &Address,
        config: &Config,
        counters: &Arc<Counters>,
    ) -> Result<Self, WebhookError> {
        let tls = address.tls.then(|| tls::server_config(config)).transpose()?;
        let listener = bind(address)?;
        let listen_error = |source| WebhookError::Listen { address: address.to_string(), source };
        let bound = listener.local_addr().map_err(listen_error)?;
        if !address.tls && !bound.ip().is_loopback() {
            log::warn!(
                "the webhook on {bound} takes plain http from anyone who reaches it; prefer https or 127.0.0.1"
            );
        }

        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .max_blocking_threads(THREADS)
            .thread_name("k8saudit-http")
            .enable_all()
            .build()
            .map_err(WebhookError::Runtime)?;
        let (sender, receiver) = handover(CAPACITY_BYTES.max(config.max_body_bytes()));
        let intake = Intake::new(address.clone(), config, Arc::clone(counters), sender);
        let router = Router::new().fallback(receive::receive).with_state(Arc::new(intake));

        let handle = Handle::new();
        let context = runtime.enter();
        let mut server =
            axum_server::from_tcp(listener).map_err(listen_error)?.handle(handle.clone());
        drop(context);
        server.http_builder().http1().header_read_timeout(HEADER_TIMEOUT);
        let service = router.into_make_service();
        let server = server.acceptor(Limited { handle: handle.clone() });
        let server = match tls {
            None => runtime.spawn(server.serve(service)),
            Some(tls) => {
                let over_tls = |limited| RustlsAcceptor::new(tls).acceptor(limited);
                runtime.spawn(server.map(over_tls).serve(service))
            }
        };
        log::info!("listening on {bound}, path {}", address.path);
        Ok(Self {
            runtime: Some(runtime),
            server: Some(server),
            handle,
            receiver: Some(receiver),
            address: bound,
        })
    }

    /// Acknowledges the last batch and delivers the next one; returns the number of events.
    pub(crate) fn pull(
        &mut self,
        wait: Duration,
        limit: BatchLimit,
        deliver: impl FnMut(u64, &[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<usize> {
        let receiver = self.receiver.as_mut().expect("only dropping takes the receiver");
        let events = receiver.pull(wait, limit, deliver)?;
        anyhow::ensure!(
            events > 0 || self.server.as_ref().is_some_and(|server| !server.is_finished()),
            "the webhook's server ended"
        );
        Ok(events)
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        // First, so that waiting requests hear at once what became of their events.
        drop(self.receiver.take());
        self.handle.graceful_shutdown(Some(SHUTDOWN_GRACE));
        let (Some(runtime), Some(server)) = (self.runtime.take(), self.server.take()) else {
            return;
        };
        match runtime.block_on(server) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => log::error!("the webhook's server failed: {error}"),
            Err(panic) => log::error!("the webhook's server panicked: {panic}"),
        }
        runtime.shutdown_timeout(SHUTDOWN_GRACE);
        log::info!("stopped listening on {}", self.address);
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

fn bind(address: &Address) -> Result<TcpListener, WebhookError> {
    let bound = if address.host.is_empty() {
        // All interfaces: IPv6 takes IPv4 in, where there is IPv6.
        TcpListener::bind(("::", address.port)).or_else(|error| match error.kind() {
            io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied => Err(error),
            _ => TcpListener::bind(("0.0.0.0", address.port)),
        })
    } else {
        TcpListener::bind((address.host.as_str(), address.port))
    };
    bound.map_err(|source| WebhookError::Listen { address: address.to_string(), source })
}

/// Refuses connections over [`MAX_CONNECTIONS`], so that silent clients cannot take all file descriptors.
#[derive(Debug, Clone)]
struct Limited {
    handle: Handle<SocketAddr>,
}

impl<S> Accept<TcpStream, S> for Limited {
    type Stream = TcpStream;
    type Service = S;
    type Future = Ready<io::Result<(TcpStream, S)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        if self.handle.connection_count() > MAX_CONNECTIONS {
            return ready(Err(io::Error::other("too many connections")));
        }
        ready(Ok((stream, service)))
    }
}

#[cfg(test)]
mod tests;
