//! Lines of followed files.
#![forbid(unsafe_code)]
