//! The process's cryptography for TLS.

use std::sync::Once;

/// Chooses it, where nobody has yet. To be called before a TLS client is made.
pub(crate) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // An error says that somebody has.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}
