//! How much a client may take of what all share: time, connections, memory.

use std::{
    future::{Ready, ready},
    io,
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use axum_server::{Handle, accept::Accept};
use rustls::CertificateError;
use tokio::net::TcpStream;

use crate::counters::Counters;

/// Most bytes that all headers of a request may have.
pub(crate) const MAX_HEADER_BYTES: u32 = 64 << 10;

/// The limits that are not configurable.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) connections: usize,
    /// For TLS, and then for the headers of the first request.
    pub(crate) greeting: Duration,
    /// Between requests and for the headers of the next. Clients written in Go close after 90 seconds; if the server
    /// closed first, it could be just as they send, and a batch would have to be sent again.
    pub(crate) idle: Duration,
    /// For a body; the API server gives up after 30 seconds.
    pub(crate) body: Duration,
    /// Between looks at the files of certificates and tokens.
    pub(crate) refresh: Duration,
}

pub(crate) const LIMITS: Limits = Limits {
    connections: 1024,
    greeting: Duration::from_secs(30),
    idle: Duration::from_secs(120),
    body: Duration::from_secs(30),
    refresh: Duration::from_secs(1),
};

/// Refuses connections over a number, so that silent clients cannot take all file descriptors.
#[derive(Debug, Clone)]
pub(crate) struct Limited {
    pub(crate) handle: Handle<SocketAddr>,
    pub(crate) connections: usize,
}

impl<S> Accept<TcpStream, S> for Limited {
    type Stream = TcpStream;
    type Service = S;
    type Future = Ready<io::Result<(TcpStream, S)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        if self.handle.connection_count() > self.connections {
            return ready(Err(io::Error::other("too many connections")));
        }
        ready(Ok((stream, service)))
    }
}

/// Logs now and then why connections end before their first request.
pub(crate) fn report_refused(
    counters: &Arc<Counters>,
) -> impl Fn(Option<&SocketAddr>, &io::Error) + Send + Sync + 'static {
    let counters = Arc::clone(counters);
    move |client, error| {
        let refused = &counters.connections_refused;
        match client {
            // Who just looks whether the port is open ends like this, and does so all the time.
            Some(_) if error.kind() == io::ErrorKind::UnexpectedEof => refused.add(1),
            Some(client) if is_about_names(error) => refused.report(|| {
                format!(
                    "connection from {client} refused: its certificate bears none of clientNames"
                )
            }),
            Some(client) => refused.report(|| format!("connection from {client} refused: {error}")),
            None => refused.report(|| format!("cannot accept a connection: {error}")),
        }
    }
}

/// The one refusal that is ours; the TLS library has no words for it.
fn is_about_names(error: &io::Error) -> bool {
    let refused = rustls::Error::from(CertificateError::ApplicationVerificationFailure);
    error.get_ref().and_then(|error| error.downcast_ref()) == Some(&refused)
}
