//! Bytes, taken apart into choices. Past their end every choice is 0.

/// What is left of the bytes.
pub struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    /// A number below `end`, which is at most 256.
    pub fn below(&mut self, end: usize) -> usize {
        usize::from(self.byte()) % end
    }

    pub fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    pub fn chance(&mut self, of: usize) -> bool {
        self.below(of) == 1
    }

    /// `choice`, or nothing.
    pub fn maybe<T>(&mut self, choice: impl FnOnce(&mut Self) -> T) -> Option<T> {
        let wanted = self.byte() & 1 == 1;
        wanted.then(|| choice(self))
    }

    pub fn number(&mut self) -> i64 {
        let mut bytes = [0; 8];
        let given = self.bytes(8);
        bytes[..given.len()].copy_from_slice(given);
        i64::from_le_bytes(bytes)
    }

    /// At most `most` bytes.
    pub fn bytes(&mut self, most: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(most.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// Text whose length is the next byte's; what is no UTF-8 is replaced in it.
    pub fn text(&mut self) -> String {
        let length = usize::from(self.byte());
        String::from_utf8_lossy(self.bytes(length)).into_owned()
    }

    pub fn rest(self) -> &'a [u8] {
        self.0
    }
}
