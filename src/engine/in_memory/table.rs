//! Where an entry is, by the hash of its key: open addressing with linear probing.
//!
//! A slot holds half of the hash next to the id, so that one cache line tells almost always which entry is meant, and
//! growing looks at no entry. Invariant: between the home of an id and its slot, wrapping around, no slot is empty.

use super::heap;

/// Marks a slot as empty: no id is as great.
const EMPTY: u32 = u32::MAX;

#[derive(Debug, Clone, Copy)]
struct Slot {
    hash: u32,
    id: u32,
}

/// A set of ids, found by hash.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// At most four fifths are in use.
    slots: Vec<Slot>,
    len: usize,
}

/// The half of a hash that is kept.
#[expect(clippy::cast_possible_truncation, reason = "half of it is enough")]
fn half(hash: u64) -> u32 {
    hash as u32
}

impl Table {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The id with this hash of which `is_it` holds.
    pub(super) fn find(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let at = self.position(half(hash), is_it)?;
        self.slots.get(at).map(|slot| slot.id)
    }

    /// Adds `id`, which is not in it and less than `u32::MAX`.
    pub(super) fn insert(&mut self, hash: u64, id: u32) {
        let capacity = self.capacity_with(self.len + 1);
        if capacity > self.slots.len() {
            let old = std::mem::replace(&mut self.slots, vec![Slot { hash: 0, id: EMPTY }; capacity]);
            for slot in old.into_iter().filter(|slot| slot.id != EMPTY) {
                self.place(slot);
            }
        }
        self.place(Slot { hash: half(hash), id });
        self.len += 1;
    }

    /// Takes out `id`, which is in it with this hash.
    pub(super) fn remove(&mut self, hash: u64, id: u32) {
        let Some(mut gap) = self.position(half(hash), |other| other == id) else { return };
        self.len -= 1;
        let capacity = self.slots.len();
        let mut at = gap;
        // What follows moves up into the gap, unless that lies before its home.
        loop {
            at = if at + 1 == capacity { 0 } else { at + 1 };
            let Some(&slot) = self.slots.get(at).filter(|slot| slot.id != EMPTY) else { break };
            let wrap = |distance: usize| if distance >= capacity { distance - capacity } else { distance };
            let from_home = wrap(at + capacity - self.home(slot.hash));
            let from_gap = wrap(at + capacity - gap);
            if from_home >= from_gap {
                self.slots[gap] = slot;
                gap = at;
            }
        }
        self.slots[gap].id = EMPTY;
    }

    /// The memory that it takes.
    pub(super) fn heap_bytes(&self) -> usize {
        heap::vec_bytes::<Slot>(self.slots.len())
    }

    /// The memory that it takes with `len` ids, or with those that it has.
    pub(super) fn heap_bytes_with(&self, len: usize) -> usize {
        heap::vec_bytes::<Slot>(self.capacity_with(len))
    }

    /// The capacity for `len` ids: it grows by a quarter, as no entry is looked at for that.
    fn capacity_with(&self, len: usize) -> usize {
        let capacity = self.slots.len();
        if len * 5 <= capacity * 4 { capacity } else { (len * 5 / 4 + 1).max(capacity + capacity / 4).max(4) }
    }

    fn place(&mut self, slot: Slot) {
        let mut at = self.home(slot.hash);
        loop {
            match self.slots.get_mut(at) {
                Some(place) if place.id == EMPTY => {
                    *place = slot;
                    return;
                }
                Some(_) => at += 1,
                None => at = 0,
            }
        }
    }

    fn position(&self, hash: u32, is_it: impl Fn(u32) -> bool) -> Option<usize> {
        if self.len == 0 {
            return None;
        }
        let mut at = self.home(hash);
        loop {
            match self.slots.get(at) {
                Some(slot) if slot.id == EMPTY => return None,
                Some(slot) if slot.hash == hash && is_it(slot.id) => return Some(at),
                Some(_) => at += 1,
                None => at = 0,
            }
        }
    }

    fn home(&self, hash: u32) -> usize {
        // As a fraction of the range: any capacity will do.
        ((u64::from(hash) * self.slots.len() as u64) >> 32) as usize
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn it_finds_what_is_in_it() {
        let mut random = fastrand::Rng::with_seed(7);
        for spread in [u64::MAX, 1 << 30, 0xf000_0000, 3] {
            // Few different hashes, too: one after another in the table, and around its end.
            let hash = |id: u32| (u64::from(id).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 8) & spread;
            let (mut table, mut model) = (Table::default(), BTreeSet::new());
            for _ in 0..4_000 {
                let id = random.u32(..300);
                if random.u8(..5) < 3 && model.insert(id) {
                    let foretold = table.heap_bytes_with(table.len() + 1);
                    table.insert(hash(id), id);
                    assert_eq!(table.heap_bytes(), foretold);
                } else if model.remove(&id) {
                    table.remove(hash(id), id);
                }
                let id = random.u32(..300);
                assert_eq!(table.find(hash(id), |other| other == id).is_some(), model.contains(&id));
                assert_eq!(table.len(), model.len());
            }
        }
    }
}
