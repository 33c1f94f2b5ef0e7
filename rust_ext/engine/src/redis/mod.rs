//! A Redis server or cluster as both the hub and the store speak to it: where it is, a connection's bytes, the greeting.

mod map;
mod settings;
mod trouble;
mod wire;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use fastgate_core::resp::{self, Server};

use crate::carrier::Carrier;
use crate::dial;
use crate::rt;

pub(crate) use map::read_map;
pub(crate) use settings::Settings;
pub(crate) use trouble::{Trouble, code};
pub(crate) use wire::{Frame, MAX_UNSENT, Wire};

/// To connect, TLS and the greeting included.
pub(crate) const CONNECT: Duration = Duration::from_secs(2);

/// Greets a server: RESP3, who we are, and our name in its list of clients.
pub(crate) fn greet(settings: &Settings, out: &mut Vec<u8>) {
    let mut words: Vec<&[u8]> = vec![b"HELLO", b"3"];
    if settings.username.is_some() || settings.password.is_some() {
        words.push(b"AUTH");
        words.push(settings.username.as_deref().unwrap_or("default").as_bytes());
        words.push(settings.password.as_deref().unwrap_or_default().as_bytes());
    }
    words.extend([&b"SETNAME"[..], b"fastgate"]);
    resp::command(out, &words);
}

/// Connects a server; `look_up` finds the addresses of a name.
pub(crate) async fn connect(
    settings: &Settings,
    server: &Server,
    look_up: impl AsyncFnOnce(&str, u16) -> Result<Vec<SocketAddr>, String>,
) -> Result<Carrier, Trouble> {
    let (host, port, tls) = match server {
        Server::Unix(path) => {
            let stream = dial::connect_unix(path).await.map_err(|error| Trouble::Connect(error.to_string()))?;
            return Carrier::new(stream, None).map_err(Trouble::Tls);
        }
        Server::Tcp { host, port, tls } => (host, *port, *tls),
    };
    let addresses = match host.parse::<IpAddr>() {
        Ok(ip) => vec![(ip, port).into()],
        Err(_) => look_up(host, port).await.map_err(Trouble::Connect)?,
    };
    let mut last = Trouble::Connect(format!("{host} has no address"));
    for (i, address) in addresses.iter().enumerate() {
        let share = CONNECT / u32::try_from(addresses.len() - i).unwrap_or(1);
        match rt::timeout(share, dial::connect_tcp(*address)).await {
            Some(Ok(stream)) => {
                let tls = if tls { settings.tls.as_ref().map(|trust| (&trust.config, host.as_str())) } else { None };
                return Carrier::new(stream, tls).map_err(Trouble::Tls);
            }
            Some(Err(error)) => last = Trouble::Connect(error.to_string()),
            None => last = Trouble::Connect("it does not answer".to_owned()),
        }
    }
    Err(last)
}
