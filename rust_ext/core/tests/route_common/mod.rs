//! Builders shared by the routing tests.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::net::IpAddr;

use fastgate_core::route::{Captures, Fields, Found, Lookup, RouteTable};
use fastgate_core::snapshot::{Invalid, Listener, Route};
use serde_json::{Value, json};

/// The header fields of a test request.
pub struct Pairs(pub Vec<(String, String)>);

impl Fields for Pairs {
    fn values(&self, name: &[u8], each: &mut dyn FnMut(&[u8]) -> bool) {
        for (n, value) in &self.0 {
            if n.as_bytes() == name && !each(value.as_bytes()) {
                return;
            }
        }
    }
}

/// A request as routing sees it.
pub struct Ask {
    pub listener: usize,
    pub host: String,
    pub path: String,
    pub method: String,
    pub query: Option<String>,
    pub client: Option<IpAddr>,
    pub fields: Pairs,
}

impl Ask {
    pub fn get(path: &str) -> Self {
        Self {
            listener: 0,
            host: "h.example".into(),
            path: path.into(),
            method: "GET".into(),
            query: None,
            client: None,
            fields: Pairs(Vec::new()),
        }
    }

    pub fn lookup(&self) -> Lookup<'_> {
        Lookup {
            listener: self.listener,
            host: self.host.as_bytes(),
            path: self.path.as_bytes(),
            method: self.method.as_bytes(),
            query: self.query.as_deref().map(str::as_bytes),
            client: self.client,
            fields: &self.fields,
        }
    }

    pub fn find(&self, table: &RouteTable) -> (Found, Captures) {
        let mut captures = Captures::new();
        let found = table.find(&self.lookup(), &mut captures);
        (found, captures)
    }
}

/// A match with these parts; the others match everything.
pub fn a_match(parts: Value) -> Value {
    let mut whole = json!({"path": null, "hosts": [], "methods": [], "headers": {}, "query": {}, "client_ip": []});
    for (key, value) in parts.as_object().expect("parts are an object") {
        whole[key] = value.clone();
    }
    whole
}

/// A route that proxies.
pub fn a_route(name: &str, priority: i32, listeners: Option<Vec<String>>, matches: Vec<Value>) -> Route {
    serde_json::from_value(json!({
        "name": name, "priority": priority, "listeners": listeners, "rewrite": null, "host": "keep",
        "half_close_keep": false, "matches": matches, "action": {"service": "s"}, "upgrade": [], "max_body": null,
        "on_request": false, "held_bytes": 65536,
        "timeouts": {"connect_ms": 1000, "response_ms": 1000, "idle_ms": 1000},
        "request_headers": {"set": [], "add": [], "remove": []},
        "response_headers": {"set": [], "add": [], "remove": []},
    }))
    .expect("the route is one")
}

/// A route with one match and nothing else.
pub fn simple(name: &str, parts: Value) -> Route {
    a_route(name, 0, None, vec![a_match(parts)])
}

pub fn listener(name: &str) -> Listener {
    serde_json::from_value(json!({
        "name": name, "bind": "127.0.0.1:0", "trusted_proxies": [], "encoded_slash": "refuse",
        "dot_segments": "refuse", "underscore_headers": "drop",
        "serves": {"http": true, "realtime": false, "publish": false},
    }))
    .expect("the listener is one")
}

/// The table of these routes on one listener.
pub fn table(routes: &[Route]) -> RouteTable {
    compile(routes).unwrap_or_else(|faults| panic!("{faults:?}"))
}

pub fn compile(routes: &[Route]) -> Result<RouteTable, Vec<Invalid>> {
    RouteTable::compile(routes, &[listener("one")])
}

/// The faults of these routes as "path: message".
pub fn faults(routes: &[Route]) -> Vec<String> {
    compile(routes).err().unwrap_or_default().into_iter().map(|i| format!("{}: {}", i.path, i.message)).collect()
}
