//! A real redis-server, and one process of a hub without workers: what arrives for its only member is read by the test.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;

use fastgate_core::snapshot::{self, SecretString, Snapshot};
use rustix::process::{Pid, Signal, kill_process};

use super::super::Redis;
use crate::clock::Clock;
use crate::files::Budget;
use crate::health::Status;
use crate::host::{Line, NoHost};
use crate::hub::{Delivered, Hub, Parcel, Post, Publication, Sender};
use crate::live::Live;
use crate::log::{Log, Writer};
use crate::metrics::Metrics;
use crate::redis::Settings;
use crate::rt::{self, Inbox, Runtime};
use crate::target::Registry;
use crate::worker::{Series, Shared, WorkerShared};

/// How long anything may take on a machine that has much to do.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// Waits until it holds.
#[expect(clippy::disallowed_methods, reason = "other processes wake nobody here")]
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let clock = Clock::start();
    while !holds() {
        assert!(clock.elapsed() < DEADLINE, "not within {DEADLINE:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether the tests have a server to run; in CI they must.
pub(crate) fn is_installed() -> bool {
    let found = Command::new("redis-server").arg("--version").stdout(Stdio::null()).status().is_ok();
    assert!(found || std::env::var("CI").as_deref() != Ok("true"), "redis-server is not installed");
    found
}

/// A running server.
pub(crate) struct Server {
    child: Child,
    dir: PathBuf,
    args: Vec<String>,
    /// Of a member of a cluster; the others have a Unix socket alone.
    pub(crate) port: u16,
    password: Option<&'static str>,
}

static NUMBER: AtomicU32 = AtomicU32::new(0);

fn folder() -> PathBuf {
    let name = format!("fastgate-redis-{}-{}", std::process::id(), NUMBER.fetch_add(1, Relaxed));
    let dir = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

impl Server {
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::start_with(args, None)
    }

    pub(crate) fn start_with(args: &[&str], password: Option<&'static str>) -> Self {
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        Self::launch(folder(), args, 0, password).unwrap_or_else(|log| panic!("it ended: {log}"))
    }

    /// A server that will be one of a cluster; again where somebody else was quicker to take its ports.
    pub(crate) fn start_member() -> Self {
        let member = || {
            let free: Vec<TcpListener> = (0..2).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
            let ports: Vec<u16> = free.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
            drop(free);
            let bus = ports[1].to_string();
            let args = ["--cluster-enabled", "yes", "--bind", "127.0.0.1", "--cluster-port", &bus];
            Self::launch(folder(), args.map(str::to_owned).into(), ports[0], None)
        };
        (0..10).find_map(|_| member().ok()).expect("a pair of free ports")
    }

    fn launch(dir: PathBuf, args: Vec<String>, port: u16, password: Option<&'static str>) -> Result<Self, String> {
        let mut server = Self { child: run(&dir, &args, port), dir, args, port, password };
        if server.answers() {
            return Ok(server);
        }
        Err(std::fs::read_to_string(server.dir.join("redis.log")).unwrap_or_default())
    }

    /// Waits until it answers; `false` when it ended.
    fn answers(&mut self) -> bool {
        let mut ended = false;
        until("the server answers", || {
            ended = self.child.try_wait().unwrap().is_some();
            ended || UnixStream::connect(self.path()).is_ok()
        });
        !ended
    }

    fn path(&self) -> PathBuf {
        self.dir.join("redis.sock")
    }

    pub(crate) fn settings(&self) -> snapshot::Redis {
        settings(&format!("unix:{}", self.path().display()))
    }

    /// Ends at once.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends at once and starts again.
    pub(crate) fn restart(&mut self) {
        self.kill();
        let _ = std::fs::remove_file(self.path());
        self.child = run(&self.dir, &self.args, self.port);
        assert!(self.answers(), "it starts again");
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// The lines of the answer to one command, without markers of types and lengths.
    pub(crate) fn ask(&self, words: &[&str]) -> Vec<String> {
        let mut stream = UnixStream::connect(self.path()).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut bytes = Vec::new();
        if let Some(password) = self.password {
            fastgate_core::resp::command(&mut bytes, &[b"AUTH", password.as_bytes()]);
        }
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        fastgate_core::resp::command(&mut bytes, &words);
        fastgate_core::resp::command(&mut bytes, &[b"ECHO", b"the end"]);
        stream.write_all(&bytes).unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"the end\r\n") {
            let mut part = [0; 65_536];
            let n = stream.read(&mut part).unwrap();
            assert!(n > 0, "the server closed: {}", answer.escape_ascii());
            answer.extend_from_slice(&part[..n]);
        }
        let text = String::from_utf8_lossy(&answer).into_owned();
        let lines = text.lines().map(str::to_owned);
        let mut lines: Vec<_> = lines.filter(|line| !line.starts_with(['$', '*'])).collect();
        lines.truncate(lines.len() - 1);
        if self.password.is_some() {
            lines.remove(0);
        }
        lines
    }

    /// Channels that anybody has subscribed.
    pub(crate) fn channels(&self) -> Vec<String> {
        let mut names = self.ask(&["PUBSUB", "CHANNELS"]);
        names.sort();
        names
    }

    /// Subscribers of a channel.
    pub(crate) fn subscribers(&self, channel: &str) -> String {
        self.ask(&["PUBSUB", "NUMSUB", channel])[1].clone()
    }
}

fn run(dir: &Path, args: &[String], port: u16) -> Child {
    let mut command = Command::new("redis-server");
    command.current_dir(dir).args(["--save", "", "--port", &port.to_string(), "--unixsocket", "redis.sock"]);
    command.args(["--logfile", "redis.log"]).args(args).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("redis-server starts")
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

pub(crate) fn settings(url: &str) -> snapshot::Redis {
    let url = url.to_owned();
    snapshot::Redis { url, username: None, password: None, cluster: false, ca: None, prefix: "app:".to_owned() }
}

pub(crate) fn secret(text: &str) -> SecretString {
    SecretString(text.to_owned())
}

/// Joins servers to a cluster that serves all slots.
pub(crate) fn cluster() -> Vec<Server> {
    let servers: Vec<Server> = (0..3).map(|_| Server::start_member()).collect();
    for (server, (first, last)) in servers.iter().zip([("0", "5460"), ("5461", "10922"), ("10923", "16383")]) {
        server.ask(&["CLUSTER", "ADDSLOTSRANGE", first, last]);
        let (to, bus) = (servers[0].port.to_string(), servers[0].args[5].clone());
        server.ask(&["CLUSTER", "MEET", "127.0.0.1", &to, &bus]);
    }
    for server in &servers {
        until("the cluster serves", || {
            let info = server.ask(&["CLUSTER", "INFO"]).join(" ");
            info.contains("cluster_state:ok")
                && info.contains("cluster_known_nodes:3")
                && server
                    .ask(&["CLUSTER", "SLOTS"])
                    .iter()
                    .filter(|line| line.starts_with(":") && line.len() > 3)
                    .count()
                    >= 3
        });
    }
    servers
}

/// One process of a hub.
pub(crate) struct Process {
    pub(crate) shared: Arc<Shared>,
    pub(crate) redis: Redis,
    pub(crate) lines: Receiver<Line>,
    runtime: Runtime,
    got: Mutex<std::collections::VecDeque<Arc<Publication>>>,
}

const SNAPSHOT: &str = r#"{"version": 1, "workers": 1, "private_descriptors": false, "limits": {"max_connections": 10, "headers": 32768, "header_count": 100, "uri": 8192,
    "header_timeout_ms": 10000, "write_stall_ms": 30000, "body_min_rate": 100, "connection_age_ms": 3600000, "accept_rate": 0},
    "shutdown": {"notice_ms": 0, "limit_ms": 1000}, "listeners": [{"name": "public", "bind": "127.0.0.1:0", "trusted_proxies": [], "encoded_slash": "refuse",
    "dot_segments": "refuse", "underscore_headers": "drop", "serves": {"http": true, "realtime": true, "publish": false}}], "services": [], "routes": [], "reserved_headers": []}"#;

impl Process {
    /// Starts it, and waits until it is connected.
    pub(crate) fn start(settings: &snapshot::Redis) -> Self {
        let process = Self::start_without(settings);
        until("Redis is connected", || process.trouble().is_none());
        process
    }

    pub(crate) fn start_without(settings: &snapshot::Redis) -> Self {
        let registry = Registry::default();
        let live = Live::compile(&Snapshot::from_json(SNAPSHOT.as_bytes()).unwrap(), &registry).unwrap();
        let (log, lines) = Log::new();
        let worker = WorkerShared {
            inbox: Inbox::new(),
            metrics: Metrics::new(),
            beat: AtomicU64::new(0),
            descriptors: AtomicU32::new(0),
            adopt: std::fs::File::open("/dev/null").unwrap().into(),
            post: Post::new(),
        };
        let shared = Arc::new(Shared {
            live: Mutex::new(Arc::new(live)),
            workers: vec![worker],
            connections: AtomicU32::new(0),
            max_connections: AtomicU32::new(10),
            registry,
            host: Arc::new(NoHost),
            writer: Writer::new(1, log.clone()),
            log,
            files: Budget::new(1),
            series: Series::default(),
            status: Status::new(),
            hub: Hub::default(),
            api: crate::publish::Api::default(),
            trail: crate::log::Trail::new(),
        });
        let redis = Redis::start(shared.clone(), &[], Arc::new(Barrier::new(1))).unwrap();
        redis.follow(&shared, Some(Settings::new(settings).unwrap()));
        Self { shared, redis, lines, runtime: Runtime::new().unwrap(), got: Mutex::default() }
    }

    pub(crate) fn trouble(&self) -> Option<String> {
        self.shared.hub.broker().unwrap().trouble()
    }

    pub(crate) fn join(&self, channel: &str) {
        let broker = self.shared.hub.broker();
        self.shared.hub.channels.join(broker.as_deref(), 0, channel, 0, true).unwrap();
    }

    pub(crate) fn leave(&self, channel: &str) {
        let broker = self.shared.hub.broker();
        self.shared.hub.channels.leave(broker.as_deref(), 0, channel);
    }

    pub(crate) fn publish(&self, channel: &str, payload: &[u8], from: Option<Sender>) -> Delivered {
        self.shared.hub.publish(&self.shared.workers, channel, &payload.into(), from, true).unwrap()
    }

    /// The next publication for its members.
    pub(crate) fn next(&self) -> Arc<Publication> {
        let post = &self.shared.workers[0].post;
        let mut got = self.got.lock().unwrap();
        if got.is_empty() {
            let came = self.runtime.block_on(async { rt::timeout(DEADLINE, post.inbox.receive()).await });
            got.extend(came.expect("a publication comes").into_iter().filter_map(|parcel| match parcel {
                Parcel::Publication(publication) => Some(publication),
                _ => None,
            }));
        }
        let publication = got.pop_front().unwrap();
        post.done(Parcel::weigh(&publication));
        publication
    }

    /// Channel and payload of the next publication.
    pub(crate) fn next_text(&self) -> String {
        let publication = self.next();
        format!("{} {}", publication.channel, String::from_utf8_lossy(&publication.payload))
    }
}

/// A server and a process with a member of `a` that is subscribed; `None`: no server is installed.
pub(crate) fn subscribed(args: &[&str]) -> Option<(Server, Process)> {
    if !is_installed() {
        return None;
    }
    let server = Server::start(args);
    let process = Process::start(&server.settings());
    process.join("a");
    until("it is subscribed", || server.subscribers("app:a") == ":1");
    Some((server, process))
}

impl Drop for Process {
    fn drop(&mut self) {
        self.redis.stop();
    }
}
