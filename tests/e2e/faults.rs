//! What goes wrong while events arrive: no event that was acknowledged may be lost, and everything is accounted for.
//!
//! `SHIKRA_FAULT_POINTS` is the number of crashes of each test that has some, twelve if it is not set.

mod crashes;
mod files;
mod memory;
mod model;
mod network;
mod outputs;
