//! What callers ask of the threads, each with the way back.

use futures_channel::oneshot::{self, Sender};
use rusqlite::Connection;

use super::errors::{Outcome, gone};
use super::patience::Patience;
use super::statements::{self, Created, Sql};
use super::{attributes, scan};
use crate::answer::Answer;
use crate::engine::{Batch, Body, ChangeFn, Commit, EngineStats, KeyRange, Meta, Page, Record, Scan, Updated, Write};
use crate::error::{Error, Result};
use crate::key::Key;

/// Expired records that one purge deletes at most.
const PURGE_ROWS: i64 = 500;

/// The way back to a caller.
pub(super) struct Reply<T>(Sender<Result<T>>);

impl<T: Send + 'static> Reply<T> {
    /// A way back, and the answer that comes by it.
    pub(super) fn new() -> (Self, Answer<Result<T>>) {
        let (sender, receiver) = oneshot::channel();
        (Self(sender), Answer::later(async move { receiver.await.unwrap_or_else(|_| Err(gone())) }))
    }

    pub(super) fn send(self, answer: Result<T>) {
        // The caller may have gone away: nobody is left to tell.
        let _ = self.0.send(answer);
    }
}

/// A write. One transaction runs many of them, each whole or not at all.
pub(super) enum Task {
    Commit(Batch, Reply<Commit>),
    Update(Vec<Key>, ChangeFn, Reply<Vec<Updated>>),
    RemoveRange(KeyRange, Reply<u64>),
    /// A name, and the value that it gets where it has none.
    Attribute(String, Option<Vec<u8>>, Reply<Option<Vec<u8>>>),
    /// Frees what has expired; nobody waits for it.
    Purge,
}

/// What a task came to, before its transaction is committed.
pub(super) enum Done {
    Commit(Commit, Created),
    Updated(Vec<Updated>),
    Removed(u64),
    Attribute(Option<Vec<u8>>),
    /// How many records went, and when the next one expires.
    Purged(u64, Option<i64>),
}

/// Hears of a key that was changed, and has a way to the record that is there now.
type Changed<'c, 't> = dyn FnMut(&'t Key, &dyn Fn() -> Option<Record>) + 'c;

impl Task {
    pub(super) fn run(&self, connection: &Connection, sql: &Sql, now_ms: i64) -> Outcome<Done> {
        Ok(match self {
            Self::Commit(batch, _) => {
                let (commit, created) = statements::commit(connection, sql, batch, now_ms)?;
                Done::Commit(commit, created)
            }
            Self::Update(keys, change, _) => Done::Updated(statements::update(connection, sql, keys, change, now_ms)?),
            Self::RemoveRange(range, _) => Done::Removed(statements::remove_range(connection, sql, range, now_ms)?),
            Self::Attribute(name, proposed, _) => {
                Done::Attribute(attributes::attribute(connection, sql, name, proposed.as_deref())?)
            }
            Self::Purge => {
                let (freed, next) = statements::purge(connection, sql, PURGE_ROWS, now_ms)?;
                Done::Purged(freed, next)
            }
        })
    }

    pub(super) fn answer(self, done: Result<Done>) {
        match (self, done) {
            (Self::Commit(_, reply), Ok(Done::Commit(commit, _))) => reply.send(Ok(commit)),
            (Self::Update(_, _, reply), Ok(Done::Updated(updated))) => reply.send(Ok(updated)),
            (Self::RemoveRange(_, reply), Ok(Done::Removed(count))) => reply.send(Ok(count)),
            (Self::Attribute(_, _, reply), Ok(Done::Attribute(value))) => reply.send(Ok(value)),
            (task, done) => task.fail(done.err().unwrap_or_else(gone)),
        }
    }

    pub(super) fn fail(self, error: Error) {
        match self {
            Self::Commit(_, reply) => reply.send(Err(error)),
            Self::Update(_, _, reply) => reply.send(Err(error)),
            Self::RemoveRange(_, reply) => reply.send(Err(error)),
            Self::Attribute(_, _, reply) => reply.send(Err(error)),
            Self::Purge => {}
        }
    }

    /// Whether its caller has gone away.
    pub(super) fn is_deserted(&self) -> bool {
        match self {
            Self::Commit(_, reply) => reply.0.is_canceled(),
            Self::Update(_, _, reply) => reply.0.is_canceled(),
            Self::RemoveRange(_, reply) => reply.0.is_canceled(),
            Self::Attribute(_, _, reply) => reply.0.is_canceled(),
            Self::Purge => false,
        }
    }

    /// Roughly the bytes that it writes.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Commit(batch, _) => batch.writes.iter().map(|(key, write)| key.len() + write_bytes(write)).sum(),
            Self::Update(keys, ..) => keys.len() * 256,
            Self::RemoveRange(..) | Self::Attribute(..) | Self::Purge => 64 * 1024,
        }
    }

    /// Calls `changed` for each key that it has changed, with a way to the record that is there now. False where it can't
    /// say what it has changed.
    pub(super) fn tell_changes<'t>(&'t self, done: &'t Done, changed: &mut Changed<'_, 't>) -> bool {
        match (self, done) {
            (Self::Commit(batch, _), Done::Commit(Commit::Done(_), created)) => {
                for ((key, write), &created_at) in batch.writes.iter().zip(created) {
                    changed(key, &|| match write {
                        Write::Put(new) => {
                            let meta = Meta { created_at, ..new.meta };
                            Some(Record { meta, body: Body::from(new.body.as_slice()) })
                        }
                        Write::Delete => None,
                    });
                }
                true
            }
            (Self::Update(keys, ..), Done::Updated(updated)) => {
                for (key, one) in keys.iter().zip(updated) {
                    changed(key, &|| one.after.clone());
                }
                true
            }
            (Self::RemoveRange(..) | Self::Purge, _) => false,
            (Self::Commit(..) | Self::Update(..) | Self::Attribute(..), _) => true,
        }
    }

    /// The earliest expiry that it stores, in milliseconds since the Unix epoch.
    pub(super) fn expiry(&self, done: &Done) -> Option<i64> {
        match (self, done) {
            (Self::Commit(batch, _), Done::Commit(Commit::Done(_), _)) => batch
                .writes
                .iter()
                .filter_map(|(_, write)| match write {
                    Write::Put(record) => record.meta.expires_at,
                    Write::Delete => None,
                })
                .min(),
            (_, Done::Updated(updated)) => {
                updated.iter().filter_map(|one| one.after.as_ref().and_then(|after| after.meta.expires_at)).min()
            }
            _ => None,
        }
    }
}

