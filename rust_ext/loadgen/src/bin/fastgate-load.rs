//! `fastgate-load`: a load client that checks every answer.

use fastgate_loadgen::args::{Args, usage};
use fastgate_loadgen::load::Client;
use fastgate_loadgen::load::plan::{Plan, USAGE};
use fastgate_loadgen::net;

fn main() {
    let plan = Plan::parse(Args::from_env()).unwrap_or_else(|error| usage(&error, USAGE));
    net::raise_descriptor_limit();
    match Client::new(plan).and_then(Client::run) {
        Ok((report, right)) => {
            println!("{report}");
            std::process::exit(i32::from(!right));
        }
        Err(error) => {
            eprintln!("fastgate-load: {error}");
            std::process::exit(1);
        }
    }
}
