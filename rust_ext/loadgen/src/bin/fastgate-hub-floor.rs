//! `fastgate-hub-floor`: the floor of a hub (hub_floor.c) behind the same kind of command line as the others.

use fastgate_loadgen::args::{Args, usage};
use fastgate_loadgen::net;

const USAGE: &str = "usage: fastgate-hub-floor [--port PORT (0: any)] [--threads N (1)] [--plant drop|duplicate|reorder|corrupt [--every N (1000)]]

Listens on 127.0.0.1, prints `listening ADDRESS` and delivers what a WebSocket client sends to all others that asked for
the same path, until it is ended. More than one thread: each has its own descriptor table. With --plant one of N
deliveries is wrong. No hub: it trusts its clients (see hub_floor.c).";
const FAULTS: [&str; 4] = ["drop", "duplicate", "reorder", "corrupt"];

fn main() {
    let (port, threads, fault, every) = arguments(Args::from_env()).unwrap_or_else(|error| usage(&error, USAGE));
    net::raise_descriptor_limit();
    match net::listen_shared(port, threads) {
        Ok((listeners, address)) => {
            println!("listening {address}");
            std::process::exit(fastgate_loadgen::hub_floor(listeners, fault, every));
        }
        Err(error) => {
            eprintln!("fastgate-hub-floor: cannot listen on port {port}: {error}");
            std::process::exit(1);
        }
    }
}

fn arguments(mut args: Args) -> Result<(u16, usize, i32, u32), String> {
    let port = args.one("--port")?.unwrap_or(0);
    let threads = args.one("--threads")?.unwrap_or(1_usize);
    let plant: Option<String> = args.one("--plant")?;
    let every = args.one("--every")?.unwrap_or(1_000);
    args.finish()?;
    if !(1..=64).contains(&threads) || every == 0 {
        return Err("--threads: 1 to 64; --every: at least 1".to_owned());
    }
    let Some(plant) = plant else { return Ok((port, threads, 0, 0)) };
    let at = FAULTS.iter().position(|name| *name == plant).ok_or_else(|| format!("--plant: {}", FAULTS.join(", ")))?;
    Ok((port, threads, i32::try_from(at + 1).unwrap_or(0), every))
}
