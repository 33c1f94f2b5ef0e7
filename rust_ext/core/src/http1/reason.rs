//! Why a message was refused.

/// Why a message was refused: one variant a reason, each with a stable name and the status a client gets for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs, reason = "the name and the sentence of each variant are in TABLE")]
pub enum Reason {
    RequestLine,
    EmptyLine,
    MethodSyntax,
    MethodUnknown,
    MethodConnect,
    MethodTrace,
    TargetForm,
    TargetByte,
    TargetFragment,
    UriTooLong,
    VersionSyntax,
    VersionUnsupported,
    PathPercent,
    PathControl,
    PathSlash,
    PathBackslash,
    PathDoubleEncoding,
    PathUtf8,
    PathDotSegment,
    BareCr,
    BareLf,
    LineFolding,
    SpaceBeforeColon,
    FieldName,
    FieldValue,
    FieldUnderscore,
    HeadTooLarge,
    TooManyFields,
    HostMissing,
    HostRepeated,
    HostSyntax,
    HostPort,
    LengthSyntax,
    LengthRepeated,
    LengthAndEncoding,
    EncodingSyntax,
    EncodingRepeated,
    EncodingUnknown,
    EncodingVersion,
    ConnectionSyntax,
    ConnectionNames,
    ExpectUnknown,
    ChunkSize,
    ChunkExtension,
    ChunkExtensionTooLong,
    ChunkEnd,
    TrailerSyntax,
    TrailerTooLarge,
    StatusLine,
    StatusCode,
    BodyTooLarge,
    HeaderTimeout,
    BodyTimeout,
}

