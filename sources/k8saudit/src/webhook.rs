//! The webhook: takes audit events from the API server, and answers when they were processed.
//!
//! ```text
//! request --checks--> body, into room in the hand-over --> events --duplicates--> next_batch
//!          | 401, 404, ..   | no room: 429                                       | processed: 200, closed before: 503
//! ```
//!
//! The API server sends a batch again unless it hears 200, so 200 is said only after the host is done with its events.

mod answer;
mod body;
mod client_names;
mod credentials;
mod duplicates;
mod limits;
mod receive;
mod tls;
mod token;

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    sync::atomic::Ordering,
    time::Duration,
};

use anyhow::Context;
use axum::Router;
use axum_server::{Handle, tls_rustls::RustlsAcceptor};
use plugin_support::events::Event;
use plugin_support::handover::{BatchLimit, Receiver, handover};
use tokio::{runtime::Runtime, task::JoinHandle};

use crate::{
    config::Config,
    counters::Counters,
    open_params::Address,
    webhook::{
        credentials::{Credentials, CredentialsError},
        limits::{LIMITS, Limited, Limits, MAX_HEADER_BYTES},
        receive::Intake,
    },
};

/// Two threads read sockets, two more parse: parsing a large body must not delay the answers to others.
const THREADS: usize = 2;
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
    Credentials(#[from] CredentialsError),
    #[error("requireTLS forbids plain http on {address}: use https, or listen on 127.0.0.1")]
    PlainHttp { address: SocketAddr },
}

/// A listening webhook.
#[derive(Debug)]
pub(crate) struct Webhook {
    runtime: Option<Runtime>,
    server: Option<JoinHandle<io::Result<()>>>,
    handle: Handle<SocketAddr>,
    /// Gone after a failure: what the host did not see then is refused, so that the sender keeps it.
    receiver: Option<Receiver>,
    counters: Arc<Counters>,
    address: SocketAddr,
}

impl Webhook {
    /// Binds the address and starts to serve.
    pub(crate) fn open(
        address: &Address,
        config: &Config,
        counters: &Arc<Counters>,
    ) -> Result<Self, WebhookError> {
        Self::open_with(address, config, counters, LIMITS)
    }

    fn open_with(
        address: &Address,
        config: &Config,
        counters: &Arc<Counters>,
        limits: Limits,
    ) -> Result<Self, WebhookError> {
        let credentials = Credentials::read(config, address.tls)?;
        let listener = bind(address)?;
        let listen_error = |source| WebhookError::Listen { address: address.to_string(), source };
        let bound = listener.local_addr().map_err(listen_error)?;
        check_exposure(bound, address.tls, config)?;

        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .max_blocking_threads(THREADS)
            .thread_name("k8saudit-http")
            .enable_all()
            .build()
            .map_err(WebhookError::Runtime)?;
        let (sender, receiver) = handover(config.max_queued_bytes().max(config.max_body_bytes()));
        let tokens = credentials.tokens.clone();
        let intake =
            Intake::new(address.clone(), config, limits.body, tokens, Arc::clone(counters), sender);
        let router = Router::new().fallback(receive::receive).with_state(Arc::new(intake));

        let handle = Handle::new();
        let context = runtime.enter();
        let mut server = axum_server::from_tcp(listener)
            .map_err(listen_error)?
            .handle(handle.clone())
            .first_request_timeout(limits.greeting)
            .accept_error_handler(limits::report_refused(counters));
        drop(context);
        let http = server.http_builder();
        http.http1().header_read_timeout(limits.idle).max_buf_size(MAX_HEADER_BYTES as usize);
        http.http2().keep_alive_interval(limits.idle).max_header_list_size(MAX_HEADER_BYTES);
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        let server =
            server.acceptor(Limited { handle: handle.clone(), connections: limits.connections });
        let server = match credentials.tls.clone() {
            None => runtime.spawn(serve(server.serve(service), credentials, limits.refresh)),
            Some(tls) => {
                let acceptor = RustlsAcceptor::new(tls).handshake_timeout(limits.greeting);
                let server = server.map(|limited| acceptor.acceptor(limited));
                runtime.spawn(serve(server.serve(service), credentials, limits.refresh))
            }
        };
        log::info!("listening on {bound}, path {}", address.path);
        Ok(Self {
            runtime: Some(runtime),
            server: Some(server),
            handle,
            receiver: Some(receiver),
            counters: Arc::clone(counters),
            address: bound,
        })
    }

    /// Acknowledges the last batch and delivers the next one; returns the number of events.
    pub(crate) fn pull(
        &mut self,
        wait: Duration,
        limit: BatchLimit,
        deliver: impl FnMut(Event<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<usize> {
        let mut receiver = self.receiver.take().context("the webhook failed before")?;
        let events = receiver.pull(wait, limit, deliver)?;
        self.counters.queued_bytes.store(receiver.used_bytes() as u64, Ordering::Relaxed);
        self.receiver = Some(receiver);
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
        if let Some(receiver) = self.receiver.take() {
            self.counters.events_unprocessed.add(receiver.close() as u64);
            self.counters.queued_bytes.store(0, Ordering::Relaxed);
        }
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

/// Serves until it is shut down; meanwhile, looks after certificates and tokens.
async fn serve(
    server: impl Future<Output = io::Result<()>>,
    credentials: Credentials,
    refresh: Duration,
) -> io::Result<()> {
    tokio::select! {
        served = server => served,
        never = credentials.watch(refresh) => never,
    }
}

/// Says, or refuses, what lets strangers in.
fn check_exposure(bound: SocketAddr, is_tls: bool, config: &Config) -> Result<(), WebhookError> {
    let asks_who = config.client_ca.is_some() || config.bearer_token_file.is_some();
    if bound.ip().is_loopback() {
        return Ok(());
    }
    if !is_tls && config.require_tls {
        return Err(WebhookError::PlainHttp { address: bound });
    }
    if !is_tls && asks_who {
        log::warn!(
            "the webhook on {bound} takes bearer tokens by plain http, where they can be read on their way; prefer https or 127.0.0.1"
        );
    } else if !is_tls {
        log::warn!(
            "the webhook on {bound} takes plain http from anyone who reaches it; prefer https or 127.0.0.1"
        );
    } else if !asks_who {
        log::warn!(
            "the webhook on {bound} takes events from anyone who reaches it; prefer clientCA or bearerTokenFile"
        );
    }
    Ok(())
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

#[cfg(test)]
mod tests;
