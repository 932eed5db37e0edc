//! Reading through the layers: seals come off, values are unpacked, and fetched where they live elsewhere.
//!
//! A payload may be on its way out while its record is read: whoever misses one reads the record again.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures_util::future::join_all;

use super::heavy;
use super::layered::{Layered, then};
use super::state::{Name, Opened};
use crate::answer::{Answer, attempt};
use crate::codec::Frame;
use crate::engine::{Engine, Page, Record, Scan};
use crate::error::{Error, Result};
use crate::key::Key;

/// How many payloads are fetched at a time.
const AT_A_TIME: usize = 64;
/// The values of one page of a listing that were packed or live elsewhere take no more than this, in bytes, or are a
/// single one.
const PAGE_BYTES: usize = 16 << 20;

/// So often a page is fetched anew before fewer rows are asked for.
const ATTEMPTS: u32 = 16;

/// The error about a payload that is not there.
pub(super) fn missing(key: &str) -> Error {
    Error::Corrupted { key: key.to_owned(), reason: "its value is missing in the object store".to_owned() }
}

impl<E: Engine + ?Sized> Layered<E> {
    pub(super) fn open_one(&self, key: &Key, stored: &Key, record: Record) -> Answer<Result<Option<Record>>> {
        let (me, key, stored) = (self.clone(), key.clone(), stored.clone());
        let (state, name) = (Arc::clone(&self.state), (key.clone(), stored.clone()));
        let bytes = packed_bytes(&record);
        let opened = heavy::over(bytes, move || state.open(Name { key: &name.0, stored: &name.1 }, record));
        then(opened, move |opened| match opened {
            Opened::Plain(record) => Answer::ready(Ok(Some(record))),
            opened => Answer::later(async move { me.resolve(&key, &stored, opened).await }),
        })
    }

    /// A record that is not plain yet; `None` where it went away meanwhile.
    async fn resolve(&self, key: &Key, stored: &Key, opened: Opened) -> Result<Option<Record>> {
        let name = Name { key, stored };
        let (mut opened, mut missed) = (opened, None);
        loop {
            let payload = opened.payload();
            if let Some(record) = self.state.resolve(&*self.engine, name, opened).await? {
                return Ok(Some(record));
            }
            // The same payload twice: it is not just on its way out.
            if payload.is_some() && missed == payload {
                return Err(missing(key));
            }
            missed = payload;
            opened = match self.engine.read_one(stored).await? {
                Some(record) => self.state.open(name, record)?,
                None => return Ok(None),
            };
        }
    }

    /// What several keys held at one moment. Where a payload went away meanwhile, that moment is a later one.
    pub(super) fn open_read(
        &self,
        keys: Vec<Key>,
        stored: Vec<Key>,
        records: Vec<Option<Record>>,
    ) -> Answer<Result<Vec<Option<Record>>>> {
        let bytes = records.iter().flatten().map(packed_bytes).sum();
        let me = self.clone();
        let opened = heavy::over(bytes, move || {
            let (open, pending) = me.open_now(&keys, &stored, &records)?;
            Ok((keys, stored, records, open, pending))
        });
        let me = self.clone();
        then(opened, move |(keys, stored, mut records, mut open, mut pending)| {
            if pending.is_empty() {
                return Answer::ready(Ok(open));
            }
            Answer::later(async move {
                loop {
                    let mut gone = Vec::new();
                    for (place, record) in me.fetch_all(&keys, &stored, pending).await? {
                        if record.is_none() {
                            gone.push(place);
                        }
                        open[place] = record;
                    }
                    if gone.is_empty() {
                        return Ok(open);
                    }
                    let again = me.engine.read(stored.clone()).await?;
                    for place in gone {
                        if let (Some(before), Some(Some(now))) = (&records[place], again.get(place))
                            && before.body[..] == now.body[..]
                        {
                            return Err(missing(&keys[place]));
                        }
                    }
                    records = again;
                    (open, pending) = me.open_now(&keys, &stored, &records)?;
                }
            })
        })
    }

    /// All of `records`, each as of a moment of its own.
    pub(super) fn open_each(
        &self,
        keys: Vec<Key>,
        stored: Vec<Key>,
        records: &[Option<Record>],
    ) -> Answer<Result<Vec<Option<Record>>>> {
        let (mut open, pending) = attempt!(self.open_now(&keys, &stored, records));
        if pending.is_empty() {
            return Answer::ready(Ok(open));
        }
        let me = self.clone();
        Answer::later(async move {
            for (place, record) in me.resolve_all(&keys, &stored, pending).await? {
                open[place] = record;
            }
            Ok(open)
        })
    }

    /// A page of a listing as of one moment, cut where its values take too much memory. Where a payload went away
    /// meanwhile, that moment is a later one.
    pub(super) fn open_page(&self, scan: Scan, page: Page) -> Answer<Result<Page>> {
        let bytes = page.rows.iter().filter_map(|row| row.record.as_ref()).map(packed_bytes).sum();
        let me = self.clone();
        let opened = heavy::over(bytes, move || me.open_rows(page));
        let me = self.clone();
        then(opened, move |(page, pending)| {
            if pending.is_empty() {
                return Answer::ready(Ok(page));
            }
            Answer::later(async move { me.open_pending(scan, page, pending).await })
        })
    }

