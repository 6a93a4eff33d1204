//! Compiles Falco rules into one shared program and evaluates events against it.
#![forbid(unsafe_code)]
