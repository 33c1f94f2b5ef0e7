//! A snapshot compiled into live objects: what a worker reads on the hot path, immutable and swapped by pointer.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use fastgate_core::filter::CompiledEdits;
use fastgate_core::http1::RequestRules;
use fastgate_core::publish::Keys;
use fastgate_core::route::{Redirector, Rewriter, RouteTable};
use fastgate_core::snapshot::{self, HostPolicy, Invalid, Snapshot};
use ipnet::IpNet;

use crate::deadlines::{Tick, WHEEL_BELOW_MS, ticks};
use crate::files::Files;
use crate::guard::{Compile, Consumer, Guards};
use crate::hub::Endpoint;
use crate::internal;
use crate::log::access::{Access, Sample};
use crate::store::Place;
use crate::target::{Registry, Target};
use crate::tls::{self, Served};
use crate::upstream_tls::UpstreamTls;

/// Everything a worker needs of one snapshot.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) limits: snapshot::Limits,
    pub(crate) shutdown: snapshot::Shutdown,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) table: RouteTable,
    pub(crate) routes: Vec<Route>,
    pub(crate) services: Vec<Service>,
    /// Where subscribers connect.
    pub(crate) endpoints: Vec<Arc<Endpoint>>,
    /// Some route answers preflights.
    pub(crate) preflights: bool,
    /// Requests are counted by tenant.
    pub(crate) tenants: bool,
    /// Who uses the gateway.
    pub(crate) consumers: Vec<Consumer>,
    /// Who may publish over HTTP.
    pub(crate) keys: Keys,
    /// One line a request, if that is wanted.
    pub(crate) access: Option<Arc<Access>>,
    /// Where limits are shared, if any are.
    pub(crate) store: Option<Arc<Place>>,
    /// Where revocations are shared, if they are.
    pub(crate) revocations: Option<Arc<Place>>,
    pub(crate) level: snapshot::Level,
    pub(crate) line_format: snapshot::LineFormat,
}

/// One listening address.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) name: String,
    pub(crate) bind: String,
    pub(crate) rules: RequestRules,
    /// Peers that send the PROXY protocol; none: nobody does.
    pub(crate) proxy_protocol: Vec<IpNet>,
    /// TLS is spoken here.
    pub(crate) tls: Option<Arc<Served>>,
    /// Every request is sent to https, to this listener if there is one.
    pub(crate) redirect: Option<Option<usize>>,
}

impl Listener {
    /// What it is known by across snapshots: where it listens, with its name where the kernel chooses the port.
    pub(crate) fn key(&self) -> String {
        key(&self.bind, &self.name)
    }
}

fn key(bind: &str, name: &str) -> String {
    if bind.ends_with(":0") { format!("{bind} {name}") } else { bind.to_owned() }
}

/// A route: what is its own, and its steps.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) name: Arc<str>,
    /// Its times get histograms of their own.
    pub(crate) histogram: bool,
    /// Which of its requests the access log shows.
    pub(crate) sample: Sample,
    steps: Arc<Steps>,
}

impl std::ops::Deref for Route {
    type Target = Steps;

    fn deref(&self) -> &Steps {
        &self.steps
    }
}

impl Route {
    /// Whether it answers what browsers ask before a cross-origin request.
    pub(crate) fn answers_preflights(&self) -> bool {
        self.guards.as_ref().is_some_and(|guards| guards.cors.is_some())
    }

    fn endpoint(&self) -> Option<&Arc<Endpoint>> {
        match &self.action {
            Action::Realtime(endpoint) => Some(endpoint),
            _ => None,
        }
    }
}

/// What a route does, those steps it uses and no others; routes that do the same share them, so that ten thousand of
/// them do not empty the cache.
#[derive(Debug)]
pub(crate) struct Steps {
    pub(crate) action: Action,
    pub(crate) on_request: bool,
    /// How long its hooks may take.
    pub(crate) hook_limit: Tick,
    pub(crate) request_edits: CompiledEdits,
    pub(crate) response_edits: CompiledEdits,
    /// Its policies; most routes of a plain proxy have none.
    pub(crate) guards: Option<Arc<Guards>>,
}

/// What a route does.
#[derive(Debug)]
pub(crate) enum Action {
    /// Proxies to the service of that index.
    Proxy(Box<Proxy>),
    /// Answers directly.
    Respond(snapshot::Respond),
    /// Answers with a redirect.
    Redirect {
        /// 301, 302, 303, 307 or 308.
        status: u16,
        /// Renders the Location.
        to: Redirector,
    },
    /// Answers with files of a folder.
    Files(Arc<Files>),
    /// Lets subscribers into the hub.
    Realtime(Arc<Endpoint>),
    /// Takes publications over HTTP.
    Publish(snapshot::PublishCall),
}

