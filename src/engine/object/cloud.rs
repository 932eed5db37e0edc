//! A bucket in the cloud: every request, with its time and its repetitions.
//!
//! A read, and a write of what nobody else writes, is sent again until it is answered or its time is up. A write with a
//! condition is too, but once an answer was lost the object is looked at first: its version tells whether it happened.

use std::future::Future;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::list::PaginatedListOptions;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStoreExt, PutMode, PutOptions, PutPayload, UpdateVersion};
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::{Instant, sleep, timeout_at};

use super::backing::{Batch, Condition, Found, Listed, Loaded, Next, Outcome, Tag};
use super::builder::{Builder, Client};
use super::errors::{Fault, Meaning, backend, damaged, gone, meaning};
use super::names;
use super::record::{HEAD, Head, Packed};

/// Larger objects are read in parts of this size, at the same time.
pub(super) const PART: usize = 8 * 1024 * 1024;
/// Parts of one object that travel at the same time.
const PARTS: usize = 8;
/// What a transfer gets on top of its time, for each so many bytes a second.
const PACE: usize = 1024 * 1024;
/// The largest object that one request may write, of S3 and Google.
const MAX_PUT: usize = 5 * 1024 * 1024 * 1024;
/// What a listing gives at most.
const MAX_LISTED: usize = 1000;

const SILENT: &str = "no answer came in time";

/// A bucket.
pub(super) struct Bucket {
    builder: Builder,
    client: OnceCell<Client>,
    prefix: String,
    place: String,
    requests: Semaphore,
    within: Duration,
    /// Whether the store has ever answered: where it has not, an address that can't be reached is taken for wrong.
    reached: AtomicBool,
}

/// What a request came to.
enum Answer<T> {
    Value(T),
    Missing,
    Refused,
}

/// What became of a request that is not sent again.
pub(super) enum Sent {
    /// It happened.
    Answered,
    /// It may have happened; why that is not known.
    Doubtful(String),
}

impl Bucket {
    pub(super) fn new(builder: Builder, prefix: String, place: String, requests: usize, within: Duration) -> Self {
        Self {
            builder,
            client: OnceCell::new(),
            prefix,
            place,
            requests: Semaphore::new(requests.min(Semaphore::MAX_PERMITS)),
            within,
            reached: AtomicBool::new(false),
        }
    }

    pub(super) async fn client(&self) -> Outcome<&Client> {
        let made = self.client.get_or_try_init(|| async {
            let builder = self.builder.clone();
            tokio::task::spawn_blocking(move || builder.build()).await.map_err(|_| gone())?
        });
        made.await.map_err(Fault::Final)
    }

    fn path(&self, name: &str) -> Outcome<Path> {
        Path::parse(format!("{}{name}", self.prefix))
            .map_err(|_| Fault::Final(backend("a name can't be a path".into())))
    }

    /// One request, sent once.
    async fn once<T>(
        &self,
        until: Instant,
        request: impl Future<Output = object_store::Result<T>>,
    ) -> Result<Answer<T>, Meaning> {
        let late = || Meaning::Fault(Fault::Late(None));
        let _permit = timeout_at(until, self.requests.acquire()).await.map_err(|_| late())?;
        let limit = self.share(until);
        match timeout_at(limit, request).await {
            Ok(answer) => {
                let answer = match answer {
                    Ok(value) => Ok(Answer::Value(value)),
                    Err(error) => match meaning(&error, &self.place) {
                        Meaning::Missing => Ok(Answer::Missing),
                        Meaning::Refused => Ok(Answer::Refused),
                        other => Err(other),
                    },
                };
                if !matches!(answer, Err(Meaning::Unreachable(_))) {
                    self.reached.store(true, Ordering::Relaxed);
                }
                answer
            }
            Err(_) if limit < until => Err(Meaning::Fault(Fault::Lost(SILENT.into()))),
            Err(_) => Err(late()),
        }
    }

    /// How long a request may take that is to be answered by `until`: what gets no answer leaves time for another try.
    fn share(&self, until: Instant) -> Instant {
        let now = Instant::now();
        until.min(now + until.saturating_duration_since(now).max(self.within) / 2)
    }

