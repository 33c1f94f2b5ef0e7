//! Opening internal listeners, on the control side: a written address must be had, a default one gives way.

use std::io;
use std::os::fd::OwnedFd;

use fastgate_core::snapshot::{Internal, Invalid, Snapshot};

use super::Place;
use crate::handed;
use crate::listen::{self, Bind};
use crate::start_error::StartError;

/// Ports that are tried where a default one is taken.
const TRIES: u16 = 20;

/// An internal listener that listens.
#[derive(Debug, Clone)]
pub(crate) struct Opened {
    /// As the snapshot says it.
    pub(crate) wanted: Internal,
    /// Where it listens.
    pub(crate) bind: Bind,
}

/// What comes of opening.
#[derive(Debug, Default)]
pub(crate) struct Opening {
    /// What listens from now on.
    pub(crate) opened: Vec<Opened>,
    /// The same for the background thread, with the sockets that are new.
    pub(crate) places: Vec<Place>,
    /// What the log should say.
    pub(crate) warnings: Vec<String>,
}

/// Opens what the snapshot wants and `current` does not have.
///
/// # Errors
/// A written address that cannot be had.
pub(crate) fn open(snapshot: &Snapshot, current: &[Opened]) -> Result<Opening, StartError> {
    let Opening { mut opened, mut places, mut warnings } = Opening::default();
    for wanted in &snapshot.internal {
        let Ok(bind) = Bind::parse(&wanted.bind) else { continue };
        let same = |one: &&Opened| one.wanted.name == wanted.name && one.wanted.bind == wanted.bind;
        let there = |one: &&Opened| one.bind == bind || (!wanted.written && same(one));
        let zero = |one: &&Opened| wanted.bind.ends_with(":0") && same(one);
        let kept = current.iter().find(there).or_else(|| current.iter().find(zero));
        if let Some(kept) = kept {
            opened.push(Opened { wanted: wanted.clone(), bind: kept.bind.clone() });
            places.push(Place { bind: kept.bind.clone(), serves: wanted.serves, socket: None });
            continue;
        }
        match socket(wanted, &bind, snapshot) {
            Ok((settled, socket)) => {
                if settled != bind && !wanted.bind.ends_with(":0") {
                    let (taken, now) = (bind.show(), settled.show());
                    warnings.push(format!("{}: {taken} is taken, it listens on {now} instead", wanted.name));
                }
                opened.push(Opened { wanted: wanted.clone(), bind: settled.clone() });
                places.push(Place { bind: settled, serves: wanted.serves, socket: Some(socket) });
            }
            Err(error) if wanted.written => {
                return Err(StartError::Bind {
                    listener: wanted.name.clone(),
                    address: bind.show(),
                    reason: listen::explain(&error),
                });
            }
            Err(error) => {
                let reason = listen::explain(&error);
                warnings.push(format!("{}: it does not listen on {}: {reason}", wanted.name, bind.show()));
            }
        }
    }
    Ok(Opening { opened, places, warnings })
}

/// A listening socket on the wanted address, or on the next port that is free and that nothing else here wants.
fn socket(wanted: &Internal, bind: &Bind, snapshot: &Snapshot) -> io::Result<(Bind, OwnedFd)> {
    let listeners = snapshot.listeners.iter().map(|listener| &listener.bind);
    let internal = snapshot.internal.iter().filter(|other| other.name != wanted.name).map(|other| &other.bind);
    let others: Vec<Bind> = listeners.chain(internal).filter_map(|bind| Bind::parse(bind).ok()).collect();
    let mut last = None;
    for step in 0..=TRIES {
        let Some(candidate) = nth(bind, step) else { break };
        let wanted_elsewhere = others.iter().any(|other| handed::overlap(other, &candidate));
        if wanted_elsewhere && !wanted.written {
            continue;
        }
        match listen::open_alone(&candidate) {
            Ok(found) => return Ok(found),
            Err(error) if !wanted.written && error.kind() == io::ErrorKind::AddrInUse => last = Some(error),
            Err(error) => return Err(error),
        }
    }
    Err(last.unwrap_or_else(|| io::ErrorKind::AddrInUse.into()))
}

/// The address that many ports further on; only the first where ports do not count.
fn nth(bind: &Bind, step: u16) -> Option<Bind> {
    match bind {
        _ if step == 0 => Some(bind.clone()),
        Bind::Tcp(address) if address.port() != 0 => {
            let mut next = *address;
            next.set_port(address.port().checked_add(step)?);
            Some(Bind::Tcp(next))
        }
        Bind::Tcp(_) | Bind::Unix(_) | Bind::Named(_) => None,
    }
}

/// Judges where they are to listen, before anything is opened.
pub(crate) fn check(snapshot: &Snapshot, invalid: &mut Vec<Invalid>) {
    for (i, internal) in snapshot.internal.iter().enumerate() {
        let mut add = |message| invalid.push(Invalid::new(format!("internal.{i}.bind"), message));
        if let Err(reason) = Bind::parse(&internal.bind) {
            add(reason);
        }
        if !internal.written || internal.bind.ends_with(":0") {
            continue;
        }
        let listener = snapshot.listeners.iter().find(|listener| listener.bind == internal.bind);
        let twin = snapshot.internal[..i].iter().find(|other| other.written && other.bind == internal.bind);
        if let Some(name) = listener.map(|listener| &listener.name).or_else(|| twin.map(|twin| &twin.name)) {
            add(format!("{} is the address of listener {name} already", internal.bind));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_follow_each_other_to_the_end() {
        let at = |text: &str| Bind::parse(text).unwrap();
        assert_eq!(nth(&at("127.0.0.1:8002"), 2), Some(at("127.0.0.1:8004")));
        assert_eq!(nth(&at("127.0.0.1:65535"), 1), None);
        assert_eq!((nth(&at("127.0.0.1:0"), 0), nth(&at("127.0.0.1:0"), 1)), (Some(at("127.0.0.1:0")), None));
        assert_eq!(nth(&at("unix:/x"), 1), None);
    }
}
