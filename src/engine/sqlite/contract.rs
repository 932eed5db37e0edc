//! The contract of [`Engine`], each method handed to whoever does it.

use super::errors::BACKEND;
use super::job::{Job, Query, Reply, Task};
use super::{Place, SqliteEngine, SqlitePath, Synchronous};
use crate::answer::Answer;
use crate::engine::{
    Announced, Batch, ChangeFn, Commit, Engine, EngineStats, KeyRange, Meta, Page, Record, Scan, Updated,
};
use crate::error::Result;
use crate::key::Key;

/// So many records at most are read in the calling thread.
const INLINE_KEYS: usize = 8;

impl Engine for SqliteEngine {
    fn name(&self) -> &'static str {
        BACKEND
    }

    fn location(&self) -> String {
        format!("{BACKEND}:{}", self.config.place())
    }

    fn may_block(&self) -> bool {
        self.config.path != SqlitePath::Memory
    }

    fn is_local(&self) -> bool {
        true
    }

    fn activity(&self) -> Vec<(&'static str, f64)> {
        let figures = self.here(|place| {
            Some(Ok(match place {
                Place::File(core) => core.activity.figures(core.desk.tasks.len() + core.desk.queries.len()),
                Place::Memory(memory) => memory.activity.figures(0),
            }))
        });
        figures.and_then(Result::ok).unwrap_or_default()
    }

    fn announced(&self) -> Option<&Announced> {
        // Without a flush to wait for, a commit costs less than a wait for company.
        let flushes = self.config.path != SqlitePath::Memory && self.config.synchronous == Synchronous::Full;
        flushes.then_some(&self.announced)
    }

    fn open(&self) -> Answer<Result<()>> {
        let (reply, answer) = Reply::new();
        self.submit(Job::Open(reply));
        answer
    }

    fn read_one(&self, key: &Key) -> Answer<Result<Option<Record>>> {
        let read = self.here(|place| match place {
            Place::File(core) => core.read_one_inline(key),
            Place::Memory(memory) => {
                Some(memory.read_keys(std::slice::from_ref(key)).map(|mut records| records.pop().flatten()))
            }
        });
        match read {
            Some(read) => Answer::ready(read),
            None => self.query(|reply| Query::One(key.clone(), reply)),
        }
    }

    fn meta(&self, key: &Key) -> Answer<Result<Option<Meta>>> {
        let meta = self.here(|place| match place {
            Place::File(core) => core.meta_inline(key),
            Place::Memory(_) => None,
        });
        match meta {
            Some(meta) => Answer::ready(meta),
            None => self.read_one(key).map_ok(|record| record.map(|record| record.meta)),
        }
    }

    fn read(&self, keys: Vec<Key>) -> Answer<Result<Vec<Option<Record>>>> {
        if keys.len() <= INLINE_KEYS
            && let Some(read) = self.here(|place| match place {
                Place::File(core) => core.read_inline(&keys),
                Place::Memory(memory) => Some(memory.read_keys(&keys)),
            })
        {
            return Answer::ready(read);
        }
        self.query(|reply| Query::Many(keys, reply))
    }

    fn commit(&self, batch: Batch) -> Answer<Result<Commit>> {
        self.task(|reply| Task::Commit(batch, reply))
    }

    fn update(&self, keys: Vec<Key>, change: ChangeFn) -> Answer<Result<Vec<Updated>>> {
        self.task(|reply| Task::Update(keys, change, reply))
    }

    fn scan(&self, scan: Scan) -> Answer<Result<Page>> {
        self.query(|reply| Query::Scan(scan, reply))
    }

    fn count(&self, range: KeyRange) -> Answer<Result<u64>> {
        self.query(|reply| Query::Count(range, reply))
    }

    fn remove_range(&self, range: KeyRange) -> Answer<Result<u64>> {
        self.task(|reply| Task::RemoveRange(range, reply))
    }

    fn namespaces(&self, range: KeyRange, skip: usize, max_depth: Option<usize>) -> Answer<Result<Vec<String>>> {
        self.query(|reply| Query::Namespaces(range, skip, max_depth, reply))
    }

    fn stats(&self, range: KeyRange) -> Answer<Result<EngineStats>> {
        self.query(|reply| Query::Stats(range, reply))
    }

    fn attribute(&self, name: &str, proposed: Option<Vec<u8>>) -> Answer<Result<Option<Vec<u8>>>> {
        self.task(|reply| Task::Attribute(name.to_owned(), proposed, reply))
    }

    fn ping(&self) -> Answer<Result<()>> {
        self.query(Query::Ping)
    }

    fn close(&self) -> Answer<Result<()>> {
        let (reply, answer) = Reply::new();
        self.submit(Job::Close(reply));
        answer
    }
}
