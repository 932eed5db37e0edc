//! What holds the objects: a bucket in the cloud, or a folder.

use object_store::UpdateVersion;
use tokio::time::Instant;

use super::cloud::Bucket;
use super::errors::Fault;
use super::folder::Folder;
use super::record::{Head, Packed};

/// A result whose error says whether it may have happened.
pub(super) type Outcome<T> = Result<T, Fault>;

/// What tells one content of an object from any other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tag(pub(super) UpdateVersion);

/// What must hold for an object to be written.
#[derive(Debug, Clone)]
pub(super) enum Condition {
    /// There is none of this name.
    Absent,
    /// It has this content.
    Same(Tag),
}

/// An object's head, as it was found.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) head: Head,
    pub(super) tag: Tag,
}

/// An object.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) found: Found,
    /// All of it, with its head.
    pub(super) bytes: Vec<u8>,
}

/// One object of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) name: String,
    pub(super) size: u64,
}

/// Some of a listing, in the order of names.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) listed: Vec<Listed>,
    /// Where to go on; `None` at the end.
    pub(super) next: Option<Next>,
}

/// Where a listing goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Next {
    /// After this name.
    After(String),
    /// Where the store's own token says.
    Token(String),
}

/// A bucket or a folder.
pub(super) enum Backing {
    Bucket(Box<Bucket>),
    Folder(Folder),
}

impl Backing {
    /// The head of an object; `None` where there is none.
    pub(super) async fn head(&self, name: &str, until: Instant) -> Outcome<Option<Found>> {
        match self {
            Self::Bucket(bucket) => bucket.head(name, until).await,
            Self::Folder(folder) => folder.head(name, until).await,
        }
    }

    /// An object; `None` where there is none.
    pub(super) async fn load(&self, name: &str, until: Instant) -> Outcome<Option<Loaded>> {
        match self {
            Self::Bucket(bucket) => bucket.load(name, until).await,
            Self::Folder(folder) => folder.load(name, until).await,
        }
    }

    /// Writes an object where the condition holds; whether it did.
    pub(super) async fn put(
        &self,
        name: &str,
        packed: &Packed,
        condition: &Condition,
        until: Instant,
    ) -> Outcome<bool> {
        match self {
            Self::Bucket(bucket) => bucket.put(name, packed, condition, until).await,
            Self::Folder(folder) => folder.put(name, packed, condition, until).await,
        }
    }

    /// Deletes objects, whatever they hold.
    pub(super) async fn delete_all(&self, names: Vec<String>, until: Instant) -> Outcome<()> {
        match self {
            Self::Bucket(bucket) => bucket.delete_all(names, until).await,
            Self::Folder(folder) => {
                for name in names {
                    folder.delete(&name, None, until).await?;
                }
                Ok(())
            }
        }
    }

    /// At most `limit` of the objects whose names start with `prefix`, from `next` on.
    pub(super) async fn list(&self, prefix: &str, next: &Next, limit: usize, until: Instant) -> Outcome<Batch> {
        match self {
            Self::Bucket(bucket) => bucket.list(prefix, next, limit, until).await,
            Self::Folder(folder) => folder.list(prefix, next, limit, until).await,
        }
    }
}