    /// The rest of a page, of which something is not here yet.
    async fn open_pending(&self, scan: Scan, page: Page, pending: Vec<(usize, Opened)>) -> Result<Page> {
        let (mut page, mut pending, mut scan) = (page, pending, scan);
        let mut missed = HashSet::new();
        for attempt in 1.. {
            let keys: Vec<Key> = page.rows.iter().map(|row| row.key.clone()).collect();
            let payloads: HashMap<usize, _> =
                pending.iter().filter_map(|(place, opened)| Some((*place, opened.payload()?))).collect();
            let mut is_whole = true;
            for (place, record) in self.fetch_all(&keys, &keys, pending).await? {
                is_whole &= record.is_some();
                // The same payload twice: it is not just on its way out.
                if record.is_none()
                    && let Some(&payload) = payloads.get(&place)
                    && !missed.insert(payload)
                {
                    return Err(missing(&keys[place]));
                }
                page.rows[place].record = record;
            }
            if is_whole {
                break;
            }
            if attempt % ATTEMPTS == 0 {
                // Others write faster than so many can be fetched: fewer.
                scan.limit = (page.rows.len() / 2).max(1);
            }
            (page, pending) = self.open_rows(self.engine.scan(scan.clone()).await?)?;
        }
        Ok(page)
    }

    /// What of a page can be opened at once, and the rest with its places.
    fn open_rows(&self, page: Page) -> Result<(Page, Vec<(usize, Opened)>)> {
        let Page { mut rows, mut more } = page;
        let (mut pending, mut bytes) = (Vec::new(), 0_usize);
        for place in 0..rows.len() {
            if bytes >= PAGE_BYTES {
                rows.truncate(place);
                more = true;
                break;
            }
            let row = &mut rows[place];
            if row.record.as_ref().is_none_or(|record| self.state.is_plain(record)) {
                continue;
            }
            let Some(record) = row.record.take() else { continue };
            match self.state.open(Name { key: &row.key, stored: &row.key }, record)? {
                Opened::Plain(record) => {
                    bytes = bytes.saturating_add(record.body.len());
                    row.record = Some(record);
                }
                opened => {
                    bytes = bytes.saturating_add(opened.size());
                    pending.push((place, opened));
                }
            }
        }
        Ok((Page { rows, more }, pending))
    }

    /// Those that can be opened at once, and the others with their places.
    #[expect(clippy::type_complexity, reason = "said by the line above")]
    fn open_now(
        &self,
        keys: &[Key],
        stored: &[Key],
        records: &[Option<Record>],
    ) -> Result<(Vec<Option<Record>>, Vec<(usize, Opened)>)> {
        let (mut open, mut pending) = (Vec::with_capacity(records.len()), Vec::new());
        for (place, ((key, stored), record)) in keys.iter().zip(stored).zip(records).enumerate() {
            let opened = record.as_ref().map(|record| self.state.open(Name { key, stored }, record.clone()));
            open.push(match opened.transpose()? {
                None => None,
                Some(Opened::Plain(record)) => Some(record),
                Some(opened) => {
                    pending.push((place, opened));
                    None
                }
            });
        }
        Ok((open, pending))
    }

    async fn resolve_all(
        &self,
        keys: &[Key],
        stored: &[Key],
        pending: Vec<(usize, Opened)>,
    ) -> Result<Vec<(usize, Option<Record>)>> {
        let resolving = pending.into_iter().map(|(place, opened)| {
            let (me, key, stored) = (self.clone(), keys[place].clone(), stored[place].clone());
            async move { me.resolve(&key, &stored, opened).await.map(|record| (place, record)) }
        });
        some_at_a_time(resolving).await
    }

    /// The payloads of `pending`, as they are now: `None` for one that is not there.
    async fn fetch_all(
        &self,
        keys: &[Key],
        stored: &[Key],
        pending: Vec<(usize, Opened)>,
    ) -> Result<Vec<(usize, Option<Record>)>> {
        let fetching = pending.into_iter().map(|(place, opened)| {
            let (me, key, stored) = (self.clone(), keys[place].clone(), stored[place].clone());
            async move {
                let name = Name { key: &key, stored: &stored };
                me.state.resolve(&*me.engine, name, opened).await.map(|record| (place, record))
            }
        });
        some_at_a_time(fetching).await
    }
}

/// How many bytes have to be gone over to open `record`.
fn packed_bytes(record: &Record) -> usize {
    if Frame::is_plain_body(&record.body) { 0 } else { record.body.len() }
}

/// Waits for all of `work`, of which not too much is under way at once.
async fn some_at_a_time<T>(work: impl Iterator<Item = impl Future<Output = Result<T>>>) -> Result<Vec<T>> {
    let mut work = work.peekable();
    let mut done = Vec::new();
    while work.peek().is_some() {
        for one in join_all(work.by_ref().take(AT_A_TIME)).await {
            done.push(one?);
        }
    }
    Ok(done)
}
