//! The head of a CBOR data item: a major type and an argument, in the shortest form.

use super::Damage;

pub(crate) const UNSIGNED: u8 = 0;
pub(crate) const NEGATIVE: u8 = 1;
pub(crate) const BYTES: u8 = 2;
pub(crate) const TEXT: u8 = 3;
pub(crate) const ARRAY: u8 = 4;
pub(crate) const MAP: u8 = 5;
pub(crate) const TAG: u8 = 6;
pub(crate) const OTHER: u8 = 7;

pub(crate) const FALSE: u8 = 0xF4;
pub(crate) const TRUE: u8 = 0xF5;
pub(crate) const NULL: u8 = 0xF6;
pub(crate) const FLOAT64: u8 = 0xFB;

/// The low five bits of an initial byte that say how the argument follows.
const ONE_BYTE: u8 = 24;
const TWO_BYTES: u8 = 25;
const FOUR_BYTES: u8 = 26;
const EIGHT_BYTES: u8 = 27;

/// Appends the head of `major` with `argument`.
#[inline]
#[allow(clippy::cast_possible_truncation, reason = "each arm's range is that of its type")]
pub(crate) fn put_head(out: &mut Vec<u8>, major: u8, argument: u64) {
    let initial = major << 5;
    match argument {
        0..=23 => out.push(initial | argument as u8),
        24..=0xFF => out.extend_from_slice(&[initial | ONE_BYTE, argument as u8]),
        0x100..=0xFFFF => put(out, initial | TWO_BYTES, (argument as u16).to_be_bytes()),
        0x1_0000..=0xFFFF_FFFF => put(out, initial | FOUR_BYTES, (argument as u32).to_be_bytes()),
        _ => put(out, initial | EIGHT_BYTES, argument.to_be_bytes()),
    }
}

/// Appends `initial` and `rest`.
#[inline]
pub(crate) fn put<const N: usize>(out: &mut Vec<u8>, initial: u8, rest: [u8; N]) {
    out.reserve(N + 1);
    out.push(initial);
    out.extend_from_slice(&rest);
}

/// The head of a data item, as read. For major type 7 with `info` 27 the argument is the bits of a float.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) major: u8,
    pub(crate) info: u8,
    pub(crate) argument: u64,
}

/// Bytes, and how far they were read.
#[derive(Debug, Clone)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// How many bytes are left.
    #[inline]
    pub(crate) fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// What is left.
    pub(crate) fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    /// The next `length` bytes.
    #[inline]
    pub(crate) fn take(&mut self, length: u64) -> Result<&'a [u8], Damage> {
        let rest = &self.bytes[self.at..];
        match usize::try_from(length) {
            Ok(length) if length <= rest.len() => {
                self.at += length;
                Ok(&rest[..length])
            }
            _ => Err(Damage::new("it is cut: it claims more bytes than there are")),
        }
    }

    #[inline]
    fn take_array<const N: usize>(&mut self) -> Result<[u8; N], Damage> {
        match self.bytes[self.at..].first_chunk::<N>() {
            Some(chunk) => {
                self.at += N;
                Ok(*chunk)
            }
            None => Err(Damage::new("it is cut inside a data item")),
        }
    }

    /// The next head. Longer forms than needed are fine, indefinite lengths and reserved values are not.
    #[inline]
    pub(crate) fn head(&mut self) -> Result<Head, Damage> {
        let [initial] = self.take_array()?;
        let info = initial & 0x1F;
        let argument = match info {
            0..ONE_BYTE => u64::from(info),
            ONE_BYTE => u64::from(self.take_array::<1>()?[0]),
            TWO_BYTES => u64::from(u16::from_be_bytes(self.take_array()?)),
            FOUR_BYTES => u64::from(u32::from_be_bytes(self.take_array()?)),
            EIGHT_BYTES => u64::from_be_bytes(self.take_array()?),
            _ => return Err(Damage::new("it holds an indefinite length or a reserved head, which are never written")),
        };
        Ok(Head { major: initial >> 5, info, argument })
    }

    /// The eight bytes before the present place: those of an eight-byte argument just read.
    pub(crate) fn last_eight(&self) -> &'a [u8] {
        &self.bytes[self.at.saturating_sub(8)..self.at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_shortest_and_come_back() {
        let edges = [0, 23, 24, 255, 256, 65_535, 65_536, u64::from(u32::MAX), u64::from(u32::MAX) + 1, u64::MAX];
        for (argument, length) in edges.into_iter().zip([1, 1, 2, 2, 3, 3, 5, 5, 9, 9]) {
            for major in [UNSIGNED, NEGATIVE, BYTES, TEXT, ARRAY, MAP, TAG] {
                let mut bytes = Vec::new();
                put_head(&mut bytes, major, argument);
                assert_eq!(bytes.len(), length);
                let mut cursor = Cursor::new(&bytes);
                let head = cursor.head();
                assert!(matches!(head, Ok(h) if h.major == major && h.argument == argument), "{head:?}");
                assert_eq!(cursor.left(), 0);
            }
        }
    }

    #[test]
    fn a_cut_or_reserved_head_is_damage() {
        for bytes in [&[][..], &[0x18], &[0x19, 1], &[0x1A, 1, 2, 3], &[0x1B, 1, 2, 3, 4, 5, 6, 7], &[0x1C], &[0x9F]] {
            assert!(Cursor::new(bytes).head().is_err());
        }
        assert!(Cursor::new(&[1, 2]).take(3).is_err());
        assert!(Cursor::new(&[1, 2]).take(u64::MAX).is_err());
    }
}
