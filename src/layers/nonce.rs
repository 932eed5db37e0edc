//! Nonces for seals: the system's random numbers, fetched for many at a time.
//!
//! A call to the system costs a fifth of what a seal of 4 KB takes. Each thread keeps a supply of its own, each nonce of
//! which is handed out once; a child of a fork throws its copy away. Should one be used twice all the same (a virtual
//! machine that is copied while it runs), the cipher is made for that: see `encryption`.

use std::cell::RefCell;

use super::key_ring::fill;
use crate::error::Result;
use crate::fork::{Generation, generation};

pub(super) const NONCE_BYTES: usize = 12;
const SUPPLY: usize = 64;

struct Supply {
    generation: Generation,
    nonces: [[u8; NONCE_BYTES]; SUPPLY],
    left: usize,
}

thread_local! {
    static NONCES: RefCell<Option<Supply>> = const { RefCell::new(None) };
}

/// A nonce that nobody had before.
pub(super) fn draw() -> Result<[u8; NONCE_BYTES]> {
    let drawn = NONCES.try_with(|supply| supply.borrow_mut().as_mut().and_then(Supply::take));
    match drawn {
        Ok(Some(nonce)) => Ok(nonce),
        Ok(None) => {
            let mut supply = Supply::fetch()?;
            let nonce = supply.take();
            NONCES.set(Some(supply));
            nonce.map_or_else(fresh, Ok)
        }
        // The thread is ending.
        Err(_) => fresh(),
    }
}

fn fresh() -> Result<[u8; NONCE_BYTES]> {
    let mut nonce = [0; NONCE_BYTES];
    fill(&mut nonce).map(|()| nonce)
}

impl Supply {
    fn fetch() -> Result<Self> {
        let mut supply = Self { generation: generation(), nonces: [[0; NONCE_BYTES]; SUPPLY], left: SUPPLY };
        fill(supply.nonces.as_flattened_mut())?;
        Ok(supply)
    }

    /// The next one; `None` where all were handed out, or belong to the parent process.
    fn take(&mut self) -> Option<[u8; NONCE_BYTES]> {
        if self.generation != generation() {
            return None;
        }
        self.left = self.left.checked_sub(1)?;
        self.nonces.get(self.left).copied()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_nonce_is_handed_out_twice_on_any_thread() {
        let threads: Vec<_> =
            (0..4).map(|_| std::thread::spawn(|| (0..1000).map(|_| draw().unwrap()).collect::<Vec<_>>())).collect();
        let drawn: Vec<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        assert_eq!(drawn.iter().collect::<HashSet<_>>().len(), 4000);
        assert!(!drawn.contains(&[0; NONCE_BYTES]));
    }
}
