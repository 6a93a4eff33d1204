//! What goes wrong while events arrive: no event that was acknowledged may be lost, and everything is accounted for.
//!
//! Long runs: `SHIKRA_FAULT_POINTS` is the number of crashes of each test that has some, twelve if it is not set;
//! `SHIKRA_OUTAGE_SECONDS` how long a fault lasts that ends by itself, one if it is not set; `SHIKRA_OVERLOAD_SECONDS` how long
//! more is sent than can be delivered, with the default budget then.

mod api_server;
mod clocks;
mod crashes;
mod files;
mod memory;
mod model;
mod network;
mod outputs;
