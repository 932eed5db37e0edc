//! Compressed payloads: zstd (RFC 8878), with a trained dictionary where there is one, and LZ4 blocks.
//!
//! A compressed payload is the length of the plain one, u32 little-endian, for a dictionary the dictionary's id in the
//! same form, and then the compressed bytes.

use std::cell::RefCell;
use std::io::Read;
use std::sync::Arc;

use crate::codec::{Damage, Frame, MAX_BYTES, Packing};
use crate::error::{Error, Result};

/// Values below this many bytes are left as they are unless told otherwise.
pub const DEFAULT_THRESHOLD: usize = 1024;
const DEFAULT_LEVEL: i32 = 3;
/// A trained dictionary is at most so large; zstd's own advice.
const DICTIONARY_BYTES: usize = 110 << 10;
/// What claims to grow by more than this factor is read piece by piece: its claim takes no memory.
const USUAL_GROWTH: usize = 256;

/// How values are compressed.
#[derive(Debug, Clone)]
pub enum Compression {
    /// zstd at a level from -7 (fastest) to 22 (smallest).
    Zstd {
        /// The level; 3 unless told otherwise.
        level: i32,
    },
    /// LZ4: several times faster, about half as good.
    Lz4,
    /// zstd with a dictionary, for many small values that are alike.
    Dictionary {
        /// The level.
        level: i32,
        /// The dictionary.
        dictionary: Arc<Dictionary>,
    },
}

/// A trained dictionary. What was compressed with it can't be read without it: it is stored with the data.
pub struct Dictionary {
    bytes: Vec<u8>,
    id: u32,
}

impl std::fmt::Debug for Dictionary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dictionary").field("id", &self.id).field("bytes", &self.bytes.len()).finish()
    }
}

impl Dictionary {
    /// A dictionary of which the bytes are known.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] for what is none.
    pub fn new(bytes: Vec<u8>) -> Result<Self> {
        match zstd::zstd_safe::get_dict_id_from_dict(&bytes) {
            Some(id) => Ok(Self { bytes, id: id.get() }),
            None => Err(Error::InvalidArgument("these bytes are no dictionary of zstd".to_owned())),
        }
    }

    /// A dictionary of what `samples` have in common.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] where they are too few or too short.
    pub fn train(samples: &[Vec<u8>]) -> Result<Self> {
        let bytes = zstd::dict::from_samples(samples, DICTIONARY_BYTES).map_err(|error| {
            Error::InvalidArgument(format!(
                "no dictionary can be trained from {} samples ({error}); give some hundreds of typical values",
                samples.len()
            ))
        })?;
        Self::new(bytes)
    }

    /// The number by which records name it.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Compression {
    /// By name: `zstd` or `lz4`.
    pub fn by_name(name: &str) -> Option<Self> {
        match name {
            "zstd" => Some(Self::Zstd { level: DEFAULT_LEVEL }),
            "lz4" => Some(Self::Lz4),
            _ => None,
        }
    }

    /// Checks the level.
    pub fn validate(&self) -> Result<()> {
        let range = zstd::compression_level_range();
        match self {
            Self::Zstd { level } | Self::Dictionary { level, .. } if !(-7..=*range.end()).contains(level) => {
                Err(Error::Configuration(format!("the level of zstd must be from -7 to {}, not {level}", range.end())))
            }
            _ => Ok(()),
        }
    }

    /// `body`, which is plain, compressed; `None` where that is no shorter.
    pub(super) fn pack(&self, body: &[u8]) -> Option<Vec<u8>> {
        let frame = Frame::parse(body).ok()?;
        let plain = frame.rest;
        let length = u32::try_from(plain.len()).ok()?.to_le_bytes();
        let start = |packing| {
            let mut packed = Frame::head(frame.kind, packing, None, false);
            packed.extend(length);
            packed
        };
        let packed = match self {
            Self::Lz4 => {
                let mut packed = start(Packing::Lz4);
                let from = packed.len();
                packed.resize(from + lz4_flex::block::get_maximum_output_size(plain.len()), 0);
                let written = lz4_flex::block::compress_into(plain, &mut packed[from..]).ok()?;
                packed.truncate(from + written);
                packed
            }
            Self::Zstd { level } => {
                let compressed = with_compressor(*level, |compressor| compressor.compress(plain))?;
                let mut packed = start(Packing::Zstd);
                packed.extend(compressed);
                packed
            }
            Self::Dictionary { level, dictionary } => {
                let mut compressor = zstd::bulk::Compressor::with_dictionary(*level, dictionary.bytes()).ok()?;
                let compressed = compressor.compress(plain).ok()?;
                let mut packed = start(Packing::ZstdDictionary);
                packed.extend(dictionary.id().to_le_bytes());
                packed.extend(compressed);
                packed
            }
        };
        (packed.len() < body.len()).then_some(packed)
    }
}

