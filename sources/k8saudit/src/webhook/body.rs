//! The body of a request, from the wire to JSON text.

use std::io::Read;

use axum::{
    body::{Body, HttpBody},
    http::{HeaderMap, header},
};
use flate2::read::MultiGzDecoder;
use http_body_util::BodyExt;
use plugin_support::handover::Reservation;

use crate::webhook::{answer::Answer, receive::Intake};

/// Most that is decoded before it is held to the limits again.
const STEP_BYTES: usize = 64 << 10;
/// Most that is set aside for a body that has not arrived.
const MAX_AHEAD_BYTES: usize = 1 << 20;

/// How a body is encoded.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Encoding {
    Plain,
    Gzip,
}

impl Encoding {
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Answer> {
        let is = |value: &[u8], name: &str| value.eq_ignore_ascii_case(name.as_bytes());
        match headers.get(header::CONTENT_ENCODING).map(|value| value.as_bytes().trim_ascii()) {
            None => Ok(Self::Plain),
            Some(value) if is(value, "identity") => Ok(Self::Plain),
            Some(value) if is(value, "gzip") || is(value, "x-gzip") => Ok(Self::Gzip),
            Some(_) => Err(Answer::ContentEncoding),
        }
    }
}

/// A body that was read, and the room that it takes.
#[derive(Debug)]
pub(crate) struct Received {
    bytes: Vec<u8>,
    encoding: Encoding,
    reservation: Reservation,
}

impl Received {
    /// Reads a body. Only what has arrived takes room: announcing much and sending little shuts nobody out.
    pub(crate) async fn read(
        intake: &Intake,
        body: &mut Body,
        encoding: Encoding,
    ) -> Result<Self, Answer> {
        let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
        check_size(announced, intake.max_body_bytes)?;
        // What cannot fit now is refused before it is sent.
        drop(intake.sender.reserve(announced)?);
        let reservation = intake.sender.reserve(0)?;
        let mut received = Self {
            bytes: Vec::with_capacity(announced.min(MAX_AHEAD_BYTES)),
            encoding,
            reservation,
        };
        let read_all = async {
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|error| Answer::Body(error.to_string()))?;
                if let Some(data) = frame.data_ref() {
                    let length = received.bytes.len() + data.len();
                    check_size(length, intake.max_body_bytes)?;
                    make_room(&mut received.reservation, length)?;
                    received.bytes.extend_from_slice(data);
                }
            }
            Ok::<(), Answer>(())
        };
        let read = tokio::time::timeout(intake.body_timeout, read_all);
        read.await.map_err(|_| Answer::Timeout)??;
        Ok(received)
    }

    /// The text of the body, of at most `limit` bytes, with the room for both.
    pub(crate) fn decode(mut self, limit: usize) -> Result<(Vec<u8>, Reservation), Answer> {
        match self.encoding {
            Encoding::Plain => Ok((self.bytes, self.reservation)),
            Encoding::Gzip => {
                let mut decoder = MultiGzDecoder::new(self.bytes.as_slice());
                let mut text = Vec::new();
                loop {
                    let step = decoder.by_ref().take(STEP_BYTES as u64).read_to_end(&mut text);
                    let length = step.map_err(|error| Answer::Body(format!("gzip: {error}")))?;
                    check_size(text.len(), limit)?;
                    make_room(&mut self.reservation, self.bytes.len() + text.len())?;
                    if length < STEP_BYTES {
                        return Ok((text, self.reservation));
                    }
                }
            }
        }
    }
}

fn check_size(length: usize, limit: usize) -> Result<(), Answer> {
    if length > limit {
        return Err(Answer::TooLarge(limit));
    }
    Ok(())
}

fn make_room(reservation: &mut Reservation, length: usize) -> Result<(), Answer> {
    Ok(reservation.grow(length.saturating_sub(reservation.bytes()))?)
}