/// How a route proxies.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) service: usize,
    pub(crate) rewrite: Option<Rewriter>,
    pub(crate) host: HostPolicy,
    pub(crate) half_close_keep: bool,
    pub(crate) upgrade: Vec<String>,
    pub(crate) connect_ms: u64,
    pub(crate) response: Limit,
    pub(crate) idle: Limit,
    pub(crate) max_body: Option<u64>,
    pub(crate) held_bytes: usize,
}

/// A time-out: on the sweep, or on the wheel where it is too short for it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit {
    /// Milliseconds.
    pub(crate) ms: u64,
    /// The same in ticks.
    pub(crate) ticks: Tick,
}

impl Limit {
    fn new(ms: u64) -> Self {
        Self { ms, ticks: ticks(ms) }
    }

    /// Too short for the sweep.
    pub(crate) fn on_wheel(self) -> bool {
        self.ms < WHEEL_BELOW_MS
    }
}

/// A named group of targets.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) name: Arc<str>,
    pub(crate) targets: Vec<ServiceTarget>,
    pub(crate) turn: AtomicUsize,
    pub(crate) max_per_target: u32,
    pub(crate) pool_idle: Tick,
}

/// A target as a service uses it.
#[derive(Debug)]
pub(crate) struct ServiceTarget {
    pub(crate) target: Arc<Target>,
    pub(crate) authority: Vec<u8>,
    /// How it is shown in lines.
    pub(crate) shown: Arc<str>,
}

impl Live {
    /// Judges and compiles a snapshot; targets are taken from the registry.
    ///
    /// # Errors
    /// Everything that was wrong, at once.
    pub(crate) fn compile(snapshot: &Snapshot, registry: &Registry) -> Result<Self, Vec<Invalid>> {
        let mut invalid = Vec::new();
        let listeners = compile_listeners(snapshot, registry, &mut invalid);
        let table = match RouteTable::compile(&snapshot.routes, &snapshot.listeners) {
            Ok(table) => Some(table),
            Err(found) => {
                invalid.extend(found);
                None
            }
        };
        internal::check(snapshot, &mut invalid);
        let keys = Keys::new(&snapshot.realtime.keys).unwrap_or_else(|found| {
            invalid.extend(found);
            Keys::default()
        });
        let services = compile_services(snapshot, registry, &mut invalid);
        let [store, revocations] = [Place::of(snapshot), Place::of_revocations(snapshot)].map(|place| {
            place.unwrap_or_else(|found| {
                invalid.extend(found);
                None
            })
        });
        let mut cx = Compile::new(snapshot, &registry.guards, store.clone(), &mut invalid);
        let (guards, consumers) = (cx.guards(), cx.consumers());
        let preflights = guards.iter().any(|guards| guards.cors.is_some());
        let access = Access::compile(&snapshot.logs, &mut invalid);
        let sample = access.as_ref().map_or(Sample::Never, |access| access.sample());
        let mut routes = Vec::with_capacity(snapshot.routes.len());
        let by_name = snapshot.services.iter().enumerate().map(|(i, s)| (s.name.as_str(), i)).collect();
        let mut shared = SharedSteps::default();
        for (i, route) in snapshot.routes.iter().enumerate() {
            let mut found = Vec::new();
            if let Some(steps) =
                shared.steps(route, |route| compile_steps(route, snapshot, &by_name, &guards, &mut found))
            {
                let own = route.access_log_sample.map(|share| (share, Sample::new(share)));
                if let Some((share, None)) = own {
                    found.push(Invalid::new("access_log_sample", format!("{share} is no share; allowed: 0 to 1")));
                }
                let sample = own.and_then(|(_, own)| own).unwrap_or(sample);
                routes.push(Route { name: route.name.as_str().into(), histogram: route.histogram, sample, steps });
            }
            invalid.extend(found.into_iter().map(|f| Invalid::new(format!("routes.{i}.{}", f.path), f.message)));
        }
        match table {
            Some(table) if invalid.is_empty() => Ok(Self {
                limits: snapshot.limits.clone(),
                shutdown: snapshot.shutdown.clone(),
                listeners,
                table,
                endpoints: routes.iter().filter_map(Route::endpoint).cloned().collect(),
                routes,
                services,
                preflights,
                tenants: snapshot.counts_tenants(),
                consumers,
                keys,
                access,
                store,
                revocations,
                level: snapshot.logs.level,
                line_format: snapshot.logs.format,
            }),
            _ => Err(invalid),
        }
    }
}

