//! A vector in chunks: it grows without moving what it holds, and with no moment at which it takes twice its size.

use super::heap;

const CHUNK: usize = 256;

/// A vector that grows by a chunk at a time. Items are appended and changed, never removed one by one.
#[derive(Debug)]
pub(super) struct Chunked<T> {
    /// All but the last hold [`CHUNK`] items.
    chunks: Vec<Vec<T>>,
}

impl<T> Default for Chunked<T> {
    fn default() -> Self {
        Self { chunks: Vec::new() }
    }
}

impl<T> Chunked<T> {
    pub(super) fn len(&self) -> usize {
        self.chunks.last().map_or(0, |last| (self.chunks.len() - 1) * CHUNK + last.len())
    }

    pub(super) fn get(&self, at: usize) -> Option<&T> {
        self.chunks.get(at / CHUNK)?.get(at % CHUNK)
    }

    pub(super) fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        self.chunks.get_mut(at / CHUNK)?.get_mut(at % CHUNK)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flatten()
    }

    pub(super) fn push(&mut self, item: T) {
        match self.chunks.last_mut() {
            Some(last) if last.len() < CHUNK => last.push(item),
            last => {
                // The first chunk starts small: a storage of three entries should not take pages.
                let mut chunk = Vec::with_capacity(if last.is_some() { CHUNK } else { 4 });
                chunk.push(item);
                self.chunks.push(chunk);
            }
        }
    }

    /// The memory that it takes.
    pub(super) fn heap_bytes(&self) -> usize {
        self.heap_bytes_with(self.len())
    }

    /// The memory that it would take with `len` items, which are at least as many as it has.
    pub(super) fn heap_bytes_with(&self, len: usize) -> usize {
        let chunks = len.div_ceil(CHUNK);
        let items = match self.chunks.first() {
            _ if chunks > 1 => chunks * heap::vec_bytes::<T>(CHUNK),
            Some(first) => heap::vec_bytes::<T>(heap::grown(first.capacity(), len)),
            None => heap::vec_bytes::<T>(heap::grown(0, len)),
        };
        items + heap::vec_bytes::<Vec<T>>(heap::grown(self.chunks.capacity(), chunks))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_what_was_pushed_and_foretells_its_growth() {
        let mut chunked = Chunked::default();
        for n in 0..3 * CHUNK {
            let foretold = chunked.heap_bytes_with(n + 1);
            chunked.push(n);
            assert_eq!(chunked.heap_bytes(), foretold);
            assert_eq!(chunked.len(), n + 1);
        }
        assert_eq!(chunked.get(CHUNK + 3), Some(&(CHUNK + 3)));
        assert_eq!(chunked.get(3 * CHUNK), None);
        assert!(chunked.iter().copied().eq(0..3 * CHUNK));
    }
}
