//! Attributes: what a storage holds beside its records, each in an object whose name is no key's.

use super::backing::{Condition, Outcome};
use super::record::pack;
use super::store::Store;
use crate::engine::Meta;
use crate::storage::new_version;

/// What their names start with: no name of a key does.
const FOLDER: &str = "+attributes/";

impl Store {
    /// The value of an attribute; the proposed one where it has none.
    pub(super) async fn attribute(&self, name: &str, proposed: Option<Vec<u8>>) -> Outcome<Option<Vec<u8>>> {
        let (object, until) = (format!("{FOLDER}{name}"), self.deadline());
        if let Some(proposed) = proposed {
            let stamp = self.clock.now_ns();
            let meta = Meta { version: new_version(), created_at: stamp, updated_at: stamp, expires_at: None };
            // Where it is there already, that one stands.
            self.backing.put(&object, &pack(&meta, proposed.into()), &Condition::Absent, until).await?;
        }
        let loaded = self.backing.load(&object, until).await?;
        Ok(loaded.map(|loaded| loaded.found.head.record(loaded.bytes).body.to_vec()))
    }
}
