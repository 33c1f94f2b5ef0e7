//! The settings of a broker, judged when a snapshot is applied.

use fastgate_core::resp::Server;
use fastgate_core::snapshot::{self, Invalid, Snapshot};

use crate::trust::{Terms, Trust};

/// Everything a connection needs to know.
pub(crate) struct Settings {
    pub(crate) server: Server,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) cluster: bool,
    pub(crate) prefix: String,
    pub(crate) tls: Option<Trust>,
    /// What it was made of, besides the CA.
    source: snapshot::Redis,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings").field("server", &self.server).field("cluster", &self.cluster).finish_non_exhaustive()
    }
}

impl Settings {
    /// Those of a snapshot, if it has a Redis.
    ///
    /// # Errors
    /// As [`Settings::new`].
    pub(crate) fn of(snapshot: &Snapshot) -> Result<Option<Self>, Vec<Invalid>> {
        snapshot.realtime.redis.as_ref().map(Self::new).transpose().map_err(|invalid| vec![invalid])
    }

    /// Reads the URL and the file of the CA.
    ///
    /// # Errors
    /// [`Invalid`] with the key that is wrong.
    pub(crate) fn new(redis: &snapshot::Redis) -> Result<Self, Invalid> {
        let invalid = |key: &str, message: String| Invalid::new(format!("realtime.redis.{key}"), message);
        let server = Server::parse(&redis.url).map_err(|why| invalid("url", format!("is no Redis URL: {why}")))?;
        let encrypted = matches!(server, Server::Tcp { tls: true, .. });
        let tls = match (&redis.ca, encrypted) {
            (Some(_), false) => {
                return Err(invalid("ca", "needs a rediss:// URL: nothing else is encrypted".to_owned()));
            }
            (_, false) => None,
            (ca, true) => Some(
                Trust::new(&Terms::of_ca(ca.as_deref(), false)).map_err(|wrong| invalid(wrong.key, wrong.message))?,
            ),
        };
        if redis.cluster && matches!(server, Server::Unix(_)) {
            return Err(invalid("url", "a cluster has TCP addresses".to_owned()));
        }
        Ok(Self {
            server,
            username: redis.username.clone(),
            password: redis.password.as_ref().map(|password| password.0.clone()),
            cluster: redis.cluster,
            prefix: redis.prefix.clone(),
            tls,
            source: redis.clone(),
        })
    }

    /// Whether both lead to the same connection.
    pub(crate) fn same(&self, other: &Self) -> bool {
        (&self.source, &self.tls) == (&other.source, &other.tls)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn redis(url: &str) -> snapshot::Redis {
        let url = url.to_owned();
        snapshot::Redis { url, username: None, password: None, cluster: false, ca: None, prefix: String::new() }
    }

    #[test]
    fn the_key_that_is_wrong_is_named() {
        let wrong = |redis: &snapshot::Redis| Settings::new(redis).expect_err("refused").path;
        assert_eq!(wrong(&redis("http://h")), "realtime.redis.url");
        let mut ca = redis("redis://h");
        ca.ca = Some("/ca.pem".to_owned());
        assert_eq!(wrong(&ca), "realtime.redis.ca");
        let mut ca = redis("rediss://h");
        ca.ca = Some("/there/is/none.pem".to_owned());
        assert_eq!(wrong(&ca), "realtime.redis.ca");
        let mut cluster = redis("unix:/run/redis.sock");
        cluster.cluster = true;
        assert_eq!(wrong(&cluster), "realtime.redis.url");
    }

    #[test]
    fn a_changed_password_is_another_connection() {
        let (mut one, mut other) = (redis("redis://h"), redis("redis://h"));
        assert!(Settings::new(&one).unwrap().same(&Settings::new(&other).unwrap()));
        one.password = Some(snapshot::SecretString("a".to_owned()));
        other.password = Some(snapshot::SecretString("b".to_owned()));
        let one = Settings::new(&one).unwrap();
        assert!(!one.same(&Settings::new(&other).unwrap()));
        assert!(!format!("{one:?}").contains("password"));
    }
}
