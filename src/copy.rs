//! Copying entries from one storage to another, whatever their backends.

use smallvec::smallvec;

use crate::answer::Answer;
use crate::engine::{Batch, Check, Commit, Engine, NewRecord, Record, Row, Write};
use crate::error::{Error, Result};
use crate::key::{Key, SEPARATOR};
use crate::listing::Listing;
use crate::memory::MemoryQuery;
use crate::storage::Storage;

/// How a copy is done.
#[derive(Debug, Clone, Copy)]
pub struct CopyOptions {
    /// Whether an entry of the target gives way to the source's; else it stays.
    pub overwrite: bool,
    /// How many entries are read and written at a time; at least 1.
    pub page: usize,
}

impl Default for CopyOptions {
    fn default() -> Self {
        Self { overwrite: true, page: 500 }
    }
}

/// How far a copy has come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CopyProgress {
    /// How many entries were written.
    pub copied: u64,
    /// How many were left: the target has them already, in this version, or in any where nothing is overwritten.
    pub skipped: u64,
    /// The last key, as the source spells it. In key order a copy that was cut off goes on after it.
    pub last_key: Option<String>,
}

/// A copy under way, to be driven page by page.
///
/// Values, versions, and times of creation, change and expiry are kept. What the target has in the same version is not
/// written again, so that a copy that was cut off, and is started again, only reads what it had done. Entries that are
/// written to the source meanwhile may or may not be copied; none is deleted from the target.
pub struct Copying<S: ?Sized = dyn Engine, T: ?Sized = dyn Engine> {
    listing: Listing<S>,
    source: Storage<S>,
    target: Storage<T>,
    options: CopyOptions,
    progress: CopyProgress,
}

/// A copy of what `query` asks for in `source`, to `target`.
///
/// # Errors
///
/// [`Error::Closed`]; [`Error::InvalidArgument`] where both are views of one storage and one lies in the other, or for
/// a page of no entries.
pub fn copy<S: Engine + ?Sized, T: Engine + ?Sized>(
    source: &Storage<S>,
    target: &Storage<T>,
    query: &MemoryQuery,
    options: CopyOptions,
) -> Result<Copying<S, T>> {
    if options.page == 0 {
        return Err(Error::InvalidArgument("page_size must be at least 1".to_owned()));
    }
    let (from, to) = (source.prefix(), target.prefix());
    if source.shares_engine(target) && from != to && (from.starts_with(to) || to.starts_with(from)) {
        return Err(Error::InvalidArgument(
            "source and target are views of one storage and one lies in the other: the copy would meet itself; copy to a namespace beside it".to_owned(),
        ));
    }
    let listing = source.list(query, true)?.in_pages_of(options.page);
    let (source, target) = (source.clone(), target.clone());
    Ok(Copying { listing, source, target, options, progress: CopyProgress::default() })
}

impl<S: Engine + ?Sized, T: Engine + ?Sized> Copying<S, T> {
    /// How far it has come.
    pub fn progress(&self) -> &CopyProgress {
        &self.progress
    }

    /// Copies the next page; `false` where nothing is left.
    ///
    /// # Errors
    ///
    /// What reading the source or writing to the target raises. The pages before stand.
    pub async fn next(&mut self) -> Result<bool> {
        let rows = self.listing.next().await?;
        let Some(last) = rows.last() else { return Ok(false) };
        let last = self.source.local(&last.key).to_owned();
        let entries = rows.into_iter().map(|row| self.entry(row)).collect::<Result<Vec<_>>>()?;
        let seen = entries.len() as u64;
        let missing = self.missing(entries).await?;
        let copied = if self.options.overwrite { self.overwrite(missing).await? } else { self.fill(missing).await? };
        self.progress.copied += copied;
        self.progress.skipped += seen - copied;
        self.progress.last_key = Some(last);
        Ok(true)
    }

    /// A row of the source, under the target's key.
    fn entry(&self, row: Row) -> Result<(Key, Record)> {
        let key = self.target.key(self.source.local(&row.key))?;
        let missing =
            || Error::Corrupted { key: key.to_string(), reason: "it was listed without its value".to_owned() };
        let record = row.record.ok_or_else(missing)?;
        Ok((key, record))
    }

    /// Those that the target does not have as they are.
    async fn missing(&self, entries: Vec<(Key, Record)>) -> Result<Vec<(Key, NewRecord)>> {
        let there: Vec<Answer<_>> = entries.iter().map(|(key, _)| self.target.meta(key)).collect();
        let mut missing = Vec::with_capacity(entries.len());
        for ((key, record), there) in entries.into_iter().zip(there) {
            if there.await?.is_none_or(|there| self.options.overwrite && there != record.meta) {
                missing.push((key, NewRecord { force_created: true, ..record.into() }));
            }
        }
        Ok(missing)
    }

    /// Writes all, those of one first namespace in one step: a cluster takes no more at once.
    async fn overwrite(&self, entries: Vec<(Key, NewRecord)>) -> Result<u64> {
        let count = entries.len() as u64;
        let mut batches: Vec<Batch> = Vec::new();
        let mut namespace: Option<String> = None;
        for (key, record) in entries {
            let first = key.split_once(SEPARATOR).map_or("", |(first, _)| first);
            let write = (key.clone(), Write::Put(record));
            match batches.last_mut().filter(|_| namespace.as_deref() == Some(first)) {
                Some(batch) => batch.writes.push(write),
                None => {
                    namespace = Some(first.to_owned());
                    batches.push(Batch { checks: smallvec![], writes: smallvec![write] });
                }
            }
        }
        let written: Vec<Answer<_>> = batches.into_iter().map(|batch| self.target.commit(batch)).collect();
        for written in written {
            written.await?;
        }
        Ok(count)
    }

    /// Writes those whose keys are free.
    async fn fill(&self, entries: Vec<(Key, NewRecord)>) -> Result<u64> {
        let put = |(key, record): (Key, NewRecord)| {
            let checks = smallvec![(key.clone(), Check::Absent)];
            self.target.commit(Batch { checks, writes: smallvec![(key, Write::Put(record))] })
        };
        let written: Vec<Answer<_>> = entries.into_iter().map(put).collect();
        let mut count = 0;
        for written in written {
            count += u64::from(matches!(written.await?, Commit::Done(_)));
        }
        Ok(count)
    }
}
