//! What a route's path captured: names, and spans into the canonical path.

/// Captures of one look-up; plain data, reusable: its two buffers are kept from request to request.
///
/// Names are copied rather than shared, because a shared count would be written by every worker for every request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Captures {
    names: String,
    items: Vec<Item>,
    prefix: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Item {
    /// End of the name in `names`; it starts where the one before ends.
    name_end: u32,
    start: u32,
    end: u32,
}

impl Captures {
    /// An empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets everything, keeps the capacity.
    pub fn clear(&mut self) {
        self.names.clear();
        self.items.clear();
        self.prefix = None;
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether nothing was captured.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The part of the canonical path that `name` captured.
    pub fn get<'p>(&self, name: &str, path: &'p [u8]) -> Option<&'p [u8]> {
        self.spans().find(|(n, _)| *n == name).and_then(|(_, item)| path.get(item.start as usize..item.end as usize))
    }

    /// Every name with its part of the canonical path, in the order of the pattern.
    pub fn iter<'a>(&'a self, path: &'a [u8]) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        self.spans().filter_map(move |(name, item)| Some((name, path.get(item.start as usize..item.end as usize)?)))
    }

    /// Bytes of the canonical path that a prefix match took, without the remainder's `/`; `None` for other matches.
    pub fn prefix_len(&self) -> Option<usize> {
        self.prefix.map(|n| n as usize)
    }

    pub(super) fn push(&mut self, name: &str, start: usize, end: usize) {
        self.names.push_str(name);
        let name_end = self.names.len() as u32;
        self.items.push(Item { name_end, start: start as u32, end: end as u32 });
    }

    pub(super) fn set_prefix(&mut self, len: u32) {
        self.prefix = Some(len);
    }

    fn spans(&self) -> impl Iterator<Item = (&str, Item)> {
        let mut from = 0;
        self.items.iter().map(move |item| {
            let name = &self.names[from..item.name_end as usize];
            from = item.name_end as usize;
            (name, *item)
        })
    }
}
