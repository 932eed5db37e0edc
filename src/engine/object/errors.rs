//! What object stores say, in our words: their own hold urls, names of keys and whole pages of XML.

use crate::error::{Error, KeyProblem};

/// The backend's name.
pub(super) const BACKEND: &str = "object";
/// The longest name of an object, in bytes: the limit of S3, Google and Azure.
pub(super) const MAX_NAME_BYTES: usize = 1024;

const NO_BUCKET: &str = "the bucket or container does not exist";
const FORBIDDEN: &str = "the credentials were refused, or they don't allow this";
const UNKNOWN: &str = "the credentials were refused";

/// Why a request has no answer.
#[derive(Debug, Clone)]
pub(super) enum Fault {
    /// It did not happen, and another try would not either.
    Final(Error),
    /// It may have happened; another try may do better.
    Lost(String),
    /// The time is up, after this went wrong.
    Late(Option<String>),
}

/// What an object store's error means.
#[derive(Debug)]
pub(super) enum Meaning {
    /// There is no such object.
    Missing,
    /// A condition of the request doesn't hold.
    Refused,
    /// Something else.
    Fault(Fault),
    /// No connection was made: nothing was sent.
    Unreachable(String),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Final(error)
    }
}

impl Fault {
    /// In words, about the store at `place`. `writes`: whether what was asked changes anything.
    pub(super) fn into_error(self, place: &str, seconds: f64, writes: bool) -> Error {
        let unavailable = |reason| Error::Unavailable { what: place.to_owned(), reason };
        match self {
            Self::Final(error) => error,
            Self::Lost(reason) if writes => {
                unavailable(format!("the outcome of this write is unknown; read before you write again: {reason}"))
            }
            Self::Late(Some(reason)) if writes => unavailable(format!(
                "no answer within {seconds} s, so the outcome of this write is unknown; read before you write again: {reason}"
            )),
            Self::Late(None) if writes => {
                Error::Timeout { what: format!("{place}: a write whose outcome is unknown"), seconds }
            }
            Self::Lost(reason) => unavailable(reason),
            Self::Late(Some(reason)) => unavailable(format!("{reason}, for {seconds} s")),
            Self::Late(None) => Error::Timeout { what: format!("{place}: an operation"), seconds },
        }
    }
}

/// What `error`, about the store at `place`, means.
pub(super) fn meaning(error: &object_store::Error, place: &str) -> Meaning {
    use object_store::Error as Said;

    let words = error.to_string();
    let unavailable = |reason: String| {
        Meaning::Fault(Fault::Final(Error::Unavailable { what: place.to_owned(), reason: with_code(reason, &words) }))
    };
    match error {
        Said::NotFound { .. } if words.contains("NoSuchBucket") || words.contains("ContainerNotFound") => {
            unavailable(NO_BUCKET.to_owned())
        }
        Said::NotFound { .. } => Meaning::Missing,
        Said::AlreadyExists { .. } | Said::Precondition { .. } | Said::NotModified { .. } => Meaning::Refused,
        Said::PermissionDenied { .. } => unavailable(FORBIDDEN.to_owned()),
        Said::Unauthenticated { .. } => unavailable(UNKNOWN.to_owned()),
        Said::NotImplemented { .. } | Said::NotSupported { .. } => Meaning::Fault(Fault::Final(Error::Unsupported {
            backend: BACKEND,
            operation: "this",
            reason: "the store is set up without conditional writes (conditional_put), which this storage needs".into(),
        })),
        Said::UnknownConfigurationKey { .. } => {
            Meaning::Fault(Fault::Final(Error::Configuration("storage_options holds an unknown name".into())))
        }
        Said::InvalidPath { .. } => Meaning::Fault(Fault::Final(backend(
            "under this prefix there are objects of others whose names hold empty parts; use a prefix of its own"
                .into(),
        ))),
        _ => of_generic(error, &words, place),
    }
}