    /// Some bytes of an object, of which the first come in time and the others as fast as is to be expected.
    async fn fetch(
        &self,
        path: &Path,
        range: Range<u64>,
        etag: Option<&str>,
        until: Instant,
    ) -> Outcome<Answer<(Vec<u8>, ObjectMeta)>> {
        let client = self.client().await?;
        let pace = Duration::from_secs((range.end - range.start) / PACE as u64);
        let begin = |options| async {
            let begun = timeout_at(self.share(until), client.objects.get_opts(path, options)).await;
            begun.unwrap_or_else(|_| Err(object_store::Error::Generic { store: "", source: SILENT.into() }))
        };
        self.ask_until(until, until + pace, || async {
            let options = GetOptions {
                range: Some(GetRange::Bounded(range.clone())),
                if_match: etag.map(str::to_owned),
                ..GetOptions::default()
            };
            let result = begin(options).await?;
            let (meta, room) = (result.meta.clone(), result.range.end - result.range.start);
            // What a store says is at most what was asked for.
            let mut bytes = Vec::with_capacity(usize::try_from(room).unwrap_or_default());
            let mut chunks = result.into_stream();
            while let Some(chunk) = chunks.try_next().await? {
                bytes.extend_from_slice(&chunk);
            }
            Ok((bytes, meta))
        })
        .await
    }

    /// One request, sent until it is answered.
    async fn ask<T, F>(&self, until: Instant, request: impl FnMut() -> F) -> Outcome<Answer<T>>
    where
        F: Future<Output = object_store::Result<T>>,
    {
        self.ask_until(until, until, request).await
    }

    /// As [`Bucket::ask`]; what is sent by `until` is answered by `end`.
    async fn ask_until<T, F>(&self, until: Instant, end: Instant, mut request: impl FnMut() -> F) -> Outcome<Answer<T>>
    where
        F: Future<Output = object_store::Result<T>>,
    {
        let mut pause = Pause::default();
        let mut last = None;
        loop {
            let reason = match self.once(end, request()).await {
                Ok(answer) => return Ok(answer),
                Err(Meaning::Unreachable(reason)) if !self.reached.load(Ordering::Relaxed) => {
                    return Err(self.unreachable(reason));
                }
                Err(Meaning::Unreachable(reason) | Meaning::Fault(Fault::Lost(reason))) => reason,
                Err(Meaning::Fault(Fault::Late(reason))) => return Err(Fault::Late(reason.or(last))),
                Err(Meaning::Fault(fault)) => return Err(fault),
                Err(Meaning::Missing) => return Ok(Answer::Missing),
                Err(Meaning::Refused) => return Ok(Answer::Refused),
            };
            if !pause.pass(until).await {
                return Err(Fault::Late(Some(reason)));
            }
            last = Some(reason);
        }
    }

    fn unreachable(&self, reason: String) -> Fault {
        Fault::Final(crate::Error::Unavailable { what: self.place.clone(), reason })
    }

    /// `until`, and the time that `bytes` may take besides.
    fn with_pace(until: Instant, bytes: usize) -> Instant {
        until + Duration::from_secs((bytes / PACE) as u64)
    }

    pub(super) async fn head(&self, name: &str, until: Instant) -> Outcome<Option<Found>> {
        let path = self.path(name)?;
        let answer = self.fetch(&path, 0..HEAD as u64, None, until).await?;
        match answer {
            Answer::Value((bytes, meta)) => found(name, &bytes, &meta).map(Some),
            Answer::Missing => Ok(None),
            // There is no first byte.
            Answer::Refused => Err(Fault::Final(damaged(&key(name), "the object is empty"))),
        }
    }

