//! The four bytes before each payload: how the rest was written.

use super::{Damage, Kind};

/// The bytes of a header.
pub(crate) const HEADER_BYTES: usize = 4;
/// The format that this code writes, and the newest that it reads.
const FORMAT: u8 = 1;
const COMPRESSION_BITS: u8 = 0x0F;

/// The header of a plain record of `kind`: format, kind, flags, length of the key id.
pub(crate) const fn plain(kind: Kind) -> [u8; HEADER_BYTES] {
    [FORMAT, kind as u8, 0, 0]
}

/// Takes a record's body apart: the kind of its value, and the CBOR that holds it.
///
/// # Errors
///
/// The reason why this code can't read the body. It never looks into the payload.
pub fn open(body: &[u8]) -> Result<(Kind, &[u8]), Damage> {
    let Some((&[format, kind, flags, key_id], payload)) = body.split_first_chunk::<HEADER_BYTES>() else {
        return Err(Damage::new("it is cut inside its header"));
    };
    match format {
        FORMAT => {}
        0 => return Err(Damage::new("it does not begin as a record of this library")),
        newer => {
            return Err(Damage::of(format!("it was written by a newer version of this library (format {newer})")));
        }
    }
    if flags & COMPRESSION_BITS != 0 {
        return Err(Damage::new("it was written by a newer version of this library (compressed)"));
    }
    if flags != 0 || key_id != 0 {
        return Err(Damage::new("it was written by a newer version of this library (encrypted, or stored elsewhere)"));
    }
    match Kind::from_number(kind) {
        Some(kind) => Ok((kind, payload)),
        None => Err(Damage::of(format!("it was written by a newer version of this library (kind {kind})"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_newer_version_wrote_is_refused_with_that_reason() {
        assert_eq!(open(&[1, 1, 0, 0, 0xF6]), Ok((Kind::Null, &[0xF6][..])));
        for body in [[2, 1, 0, 0], [1, 99, 0, 0], [1, 1, 1, 0], [1, 1, 0x10, 0], [1, 1, 0, 3]] {
            let reason = open(&body).map_err(|damage| damage.to_string());
            assert!(matches!(&reason, Err(reason) if reason.contains("newer version")), "{reason:?}");
        }
        assert!(open(&[0, 1, 0, 0]).is_err());
        assert!(open(&[1, 1, 0]).is_err());
        assert!(open(&[]).is_err());
    }
}
