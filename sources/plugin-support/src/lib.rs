//! What the plugins share.
#![forbid(unsafe_code)]
