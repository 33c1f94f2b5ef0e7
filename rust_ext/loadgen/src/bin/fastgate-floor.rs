//! `fastgate-floor`: the floor proxy (floor.c) behind the same kind of command line as the others.

use std::net::SocketAddrV4;

use fastgate_loadgen::args::{Args, usage};
use fastgate_loadgen::net::{self, Address};

const USAGE: &str = "usage: fastgate-floor --to ADDR:PORT [--port PORT (0: any)]

Listens on 127.0.0.1, prints `listening ADDRESS` and relays to the IPv4 origin until it is ended. No gateway: it trusts
both sides (see floor.c).";

fn main() {
    let (port, origin) = arguments(Args::from_env()).unwrap_or_else(|error| usage(&error, USAGE));
    net::raise_descriptor_limit();
    match net::listen(&Address::Ip(([127, 0, 0, 1], port).into())) {
        Ok((listener, address)) => {
            println!("listening {address}");
            std::process::exit(fastgate_loadgen::floor(listener, origin));
        }
        Err(error) => {
            eprintln!("fastgate-floor: cannot listen on port {port}: {error}");
            std::process::exit(1);
        }
    }
}

fn arguments(mut args: Args) -> Result<(u16, SocketAddrV4), String> {
    let port = args.one("--port")?.unwrap_or(0);
    let origin = args.required("--to")?;
    args.finish()?;
    Ok((port, origin))
}
