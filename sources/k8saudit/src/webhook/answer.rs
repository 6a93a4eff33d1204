//! What a client hears.

use axum::{
    http::{HeaderName, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use plugin_support::handover::Refusal;

/// The answer to one request.
#[derive(Debug)]
pub(crate) enum Answer {
    Processed,
    Unauthorized,
    NotFound,
    Method(Method),
    ContentType,
    ContentEncoding,
    TooLarge(usize),
    Body(String),
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
            Self::Unauthorized => {
                let headers = [(header::WWW_AUTHENTICATE, "Bearer"), NO_SNIFF];
                return (StatusCode::UNAUTHORIZED, headers, "unauthorized\n").into_response();
            }
            Self::NotFound => (StatusCode::NOT_FOUND, "404 page not found".into()),
            Self::Method(method) => {
                let text = format!("{method} method not allowed\n");
                return (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "POST"), NO_SNIFF], text)
                    .into_response();
            }
            Self::ContentType => (StatusCode::BAD_REQUEST, "wrong Content Type".into()),
            Self::ContentEncoding => {
                let headers = [(header::ACCEPT_ENCODING, "gzip"), NO_SNIFF];
                let text = "of content encodings, only gzip is supported\n";
                return (StatusCode::UNSUPPORTED_MEDIA_TYPE, headers, text).into_response();
            }
            Self::TooLarge(limit) => (
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("bad request: request body too large, webhookMaxBatchSize is {limit}"),
            ),
            Self::Body(error) | Self::NotJson(error) => {
                (StatusCode::BAD_REQUEST, format!("bad request: {error}"))
            }
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
