//! Kubernetes audit events.
#![forbid(unsafe_code)]