impl Live {
    /// Whether publications to a channel go through the broker: where some endpoint with that source could have
    /// members of it, and where no endpoint could, so that other processes may.
    pub(crate) fn brokered(&self, channel: &str) -> bool {
        let mut serving = self.endpoints.iter().filter(|endpoint| endpoint.may_serve(channel)).peekable();
        serving.peek().is_none() || serving.any(|endpoint| endpoint.brokered)
    }
}

fn compile_listeners(snapshot: &Snapshot, registry: &Registry, invalid: &mut Vec<Invalid>) -> Vec<Listener> {
    if snapshot.listeners.is_empty() {
        invalid.push(Invalid::new("listeners", "there is no listener; at least one is needed"));
    }
    let mut listeners: Vec<Listener> = Vec::with_capacity(snapshot.listeners.len());
    for (i, listener) in snapshot.listeners.iter().enumerate() {
        if let Err(reason) = crate::listen::Bind::parse(&listener.bind) {
            invalid.push(Invalid::new(format!("listeners.{i}.bind"), reason));
        }
        let twin = listeners.iter().find(|l| l.bind == listener.bind && !l.bind.ends_with(":0"));
        if let Some(twin) = twin {
            let message = format!("{} is the address of listener {} already", listener.bind, twin.name);
            invalid.push(Invalid::new(format!("listeners.{i}.bind"), message));
        }
        let key = key(&listener.bind, &listener.name);
        let tls = registry.tls.compile(&key, listener, i, invalid);
        listeners.push(Listener {
            name: listener.name.clone(),
            bind: listener.bind.clone(),
            rules: RequestRules::new(&snapshot.limits, listener, &snapshot.reserved_headers),
            proxy_protocol: listener.proxy_protocol.clone(),
            tls,
            redirect: tls::redirect(listener, &snapshot.listeners),
        });
    }
    listeners
}

fn compile_services(snapshot: &Snapshot, registry: &Registry, invalid: &mut Vec<Invalid>) -> Vec<Service> {
    let mut services = Vec::with_capacity(snapshot.services.len());
    for (i, service) in snapshot.services.iter().enumerate() {
        if service.targets.is_empty() {
            let message = format!("service {} has no target; at least one is needed", service.name);
            invalid.push(Invalid::new(format!("services.{i}.targets"), message));
        }
        let tls = UpstreamTls::new(service, i, registry, invalid);
        services.push(Service {
            name: service.name.as_str().into(),
            targets: service
                .targets
                .iter()
                .map(|t| {
                    let target = registry.target(&t.address, tls.as_ref().and_then(|tls| tls.of(t)));
                    let shown = target.to_string().into();
                    ServiceTarget { target, authority: t.authority.clone().into_bytes(), shown }
                })
                .collect(),
            turn: AtomicUsize::new(0),
            max_per_target: service.pool.max_per_target,
            pool_idle: ticks(service.pool.idle_ms),
        });
    }
    services
}

