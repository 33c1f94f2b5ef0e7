//! The bare engine: runs a snapshot file without Python, for measuring, tracing and testing.
//!
//! `fastgate-engine SNAPSHOT.json` prints `listening NAME ADDRESS` for each listener. SIGTERM and SIGINT drain (a
//! second one stops), SIGHUP reads the file again, SIGUSR1 opens the access log
//! anew and prints one line of counters.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use fastgate_engine::host::NoHost;
use fastgate_engine::{Engine, Snapshot, signals};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn load(path: &str) -> Result<Snapshot, String> {
    let bytes = std::fs::read(path).map_err(|error| format!("{path} cannot be read: {error}"))?;
    Snapshot::from_json(&bytes).map_err(|invalid| format!("{path}: {}", invalid.message))
}

fn run(path: &str) -> Result<(), String> {
    signals::block_signals();
    let engine = Arc::new(Engine::start(load(path)?, Arc::new(NoHost)).map_err(|error| error.to_string())?);
    for (name, address) in engine.addresses() {
        println!("listening {name} {address}");
    }
    for (name, address) in engine.internal_addresses() {
        println!("internal {name} {address}");
    }
    let waiter = engine.clone();
    let ended = std::thread::spawn(move || waiter.wait(None));
    let mut draining = false;
    loop {
        match signals::wait_signal() {
            signals::HANGUP => match load(path).and_then(|s| engine.apply(s).map_err(|error| error.to_string())) {
                Ok(()) => println!("reloaded"),
                Err(reason) => println!("not reloaded: {reason}"),
            },
            signals::USER => {
                if let Err(reason) = engine.rotate_logs() {
                    eprintln!("{reason}");
                }
                println!("stats {}", engine.stats_json());
            }
            _ if draining => engine.stop(),
            _ => {
                draining = true;
                engine.drain();
                // The end of the last worker is a signal to ourselves.
                let waiter = engine.clone();
                std::thread::spawn(move || {
                    waiter.wait(None);
                    signals::raise();
                });
            }
        }
        if draining && engine.wait(Some(Duration::ZERO)) {
            break;
        }
    }
    drop(ended);
    println!("stats {}", engine.stats_json());
    Ok(())
}

fn main() -> ExitCode {
    let Some(path) = std::env::args().nth(1) else {
        eprintln!("usage: fastgate-engine SNAPSHOT.json");
        return ExitCode::from(2);
    };
    match run(&path) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("{reason}");
            ExitCode::from(1)
        }
    }
}