/// Variant, name, status, sentence.
const TABLE: &[(Reason, &str, u16, &str)] = &[
    (Reason::RequestLine, "request_line", 400, "the request line is not METHOD SP TARGET SP VERSION"),
    (Reason::EmptyLine, "empty_line", 400, "more than one empty line before the request line"),
    (Reason::MethodSyntax, "method_syntax", 400, "the method is not a token"),
    (Reason::MethodUnknown, "method_unknown", 501, "the method is not at most 32 characters of A-Z 0-9 - _"),
    (Reason::MethodConnect, "method_connect", 501, "CONNECT is not served"),
    (Reason::MethodTrace, "method_trace", 405, "TRACE is not served"),
    (Reason::TargetForm, "target_form", 400, "the target is neither a path, nor an http URL, nor * with OPTIONS"),
    (Reason::TargetByte, "target_byte", 400, "the target holds a byte that must be percent-encoded"),
    (Reason::TargetFragment, "target_fragment", 400, "the target holds a fragment"),
    (Reason::UriTooLong, "uri_too_long", 414, "the target is longer than the limit"),
    (Reason::VersionSyntax, "version_syntax", 400, "the version is not HTTP/ and two digits with a dot"),
    (Reason::VersionUnsupported, "version_unsupported", 505, "the version is neither HTTP/1.0 nor HTTP/1.1"),
    (Reason::PathPercent, "path_percent", 400, "a % in the path without two hex digits"),
    (Reason::PathControl, "path_control", 400, "an encoded control character in the path"),
    (Reason::PathSlash, "path_slash", 400, "an encoded slash in the path"),
    (Reason::PathBackslash, "path_backslash", 400, "a backslash in the path"),
    (Reason::PathDoubleEncoding, "path_double_encoding", 400, "the path is percent-encoded twice"),
    (Reason::PathUtf8, "path_utf8", 400, "the decoded path is not UTF-8"),
    (Reason::PathDotSegment, "path_dot_segment", 400, "a dot segment in the path"),
    (Reason::BareCr, "bare_cr", 400, "a CR without LF"),
    (Reason::BareLf, "bare_lf", 400, "an LF without CR"),
    (Reason::LineFolding, "line_folding", 400, "a field line begins with white space"),
    (Reason::SpaceBeforeColon, "space_before_colon", 400, "white space between a field name and its colon"),
    (Reason::FieldName, "field_name", 400, "a field name is empty or not a token"),
    (Reason::FieldValue, "field_value", 400, "a control character in a field value"),
    (Reason::FieldUnderscore, "field_underscore", 400, "an underscore in a field name"),
    (Reason::HeadTooLarge, "head_too_large", 431, "the head is larger than the limit"),
    (Reason::TooManyFields, "too_many_fields", 431, "more field lines than the limit"),
    (Reason::HostMissing, "host_missing", 400, "no Host, or an empty one"),
    (Reason::HostRepeated, "host_repeated", 400, "more than one Host"),
    (Reason::HostSyntax, "host_syntax", 400, "the host is not a name or an IP address"),
    (Reason::HostPort, "host_port", 400, "the port is not 1-65535"),
    (Reason::LengthSyntax, "length_syntax", 400, "Content-Length is not 1 to 19 digits"),
    (Reason::LengthRepeated, "length_repeated", 400, "more than one Content-Length"),
    (Reason::LengthAndEncoding, "length_and_encoding", 400, "Content-Length and Transfer-Encoding together"),
    (Reason::EncodingSyntax, "encoding_syntax", 400, "Transfer-Encoding is malformed"),
    (Reason::EncodingRepeated, "encoding_repeated", 400, "more than one Transfer-Encoding"),
    (Reason::EncodingUnknown, "encoding_unknown", 501, "a transfer coding other than chunked"),
    (Reason::EncodingVersion, "encoding_version", 400, "Transfer-Encoding in HTTP/1.0"),
    (Reason::ConnectionSyntax, "connection_syntax", 400, "Connection is not a list of at most 32 tokens"),
    (Reason::ConnectionNames, "connection_names", 400, "Connection names a field that must reach the end"),
    (Reason::ExpectUnknown, "expect_unknown", 417, "an expectation other than 100-continue"),
    (Reason::ChunkSize, "chunk_size", 400, "a chunk size is not 1 to 16 hex digits"),
    (Reason::ChunkExtension, "chunk_extension", 400, "a chunk extension is malformed"),
    (Reason::ChunkExtensionTooLong, "chunk_extension_too_long", 400, "chunk extensions are longer than the limit"),
    (Reason::ChunkEnd, "chunk_end", 400, "a chunk is not followed by CRLF"),
    (Reason::TrailerSyntax, "trailer_syntax", 400, "a trailer line is malformed"),
    (Reason::TrailerTooLarge, "trailer_too_large", 431, "the trailers are larger than the limit"),
    (Reason::StatusLine, "status_line", 502, "the status line is not VERSION SP STATUS SP REASON"),
    (Reason::StatusCode, "status_code", 502, "the status is not three digits from 100 on"),
    (Reason::BodyTooLarge, "body_too_large", 413, "the body is larger than the limit"),
    (Reason::HeaderTimeout, "header_timeout", 408, "the head did not arrive in time"),
    (Reason::BodyTimeout, "body_timeout", 408, "the body arrived too slowly"),
];

const ALL: [Reason; TABLE.len()] = {
    let mut all = [Reason::RequestLine; TABLE.len()];
    let mut i = 0;
    while i < TABLE.len() {
        assert!(TABLE[i].0 as usize == i, "TABLE is in the order of the enum");
        all[i] = TABLE[i].0;
        i += 1;
    }
    all
};

impl Reason {
    /// Every reason, in the order of their numbers (`reason as usize` is the index).
    pub const ALL: &[Self] = &ALL;

    /// Counter label and word in the log, in snake case.
    pub fn name(self) -> &'static str {
        TABLE[self as usize].1
    }

    /// The status a client gets for it. A fault of an origin's message is 502 whatever the reason.
    pub fn status(self) -> u16 {
        TABLE[self as usize].2
    }

    /// One sentence for people, without a byte of the message.
    pub fn detail(self) -> &'static str {
        TABLE[self as usize].3
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.detail())
    }
}

impl std::error::Error for Reason {}