fn of_generic(error: &object_store::Error, words: &str, place: &str) -> Meaning {
    if let Some(status) = status_in(words) {
        let unavailable = |reason: &str| {
            let reason = with_code(reason.to_owned(), words);
            Meaning::Fault(Fault::Final(Error::Unavailable { what: place.to_owned(), reason }))
        };
        let said = with_code(format!("the store answered with status {status}"), words);
        return match status {
            408 | 425 | 429 | 500..=599 => Meaning::Fault(Fault::Lost(said)),
            416 => Meaning::Refused,
            300..=399 => {
                unavailable(&format!("the store answered with status {status}; check the region and the endpoint"))
            }
            401 => unavailable(UNKNOWN),
            403 => unavailable(FORBIDDEN),
            404 => unavailable(NO_BUCKET),
            _ => Meaning::Fault(Fault::Final(backend(format!("{place}: {said}")))),
        };
    }
    let mut deepest: &dyn std::error::Error = error;
    let mut connecting = false;
    while let Some(source) = deepest.source() {
        deepest = source;
        let text = deepest.to_string();
        connecting |=
            text.contains("error trying to connect") || text.contains("dns error") || text.contains("tcp connect");
    }
    let reason = tidy(&deepest.to_string());
    if words.contains("builder error") {
        return Meaning::Fault(Fault::Final(Error::Configuration(format!(
            "the endpoint can't be used: {reason}; plain http needs allow_http"
        ))));
    }
    if reason.contains("certificate") {
        return Meaning::Fault(Fault::Final(Error::Unavailable {
            what: place.to_owned(),
            reason: format!("the TLS handshake failed; check the server's certificate: {reason}"),
        }));
    }
    if reason.contains("lookup") {
        return Meaning::Unreachable(format!("the host name does not resolve: {reason}"));
    }
    if connecting || reason.contains("onnection refused") {
        return Meaning::Unreachable(format!("no connection was made: {reason}"));
    }
    Meaning::Fault(Fault::Lost(reason))
}

/// The status code that the words of an error name.
fn status_in(words: &str) -> Option<u16> {
    let at = words.find("status code: ")? + "status code: ".len();
    words.get(at..at + 3)?.parse().ok()
}

/// `reason` with the store's own code for it, as `AccessDenied`: the only part of its answer that can hold no secret.
fn with_code(reason: String, words: &str) -> String {
    let code = words.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>")).map(|(code, _)| code);
    match code {
        Some(code) if code.len() <= 64 && code.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
            format!("{reason} ({code})")
        }
        _ => reason,
    }
}

/// One line without urls, shortened.
fn tidy(words: &str) -> String {
    let line = words.lines().next().unwrap_or_default();
    let kept: Vec<&str> = line.split(' ').filter(|word| !word.contains("://") && !word.contains("Signature")).collect();
    kept.join(" ").chars().take(200).collect()
}

pub(super) fn backend(message: String) -> Error {
    Error::Backend { backend: BACKEND, message }
}

pub(super) fn damaged(key: &str, reason: &str) -> Error {
    Error::Corrupted { key: key.to_owned(), reason: reason.to_owned() }
}

/// A key whose object's name, with the prefix of them all, would be too long.
pub(super) fn too_long(bytes: usize) -> Error {
    Error::InvalidKey(KeyProblem::NameTooLong { bytes, limit: MAX_NAME_BYTES })
}

/// An answer that nobody will give any more: its task or its process is gone.
pub(super) fn gone() -> Error {
    backend(
        "the operation was given up before it was answered, because the storage was dropped or the process forked"
            .into(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_stores_are_cut_to_their_code() {
        let words = "Error performing GET http://h/b?X-Amz-Signature=secret in 1s - Server returned non-2xx status code: 400 Bad Request: <Error><Code>AuthorizationHeaderMalformed</Code><AWSAccessKeyId>secret</AWSAccessKeyId></Error>";
        assert_eq!(status_in(words), Some(400));
        assert_eq!(with_code("no".into(), words), "no (AuthorizationHeaderMalformed)");
        assert_eq!(tidy("sent to http://h/?secret for long"), "sent to for long");
        let error = object_store::Error::Generic { store: "S3", source: words.into() };
        let Meaning::Fault(Fault::Final(error)) = meaning(&error, "s3://b") else { panic!("{words}") };
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}