    pub(super) async fn load(&self, name: &str, until: Instant) -> Outcome<Option<Loaded>> {
        let path = self.path(name)?;
        'anew: loop {
            let answer = self.fetch(&path, 0..PART as u64, None, until).await?;
            let (mut bytes, meta) = match answer {
                Answer::Value(first) => first,
                Answer::Missing => return Ok(None),
                Answer::Refused => return Err(Fault::Final(damaged(&key(name), "the object is empty"))),
            };
            let found = found(name, &bytes, &meta)?;
            // The head was checked against the size: what claims terabytes is that long.
            let size = usize::try_from(meta.size).map_err(|_| backend("an object is larger than memory".into()))?;
            if size > bytes.len() {
                let until = Self::with_pace(until, size);
                let starts = (bytes.len()..size).step_by(PART);
                let etag = meta.e_tag.as_deref();
                let mut parts = stream::iter(starts.map(|start| {
                    let (range, path) = (start as u64..(start + PART).min(size) as u64, &path);
                    self.fetch(path, range, etag, until)
                }))
                .buffered(PARTS);
                bytes
                    .try_reserve_exact(size - bytes.len())
                    .map_err(|_| backend("an object is larger than memory".into()))?;
                while let Some(part) = parts.next().await {
                    match part? {
                        Answer::Value((part, _)) => bytes.extend_from_slice(&part),
                        // It was written anew, or deleted, meanwhile.
                        Answer::Missing | Answer::Refused if Instant::now() < until => continue 'anew,
                        Answer::Missing | Answer::Refused => return Err(Fault::Late(None)),
                    }
                }
            }
            if bytes.len() != size {
                return Err(Fault::Lost("an object came shorter than the store had said".into()));
            }
            return Ok(Some(Loaded { found, bytes }));
        }
    }

    /// Writes an object where the condition holds.
    pub(super) async fn put(
        &self,
        name: &str,
        packed: &Packed,
        condition: &Condition,
        until: Instant,
    ) -> Outcome<bool> {
        if packed.len() > MAX_PUT {
            return Err(too_large(packed.len()));
        }
        let path = self.path(name)?;
        let client = self.client().await?;
        let until = Self::with_pace(until, packed.len());
        let mode = match condition {
            Condition::Absent => PutMode::Create,
            Condition::Same(tag) => PutMode::Update(tag.0.clone()),
        };
        let payload: PutPayload = packed.slice(0, usize::MAX).into_iter().collect();
        let mut pause = Pause::default();
        let mut doubtful = None;
        loop {
            let options = PutOptions { mode: mode.clone(), ..PutOptions::default() };
            let reason = match self.once(until, client.objects.put_opts(&path, payload.clone(), options)).await {
                Ok(Answer::Value(_)) => return Ok(true),
                Ok(Answer::Missing | Answer::Refused) => match doubtful {
                    None => return Ok(false),
                    Some(reason) => reason,
                },
                Err(Meaning::Unreachable(reason)) if !self.reached.load(Ordering::Relaxed) => {
                    return Err(self.unreachable(reason));
                }
                Err(Meaning::Unreachable(reason)) if doubtful.is_none() => {
                    if !pause.pass(until).await {
                        return Err(Fault::Late(Some(reason)));
                    }
                    continue;
                }
                Err(Meaning::Unreachable(reason) | Meaning::Fault(Fault::Lost(reason))) => reason,
                Err(Meaning::Fault(Fault::Late(None))) => return Err(Fault::Late(doubtful)),
                Err(Meaning::Fault(fault)) => return Err(fault),
                Err(Meaning::Missing | Meaning::Refused) => return Ok(false),
            };
            // It may have happened.
            if !pause.pass(until).await {
                return Err(Fault::Late(Some(reason)));
            }
            let now = self.head(name, until).await?;
            if now.as_ref().is_some_and(|found| found.head.meta.version == packed.version) {
                return Ok(true);
            }
            let unchanged = match (condition, &now) {
                (Condition::Absent, None) => true,
                (Condition::Same(tag), Some(found)) => *tag == found.tag,
                _ => false,
            };
            if !unchanged {
                return Err(Fault::Lost(reason));
            }
            // As it was: sent again, the condition keeps it from happening twice.
            doubtful = Some(reason);
        }
    }

    /// Writes a large object in parts, whatever is there.
    pub(super) async fn upload(&self, name: &str, packed: &Packed, until: Instant) -> Outcome<()> {
        let path = self.path(name)?;
        let client = self.client().await?;
        let until = Self::with_pace(until, packed.len());
        let refused = || Fault::Final(backend(format!("{}: an upload in parts was refused", self.place)));
        let Answer::Value(id) = self.ask(until, || client.uploads.create_multipart(&path)).await? else {
            return Err(refused());
        };
        let starts = (0..packed.len()).step_by(PART).enumerate();
        let (id, path) = (&id, &path);
        let parts = stream::iter(starts.map(|(number, start)| async move {
            let put = || {
                let payload: PutPayload = packed.slice(start, start + PART).into_iter().collect();
                client.uploads.put_part(path, id, number, payload)
            };
            match self.ask(until, put).await? {
                Answer::Value(part) => Ok(part),
                Answer::Missing | Answer::Refused => Err(refused()),
            }
        }))
        .buffered(PARTS)
        .try_collect::<Vec<_>>()
        .await;
        let completed = match parts {
            Ok(parts) => self.ask(until, || client.uploads.complete_multipart(path, id, parts.clone())).await,
            Err(fault) => Err(fault),
        };
        match completed {
            Ok(Answer::Value(_)) => Ok(()),
            // Completed by a request whose answer was lost, which used the upload up.
            Ok(Answer::Missing | Answer::Refused)
                if self.head(name, until).await?.is_some_and(|found| found.head.meta.version == packed.version) =>
            {
                Ok(())
            }
            other => {
                // Parts that are left behind cost until the bucket's own rules remove them.
                let _ = timeout_at(Instant::now() + self.within, client.uploads.abort_multipart(path, id)).await;
                match other {
                    Err(fault) => Err(fault),
                    Ok(_) => Err(Fault::Lost("the upload in parts was gone at its end".into())),
                }
            }
        }
    }

    /// Deletes an object, whatever it holds. No condition can go with it, so that what may have happened is not sent
    /// again.
    pub(super) async fn delete(&self, name: &str, until: Instant) -> Outcome<Sent> {
        let path = self.path(name)?;
        let client = self.client().await?;
        let mut pause = Pause::default();
        loop {
            let reason = match self.once(until, client.objects.delete(&path)).await {
                Ok(_) | Err(Meaning::Missing | Meaning::Refused) => return Ok(Sent::Answered),
                Err(Meaning::Unreachable(reason)) if !self.reached.load(Ordering::Relaxed) => {
                    return Err(self.unreachable(reason));
                }
                Err(Meaning::Unreachable(reason)) => reason,
                Err(Meaning::Fault(Fault::Lost(reason))) => {
                    let more = pause.pass(until).await;
                    return if more { Ok(Sent::Doubtful(reason)) } else { Err(Fault::Late(Some(reason))) };
                }
                Err(Meaning::Fault(fault)) => return Err(fault),
            };
            if !pause.pass(until).await {
                return Err(Fault::Late(Some(reason)));
            }
        }
    }

    /// One that is not sent again: it happens soon or never.
    pub(super) async fn delete_once(&self, name: &str, until: Instant) -> Outcome<()> {
        let path = self.path(name)?;
        let client = self.client().await?;
        match self.once(until, client.objects.delete(&path)).await {
            Ok(_) => Ok(()),
            Err(Meaning::Fault(fault)) => Err(fault),
            Err(_) => Err(Fault::Late(None)),
        }
    }

    pub(super) async fn delete_all(&self, names: Vec<String>, until: Instant) -> Outcome<()> {
        let client = self.client().await?;
        let paths: Vec<Path> = names.iter().map(|name| self.path(name)).collect::<Outcome<_>>()?;
        let delete = || {
            let each: Vec<_> = paths.iter().cloned().map(Ok).collect();
            client.objects.delete_stream(stream::iter(each).boxed()).map(deleted).try_collect::<Vec<()>>()
        };
        self.ask(until, delete).await.map(|_| ())
    }

    pub(super) async fn list(&self, prefix: &str, next: &Next, limit: usize, until: Instant) -> Outcome<Batch> {
        let client = self.client().await?;
        let whole = format!("{}{prefix}", self.prefix);
        let prefix = (!whole.is_empty()).then_some(whole.as_str());
        let limit = limit.clamp(1, MAX_LISTED);
        let list = || {
            let mut options = PaginatedListOptions { max_keys: Some(limit), ..PaginatedListOptions::default() };
            match next {
                Next::After(name) if name.is_empty() => {}
                Next::After(name) => options.offset = Some(format!("{}{name}", self.prefix)),
                Next::Token(token) => options.page_token = Some(token.clone()),
            }
            client.lists.list_paginated(prefix, options)
        };
        match self.ask(until, list).await? {
            Answer::Value(page) => {
                let mut listed: Vec<Listed> = page
                    .result
                    .objects
                    .into_iter()
                    .filter_map(|meta| {
                        let name = meta.location.as_ref().strip_prefix(&self.prefix)?.to_owned();
                        Some(Listed { name, size: meta.size })
                    })
                    .collect();
                listed.sort_unstable_by(|one, two| one.name.cmp(&two.name));
                Ok(Batch { listed, next: page.page_token.map(Next::Token) })
            }
            Answer::Missing | Answer::Refused => Ok(Batch::default()),
        }
    }
}

