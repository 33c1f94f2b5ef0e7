//! What would mend a line that YAML takes for something else: the same line with its value in quotes.

/// Characters that begin something else than text in YAML.
const SPECIAL: &[char] = &['{', '[', '*', '!', '&', '%', '@', '`'];

/// The nearest line from `to` back to `from` that quotes would mend, and the sentence with the corrected line.
pub(super) fn quote_hint(text: &str, from: usize, to: usize) -> Option<(usize, String)> {
    let from = from.max(to.saturating_sub(8)).max(1);
    let lines: Vec<&str> = text.lines().skip(from - 1).take(to + 1 - from).collect();
    lines.iter().enumerate().rev().find_map(|(i, line)| {
        quoted_line(line).map(|fixed| (from + i, format!("; put the value in quotes:\n    {}", fixed.trim())))
    })
}

/// The line with the value in quotes that YAML would take for something else.
fn quoted_line(line: &str) -> Option<String> {
    let start = value_start(line)?;
    let (head, value) = line.split_at(start);
    let value = value.find(" #").map_or(value, |i| &value[..i]).trim_end();
    let first = value.chars().next()?;
    if matches!(first, '{' | '[') && value.ends_with(['}', ']']) {
        return quoted_flow(value).map(|fixed| format!("{head}{fixed}"));
    }
    if start == 0 && matches!(first, '{' | '[') {
        return None; // the document itself, not a value in it
    }
    let closed = value.matches(['{', '[']).count() == value.matches(['}', ']']).count();
    (SPECIAL.contains(&first) && closed && line.len() <= 200).then(|| format!("{head}{}", quote(value)))
}

/// Where the value of `key: value` or `- value` begins.
fn value_start(line: &str) -> Option<usize> {
    let mut start = line.len() - line.trim_start().len();
    while line[start..].starts_with("- ") {
        start += 2;
        start += line[start..].len() - line[start..].trim_start().len();
    }
    let rest = &line[start..];
    if !rest.starts_with(['{', '[', '"', '\'', '#'])
        && let Some(colon) = rest.find(": ")
    {
        start += colon + 2;
        start += line[start..].len() - line[start..].trim_start().len();
    }
    (start < line.len()).then_some(start)
}

/// A flow collection with the items in quotes that hold brackets or begin with a special character.
fn quoted_flow(value: &str) -> Option<String> {
    let mut out = String::with_capacity(value.len() + 4);
    let mut changed = false;
    let mut chars = value.char_indices().peekable();
    let mut fresh = true;
    while let Some((at, c)) = chars.next() {
        if fresh && !matches!(c, ' ' | '{' | '[' | ',' | '}' | ']' | '"' | '\'') {
            let rest = &value[at..];
            let len = item_length(rest);
            let item = rest[..len].trim_end();
            let is_key = rest[len..].starts_with(": ");
            if !is_key && (item.contains(['{', '[', '*', '&', '`']) || item.starts_with(SPECIAL)) {
                out.push_str(&quote(item));
                changed = true;
            } else {
                out.push_str(item);
            }
            while chars.peek().is_some_and(|(i, _)| *i < at + item.len()) {
                chars.next();
            }
            fresh = false;
            continue;
        }
        out.push(c);
        fresh = matches!(c, '{' | '[' | ',') || (c == ' ' && (fresh || out.ends_with(": ")));
    }
    changed.then_some(out)
}

/// Bytes of a flow item: up to a `,`, a `: ` or the bracket that closes the collection around it.
fn item_length(rest: &str) -> usize {
    let mut depth = 0_usize;
    for (i, c) in rest.char_indices() {
        match c {
            '{' | '[' => depth += 1,
            '}' | ']' if depth == 0 => return i,
            '}' | ']' => depth -= 1,
            ',' if depth == 0 => return i,
            ':' if depth == 0 && rest[i..].starts_with(": ") => return i,
            _ => {}
        }
    }
    rest.len()
}

fn quote(value: &str) -> String {
    if value.contains(['"', '\\']) { format!("'{}'", value.replace('\'', "''")) } else { format!("\"{value}\"") }
}
