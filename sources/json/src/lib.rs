//! Fields of JSON events.
#![forbid(unsafe_code)]
