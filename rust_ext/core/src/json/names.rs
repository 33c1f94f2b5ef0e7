//! The names of one object, so that one that stands twice is seen.

use std::borrow::Cow;
use std::collections::HashSet;

/// Names that are compared one by one; more are hashed, with a seed that no sender knows.
const FEW: usize = 8;

#[derive(Default)]
pub(super) struct Names<'a> {
    few: Vec<Cow<'a, str>>,
    many: HashSet<Cow<'a, str>>,
}

impl<'a> Names<'a> {
    /// Notes a name; whether it was not there yet.
    pub(super) fn is_new(&mut self, name: Cow<'a, str>) -> bool {
        if self.many.is_empty() && self.few.len() < FEW {
            let new = !self.few.contains(&name);
            self.few.push(name);
            return new;
        }
        self.many.extend(self.few.drain(..));
        self.many.insert(name)
    }
}