thread_local! {
    /// Its tables take longer to make than a small value to compress.
    static COMPRESSOR: RefCell<Option<(i32, zstd::bulk::Compressor<'static>)>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<zstd::bulk::Decompressor<'static>>> = const { RefCell::new(None) };
}

fn with_compressor<T>(
    level: i32,
    work: impl FnOnce(&mut zstd::bulk::Compressor<'static>) -> std::io::Result<T>,
) -> Option<T> {
    COMPRESSOR.with_borrow_mut(|slot| {
        if slot.as_ref().is_none_or(|(made, _)| *made != level) {
            *slot = Some((level, zstd::bulk::Compressor::new(level).ok()?));
        }
        work(&mut slot.as_mut()?.1).ok()
    })
}

/// The id of the dictionary that is needed to read `frame`, which is not sealed.
pub(super) fn dictionary_of(frame: &Frame<'_>) -> Result<Option<u32>, Damage> {
    if frame.packing != Packing::ZstdDictionary {
        return Ok(None);
    }
    match frame.rest.get(4..8).and_then(|id| id.try_into().ok()) {
        Some(id) => Ok(Some(u32::from_le_bytes(id))),
        None => Err(Damage::new("it is cut before its dictionary's id")),
    }
}

/// The plain body of `frame`, which is neither sealed nor elsewhere.
pub(super) fn unpack(frame: &Frame<'_>, dictionary: Option<&Dictionary>) -> Result<Vec<u8>, Damage> {
    let Some((length, packed)) = frame.rest.split_first_chunk::<4>() else {
        return Err(Damage::new("it is cut before its length"));
    };
    let length = u32::from_le_bytes(*length) as usize;
    if length > MAX_BYTES {
        return Err(Damage::new("it claims to be longer than any value"));
    }
    let mut body = Frame::head(frame.kind, Packing::None, None, false);
    let start = body.len();
    let broken = || Damage::new("its compressed bytes are damaged");
    match frame.packing {
        Packing::None => return Err(Damage::new("it is not compressed")),
        Packing::Lz4 => {
            // LZ4 can't grow by more than 255.
            if length > packed.len().saturating_mul(USUAL_GROWTH) {
                return Err(broken());
            }
            body.resize(start + length, 0);
            let written = lz4_flex::block::decompress_into(packed, &mut body[start..]).map_err(|_| broken())?;
            if written != length {
                return Err(broken());
            }
        }
        Packing::Zstd if length <= packed.len().saturating_mul(USUAL_GROWTH) => {
            body.resize(start + length, 0);
            let written = DECOMPRESSOR.with_borrow_mut(|slot| {
                if slot.is_none() {
                    *slot = zstd::bulk::Decompressor::new().ok();
                }
                slot.as_mut()?.decompress_to_buffer(packed, &mut body[start..]).ok()
            });
            if written != Some(length) {
                return Err(broken());
            }
        }
        Packing::Zstd => {
            let decoder = zstd::stream::read::Decoder::with_buffer(packed).map_err(|_| broken())?;
            read_exactly(decoder, length, &mut body)?;
        }
        Packing::ZstdDictionary => {
            let Some(dictionary) = dictionary else { return Err(Damage::new("its dictionary is missing")) };
            let packed = packed.get(4..).ok_or_else(broken)?;
            let decoder =
                zstd::stream::read::Decoder::with_dictionary(packed, dictionary.bytes()).map_err(|_| broken())?;
            read_exactly(decoder, length, &mut body)?;
        }
    }
    Ok(body)
}

/// Memory grows with what was truly read.
fn read_exactly(decoder: impl Read, length: usize, body: &mut Vec<u8>) -> Result<(), Damage> {
    let start = body.len();
    match decoder.take(length as u64 + 1).read_to_end(body) {
        Ok(_) if body.len() - start == length => Ok(()),
        _ => Err(Damage::new("its compressed bytes are damaged")),
    }
}
