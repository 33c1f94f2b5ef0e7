//! What can go wrong with a request: where it came from, whether a retry is allowed, and the one place that maps it
//! to an answer.

use fastgate_core::http1::Reason;

/// Who caused it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// The client.
    Client,
    /// The upstream.
    Upstream,
    /// The gateway itself.
    Gateway,
}

macro_rules! kinds {
    ($($(#[doc = $doc:literal])* $kind:ident, $name:literal, $source:ident, $status:literal, $detail:literal;)*) => {
        /// The kinds of fault.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum FaultKind { $($(#[doc = $doc])* $kind,)* }

        impl FaultKind {
            /// Every kind, in order.
            pub(crate) const ALL: &[Self] = &[$(Self::$kind,)*];

            /// The counter's label.
            pub(crate) fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)* }
            }

            /// Who caused it.
            pub(crate) fn source(self) -> Source {
                match self { $(Self::$kind => Source::$source,)* }
            }

            /// The status of the answer, where one can still be given; 0: none is owed.
            pub(crate) fn status(self) -> u16 {
                match self { $(Self::$kind => $status,)* }
            }

            /// What the client is told: never an address, never a secret.
            pub(crate) fn detail(self) -> &'static str {
                match self { $(Self::$kind => $detail,)* }
            }
        }
    };
}

kinds! {
    /// No route matches.
    NoRoute, "no_route", Client, 404, "no route matches this request";
    /// A route matches but for its method.
    MethodNotAllowed, "method_not_allowed", Client, 405, "this resource does not know that method";
    /// There is no file for the path.
    NoFile, "no_file", Client, 404, "there is no such file";
    /// The path after a rewrite is not one that may be sent.
    BadRewrite, "bad_rewrite", Client, 400, "the path cannot be rewritten";
    /// The request body is larger than the route allows.
    BodyTooLarge, "body_too_large", Client, 413, "the request body is too large";
    /// The body is not valid: the codec's reason has the status.
    BadBody, "bad_body", Client, 400, "the request body is not valid";
    /// The head did not come in time.
    HeaderTimeout, "header_timeout", Client, 408, "the request head took too long";
    /// The body did not come in time.
    BodyTimeout, "body_timeout", Client, 408, "the request body took too long";
    /// The client left before its answer was complete.
    ClientGone, "client_gone", Client, 0, "";
    /// The client does not read its answer.
    WriteStall, "write_stall", Client, 0, "";
    /// No identity was proved, and one is needed.
    Unauthenticated, "unauthenticated", Client, 401, "this resource needs a credential";
    /// The identity, the address or the page may not.
    Forbidden, "forbidden", Client, 403, "this request is not allowed";
    /// The host does not belong to the connection's certificate.
    Misdirected, "misdirected", Client, 421, "this host is not served on this connection";
    /// Too often.
    RateLimited, "rate_limited", Client, 429, "too many requests";
    /// Too many at once.
    ConcurrencyLimited, "concurrency_limited", Gateway, 503, "too many requests at once";
    /// A policy could not be evaluated.
    PolicyUnavailable, "policy_unavailable", Gateway, 503, "this request cannot be judged now";
    /// No connection to a target could be opened.
    Connect, "upstream_connect", Upstream, 502, "the upstream cannot be reached";
    /// Opening a connection took too long.
    ConnectTimeout, "upstream_connect_timeout", Upstream, 504, "the upstream did not accept the connection in time";
    /// TLS with a target failed: it is not who it should be, or speaks no TLS.
    UpstreamTls, "upstream_tls", Upstream, 502, "the upstream cannot be reached";
    /// A target's name does not resolve.
    Resolve, "upstream_resolve", Upstream, 502, "the upstream cannot be reached";
    /// The upstream closed or reset before its answer was complete.
    UpstreamClosed, "upstream_closed", Upstream, 502, "the upstream closed the connection";
    /// The upstream's answer breaks the protocol.
    UpstreamProtocol, "upstream_protocol", Upstream, 502, "the upstream's answer is not valid HTTP";
    /// The upstream's answer did not begin in time.
    ResponseTimeout, "upstream_response_timeout", Upstream, 504, "the upstream did not answer in time";
    /// The upstream's answer stopped half-way.
    UpstreamStall, "upstream_stall", Upstream, 504, "the upstream stopped answering";
    /// Every connection to the target is busy and the queue for one is full or took too long.
    PoolExhausted, "pool_exhausted", Gateway, 503, "too many requests wait for the upstream";
    /// A request hook failed or was lost.
    HookFailed, "hook_failed", Gateway, 500, "a request hook failed";
    /// A request hook took too long.
    HookTimeout, "hook_timeout", Gateway, 500, "a request hook took too long";
    /// Too many files are open.
    FilesBusy, "files_busy", Gateway, 503, "too many files are being sent";
    /// A file cannot be read.
    FileUnreadable, "file_unreadable", Gateway, 500, "the file cannot be read";
    /// A file became shorter while it was sent.
    FileTruncated, "file_truncated", Gateway, 500, "the file has become shorter";
    /// A file could not be read in time.
    FileTimeout, "file_timeout", Gateway, 504, "the file could not be read in time";
    /// The process ends.
    Shutdown, "shutdown", Gateway, 503, "the gateway is shutting down";
}

/// One fault of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    /// What happened.
    pub(crate) kind: FaultKind,
    /// The request may be sent again: nothing of an answer was seen.
    pub(crate) retry: bool,
    /// The codec's reason behind it, for the log.
    pub(crate) reason: Option<Reason>,
}

impl Fault {
    /// A fault after which nothing may be sent again.
    pub(crate) fn new(kind: FaultKind) -> Self {
        Self { kind, retry: false, reason: None }
    }

    /// A fault of a connection on which nothing of an answer was seen.
    pub(crate) fn retryable(kind: FaultKind) -> Self {
        Self { kind, retry: true, reason: None }
    }

    /// The client sent something invalid.
    pub(crate) fn client(reason: Reason) -> Self {
        Self { kind: FaultKind::BadBody, retry: false, reason: Some(reason) }
    }

    /// The upstream sent something invalid.
    pub(crate) fn protocol(reason: Reason) -> Self {
        Self { kind: FaultKind::UpstreamProtocol, retry: false, reason: Some(reason) }
    }
}

impl From<FaultKind> for Fault {
    fn from(kind: FaultKind) -> Self {
        Self::new(kind)
    }
}
