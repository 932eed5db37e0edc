//! An engine that fails at a chosen call: before it does anything, or after it has done all of it.
#![allow(unreachable_pub, reason = "a test crate has no other")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use rrag_storage::engine::{
    Announced, Batch, ChangeFn, Commit, Engine, EngineStats, KeyRange, Meta, Page, Record, Rotated, Scan, Updated,
};
use rrag_storage::{Answer, Error, Key, Result};

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It does nothing.
    Refused,
    /// It is done, and its answer is lost.
    AnswerLost,
    /// It does not fail: it is answered later than it could be, by another thread.
    Delayed,
}

/// Which call fails, of all engines that share the plan.
#[derive(Debug)]
pub struct Plan {
    fault: Fault,
    left: AtomicI64,
    failed: AtomicU64,
    paused: AtomicBool,
}

impl Plan {
    /// The call after `succeed` others fails; for [`Fault::Delayed`] every one from there on is delayed.
    pub fn new(fault: Fault, succeed: i64) -> Arc<Self> {
        Arc::new(Self {
            fault,
            left: AtomicI64::new(succeed),
            failed: AtomicU64::new(0),
            paused: AtomicBool::new(false),
        })
    }

    /// Runs `look`, whose calls neither fail nor count.
    pub fn aside<T>(&self, look: impl FnOnce() -> T) -> T {
        self.paused.store(true, Ordering::SeqCst);
        let seen = look();
        self.paused.store(false, Ordering::SeqCst);
        seen
    }

    /// Nothing fails any more; whether anything has.
    pub fn end(&self) -> bool {
        self.left.store(i64::MAX, Ordering::SeqCst);
        self.failed.load(Ordering::SeqCst) > 0
    }

    fn next(&self) -> Option<Fault> {
        if self.paused.load(Ordering::SeqCst) {
            return None;
        }
        let left = self.left.fetch_sub(1, Ordering::SeqCst);
        let fails = left == 0 || (left < 0 && self.fault == Fault::Delayed);
        self.failed.fetch_add(u64::from(fails), Ordering::SeqCst);
        fails.then_some(self.fault)
    }
}

fn failure() -> Error {
    Error::Unavailable { what: "the engine under test".to_owned(), reason: "it was told to fail".to_owned() }
}

/// `E`, failing as the plan says.
pub struct Faulty<E> {
    engine: Arc<E>,
    plan: Arc<Plan>,
}

impl<E: Engine> Faulty<E> {
    pub fn new(engine: Arc<E>, plan: &Arc<Plan>) -> Arc<Self> {
        Arc::new(Self { engine, plan: Arc::clone(plan) })
    }

    fn call<T: Send + 'static>(&self, call: impl FnOnce(&E) -> Answer<Result<T>>) -> Answer<Result<T>> {
        match self.plan.next() {
            None => call(&self.engine),
            Some(Fault::Refused) => Answer::ready(Err(failure())),
            Some(Fault::AnswerLost) => {
                let answer = call(&self.engine);
                Answer::later(async move { answer.await.and(Err(failure())) })
            }
            Some(Fault::Delayed) => {
                let answer = call(&self.engine);
                let (sender, receiver) = futures_channel::oneshot::channel();
                std::thread::spawn(move || sender.send(pollster::block_on(answer)).ok());
                Answer::later(async move { receiver.await.unwrap_or_else(|_| Err(failure())) })
            }
        }
    }
}

#[deny(clippy::missing_trait_methods, reason = "a default would not fail")]
impl<E: Engine> Engine for Faulty<E> {
    fn name(&self) -> &'static str {
        self.engine.name()
    }

    fn location(&self) -> String {
        self.engine.location()
    }

    fn may_block(&self) -> bool {
        self.engine.may_block()
    }

    fn max_key_bytes(&self) -> usize {
        self.engine.max_key_bytes()
    }

    fn announced(&self) -> Option<&Announced> {
        self.engine.announced()
    }

    fn is_local(&self) -> bool {
        self.engine.is_local()
    }

    fn activity(&self) -> Vec<(&'static str, f64)> {
        self.engine.activity()
    }

    fn open(&self) -> Answer<Result<()>> {
        self.call(Engine::open)
    }

    fn transactions(&self) -> Result<()> {
        self.engine.transactions()
    }

    fn read_one(&self, key: &Key) -> Answer<Result<Option<Record>>> {
        self.call(|engine| engine.read_one(key))
    }

    fn meta(&self, key: &Key) -> Answer<Result<Option<Meta>>> {
        self.call(|engine| engine.meta(key))
    }

    fn read(&self, keys: Vec<Key>) -> Answer<Result<Vec<Option<Record>>>> {
        self.call(|engine| engine.read(keys))
    }

    fn commit(&self, batch: Batch) -> Answer<Result<Commit>> {
        self.call(|engine| engine.commit(batch))
    }

    fn delete(&self, keys: Vec<Key>) -> Answer<Result<u64>> {
        self.call(|engine| engine.delete(keys))
    }

    fn update(&self, keys: Vec<Key>, change: ChangeFn) -> Answer<Result<Vec<Updated>>> {
        self.call(|engine| engine.update(keys, change))
    }

    fn update_unread(&self, keys: Vec<Key>, change: ChangeFn) -> Answer<Result<Vec<bool>>> {
        self.call(|engine| engine.update_unread(keys, change))
    }

    fn scan(&self, scan: Scan) -> Answer<Result<Page>> {
        self.call(|engine| engine.scan(scan))
    }

    fn count(&self, range: KeyRange) -> Answer<Result<u64>> {
        self.call(|engine| engine.count(range))
    }

    fn remove_range(&self, range: KeyRange) -> Answer<Result<u64>> {
        self.call(|engine| engine.remove_range(range))
    }

    fn namespaces(&self, range: KeyRange, skip: usize, max_depth: Option<usize>) -> Answer<Result<Vec<String>>> {
        self.call(|engine| engine.namespaces(range, skip, max_depth))
    }

    fn stats(&self, range: KeyRange) -> Answer<Result<EngineStats>> {
        self.call(|engine| engine.stats(range))
    }

    fn attribute(&self, name: &str, proposed: Option<Vec<u8>>) -> Answer<Result<Option<Vec<u8>>>> {
        self.call(|engine| engine.attribute(name, proposed))
    }

    fn rotate(&self, range: KeyRange, limit: usize) -> Answer<Result<Rotated>> {
        self.call(|engine| engine.rotate(range, limit))
    }

    fn collect_garbage(&self, older_than: Duration) -> Answer<Result<u64>> {
        self.call(|engine| engine.collect_garbage(older_than))
    }

    fn census(&self, range: KeyRange, skip: usize) -> Answer<Result<(EngineStats, u64)>> {
        self.call(|engine| engine.census(range, skip))
    }

    fn ping(&self) -> Answer<Result<()>> {
        self.call(Engine::ping)
    }

    fn close(&self) -> Answer<Result<()>> {
        self.engine.close()
    }
}
