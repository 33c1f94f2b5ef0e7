//! `fastgate-realtime`: subscribers that check every sequence number, and their publishers.

use fastgate_loadgen::args::{Args, usage};
use fastgate_loadgen::net;
use fastgate_loadgen::realtime::client;
use fastgate_loadgen::realtime::plan::{Plan, USAGE};

fn main() {
    let plan = Plan::parse(Args::from_env()).unwrap_or_else(|error| usage(&error, USAGE));
    net::raise_descriptor_limit();
    match client::run(plan) {
        Ok(right) => std::process::exit(i32::from(!right)),
        Err(error) => {
            eprintln!("fastgate-realtime: {error}");
            std::process::exit(2);
        }
    }
}
