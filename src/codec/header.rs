//! The header before each payload: how the rest was written.

use super::{Damage, Kind};

/// The bytes of a header, without the key id that may follow.
pub(crate) const HEADER_BYTES: usize = 4;
/// The format that this code writes, and the newest that it reads.
const FORMAT: u8 = 1;
const PACKING_BITS: u8 = 0x0F;
/// What follows the key id is sealed.
const ENCRYPTED: u8 = 0x10;
/// What follows, once it is unsealed, says where in the object store the value is.
const OFFLOADED: u8 = 0x20;

/// How a payload was compressed. The numbers are stored: none is ever given a second meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Packing {
    None = 0,
    Zstd = 1,
    Lz4 = 2,
    ZstdDictionary = 3,
}

/// The header of a plain record of `kind`: format, kind, flags, length of the key id.
pub(crate) const fn plain(kind: Kind) -> [u8; HEADER_BYTES] {
    [FORMAT, kind as u8, 0, 0]
}

/// A record's body, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame<'b> {
    pub(crate) kind: Kind,
    pub(crate) packing: Packing,
    /// The id of the key that seals it, where one does.
    pub(crate) key_id: Option<&'b str>,
    pub(crate) is_offloaded: bool,
    /// The header and the key id as they stand.
    pub(crate) head: &'b [u8],
    /// What follows them.
    pub(crate) rest: &'b [u8],
}

impl<'b> Frame<'b> {
    /// Takes a record's body apart. It never looks into the payload.
    ///
    /// # Errors
    ///
    /// The reason why this code can't read the body.
    pub(crate) fn parse(body: &'b [u8]) -> Result<Self, Damage> {
        let Some(&[format, kind, flags, id_bytes]) = body.first_chunk::<HEADER_BYTES>() else {
            return Err(Damage::new("it is cut inside its header"));
        };
        let newer = |what: &str, number: u8| {
            Err(Damage::of(format!("it was written by a newer version of this library ({what} {number})")))
        };
        match format {
            FORMAT => {}
            0 => return Err(Damage::new("it does not begin as a record of this library")),
            format => return newer("format", format),
        }
        let packing = match flags & PACKING_BITS {
            0 => Packing::None,
            1 => Packing::Zstd,
            2 => Packing::Lz4,
            3 => Packing::ZstdDictionary,
            packing => return newer("compression", packing),
        };
        if flags & !(PACKING_BITS | ENCRYPTED | OFFLOADED) != 0 {
            return newer("flags", flags);
        }
        let Some(kind) = Kind::from_number(kind) else { return newer("kind", kind) };
        let is_encrypted = flags & ENCRYPTED != 0;
        if !is_encrypted && id_bytes != 0 {
            return Err(Damage::new("it names a key and is not encrypted"));
        }
        let Some((head, rest)) = body.split_at_checked(HEADER_BYTES + usize::from(id_bytes)) else {
            return Err(Damage::new("it is cut inside its key id"));
        };
        let key_id = match std::str::from_utf8(&head[HEADER_BYTES..]) {
            Ok(id) => is_encrypted.then_some(id),
            Err(_) => return Err(Damage::new("its key id is not UTF-8")),
        };
        Ok(Self { kind, packing, key_id, is_offloaded: flags & OFFLOADED != 0, head, rest })
    }

    /// Whether the payload stands in it as it is.
    pub(crate) fn is_plain(&self) -> bool {
        self.packing == Packing::None && self.key_id.is_none() && !self.is_offloaded
    }

    /// The same of a body, with nothing else looked at.
    pub(crate) fn is_plain_body(body: &[u8]) -> bool {
        matches!(body, [FORMAT, _, 0, 0, ..])
    }

    /// Header and key id of such a body.
    pub(crate) fn head(kind: Kind, packing: Packing, key_id: Option<&str>, is_offloaded: bool) -> Vec<u8> {
        let flags =
            packing as u8 | if key_id.is_some() { ENCRYPTED } else { 0 } | if is_offloaded { OFFLOADED } else { 0 };
        let id = key_id.unwrap_or_default();
        // Key ids are checked when they are given: they fit.
        let length = u8::try_from(id.len()).unwrap_or(u8::MAX);
        let mut head = Vec::with_capacity(HEADER_BYTES + id.len());
        head.extend([FORMAT, kind as u8, flags, length]);
        head.extend(id.as_bytes());
        head
    }
}

/// Takes a plain record's body apart: the kind of its value, and the CBOR that holds it.
///
/// # Errors
///
/// The reason why this code can't read the body. It never looks into the payload.
pub fn open(body: &[u8]) -> Result<(Kind, &[u8]), Damage> {
    let frame = Frame::parse(body)?;
    if frame.is_plain() {
        return Ok((frame.kind, frame.rest));
    }
    Err(Damage::new("it is compressed, encrypted or stored elsewhere, and was read past the layers that undo that"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_newer_version_wrote_is_refused_with_that_reason() {
        assert_eq!(open(&[1, 1, 0, 0, 0xF6]), Ok((Kind::Null, &[0xF6][..])));
        for body in [[2, 1, 0, 0], [1, 99, 0, 0], [1, 1, 9, 0], [1, 1, 0x40, 0], [1, 1, 0x80, 0]] {
            let reason = Frame::parse(&body).map_err(|damage| damage.to_string());
            assert!(matches!(&reason, Err(reason) if reason.contains("newer version")), "{reason:?}");
        }
        for body in [&[0, 1, 0, 0][..], &[1, 1, 0], &[], &[1, 1, 0, 3], &[1, 1, 0x10, 2, b'a'], &[1, 1, 0x10, 1, 0xFF]]
        {
            assert!(Frame::parse(body).is_err(), "{body:?}");
        }
    }

    #[test]
    fn a_head_is_read_as_it_was_written() {
        for (packing, id, offloaded) in [
            (Packing::None, None, false),
            (Packing::Zstd, None, false),
            (Packing::Lz4, Some("2026"), false),
            (Packing::ZstdDictionary, Some(""), true),
            (Packing::None, None, true),
        ] {
            let mut body = Frame::head(Kind::Map, packing, id, offloaded);
            let head = body.clone();
            body.extend(b"rest");
            let frame = Frame::parse(&body).unwrap();
            assert_eq!(
                (frame.kind, frame.packing, frame.key_id, frame.is_offloaded),
                (Kind::Map, packing, id, offloaded)
            );
            assert_eq!((frame.head, frame.rest), (&head[..], &b"rest"[..]));
        }
    }
}
