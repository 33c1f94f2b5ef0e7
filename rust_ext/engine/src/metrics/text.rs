//! The metrics as text, in the Prometheus exposition format 0.0.4.

use std::fmt::{Display, Write};
use std::sync::atomic::Ordering::Relaxed;

use super::histogram::{Sum, TimesSum};
use super::line::CLASSES;
use super::process::Process;
use super::report;
use crate::fault::Source;
use crate::store::Figures;
use crate::worker::Shared;

/// The route of what no route was asked for; no config can have that name.
const NO_ROUTE: &str = "(none)";

/// Writes families of samples; label values are escaped here and nowhere else.
#[derive(Debug, Default)]
pub(super) struct Text(String);

impl Text {
    /// Begins a family.
    pub(super) fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.put(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    /// One sample.
    pub(super) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (i, (label, value)) in labels.iter().enumerate() {
            self.0.push(if i == 0 { '{' } else { ',' });
            self.0.push_str(label);
            self.0.push_str("=\"");
            for c in value.chars() {
                match c {
                    '\\' => self.0.push_str("\\\\"),
                    '"' => self.0.push_str("\\\""),
                    '\n' => self.0.push_str("\\n"),
                    c => self.0.push(c),
                }
            }
            self.0.push('"');
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        self.put(format_args!(" {value}\n"));
    }

    /// A family of one sample without labels.
    pub(super) fn one(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    /// The same, unless nobody knows its value.
    fn known(&mut self, name: &str, kind: &str, help: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.one(name, kind, help, value);
        }
    }

    fn histogram(&mut self, name: &str, label: (&str, &str), sum: &Sum) {
        let bucket = format!("{name}_bucket");
        for (bound, n) in sum.cumulative() {
            self.sample(&bucket, &[label, ("le", bound)], n);
        }
        let count = sum.count();
        self.sample(&bucket, &[label, ("le", "+Inf")], count);
        self.sample(&format!("{name}_sum"), &[label], sum.seconds());
        self.sample(&format!("{name}_count"), &[label], count);
    }

    /// A histogram without a label.
    pub(super) fn plain_histogram(&mut self, name: &str, sum: &Sum) {
        let bucket = format!("{name}_bucket");
        for (bound, n) in sum.cumulative() {
            self.sample(&bucket, &[("le", bound)], n);
        }
        self.sample(&bucket, &[("le", "+Inf")], sum.count());
        self.sample(&format!("{name}_sum"), &[], sum.seconds());
        self.sample(&format!("{name}_count"), &[], sum.count());
    }

    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        // A String takes everything.
        let _ = self.0.write_fmt(text);
    }
}

/// Everything that is measured.
pub(crate) fn metrics_text(shared: &Shared) -> String {
    let mut text = Text::default();
    about(&mut text, shared);
    requests(&mut text, shared);
    times(&mut text, shared);
    connections(&mut text, shared);
    super::policies::text(&mut text, shared);
    super::tls::text(&mut text, shared);
    upstreams(&mut text, shared);
    faults(&mut text, shared);
    super::hub::text(&mut text, shared);
    broker(&mut text, shared);
    store(&mut text, &shared.registry.guards.store);
    publishing(&mut text, shared);
    process(&mut text);
    text.0
}

