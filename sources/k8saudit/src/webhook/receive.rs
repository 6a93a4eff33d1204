//! One request: what is refused, what is taken, and the answer.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, HttpBody},
    extract::{Request, State},
    http::{HeaderName, HeaderValue, Method, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use http_body_util::BodyExt;
use plugin_support::handover::{Events, Refusal, Reservation, Sender};

use crate::{config::Config, counters::Counters, event_list::EventReader, open_params::Address};

/// How long a client may take to send a body; the API server gives up after 30 seconds.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// A client that is refused while it sends hears the answer only if what it sends is taken off the wire.
const DISCARD_TIMEOUT: Duration = Duration::from_millis(50);

/// What every request needs.
#[derive(Debug)]
pub(crate) struct Intake {
    address: Address,
    max_body_bytes: usize,
    max_event_bytes: Option<usize>,
    counters: Arc<Counters>,
    sender: Sender,
}

impl Intake {
    pub(crate) fn new(
        address: Address,
        config: &Config,
        counters: Arc<Counters>,
        sender: Sender,
    ) -> Self {
        Self {
            address,
            max_body_bytes: config.max_body_bytes(),
            max_event_bytes: config.max_event_bytes(),
            counters,
            sender,
        }
    }
}

/// Answers one request.
pub(crate) async fn receive(State(intake): State<Arc<Intake>>, request: Request) -> Response {
    let (parts, mut body) = request.into_parts();
    let read = match intake.check(&parts) {
        Ok(()) => intake.read(&mut body).await,
        Err(refusal) => Err(refusal),
    };
    let answer = match read {
        Ok((reservation, bytes)) => take(&intake, reservation, bytes).await,
        Err(answer) => {
            intake.count(&answer);
            // Whether the rest comes in time or not, the answer is the same.
            tokio::time::timeout(DISCARD_TIMEOUT, discard(body)).await.ok();
            answer
        }
    };
    answer.into_response()
}

impl Intake {
    /// Refuses what is wrong with a request whatever its body says.
    fn check(&self, parts: &Parts) -> Result<(), Answer> {
        let is_json = |text: &HeaderValue| {
            String::from_utf8_lossy(text.as_bytes())
                .to_ascii_lowercase()
                .contains("application/json")
        };
        let is_encoded = |text: &HeaderValue| !text.as_bytes().eq_ignore_ascii_case(b"identity");
        if !self.address.serves(parts.uri.path()) {
            Err(Answer::NotFound)
        } else if parts.method != Method::POST {
            Err(Answer::Method(parts.method.clone()))
        } else if !parts.headers.get(header::CONTENT_TYPE).is_some_and(is_json) {
            Err(Answer::ContentType)
        } else if parts.headers.get(header::CONTENT_ENCODING).is_some_and(is_encoded) {
            Err(Answer::ContentEncoding)
        } else {
            Ok(())
        }
    }

    /// Reads the body into room that is taken before its bytes.
    async fn read(&self, body: &mut Body) -> Result<(Reservation, Vec<u8>), Answer> {
        let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
        self.check_size(announced)?;
        let mut reservation = self.sender.reserve(announced)?;
        let mut bytes = Vec::with_capacity(announced);
        let read_all = async {
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|error| Answer::BodyError(error.to_string()))?;
                let Some(data) = frame.data_ref() else { continue };
                let length = bytes.len() + data.len();
                self.check_size(length)?;
                reservation.grow(length.saturating_sub(reservation.bytes()))?;
                bytes.extend_from_slice(data);
            }
            Ok::<(), Answer>(())
        };
        tokio::time::timeout(BODY_TIMEOUT, read_all).await.map_err(|_| Answer::Timeout)??;
        Ok((reservation, bytes))
    }

    fn count(&self, refusal: &Answer) {
        match refusal {
            Answer::Full => self.counters.requests_postponed.add(1),
            Answer::TooLarge(limit) => self.counters.requests_too_large.report(|| {
                format!("request refused: its body is larger than webhookMaxBatchSize={limit}")
            }),
            _ => {}
        }
    }

    fn check_size(&self, length: usize) -> Result<(), Answer> {
        if length > self.max_body_bytes {
            return Err(Answer::TooLarge(self.max_body_bytes));
        }
        Ok(())
    }
}

/// Hands the events over and waits until they were processed.
async fn take(intake: &Intake, reservation: Reservation, bytes: Vec<u8>) -> Answer {
    let mut reader = EventReader::new(intake.max_event_bytes, Arc::clone(&intake.counters));
    let parsing = tokio::task::spawn_blocking(move || {
        let mut events = Events::default();
        reader.read_body(&bytes, &mut events).map(|()| events)
    });
    let events = match parsing.await {
        Ok(Ok(events)) => events,
        Ok(Err(error)) => {
            intake.counters.texts_not_json.report(|| format!("request refused: {error}"));
            return Answer::NotJson(error.to_string());
        }
        Err(panic) => {
            log::error!("reading a request's events failed: {panic}");
            return Answer::Internal;
        }
    };
    if events.is_empty() {
        return Answer::Processed;
    }
    match reservation.offer(events) {
        Ok(ticket) => match ticket.processed().await {
            true => Answer::Processed,
            false => Answer::ShuttingDown,
        },
        Err(refusal) => refusal.into(),
    }
}

async fn discard(mut body: Body) {
    while let Some(Ok(_)) = body.frame().await {}
}

/// What a client hears.
enum Answer {
    Processed,
    NotFound,
    Method(Method),
    ContentType,
    ContentEncoding,
    TooLarge(usize),
    BodyError(String),
    NotJson(String),
    Timeout,
    Full,
    ShuttingDown,
    Internal,
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Full => Self::Full,
            Refusal::Closed => Self::ShuttingDown,
        }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let (status, text) = match self {
            Self::Processed => return StatusCode::OK.into_response(),
            Self::NotFound => (StatusCode::NOT_FOUND, "404 page not found".into()),
            Self::Method(method) => {
                let text = format!("{method} method not allowed\n");
                return (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "POST"), NO_SNIFF], text)
                    .into_response();
            }
            Self::ContentType => (StatusCode::BAD_REQUEST, "wrong Content Type".into()),
            Self::ContentEncoding => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "encoded bodies are not supported".into())
            }
            Self::TooLarge(limit) => (
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("bad request: request body too large, webhookMaxBatchSize is {limit}"),
            ),
            Self::BodyError(error) => (StatusCode::BAD_REQUEST, format!("bad request: {error}")),
            Self::NotJson(error) => (StatusCode::BAD_REQUEST, format!("bad request: {error}")),
            Self::Timeout => {
                (StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time".into())
            }
            Self::Full => {
                let headers = [(header::RETRY_AFTER, "1"), NO_SNIFF];
                return (
                    StatusCode::TOO_MANY_REQUESTS,
                    headers,
                    "too much waits to be processed\n",
                )
                    .into_response();
            }
            Self::ShuttingDown => (
                StatusCode::SERVICE_UNAVAILABLE,
                "shutting down, the events were not processed".into(),
            ),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal error".into()),
        };
        (status, [NO_SNIFF], text + "\n").into_response()
    }
}

const NO_SNIFF: (HeaderName, &str) = (header::X_CONTENT_TYPE_OPTIONS, "nosniff");
