//! One request: what is refused, what is taken, and when it is answered.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use axum::{
    Extension,
    body::{Body, HttpBody},
    extract::{ConnectInfo, Request, State},
    http::{HeaderValue, Method, header, request::Parts},
    response::{IntoResponse, Response},
};
use axum_server::ConnectionShutdown;
use http_body_util::BodyExt;
use plugin_support::{
    events::Events,
    handover::{Sender, Ticket},
};

use crate::{
    config::Config,
    counters::Counters,
    event_list::EventReader,
    open_params::Address,
    webhook::{
        answer::Answer,
        body::{Encoding, Received},
        duplicates::Duplicates,
        token::Tokens,
    },
};

/// A client that is refused while it sends hears the answer only if what it sends is taken off the wire.
const DISCARD_TIMEOUT: Duration = Duration::from_millis(50);

/// What every request needs.
#[derive(Debug)]
pub(crate) struct Intake {
    address: Address,
    pub(super) max_body_bytes: usize,
    pub(super) body_timeout: Duration,
    max_event_bytes: Option<usize>,
    tokens: Option<Arc<ArcSwap<Tokens>>>,
    duplicates: Option<Duplicates>,
    counters: Arc<Counters>,
    pub(super) sender: Sender,
}

impl Intake {
    pub(crate) fn new(
        address: Address,
        config: &Config,
        body_timeout: Duration,
        tokens: Option<Arc<ArcSwap<Tokens>>>,
        counters: Arc<Counters>,
        sender: Sender,
    ) -> Self {
        Self {
            address,
            max_body_bytes: config.max_body_bytes(),
            body_timeout,
            max_event_bytes: config.max_event_bytes(),
            tokens,
            duplicates: config.duplicate_window().map(Duplicates::new),
            counters,
            sender,
        }
    }
}

/// Answers one request.
pub(crate) async fn receive(
    State(intake): State<Arc<Intake>>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    Extension(connection): Extension<ConnectionShutdown>,
    request: Request,
) -> Response {
    let (parts, mut body) = request.into_parts();
    let answer = match intake.process(&parts, &mut body).await {
        Ok(()) => Answer::Processed,
        Err(answer) => answer,
    };
    intake.count(&answer, client);
    if let Answer::Unauthorized = answer {
        // A stranger shall not keep a connection open.
        connection.graceful_shutdown();
    }
    if !body.is_end_stream() {
        // Whether the rest comes in time or not, the answer is the same.
        tokio::time::timeout(DISCARD_TIMEOUT, discard(body)).await.ok();
    }
    answer.into_response()
}

impl Intake {
    /// Takes the events of a request and waits until they were processed.
    async fn process(self: &Arc<Self>, parts: &Parts, body: &mut Body) -> Result<(), Answer> {
        let encoding = self.check(parts)?;
        let received = Received::read(self, body, encoding).await?;
        let intake = Arc::clone(self);
        let taking = tokio::task::spawn_blocking(move || intake.take(received));
        let ticket = taking.await.unwrap_or_else(|panic| {
            log::error!("reading a request's events failed: {panic}");
            Err(Answer::Internal)
        })?;
        let is_processed = match ticket {
            Some(ticket) => ticket.processed().await,
            None => true,
        };
        is_processed.then_some(()).ok_or(Answer::ShuttingDown)
    }

    /// Refuses what is wrong with a request whatever its body says.
    fn check(&self, parts: &Parts) -> Result<Encoding, Answer> {
        let is_json = |text: &HeaderValue| {
            String::from_utf8_lossy(text.as_bytes())
                .to_ascii_lowercase()
                .contains("application/json")
        };
        if self.tokens.as_ref().is_some_and(|tokens| !tokens.load().allow(&parts.headers)) {
            Err(Answer::Unauthorized)
        } else if !self.address.serves(parts.uri.path()) {
            Err(Answer::NotFound)
        } else if parts.method != Method::POST {
            Err(Answer::Method(parts.method.clone()))
        } else if !parts.headers.get(header::CONTENT_TYPE).is_some_and(is_json) {
            Err(Answer::ContentType)
        } else {
            Encoding::of(&parts.headers)
        }
    }

    /// Reads the events of a body and hands them over; there is nothing to wait for if it has none.
    fn take(&self, received: Received) -> Result<Option<Ticket>, Answer> {
        let (text, reservation) = received.decode(self.max_body_bytes)?;
        let mut events = Events::default();
        EventReader::new(self.max_event_bytes, Arc::clone(&self.counters))
            .read_body(&text, &mut events)
            .map_err(|error| Answer::NotJson(error.to_string()))?;
        if events.is_empty() {
            return Ok(None);
        }
        let count = events.len() as u64;
        let Some(duplicates) = &self.duplicates else {
            let ticket = reservation.offer(events)?;
            self.counters.received.add(count);
            return Ok(Some(ticket));
        };
        let fingerprints = duplicates.fingerprints(&events);
        let (ticket, repeated) = duplicates.offer_new(reservation, events, &fingerprints)?;
        self.counters.received.add(count);
        if repeated > 0 {
            self.counters.duplicates.report_many(repeated as u64, || {
                "events dropped that came before, within duplicateWindow".to_owned()
            });
        }
        Ok(Some(ticket))
    }

    fn count(&self, answer: &Answer, client: SocketAddr) {
        match answer {
            Answer::Full => self.counters.requests_postponed.add(1),
            Answer::Unauthorized => self.counters.requests_unauthorized.report(|| {
                format!("request from {client} refused: it has no token of bearerTokenFile")
            }),
            Answer::TooLarge(limit) => self.counters.requests_too_large.report(|| {
                format!("request refused: its body is larger than webhookMaxBatchSize={limit}")
            }),
            Answer::NotJson(error) => {
                let why = || format!("request refused: {error}");
                self.counters.reject(&self.counters.texts_not_json, why);
            }
            _ => {}
        }
    }
}

async fn discard(mut body: Body) {
    while let Some(Ok(_)) = body.frame().await {}
}
