//! What a url says about where the objects are.
//!
//! Everything in it is taken literally: `%20` is three characters, in a bucket's prefix as in a folder's path.

use std::path::PathBuf;

use object_store::path::Path;

use crate::error::{Error, Result};

/// The kinds of object stores in the cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cloud {
    S3,
    Google,
    Azure,
}

/// Where the objects are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// A bucket or container, and what stands before the name of each object: empty, or ending in `/`.
    Cloud { cloud: Cloud, bucket: String, prefix: String },
    /// A folder.
    Folder(PathBuf),
}

impl Cloud {
    pub(super) fn scheme(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Google => "gs",
            Self::Azure => "az",
        }
    }
}

impl Target {
    /// Reads a url. No error repeats a part of it: it may hold a secret.
    pub(super) fn parse(url: &str) -> Result<Self> {
        let wrong = |what: &str| Error::Configuration(format!("the object store's url {what}"));
        let (scheme, rest) = url.split_once("://").ok_or_else(|| wrong("has no ://"))?;
        let cloud = match scheme.to_ascii_lowercase().as_str() {
            "s3" => Cloud::S3,
            "gs" => Cloud::Google,
            "az" => Cloud::Azure,
            "file" => return folder(rest),
            _ => return Err(wrong("must start with s3://, gs://, az:// or file://")),
        };
        if rest.contains(['?', '#']) {
            return Err(wrong("takes no ? and no #; pass options as storage_options"));
        }
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.contains(['@', ':']) {
            return Err(wrong("takes no user, password or port; pass them as storage_options"));
        }
        if bucket.is_empty() || !bucket.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.$".contains(&byte)) {
            return Err(wrong("must name a bucket or container: write s3://BUCKET/PREFIX"));
        }
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        if prefix.starts_with('/') || Path::parse(prefix).map_or(true, |path| path.as_ref() != prefix) {
            return Err(wrong("has a prefix with an empty part, a . or .., or a control character"));
        }
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        Ok(Self::Cloud { cloud, bucket: bucket.to_owned(), prefix })
    }

    pub(super) fn is_folder(&self) -> bool {
        matches!(self, Self::Folder(_))
    }

    /// Where it is, for people; there is no secret in it.
    pub(super) fn location(&self) -> String {
        match self {
            Self::Cloud { cloud, bucket, prefix } => {
                format!("{}://{bucket}/{}", cloud.scheme(), prefix.trim_end_matches('/'))
            }
            Self::Folder(path) => format!("file://{}", path.display()),
        }
    }

    /// What stands before each object's name.
    pub(super) fn prefix(&self) -> &str {
        match self {
            Self::Cloud { prefix, .. } => prefix,
            Self::Folder(_) => "",
        }
    }
}

fn folder(path: &str) -> Result<Target> {
    let wrong = |what: &str| Error::Configuration(format!("the file:// url {what}"));
    if !path.starts_with('/') {
        return Err(wrong("needs an absolute path: write file:///var/lib/app"));
    }
    if path.contains('\0') {
        return Err(wrong("holds a NUL"));
    }
    if let Some((_, query)) = path.rsplit_once('?')
        && query.split_once('=').is_some_and(|(name, _)| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
    {
        return Err(wrong("takes no ?options"));
    }
    if path.bytes().all(|byte| byte == b'/') {
        return Err(wrong("must name a folder, not the root of all"));
    }
    Ok(Target::Folder(PathBuf::from(path)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn urls_are_literal() {
        let prefix = |url| Target::parse(url).unwrap().prefix().to_owned();
        assert_eq!(prefix("s3://b"), "");
        assert_eq!(prefix("S3://b/"), "");
        assert_eq!(prefix("gs://b/a/b"), "a/b/");
        assert_eq!(prefix("az://b/a%20b/"), "a%20b/");
        assert_eq!(Target::parse("s3://b/a/").unwrap().location(), "s3://b/a");
        assert_eq!(Target::parse("file:///x/a b%20?#").unwrap(), Target::Folder("/x/a b%20?#".into()));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_without_its_secret() {
        for url in [
            "s3://key:secret@bucket/a",
            "s3://bucket/a?secret=1",
            "s3://bucket/a#secret",
            "s3:///secret",
            "s3://b//secret",
            "s3://b/../secret",
            "s3://b/a//secret",
            "s3://b/a/./secret",
            "s3://b/\u{1}secret",
            "http://bucket/secret",
            "secret",
            "file://secret",
            "file:///",
            "file:///x?secret=1",
            "file:///secret\0",
        ] {
            match Target::parse(url) {
                Err(Error::Configuration(words)) => assert!(!words.contains("secret"), "{words}"),
                other => panic!("{url}: {other:?}"),
            }
        }
    }
}
