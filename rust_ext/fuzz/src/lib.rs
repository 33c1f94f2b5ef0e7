//! Fuzz targets: one plain function a parser of core, each with the properties that must hold for any bytes.
//!
//! The stored corpus is replayed on stable Rust by `tests/replay.rs`; `libfuzzer/` drives the same functions on nightly.
//! A property is judged against a slow model written apart from the codec (`reference`), never against the codec itself.
#![forbid(unsafe_code)]

mod chunked;
mod credentials;
mod expression;
mod header_filter;
mod knobs;
mod networks;
mod path_model;
mod proxy_header;
mod publish;
mod reference;
mod request_head;
mod resp;
mod response_head;
mod route_language;
mod route_model;
mod route_patterns;
mod signature;
mod target;
mod tokens;
mod websocket;
mod websocket_model;
mod yaml;

pub use chunked::chunked;
pub use credentials::credentials;
pub use expression::expression;
pub use header_filter::header_filter;
pub use networks::networks_target;
pub use proxy_header::proxy_header;
pub use publish::publish;
pub use request_head::request_head;
pub use resp::resp;
pub use response_head::response_head;
pub use route_patterns::route_patterns;
pub use signature::signature;
pub use target::target;
pub use tokens::{base64url, jwks, jws};
pub use websocket::websocket;
pub use yaml::yaml;

/// A fuzz target: it panics where a property does not hold.
pub type Target = fn(&[u8]);

/// Every target by the name of its folder in `corpus/`.
pub const TARGETS: &[(&str, Target)] = &[
    ("request_head", request_head),
    ("response_head", response_head),
    ("chunked", chunked),
    ("target", target),
    ("route_patterns", route_patterns),
    ("header_filter", header_filter),
    ("yaml", yaml),
    ("websocket", websocket),
    ("publish", publish),
    ("expression", expression),
    ("signature", signature),
    ("resp", resp),
    ("credentials", credentials),
    ("jws", jws),
    ("jwks", jwks),
    ("base64url", base64url),
    ("networks", networks_target),
    ("proxy_header", proxy_header),
];
