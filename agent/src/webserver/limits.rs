//! How much time and how many connections a client may take, so that a slow one keeps nobody from `/healthz`.

use std::collections::HashMap;
use std::future::{Ready, ready};
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::{Extension, Router};
use axum_server::accept::Accept;
use tokio::net::TcpStream;

/// Most bytes that all headers of a request may have.
pub(super) const MAX_HEADER_BYTES: u32 = 16 << 10;

#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) connections: usize,
    /// From one address.
    pub(super) per_client: usize,
    /// For TLS, and then for the headers of the first request.
    pub(super) greeting: Duration,
    /// Between requests and for the headers of the next.
    pub(super) idle: Duration,
}

/// Probes and scrapers need a handful.
pub(super) const LIMITS: Limits = Limits {
    connections: 512,
    per_client: 64,
    greeting: Duration::from_secs(10),
    idle: Duration::from_secs(60),
};

/// Refuses connections over the limits.
#[derive(Clone, Debug)]
pub(super) struct Limited {
    limits: Limits,
    taken: Arc<Taken>,
}

/// The number of connections of each client.
#[derive(Debug, Default)]
struct Taken(Mutex<HashMap<IpAddr, usize>>);

/// A connection's place, free again when this is dropped.
struct Place {
    client: IpAddr,
    taken: Arc<Taken>,
}

impl Limited {
    pub(super) fn new(limits: Limits) -> Limited {
        Limited { limits, taken: Arc::default() }
    }

    fn place(&self, client: IpAddr) -> Option<Place> {
        let mut taken = self.taken.lock();
        let own = taken.get(&client).copied().unwrap_or_default();
        if own >= self.limits.per_client || taken.values().sum::<usize>() >= self.limits.connections
        {
            return None;
        }
        taken.insert(client, own + 1);
        Some(Place { client, taken: Arc::clone(&self.taken) })
    }
}

impl Accept<TcpStream, Router> for Limited {
    type Stream = TcpStream;
    type Service = Router;
    type Future = Ready<io::Result<(TcpStream, Router)>>;

    fn accept(&self, stream: TcpStream, router: Router) -> Self::Future {
        let place = stream.peer_addr().map(|client| self.place(client.ip()));
        ready(match place {
            // The router lives as long as the connection that it serves.
            Ok(Some(place)) => Ok((stream, router.layer(Extension(Arc::new(place))))),
            Ok(None) => Err(io::Error::other("too many connections")),
            Err(error) => Err(error),
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.taken.lock();
        if let Some(own) = taken.get_mut(&self.client) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.client);
            }
        }
    }
}

impl Taken {
    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
