//! What stands between the front and an engine: compression, encryption, large values; in any combination, over any
//! engine.
//!
//! # What holds
//!
//! 1. A value is serialised, compressed, sealed and offloaded, in this order; reading undoes what the record says was
//!    done, whatever the present options are.
//! 2. The engine sees bytes and meta data; the front sees plain bodies. Neither knows of the layers.
//! 3. A sealed body is bound to its storage, its key, its version and its times of change and expiry: what changes one
//!    of them seals it anew.
//! 4. A committed pointer has its payload: the payload is stored first, and removed only once nothing points to it.

mod attribute;
mod compression;
mod dictionaries;
mod encryption;
mod garbage;
mod heavy;
mod hidden;
mod key_ring;
mod large;
mod layered;
mod nonce;
mod options;
mod reads;
mod rotate;
mod state;
mod updates;
mod writes;

pub use compression::{Compression, DEFAULT_THRESHOLD, Dictionary};
pub use key_ring::{EncryptionKey, KEY_BYTES, KeyRing, MAX_KEY_ID_BYTES, MIN_SALT_BYTES};
pub use layered::Layered;
pub use options::{DEFAULT_LARGE_VALUE_THRESHOLD, Layers};
