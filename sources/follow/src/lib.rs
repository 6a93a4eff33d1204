//! Follows files across rotation.
#![forbid(unsafe_code)]