fn write_bytes(write: &Write) -> usize {
    match write {
        Write::Put(record) => record.body.len() + 64,
        Write::Delete => 64,
    }
}

/// A read that the calling thread leaves to others.
pub(super) enum Query {
    One(Key, Reply<Option<Record>>),
    Many(Vec<Key>, Reply<Vec<Option<Record>>>),
    Scan(Scan, Reply<Page>),
    Count(KeyRange, Reply<u64>),
    Namespaces(KeyRange, usize, Option<usize>, Reply<Vec<String>>),
    Stats(KeyRange, Reply<EngineStats>),
    Ping(Reply<()>),
}

/// What a query came to.
pub(super) enum Found {
    One(Option<Record>),
    Many(Vec<Option<Record>>),
    Page(Page),
    Count(u64),
    Names(Vec<String>),
    Stats(EngineStats),
    Nothing,
}

impl Query {
    /// Runs inside a snapshot.
    pub(super) fn run(&self, connection: &Connection, sql: &Sql, now_ms: i64) -> Outcome<Found> {
        Ok(match self {
            Self::One(key, _) => Found::One(statements::read(connection, sql, key, now_ms)?),
            Self::Many(keys, _) => {
                let read = |key| statements::read(connection, sql, key, now_ms);
                Found::Many(keys.iter().map(read).collect::<Outcome<_>>()?)
            }
            Self::Scan(request, _) => Found::Page(scan::scan(connection, sql, request, now_ms)?),
            Self::Count(range, _) => Found::Count(scan::count(connection, sql, range, now_ms)?),
            Self::Namespaces(range, skip, max_depth, _) => {
                Found::Names(scan::namespaces(connection, sql, range, *skip, *max_depth, now_ms)?)
            }
            Self::Stats(range, _) => Found::Stats(scan::stats(connection, sql, range, now_ms)?),
            Self::Ping(_) => {
                connection.prepare_cached("SELECT count(*) FROM sqlite_schema")?.query_row([], |_| Ok(()))?;
                Found::Nothing
            }
        })
    }

    pub(super) fn answer(self, found: Result<Found>) {
        match (self, found) {
            (Self::One(_, reply), Ok(Found::One(record))) => reply.send(Ok(record)),
            (Self::Many(_, reply), Ok(Found::Many(records))) => reply.send(Ok(records)),
            (Self::Scan(_, reply), Ok(Found::Page(page))) => reply.send(Ok(page)),
            (Self::Count(_, reply), Ok(Found::Count(count))) => reply.send(Ok(count)),
            (Self::Namespaces(.., reply), Ok(Found::Names(names))) => reply.send(Ok(names)),
            (Self::Stats(_, reply), Ok(Found::Stats(stats))) => reply.send(Ok(stats)),
            (Self::Ping(reply), Ok(Found::Nothing)) => reply.send(Ok(())),
            (query, found) => query.fail(found.err().unwrap_or_else(gone)),
        }
    }

    pub(super) fn fail(self, error: Error) {
        match self {
            Self::One(_, reply) => reply.send(Err(error)),
            Self::Many(_, reply) => reply.send(Err(error)),
            Self::Scan(_, reply) => reply.send(Err(error)),
            Self::Count(_, reply) => reply.send(Err(error)),
            Self::Namespaces(.., reply) => reply.send(Err(error)),
            Self::Stats(_, reply) => reply.send(Err(error)),
            Self::Ping(reply) => reply.send(Err(error)),
        }
    }
}

/// A job with the time it has.
pub(super) struct Timed<J> {
    pub(super) job: J,
    pub(super) patience: Patience,
}

/// What waits for a file to be open.
pub(super) enum Job {
    Task(Timed<Task>),
    Query(Timed<Query>),
    Open(Reply<()>),
    Close(Reply<()>),
}

impl Job {
    pub(super) fn fail(self, error: Error) {
        match self {
            Self::Task(task) => task.job.fail(error),
            Self::Query(query) => query.job.fail(error),
            Self::Open(reply) => reply.send(Err(error)),
            // What could not be opened is closed.
            Self::Close(reply) => reply.send(Ok(())),
        }
    }
}
