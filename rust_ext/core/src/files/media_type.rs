//! Media types by a file's extension.

/// Extensions in lower case and their media types, in order.
const TYPES: &[(&str, &str)] = &[
    ("7z", "application/x-7z-compressed"),
    ("aac", "audio/aac"),
    ("apng", "image/apng"),
    ("atom", "application/atom+xml"),
    ("avif", "image/avif"),
    ("bmp", "image/bmp"),
    ("bz2", "application/x-bzip2"),
    ("cjs", "text/javascript; charset=utf-8"),
    ("conf", "text/plain; charset=utf-8"),
    ("css", "text/css; charset=utf-8"),
    ("csv", "text/csv; charset=utf-8"),
    ("doc", "application/msword"),
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("eot", "application/vnd.ms-fontobject"),
    ("epub", "application/epub+zip"),
    ("flac", "audio/flac"),
    ("geojson", "application/geo+json"),
    ("gif", "image/gif"),
    ("glb", "model/gltf-binary"),
    ("gltf", "model/gltf+json"),
    ("gz", "application/gzip"),
    ("heic", "image/heic"),
    ("htm", "text/html; charset=utf-8"),
    ("html", "text/html; charset=utf-8"),
    ("ico", "image/vnd.microsoft.icon"),
    ("ics", "text/calendar; charset=utf-8"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("js", "text/javascript; charset=utf-8"),
    ("json", "application/json"),
    ("jsonld", "application/ld+json"),
    ("jxl", "image/jxl"),
    ("m3u8", "application/vnd.apple.mpegurl"),
    ("m4a", "audio/mp4"),
    ("m4s", "video/iso.segment"),
    ("m4v", "video/mp4"),
    ("map", "application/json"),
    ("md", "text/markdown; charset=utf-8"),
    ("mjs", "text/javascript; charset=utf-8"),
    ("mov", "video/quicktime"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("mpd", "application/dash+xml"),
    ("mpeg", "video/mpeg"),
    ("oga", "audio/ogg"),
    ("ogg", "audio/ogg"),
    ("ogv", "video/ogg"),
    ("opus", "audio/ogg"),
    ("otf", "font/otf"),
    ("parquet", "application/vnd.apache.parquet"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("ppt", "application/vnd.ms-powerpoint"),
    ("pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
    ("rss", "application/rss+xml"),
    ("rtf", "application/rtf"),
    ("svg", "image/svg+xml"),
    ("tar", "application/x-tar"),
    ("tif", "image/tiff"),
    ("tiff", "image/tiff"),
    ("toml", "application/toml"),
    ("ts", "video/mp2t"),
    ("ttf", "font/ttf"),
    ("txt", "text/plain; charset=utf-8"),
    ("vtt", "text/vtt; charset=utf-8"),
    ("wasm", "application/wasm"),
    ("wav", "audio/wav"),
    ("weba", "audio/webm"),
    ("webm", "video/webm"),
    ("webmanifest", "application/manifest+json"),
    ("webp", "image/webp"),
    ("whl", "application/zip"),
    ("woff", "font/woff"),
    ("woff2", "font/woff2"),
    ("xhtml", "application/xhtml+xml"),
    ("xls", "application/vnd.ms-excel"),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("xml", "application/xml"),
    ("yaml", "application/yaml"),
    ("yml", "application/yaml"),
    ("zip", "application/zip"),
    ("zst", "application/zstd"),
];

/// What a file of unknown kind is: bytes, and no browser may guess otherwise.
const UNKNOWN: &str = "application/octet-stream";

/// The media type of a file by its name; `own` (by extension, in lower case) comes before what is known here.
pub fn media_type<'a>(name: &[u8], own: impl FnOnce(&str) -> Option<&'a str>) -> &'a str {
    let last = name.rsplit(|&b| b == b'/').next().unwrap_or_default();
    let Some(dot) = last.iter().rposition(|&b| b == b'.') else { return UNKNOWN };
    let Some(extension) = last.get(dot.saturating_add(1)..).and_then(|e| std::str::from_utf8(e).ok()) else {
        return UNKNOWN;
    };
    let extension = extension.to_ascii_lowercase();
    own(&extension)
        .or_else(|| {
            let at = TYPES.binary_search_by_key(&extension.as_str(), |(known, _)| known).ok()?;
            TYPES.get(at).map(|(_, media_type)| *media_type)
        })
        .unwrap_or(UNKNOWN)
}

/// Whether a text may be a `Content-Type` (RFC 9110 §8.3.1): type, slash, subtype, and no control character behind it.
pub fn is_media_type(text: &str) -> bool {
    let (essence, parameters) = text.split_once(';').map_or((text, None), |(e, p)| (e, Some(p)));
    let Some((kind, subtype)) = essence.trim_end_matches([' ', '\t']).split_once('/') else { return false };
    let token = |part: &str| crate::http1::is_token(part.as_bytes());
    let plain = |p: &str| !p.trim().is_empty() && !p.ends_with(' ') && p.bytes().all(|b| (0x20..0x7f).contains(&b));
    token(kind) && token(subtype) && parameters.is_none_or(plain)
}

#[cfg(test)]
mod tests {
    use super::TYPES;

    #[test]
    fn the_table_is_in_order_and_valid() {
        assert!(TYPES.is_sorted_by(|(a, _), (b, _)| a < b));
        for (extension, media_type) in TYPES {
            assert!(super::is_media_type(media_type), "{extension}: {media_type}");
            assert_eq!(extension.to_ascii_lowercase(), *extension);
        }
    }
}
