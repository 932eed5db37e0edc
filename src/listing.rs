//! Listings: a query becomes a key range, an order and a filter, and is read page by page.

use crate::engine::{Engine, KeyRange, Row, Scan};
use crate::error::Result;
use crate::glob::{Glob, is_glob};
use crate::key::SEPARATOR;
use crate::memory::MemoryQuery;
use crate::storage::Storage;

/// The first page is small, so that a caller who wants a few pays for a few; each next one is twice as large.
const FIRST_PAGE: usize = 128;
/// An engine gives fewer rows where their records are large.
pub(crate) const LARGEST_PAGE: usize = 65_536;

/// A listing under way.
///
/// Entries that are written or deleted meanwhile may or may not be seen; every other entry is seen once.
pub struct Listing<E: ?Sized> {
    storage: Storage<E>,
    scan: Scan,
    page: usize,
    largest: usize,
    filter: Option<Glob>,
    /// How many bytes of each key the filter doesn't see: the view's own prefix.
    skip: usize,
    offset: usize,
    remaining: usize,
    done: bool,
}

impl<E: ?Sized> Clone for Listing<E> {
    fn clone(&self) -> Self {
        Self { storage: self.storage.clone(), scan: self.scan.clone(), filter: self.filter.clone(), ..*self }
    }
}

impl<E: Engine + ?Sized> Listing<E> {
    /// A listing of what `query` asks for, with records or with keys alone.
    pub(crate) fn new(storage: Storage<E>, query: &MemoryQuery, records: bool) -> Self {
        let prefix = storage.prefix();
        let mut range = KeyRange::prefix(prefix);
        let mut narrow = |rest: &str| {
            let whole = KeyRange::prefix(&format!("{prefix}{rest}"));
            range = std::mem::take(&mut range).intersect(whole);
        };
        if let Some(namespace) = &query.namespace {
            narrow(&format!("{namespace}{SEPARATOR}"));
        }
        if let Some(literal) = &query.prefix {
            narrow(literal);
        }
        let mut filter = None;
        if let Some(pattern) = &query.pattern {
            if is_glob(pattern) {
                let glob = Glob::new(pattern);
                narrow(&glob.literal_prefix());
                filter = Some(glob);
            } else {
                narrow(pattern);
            }
        }
        if let Some(after) = &query.after {
            range = range.after(&format!("{prefix}{after}"));
        }
        let remaining = query.limit.unwrap_or(usize::MAX);
        let done = remaining == 0 || range.is_empty();
        let scan = Scan { range, order: query.sort_order, after: None, limit: 1, records };
        let skip = prefix.len();
        let (page, largest, offset) = (FIRST_PAGE, LARGEST_PAGE, query.offset);
        Self { storage, scan, page, largest, filter, skip, offset, remaining, done }
    }

    /// The same listing, in pages of at most `page` rows.
    pub(crate) fn in_pages_of(self, page: usize) -> Self {
        Self { page, largest: page, ..self }
    }

    /// Whether everything was listed.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// The next rows, at least one unless the listing is done.
    pub async fn next(&mut self) -> Result<Vec<Row>> {
        while !self.done {
            let rows = self.next_page().await?;
            if !rows.is_empty() {
                return Ok(rows);
            }
        }
        Ok(Vec::new())
    }

    async fn next_page(&mut self) -> Result<Vec<Row>> {
        // Without a filter every row that is read counts: no more are asked for than are wanted.
        let wanted = if self.filter.is_none() { self.offset.saturating_add(self.remaining) } else { usize::MAX };
        let mut scan = self.scan.clone();
        scan.limit = self.page.min(wanted);
        self.page = (self.page * 2).min(self.largest);
        let page = self.storage.scan(scan).await?;
        match page.rows.last() {
            Some(last) if page.more => self.scan.after = Some(last.cursor()),
            _ => self.done = true,
        }
        let mut rows = page.rows;
        if let Some(filter) = &self.filter {
            rows.retain(|row| row.key.get(self.skip..).is_some_and(|key| filter.matches(key)));
        }
        let skipped = self.offset.min(rows.len());
        rows.drain(..skipped);
        self.offset -= skipped;
        rows.truncate(self.remaining);
        self.remaining -= rows.len();
        self.done |= self.remaining == 0;
        Ok(rows)
    }

    /// Everything that is left.
    pub async fn collect(mut self) -> Result<Vec<Row>> {
        let mut all = self.next().await?;
        while !self.done {
            all.append(&mut self.next().await?);
        }
        Ok(all)
    }
}
