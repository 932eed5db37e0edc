//! Who was used when: a doubly linked list of ids, the most recently used first.

use super::chunked::Chunked;

const NONE: u32 = u32::MAX;

#[derive(Debug, Clone, Copy)]
struct Link {
    newer: u32,
    older: u32,
}

/// The order of use of a shard's ids.
#[derive(Debug)]
pub(super) struct Recency {
    links: Chunked<Link>,
    newest: u32,
    oldest: u32,
}

impl Default for Recency {
    fn default() -> Self {
        Self { links: Chunked::default(), newest: NONE, oldest: NONE }
    }
}

impl Recency {
    /// Takes in `id`, which is not in the list and at most one greater than any id that ever was, as just used.
    pub(super) fn add(&mut self, id: u32) {
        if self.links.len() == id as usize {
            self.links.push(Link { newer: NONE, older: NONE });
        }
        let older = self.newest;
        if let Some(link) = self.links.get_mut(id as usize) {
            *link = Link { newer: NONE, older };
        }
        match self.links.get_mut(older as usize) {
            Some(link) => link.newer = id,
            None => self.oldest = id,
        }
        self.newest = id;
    }

    /// Takes out `id`, which is in the list.
    pub(super) fn remove(&mut self, id: u32) {
        let Some(&Link { newer, older }) = self.links.get(id as usize) else { return };
        match self.links.get_mut(newer as usize) {
            Some(link) => link.older = older,
            None => self.newest = older,
        }
        match self.links.get_mut(older as usize) {
            Some(link) => link.newer = newer,
            None => self.oldest = newer,
        }
    }

    /// Marks `id`, which is in the list, as just used.
    pub(super) fn touch(&mut self, id: u32) {
        if self.newest != id {
            self.remove(id);
            self.add(id);
        }
    }

    /// The ids, the least recently used first.
    pub(super) fn oldest_first(&self) -> impl Iterator<Item = u32> {
        let known = |id: u32| (id != NONE).then_some(id);
        std::iter::successors(known(self.oldest), move |&id| known(self.links.get(id as usize)?.newer))
    }

    /// The memory that it takes with room for `ids` ids, or for as many as it has.
    pub(super) fn heap_bytes_with(&self, ids: usize) -> usize {
        self.links.heap_bytes_with(ids.max(self.links.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_that_of_use() {
        let mut recency = Recency::default();
        for id in 0..5 {
            recency.add(id);
        }
        recency.touch(0);
        recency.touch(0);
        recency.touch(3);
        recency.remove(2);
        assert_eq!(recency.oldest_first().collect::<Vec<_>>(), [1, 4, 0, 3]);
        recency.add(2);
        recency.remove(1);
        assert_eq!(recency.oldest_first().collect::<Vec<_>>(), [4, 0, 3, 2]);
        for id in [3, 4, 2, 0] {
            recency.remove(id);
        }
        assert_eq!(recency.oldest_first().count(), 0);
    }
}
