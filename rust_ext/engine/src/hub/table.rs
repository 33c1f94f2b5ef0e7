//! The channels of a worker and their members, densely, so that joining, leaving and walking them cost little.

use std::collections::HashMap;
use std::sync::Arc;

use super::Publication;
use super::slab::Key;

/// A channel with members on this worker.
#[derive(Debug)]
pub(crate) struct Channel {
    pub(crate) name: Arc<str>,
    pub(crate) members: Vec<Key>,
    /// Publications whose turn comes when the job under way is done.
    pub(crate) waiting: Vec<Arc<Publication>>,
    /// Members that get only what comes behind that offset: sessions that another worker has served so far.
    pub(crate) late: Vec<(Key, u64)>,
    /// A job delivers its publications.
    pub(crate) busy: bool,
}

/// All of them, by index.
#[derive(Debug, Default)]
pub(crate) struct Table {
    channels: Vec<Option<Channel>>,
    free: Vec<u32>,
    by_name: HashMap<Arc<str>, u32>,
}

impl Table {
    /// The channel of that index.
    pub(crate) fn get(&self, channel: u32) -> Option<&Channel> {
        self.channels.get(channel as usize)?.as_ref()
    }

    /// The same, to be changed.
    pub(crate) fn get_mut(&mut self, channel: u32) -> Option<&mut Channel> {
        self.channels.get_mut(channel as usize)?.as_mut()
    }

    /// The index of that name.
    pub(crate) fn find(&self, name: &str) -> Option<u32> {
        self.by_name.get(name).copied()
    }

    /// One member more: the channel's index and the member's place.
    pub(crate) fn join(&mut self, name: &Arc<str>, member: Key) -> (u32, u32) {
        let channel = self.find(name).unwrap_or_else(|| self.open(name));
        let Some(Channel { members, .. }) = self.get_mut(channel) else { return (channel, 0) };
        members.push(member);
        (channel, u32::try_from(members.len() - 1).unwrap_or(u32::MAX))
    }

    fn open(&mut self, name: &Arc<str>) -> u32 {
        let new =
            Channel { name: name.clone(), members: Vec::new(), waiting: Vec::new(), late: Vec::new(), busy: false };
        let channel = match self.free.pop() {
            Some(channel) => {
                self.channels[channel as usize] = Some(new);
                channel
            }
            None => {
                self.channels.push(Some(new));
                u32::try_from(self.channels.len() - 1).expect("channels are fewer than 2^32")
            }
        };
        self.by_name.insert(name.clone(), channel);
        channel
    }

    /// One member fewer: the channel's name, and whoever stands in that place now.
    pub(crate) fn leave(&mut self, channel: u32, position: u32) -> Option<(Arc<str>, Option<Key>)> {
        let entry = self.get_mut(channel).filter(|entry| (position as usize) < entry.members.len())?;
        entry.members.swap_remove(position as usize);
        let moved = entry.members.get(position as usize).copied();
        let name = entry.name.clone();
        self.perhaps_close(channel);
        Some((name, moved))
    }

    /// A channel that nobody is a member of and no job delivers to is forgotten.
    pub(crate) fn perhaps_close(&mut self, channel: u32) {
        if let Some(entry) = self.get(channel)
            && entry.members.is_empty()
            && !entry.busy
        {
            let name = entry.name.clone();
            self.by_name.remove(&name);
            self.channels[channel as usize] = None;
            self.free.push(channel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(slot: u32) -> Key {
        Key { slot, generation: 1 }
    }

    #[test]
    fn members_stand_densely_and_whoever_moves_is_named() {
        let (mut table, name) = (Table::default(), Arc::from("a"));
        let places: Vec<_> = (0..4).map(|slot| table.join(&name, key(slot))).collect();
        assert_eq!(places, [(0, 0), (0, 1), (0, 2), (0, 3)]);
        assert_eq!(table.leave(0, 1).unwrap().1, Some(key(3)));
        assert_eq!(table.leave(0, 2).unwrap().1, None);
        assert_eq!(table.get(0).unwrap().members, [key(0), key(3)]);
    }

    #[test]
    fn an_empty_channel_is_forgotten_once_nobody_delivers_to_it() {
        let mut table = Table::default();
        table.join(&Arc::from("a"), key(1));
        table.get_mut(0).unwrap().busy = true;
        table.leave(0, 0);
        assert_eq!(table.find("a"), Some(0));
        table.get_mut(0).unwrap().busy = false;
        table.perhaps_close(0);
        assert_eq!(table.find("a"), None);
        assert_eq!(table.join(&Arc::from("b"), key(1)), (0, 0), "its place is used again");
    }
}
