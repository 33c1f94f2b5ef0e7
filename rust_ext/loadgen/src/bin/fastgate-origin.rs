//! `fastgate-origin`: a very cheap origin for benchmarks and tests.

use fastgate_loadgen::args::{Args, usage};
use fastgate_loadgen::net::{self, Address};
use fastgate_loadgen::origin::Origin;

const USAGE: &str = "usage: fastgate-origin [--port PORT (0: any)] [--unix PATH] [--stop-with-stdin]

Listens on 127.0.0.1 and prints `listening ADDRESS` for each address. With --stop-with-stdin it ends when stdin does and
prints its counters as JSON. Paths: /b/N (N bytes), /c/N (chunked), /close[/N] (ended by the connection), /delay/MS,
/echo (the request's content), /ws (WebSocket echo), /stats (counters); everything else: 128 bytes.";

fn main() {
    if let Err(error) = run() {
        eprintln!("fastgate-origin: {error}");
        std::process::exit(1);
    }
}

fn run() -> Result<(), String> {
    let (addresses, stop) = arguments(Args::from_env()).unwrap_or_else(|error| usage(&error, USAGE));
    net::raise_descriptor_limit();
    let (origin, bound) = Origin::new(&addresses)?;
    for address in bound {
        println!("listening {address}");
    }
    println!("{}", origin.run(stop).map_err(|e| e.to_string())?);
    Ok(())
}

fn arguments(mut args: Args) -> Result<(Vec<Address>, bool), String> {
    let port: Option<u16> = args.one("--port")?;
    let unix: Option<String> = args.one("--unix")?;
    let stop = args.flag("--stop-with-stdin");
    args.finish()?;
    let mut addresses = Vec::new();
    if port.is_some() || unix.is_none() {
        addresses.push(Address::Ip(([127, 0, 0, 1], port.unwrap_or(0)).into()));
    }
    addresses.extend(unix.map(|path| Address::Unix(path.into())));
    Ok((addresses, stop))
}
