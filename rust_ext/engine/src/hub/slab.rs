//! The sessions of a worker, by slot: dense, and told from those that had the slot before.

use super::session::Session;
use crate::deadlines::Tick;

/// Slots allocated together, so that growing copies nothing.
const CHUNK: usize = 256;

/// A session's name within its worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

impl Key {
    /// As one number.
    pub(crate) fn number(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.slot)
    }
}

impl From<u64> for Key {
    #[expect(clippy::cast_possible_truncation, reason = "the two halves")]
    fn from(number: u64) -> Self {
        Self { slot: number as u32, generation: (number >> 32) as u32 }
    }
}

#[derive(Debug)]
struct Slot {
    generation: u32,
    session: Option<Session>,
}

/// Nobody looks at this slot.
pub(crate) const NEVER: Tick = Tick::MAX;

/// Sessions and when each wants to be looked at.
#[derive(Debug, Default)]
pub(crate) struct Slab {
    chunks: Vec<Vec<Slot>>,
    /// By slot, densely, so that a sweep reads little.
    due: Vec<Tick>,
    free: Vec<u32>,
    len: usize,
}

impl Slab {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Slots, taken or free.
    pub(crate) fn slots(&self) -> usize {
        self.due.len()
    }

    /// The slot that the next session gets.
    pub(crate) fn next(&mut self) -> Key {
        if let Some(slot) = self.free.last() {
            let slot = *slot;
            return Key { slot, generation: self.place(slot).map_or(0, |place| place.generation) };
        }
        let slot = u32::try_from(self.due.len()).expect("sessions are fewer than 2^32");
        if self.due.len().is_multiple_of(CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        if let Some(chunk) = self.chunks.last_mut() {
            chunk.push(Slot { generation: 1, session: None });
        }
        self.due.push(NEVER);
        self.free.push(slot);
        Key { slot, generation: 1 }
    }

    /// Puts a session into the slot that [`Slab::next`] named.
    pub(crate) fn insert(&mut self, key: Key, session: Session, due: Tick) {
        debug_assert_eq!(self.free.last(), Some(&key.slot));
        self.free.pop();
        self.set_due(key.slot, due);
        if let Some(place) = self.place_mut(key.slot) {
            place.session = Some(session);
            self.len += 1;
        }
    }

    /// Takes a session out; its name means nobody from now on.
    pub(crate) fn remove(&mut self, key: Key) -> Option<Session> {
        let place = self.place_mut(key.slot).filter(|place| place.generation == key.generation)?;
        let session = place.session.take()?;
        place.generation = place.generation.wrapping_add(1);
        self.set_due(key.slot, NEVER);
        self.free.push(key.slot);
        self.len -= 1;
        Some(session)
    }

    fn place(&self, slot: u32) -> Option<&Slot> {
        self.chunks.get(slot as usize / CHUNK)?.get(slot as usize % CHUNK)
    }

    fn place_mut(&mut self, slot: u32) -> Option<&mut Slot> {
        self.chunks.get_mut(slot as usize / CHUNK)?.get_mut(slot as usize % CHUNK)
    }

    /// The session of that name, to be looked at.
    pub(crate) fn get(&self, key: Key) -> Option<&Session> {
        self.place(key.slot).filter(|place| place.generation == key.generation)?.session.as_ref()
    }

    /// The session of that name.
    #[inline]
    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut Session> {
        self.place_mut(key.slot).filter(|place| place.generation == key.generation)?.session.as_mut()
    }

    /// The name of whoever has that slot.
    pub(crate) fn key(&self, slot: u32) -> Option<Key> {
        let place = self.place(slot).filter(|place| place.session.is_some())?;
        Some(Key { slot, generation: place.generation })
    }

    /// All sessions with their names.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Key, &Session)> {
        self.chunks
            .iter()
            .flatten()
            .zip(0..)
            .filter_map(|(place, slot)| Some((Key { slot, generation: place.generation }, place.session.as_ref()?)))
    }

    /// When the slot wants to be looked at.
    pub(crate) fn due(&self, slot: usize) -> Tick {
        self.due.get(slot).copied().unwrap_or(NEVER)
    }

    /// Sets it.
    pub(crate) fn set_due(&mut self, slot: u32, at: Tick) {
        if let Some(due) = self.due.get_mut(slot as usize) {
            *due = at;
        }
    }

    /// Moves it forward.
    pub(crate) fn due_by(&mut self, slot: u32, at: Tick) {
        if let Some(due) = self.due.get_mut(slot as usize) {
            *due = (*due).min(at);
        }
    }
}
