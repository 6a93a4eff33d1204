//! The Falco plugin ABI as safe Rust.