fn deleted(answer: object_store::Result<Path>) -> object_store::Result<()> {
    match answer {
        Ok(_) | Err(object_store::Error::NotFound { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

fn found(name: &str, bytes: &[u8], meta: &ObjectMeta) -> Outcome<Found> {
    let head = Head::parse(bytes, meta.size).map_err(|reason| damaged(&key(name), reason))?;
    let tag = Tag(UpdateVersion { e_tag: meta.e_tag.clone(), version: meta.version.clone() });
    Ok(Found { head, tag })
}

fn key(name: &str) -> String {
    names::key_of(name).unwrap_or_default()
}

fn too_large(bytes: usize) -> Fault {
    Fault::Final(backend(format!(
        "a value of {bytes} bytes is larger than the {MAX_PUT} that one conditional write takes; split it"
    )))
}

/// Waits that grow, and differ from each other.
struct Pause(Duration);

impl Default for Pause {
    fn default() -> Self {
        Self(Duration::from_millis(25))
    }
}

impl Pause {
    const LONGEST: Duration = Duration::from_secs(2);

    /// Waits; whether there is time left after it.
    async fn pass(&mut self, until: Instant) -> bool {
        let wait = self.0.mul_f64(0.5 + fastrand::f64());
        self.0 = (self.0 * 2).min(Self::LONGEST);
        if Instant::now() + wait >= until {
            return false;
        }
        sleep(wait).await;
        true
    }
}
