//! Batches: one script each, done whole or not at all.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::join_all;
use redis::Value;
use smallvec::SmallVec;

use super::errors::{BACKEND, unexpected};
use super::layout::{HEAD, Names, encode};
use super::request::Work;
use super::scripts;
use super::store::{Store, received};
use crate::answer::Answer;
use crate::clock::Clock;
use crate::engine::{Batch, Check, Commit, Write};
use crate::error::{Error, Result};
use crate::key::Key;

/// The longest string of Redis (`proto-max-bulk-len`), head and body.
const MAX_RECORD_BYTES: usize = 512 * 1024 * 1024;
impl Store {
    pub(super) fn commit(self: &Arc<Self>, batch: Batch) -> Answer<Result<Commit>> {
        let prepared = self.layout.common(keys_of(&batch)).and_then(|names| Ok((self.prepare(&names, &batch)?, names)));
        let (work, names) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => return Answer::ready(Err(error)),
        };
        self.expect(batch.writes.iter().filter_map(|(_, write)| expiry_of(write)).min());
        if names.segment.as_ref().is_some_and(|segment| !self.is_registered(segment)) {
            let store = Arc::clone(self);
            return self.run(async move {
                store.register(&names).await?;
                outcome(&batch, store.ask(work, true, false).await?)
            });
        }
        let answer = self.send(work, true, false);
        Answer::later(async move { outcome(&batch, received(answer).await?) })
    }

    /// On a cluster each first namespace in a step of its own.
    pub(super) fn delete(self: &Arc<Self>, keys: &[Key]) -> Answer<Result<u64>> {
        let of_group = |places: Vec<usize>| {
            let keys = places.into_iter().filter_map(|place| keys.get(place));
            let writes = keys.map(|key| (key.clone(), Write::Delete)).collect();
            self.commit(Batch { writes, ..Batch::default() })
        };
        let commits: Vec<_> = self.layout.grouped(keys).into_iter().map(of_group).collect();
        Answer::later(async move {
            let mut count = 0;
            for commit in join_all(commits).await {
                if let Commit::Done(existed) = commit? {
                    count += existed.iter().filter(|&&existed| existed).count() as u64;
                }
            }
            Ok(count)
        })
    }

    /// As [`Store::commit`], in one task with what comes before it.
    pub(super) async fn commit_here(&self, batch: &Batch) -> Result<Commit> {
        let names = self.layout.common(keys_of(batch))?;
        let work = self.prepare(&names, batch)?;
        if names.segment.as_ref().is_some_and(|segment| !self.is_registered(segment)) {
            self.register(&names).await?;
        }
        self.expect(batch.writes.iter().filter_map(|(_, write)| expiry_of(write)).min());
        outcome(batch, self.ask(work, true, false).await?)
    }

    fn prepare(&self, names: &Names, batch: &Batch) -> Result<Work> {
        let now_ms = self.clock.now_ms();
        let mut all = names.heading();
        let mut places: HashMap<&Key, usize> = HashMap::with_capacity(batch.writes.len());
        let mut place_of = |key| {
            let place = *places.entry(key).or_insert_with(|| {
                all.push(names.record(Key::as_bytes(key)));
                all.len()
            });
            place.to_string().into_bytes()
        };
        let mut args: Vec<Vec<u8>> = Vec::with_capacity(3 + batch.checks.len() * 2 + batch.writes.len() * 4);
        args.push(now_ms.to_string().into_bytes());
        args.push(names.records.clone());
        args.push(batch.checks.len().to_string().into_bytes());
        for (key, check) in &batch.checks {
            args.push(place_of(key));
            args.push(match check {
                Check::Version(version) => version.to_be_bytes().to_vec(),
                Check::Absent => Vec::new(),
            });
        }
        // A blind put may be repeated; what tells or asks what was there before must not.
        let mut fenced = !batch.checks.is_empty() || self.layout.is_clustered();
        for (key, write) in &batch.writes {
            args.push(place_of(key));
            match write {
                Write::Delete => {
                    fenced = true;
                    args.push(b"D".to_vec());
                }
                Write::Put(record) => {
                    let bytes = record.body.len() + HEAD;
                    if bytes > MAX_RECORD_BYTES {
                        return Err(Error::Backend {
                            backend: BACKEND,
                            message: format!(
                                "a value of {bytes} bytes is larger than Redis's limit of {MAX_RECORD_BYTES} bytes; keep it in an object store (large_values)"
                            ),
                        });
                    }
                    args.push(if record.force_created { b"F".to_vec() } else { b"P".to_vec() });
                    // Redis's own expiry is a backstop, by the time that is left: a test's clock must not make it
                    // drop what is alive.
                    let ttl = match (record.meta.expires_at, &self.clock) {
                        (Some(at), Clock::System) => at.saturating_sub(now_ms).max(1).to_string(),
                        _ => String::new(),
                    };
                    args.push(ttl.into_bytes());
                    args.push(encode(&record.meta, &record.body));
                }
            }
        }
        Ok(Work::Script { script: &scripts::COMMIT, names: all, args, fenced })
    }
}

fn keys_of(batch: &Batch) -> impl Iterator<Item = &Key> {
    batch.checks.iter().map(|(key, _)| key).chain(batch.writes.iter().map(|(key, _)| key))
}

fn expiry_of(write: &Write) -> Option<i64> {
    match write {
        Write::Put(record) => record.meta.expires_at,
        Write::Delete => None,
    }
}

fn outcome(batch: &Batch, value: Value) -> Result<Commit> {
    let Value::BulkString(bytes) = value else { return Err(unexpected("a commit")) };
    match bytes.split_first() {
        Some((b'D', flags)) if flags.len() == batch.writes.len() => {
            Ok(Commit::Done(flags.iter().map(|&flag| flag == b'1').collect::<SmallVec<_>>()))
        }
        Some((b'C', number)) => std::str::from_utf8(number)
            .ok()
            .and_then(|number| number.parse::<usize>().ok())
            .and_then(|number| batch.checks.get(number.checked_sub(1)?))
            .map(|(key, _)| Commit::Conflict(key.clone()))
            .ok_or_else(|| unexpected("a commit")),
        _ => Err(unexpected("a commit")),
    }
}
