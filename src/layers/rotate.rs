//! Rewriting records into the present options, page by page, while others read and write.

use smallvec::smallvec;

use super::encryption::SEAL_BYTES;
use super::layered::Layered;
use super::reads::missing;
use super::state::{Name, Opened};
use crate::codec::{Frame, HEADER_BYTES, Packing};
use crate::engine::{Batch, Check, Commit, Engine, KeyRange, NewRecord, Record, Rotated, Scan, Write};
use crate::error::Result;
use crate::key::Key;
use crate::layers::Compression;
use crate::memory::SortOrder;

impl<E: Engine + ?Sized> Layered<E> {
    /// Rewrites those of a page's records that were written with other options than the present ones.
    pub(super) async fn rotate_page(&self, range: KeyRange, limit: usize) -> Result<Rotated> {
        self.state.prepare(&*self.engine).await?;
        let scan = Scan { range, order: SortOrder::KeyAsc, after: None, limit, records: true };
        let page = self.engine.scan(scan).await?;
        let last = page.rows.last().map(|row| row.key.clone());
        let mut rotated = Rotated { seen: page.rows.len() as u64, rewritten: 0, next: last.filter(|_| page.more) };
        for row in page.rows {
            let Some(record) = row.record else { continue };
            rotated.rewritten += u64::from(self.rotate_one(&row.key, record).await?);
        }
        Ok(rotated)
    }

    /// Rewrites one record where it has to be, and whether it did. One that changes meanwhile is looked at again.
    async fn rotate_one(&self, stored: &Key, record: Record) -> Result<bool> {
        let name = Name { key: stored, stored };
        let mut record = record;
        loop {
            let state = self.is_present(name, &record).await?;
            if state == Present::Yes {
                return Ok(false);
            }
            let meta = record.meta;
            // What reading would refuse must not become trusted by being sealed.
            let opened = self.state.open(name, record.clone())?;
            let plain = self.state.resolve(&*self.engine, name, opened).await?;
            let is_missing = plain.is_none();
            if let Some(plain) = plain {
                let body = plain.body.to_vec();
                if state == Present::UnlessItShrinks && self.state.pack(body.clone()) == body {
                    return Ok(false);
                }
                let put = NewRecord { meta, body, force_created: true };
                let batch = Batch {
                    checks: smallvec![(stored.clone(), Check::Version(meta.version))],
                    writes: smallvec![(stored.clone(), Write::Put(put))],
                };
                if let Commit::Done(_) = self.commit_stored(batch).await? {
                    return Ok(true);
                }
            }
            record = match self.engine.read_one(stored).await? {
                // Nobody has just replaced it. Its version says nothing: another rotation keeps that too.
                Some(again) if is_missing && again.body[..] == record.body[..] => return Err(missing(stored)),
                Some(again) => again,
                None => return Ok(false),
            };
        }
    }

    /// Whether `record` is as the present options would write it.
    async fn is_present(&self, name: Name<'_>, record: &Record) -> Result<Present> {
        let damaged = |damage: crate::codec::Damage| damage.under(name.key);
        let frame = Frame::parse(&record.body).map_err(damaged)?;
        if !self.is_sealed_now(&frame) {
            return Ok(Present::No);
        }
        if !frame.is_offloaded {
            let packed = frame.rest.len() - if frame.key_id.is_some() { SEAL_BYTES.min(frame.rest.len()) } else { 0 };
            return Ok(if self.state.is_large(HEADER_BYTES + packed) {
                Present::No
            } else {
                self.is_packed_now(&frame)
            });
        }
        let Opened::Elsewhere(_, pointer) = self.state.open(name, record.clone())? else { return Ok(Present::No) };
        let layers = &self.state.layers;
        if layers.large_values.is_none() || pointer.size() < layers.large_threshold() as u64 {
            return Ok(Present::No);
        }
        let Some(payload) = self.state.payload(name, &pointer).await? else { return Ok(Present::No) };
        let frame = Frame::parse(&payload).map_err(damaged)?;
        Ok(if self.is_sealed_now(&frame) { self.is_packed_now(&frame) } else { Present::No })
    }

    fn is_sealed_now(&self, frame: &Frame<'_>) -> bool {
        frame.key_id == self.state.layers.keys.as_ref().map(|keys| keys.active().0)
    }

    fn is_packed_now(&self, frame: &Frame<'_>) -> Present {
        let wanted = match &self.state.layers.compression {
            None => Packing::None,
            Some(_) if frame.packing == Packing::None => return Present::UnlessItShrinks,
            Some(Compression::Zstd { .. }) => Packing::Zstd,
            Some(Compression::Lz4) => Packing::Lz4,
            Some(Compression::Dictionary { .. }) => Packing::ZstdDictionary,
        };
        if frame.packing == wanted { Present::Yes } else { Present::No }
    }
}

/// Whether a record is as the present options would write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Present {
    Yes,
    No,
    /// It stands there raw, which is right for what does not shrink.
    UnlessItShrinks,
}