fn about(text: &mut Text, shared: &Shared) {
    text.family("fastgate_build_info", "gauge", "The version that runs; always 1.");
    text.sample("fastgate_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    let ready = u8::from(shared.status.not_ready().is_none());
    text.one("fastgate_ready", "gauge", "Whether it wants traffic, as /readyz says.", ready);
    text.one("fastgate_workers", "gauge", "Worker threads.", shared.workers.len());
    text.one("fastgate_uptime_seconds", "gauge", "Time since the engine started.", shared.status.uptime_seconds());
    let config = shared.status.config();
    text.family("fastgate_reloads_total", "counter", "Reloads of the config by their result.");
    text.sample("fastgate_reloads_total", &[("result", "success")], config.succeeded);
    text.sample("fastgate_reloads_total", &[("result", "failure")], config.failed);
    let last = u8::from(config.error.is_none());
    text.one("fastgate_config_last_reload_success", "gauge", "Whether the last reload succeeded.", last);
    let help = "When the config in use was applied, in seconds since 1970.";
    text.one("fastgate_config_applied_timestamp_seconds", "gauge", help, config.applied_at);
}

fn requests(text: &mut Text, shared: &Shared) {
    let routes = report::routes(shared);
    let unrouted = report::unrouted(shared);
    let all = || routes.iter().map(|(name, sum)| (&**name, sum)).chain([(NO_ROUTE, &unrouted)]);
    let help = "Requests by route and class of the answer; class none ended without one.";
    text.family("fastgate_requests_total", "counter", help);
    for (route, sum) in all() {
        for (class, n) in CLASSES.iter().zip(sum.answers).filter(|(_, n)| *n > 0) {
            text.sample("fastgate_requests_total", &[("route", route), ("class", class)], n);
        }
    }
    let help = "Bytes of requests taken, heads, framing and tunnels included.";
    text.family("fastgate_received_bytes_total", "counter", help);
    for (route, sum) in all() {
        text.sample("fastgate_received_bytes_total", &[("route", route)], sum.received);
    }
    let help = "Bytes of answers sent, heads, framing and tunnels included.";
    text.family("fastgate_sent_bytes_total", "counter", help);
    for (route, sum) in all() {
        text.sample("fastgate_sent_bytes_total", &[("route", route)], sum.sent);
    }
    let plain = report::plain(shared);
    // Read apart, so a request may have ended in between.
    let in_flight = plain["requests"].saturating_sub(plain["finished"]);
    text.one("fastgate_requests_in_flight", "gauge", "Requests begun and not ended.", in_flight);
}

fn times(text: &mut Text, shared: &Shared) {
    type Pick = fn(&TimesSum) -> &Sum;
    const KINDS: [(&str, &str, Pick); 3] = [
        ("request", "from a complete head to the end of the answer", |times| &times.total),
        ("upstream", "from asking the upstream to the end of its answer", |times| &times.upstream),
        ("own", "that the gateway itself took: the request without the upstream", |times| &times.own),
    ];
    for (prefix, label, times) in
        [("", "service", report::service_times(shared)), ("route_", "route", report::route_times(shared))]
    {
        for (name, help, pick) in KINDS {
            let name = format!("fastgate_{prefix}{name}_seconds");
            text.family(&name, "histogram", &format!("Time {help}, by {label}."));
            for (of, sum) in &times {
                text.histogram(&name, (label, of), pick(sum));
            }
        }
    }
}

fn connections(text: &mut Text, shared: &Shared) {
    let listeners = report::listeners(shared);
    text.family("fastgate_connections", "gauge", "Client connections open, by listener.");
    for (listener, (opened, closed)) in &listeners {
        text.sample("fastgate_connections", &[("listener", listener)], opened.saturating_sub(*closed));
    }
    text.family("fastgate_connections_accepted_total", "counter", "Client connections taken up, by listener.");
    for (listener, (opened, _)) in &listeners {
        text.sample("fastgate_connections_accepted_total", &[("listener", listener)], opened);
    }
    let max = shared.max_connections.load(Relaxed);
    text.one("fastgate_connections_max", "gauge", "The most client connections there may be.", max);
    let plain = report::plain(shared);
    for (name, kind, help, value) in [
        ("connections_turned_away_total", "counter", "Client connections beyond the maximum.", plain["turned_away"]),
        ("connections_passed_on_total", "counter", "Client connections given to another worker.", plain["passed_on"]),
        ("tunnels_total", "counter", "Connections that became tunnels.", plain["tunnels"]),
        ("tunnels", "gauge", "Tunnels open.", plain["tunnels"].saturating_sub(plain["tunnels_closed"])),
        (
            "proxy_protocol_refused_total",
            "counter",
            "Connections ended for want of a PROXY header.",
            plain["proxy_refused"],
        ),
        ("panics_total", "counter", "Panics caught; each ended one connection.", plain["panics"]),
        ("log_dropped_total", "counter", "Diagnostic lines dropped.", plain["log_dropped"]),
    ] {
        text.one(&format!("fastgate_{name}"), kind, help, value);
    }
    let access = report::access_log(shared);
    let help = "Lines of the access log that were written.";
    text.one("fastgate_access_log_lines_total", "counter", help, access.written);
    text.family("fastgate_access_log_dropped_total", "counter", "Lines of the access log that are lost, by reason.");
    for (reason, n) in [("queue_full", access.queue_full), ("sink_failed", access.sink_failed)] {
        text.sample("fastgate_access_log_dropped_total", &[("reason", reason)], n);
    }
}

fn upstreams(text: &mut Text, shared: &Shared) {
    let targets = report::targets(shared);
    let each = || targets.iter().flat_map(|(service, of)| of.iter().map(move |one| (&**service, one)));
    text.family("fastgate_pool_connections", "gauge", "Connections to targets, by state.");
    for (service, (target, state)) in each() {
        for (word, n) in [("active", state.open - state.idle), ("idle", state.idle)] {
            let labels = [("service", service), ("target", &*target.to_string()), ("state", word)];
            text.sample("fastgate_pool_connections", &labels, n);
        }
    }
    text.family("fastgate_pool_waiting", "gauge", "Requests that wait for a connection to a target.");
    for (service, (target, state)) in each() {
        let labels = [("service", service), ("target", &*target.to_string())];
        text.sample("fastgate_pool_waiting", &labels, state.waiting);
    }
    text.family("fastgate_target_failures", "gauge", "Connections in a row that could not be opened to a target.");
    for (service, (target, state)) in each() {
        let labels = [("service", service), ("target", &*target.to_string())];
        text.sample("fastgate_target_failures", &labels, state.failures);
    }
    let plain = report::plain(shared);
    for (name, help, value) in [
        ("upstream_requests_total", "Requests sent to upstreams, retries not counted.", plain["forwarded"]),
        ("upstream_retries_total", "Requests sent once more on a fresh connection.", plain["retried"]),
        ("upstream_connections_opened_total", "Connections opened to targets.", plain["dialled"]),
        ("upstream_connections_reused_total", "Requests served over a connection from the pool.", plain["reused"]),
    ] {
        text.one(&format!("fastgate_{name}"), "counter", help, value);
    }
}

fn faults(text: &mut Text, shared: &Shared) {
    text.family("fastgate_errors_total", "counter", "Requests that could not be served, by reason and who caused it.");
    for (kind, n) in report::faults(shared) {
        let source = match kind.source() {
            Source::Client => "client",
            Source::Upstream => "upstream",
            Source::Gateway => "gateway",
        };
        text.sample("fastgate_errors_total", &[("reason", kind.name()), ("source", source)], n);
    }
    text.family("fastgate_refused_messages_total", "counter", "Messages that are not valid HTTP, by reason.");
    for (reason, n) in report::refused(shared) {
        text.sample("fastgate_refused_messages_total", &[("reason", reason.name())], n);
    }
}

/// What connects this process with others, if anything does.
fn broker(text: &mut Text, shared: &Shared) {
    let Some(broker) = shared.hub.broker() else { return };
    let figures = &shared.hub.figures;
    let up = u8::from(broker.trouble().is_none());
    text.one("fastgate_realtime_broker_up", "gauge", "Whether Redis is connected.", up);
    for (name, help, counter) in [
        ("reconnects_total", "Connections to Redis opened anew.", &figures.reconnects),
        ("received_total", "Publications that came from Redis.", &figures.received),
        ("published_total", "Publications that Redis took.", &figures.published),
        ("returned_total", "Publications that Redis did not carry, delivered here alone.", &figures.returned),
        ("dropped_total", "Publications from Redis that no member got: too large, or too many wait.", &figures.dropped),
        ("malformed_total", "Connections ended for bytes that are no RESP3.", &figures.malformed),
        ("timeouts_total", "Connections ended because Redis did not answer.", &figures.silent),
    ] {
        text.one(&format!("fastgate_realtime_broker_{name}"), "counter", help, counter.load(Relaxed));
    }
}

/// What shares limits with other processes, if anything does.
fn store(text: &mut Text, figures: &Figures) {
    let lanes = figures.lanes.load(Relaxed);
    if lanes == 0 {
        return;
    }
    let help = "Connections to the store, all workers together.";
    text.one("fastgate_store_connections", "gauge", help, lanes - figures.down.load(Relaxed).min(lanes));
    let help = "Breakers that are open: workers that do not ask a server of the store.";
    text.one("fastgate_store_breakers_open", "gauge", help, figures.open.load(Relaxed));
    let help = "How often a breaker opened.";
    text.one("fastgate_store_breaker_opened_total", "counter", help, figures.opened.load(Relaxed));
    let name = "fastgate_store_calls_total";
    text.family(name, "counter", "Calls by what came of them.");
    text.sample(name, &[("outcome", "answered")], figures.answered.load(Relaxed));
    for (outcome, n) in figures.failures() {
        text.sample(name, &[("outcome", outcome)], n);
    }
    #[expect(clippy::cast_precision_loss, reason = "exact for two centuries")]
    let seconds = figures.microseconds.load(Relaxed) as f64 / 1e6;
    text.one("fastgate_store_call_seconds_total", "counter", "Time that answered calls took, added up.", seconds);
    let help = "Requests that a lease decided without a call.";
    text.one("fastgate_store_leased_total", "counter", help, figures.leased.load(Relaxed));
    let name = "fastgate_store_probes_total";
    text.family(name, "counter", "Probes, and attempts to connect, by what came of them.");
    for (outcome, counter) in ["answered", "failed"].into_iter().zip(&figures.probes) {
        text.sample(name, &[("outcome", outcome)], counter.load(Relaxed));
    }
}

fn publishing(text: &mut Text, shared: &Shared) {
    let name = "fastgate_realtime_api_requests_total";
    text.family(name, "counter", "Requests to the publish API by call and status of the answer.");
    for (call, status, n) in shared.api.answers() {
        text.sample(name, &[("call", call), ("status", &status.to_string())], n);
    }
}

fn process(text: &mut Text) {
    let process = Process::now();
    text.known("process_cpu_seconds_total", "counter", "User and system time.", process.cpu_seconds);
    text.known("process_open_fds", "gauge", "Open descriptors.", process.descriptors);
    text.known("process_max_fds", "gauge", "The most open descriptors.", process.max_descriptors);
    text.known("process_resident_memory_bytes", "gauge", "Resident memory.", process.resident_bytes);
    text.known("process_virtual_memory_bytes", "gauge", "Address space.", process.virtual_bytes);
    let help = "When the process started, in seconds since 1970.";
    text.known("process_start_time_seconds", "gauge", help, process.start_seconds);
}

#[cfg(test)]
mod tests {
    use super::Text;

    #[test]
    fn label_values_are_escaped() {
        let mut text = Text::default();
        text.sample("a", &[("b", "back\\slash \"quote\"\nline"), ("c", "ü")], 1.5);
        text.sample("d", &[], 7);
        assert_eq!(text.0, "a{b=\"back\\\\slash \\\"quote\\\"\\nline\",c=\"ü\"} 1.5\nd 7\n");
    }
}