/// Steps that were compiled already, by service.
#[derive(Default)]
struct SharedSteps<'a>(HashMap<&'a str, Vec<(&'a snapshot::Route, Arc<Steps>)>>);

impl<'a> SharedSteps<'a> {
    /// Different steps remembered for one service; beyond it every route gets its own.
    const MAX: usize = 16;

    fn steps(
        &mut self,
        route: &'a snapshot::Route,
        compile: impl FnOnce(&snapshot::Route) -> Option<Steps>,
    ) -> Option<Arc<Steps>> {
        // Rewrites and redirects read the captures of their own matches.
        let (snapshot::Action::Service(service), None) = (&route.action, &route.rewrite) else {
            return compile(route).map(Arc::new);
        };
        let known = self.0.entry(service).or_default();
        if let Some((_, steps)) = known.iter().find(|(other, _)| same_steps(route, other)) {
            return Some(steps.clone());
        }
        let steps = Arc::new(compile(route)?);
        if known.len() < Self::MAX {
            known.push((route, steps.clone()));
        }
        Some(steps)
    }
}

/// Whether two routes do the same once they are chosen. Every key is named, so that a new one must be judged here.
fn same_steps(a: &snapshot::Route, b: &snapshot::Route) -> bool {
    let snapshot::Route {
        name: _,
        priority: _,
        matches: _,
        listeners: _,
        histogram: _,
        access_log_sample: _,
        action,
        policies,
        rewrite,
        host,
        half_close_keep,
        upgrade,
        timeouts,
        max_body,
        request_headers,
        response_headers,
        on_request,
        held_bytes,
    } = a;
    (action, rewrite, host, half_close_keep, upgrade)
        == (&b.action, &b.rewrite, &b.host, &b.half_close_keep, &b.upgrade)
        && (timeouts, max_body, on_request, held_bytes) == (&b.timeouts, &b.max_body, &b.on_request, &b.held_bytes)
        && (request_headers, response_headers, policies) == (&b.request_headers, &b.response_headers, &b.policies)
}

fn compile_steps(
    route: &snapshot::Route,
    snapshot: &Snapshot,
    services: &HashMap<&str, usize>,
    guards: &[Arc<Guards>],
    invalid: &mut Vec<Invalid>,
) -> Option<Steps> {
    let mut edits = |key: &str, edits: &snapshot::HeaderEdits| match CompiledEdits::new(edits) {
        Ok(edits) => Some(edits),
        Err(message) => {
            invalid.push(Invalid::new(key, message));
            None
        }
    };
    let request_edits = edits("request_headers", &route.request_headers);
    let response_edits = edits("response_headers", &route.response_headers);
    let action = match &route.action {
        snapshot::Action::Service(name) => compile_proxy(route, name, services, invalid).map(Action::Proxy),
        snapshot::Action::Respond(respond) => Some(Action::Respond(respond.clone())),
        snapshot::Action::Static(of) => {
            Files::compile(of, route).map(Action::Files).map_err(|found| invalid.extend(found)).ok()
        }
        snapshot::Action::Realtime(endpoint) => {
            Endpoint::compile(endpoint, route, snapshot, invalid).map(Action::Realtime)
        }
        snapshot::Action::Publish(call) => Some(Action::Publish(*call)),
        snapshot::Action::Redirect(redirect) => match Redirector::compile(redirect, &route.matches) {
            Ok(to) => Some(Action::Redirect { status: redirect.status, to }),
            Err(message) => {
                invalid.push(Invalid::new("action.redirect.to", message));
                None
            }
        },
    };
    let guards = match route.policies {
        Some(number) => match guards.get(number as usize) {
            Some(guards) => Some(guards.clone()),
            None => {
                invalid.push(Invalid::new("policies", format!("there are no policies with number {number}")));
                return None;
            }
        },
        None => None,
    };
    Some(Steps {
        action: action?,
        on_request: route.on_request,
        hook_limit: ticks(route.timeouts.response_ms),
        request_edits: request_edits?,
        response_edits: response_edits?,
        guards,
    })
}

fn compile_proxy(
    route: &snapshot::Route,
    service: &str,
    services: &HashMap<&str, usize>,
    invalid: &mut Vec<Invalid>,
) -> Option<Box<Proxy>> {
    let index = services.get(service).copied();
    if index.is_none() {
        invalid.push(Invalid::new("action.service", format!("there is no service named {service}")));
    }
    let rewrite = match route.rewrite.as_ref().map(|rewrite| Rewriter::compile(rewrite, &route.matches)).transpose() {
        Ok(rewrite) => Some(rewrite),
        Err(message) => {
            invalid.push(Invalid::new("rewrite", message));
            None
        }
    };
    Some(Box::new(Proxy {
        service: index?,
        rewrite: rewrite?,
        host: route.host.clone(),
        half_close_keep: route.half_close_keep,
        upgrade: route.upgrade.clone(),
        connect_ms: route.timeouts.connect_ms,
        response: Limit::new(route.timeouts.response_ms),
        idle: Limit::new(route.timeouts.idle_ms),
        max_body: route.max_body,
        held_bytes: route.held_bytes as usize,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_that_do_the_same_share_their_steps_and_no_others() {
        let mut snapshot = Snapshot::from_json(include_bytes!("../tests/data/minimal.json")).unwrap();
        let first = snapshot.routes[0].clone();
        assert!(matches!(first.action, snapshot::Action::Service(_)));
        for i in 1..6 {
            let mut route = first.clone();
            route.name = format!("route-{i}");
            route.matches[0].path = Some(snapshot::PathMatch::Prefix(format!("/{i}")));
            snapshot.routes.push(route);
        }
        snapshot.routes[3].max_body = Some(7);
        snapshot.routes[4].rewrite = Some(snapshot::Rewrite::StripPrefix("/4".to_owned()));
        snapshot.routes[5].rewrite = snapshot.routes[4].rewrite.clone();
        snapshot.routes[5].matches[0].path = Some(snapshot::PathMatch::Prefix("/4/x".to_owned()));
        let live = Live::compile(&snapshot, &Registry::default()).unwrap();
        let same = |a: usize, b: usize| Arc::ptr_eq(&live.routes[a].steps, &live.routes[b].steps);
        assert!(same(0, 1) && same(0, 2));
        assert!(!same(0, 3) && !same(0, 4) && !same(4, 5));
    }
}
