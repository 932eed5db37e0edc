//! What Redis says, in the house's words.

use redis::{ErrorKind, RedisError, ServerError, ServerErrorKind};

use crate::error::Error;

/// The backend's name as users see it.
pub(super) const BACKEND: &str = "redis";

/// A failure of one exchange with the server.
#[derive(Debug, Clone)]
pub(super) enum Fault {
    /// It may pass: the exchange is to be repeated. With the server's or the system's words.
    Passing(String),
    /// The script isn't there: it is to be loaded.
    NoScript,
    /// It won't pass by waiting.
    Final(Error),
}

/// A failure of the connection, or of an attempt to make one, to `place`.
pub(super) fn of_connection(error: &RedisError, place: &str) -> Fault {
    let unavailable = |reason| Fault::Final(unavailable(place, reason));
    match error.kind() {
        ErrorKind::AuthenticationFailed => {
            unavailable(format!("user name or password refused; check those in the url: {}", words(error)))
        }
        ErrorKind::Io if words(error).contains("certificate") => {
            unavailable(format!("the server's certificate is refused; check its name and its issuer: {}", words(error)))
        }
        ErrorKind::InvalidClientConfig => unavailable(format!("can't connect: {}", words(error))),
        ErrorKind::Server(kind) if !is_passing(kind) => unavailable(words(error)),
        ErrorKind::Extension => match error.code() {
            Some("NOAUTH" | "WRONGPASS") => {
                unavailable(format!("user name or password refused; check those in the url: {}", words(error)))
            }
            Some(code) if !is_passing_code(code) => unavailable(words(error)),
            _ => Fault::Passing(words(error)),
        },
        _ => Fault::Passing(words(error)),
    }
}

/// What there is to say of a refusal while signing in; `needed` where nothing works without that command.
pub(super) fn of_setup(error: &ServerError, needed: bool, place: &str) -> Option<Fault> {
    let code = error.code();
    let said = format!("{code} {}", error.details().unwrap_or_default());
    let refused = |reason| Some(Fault::Final(unavailable(place, reason)));
    match code {
        "NOAUTH" | "WRONGPASS" => refused(format!("user name or password refused; check those in the url: {said}")),
        "DENIED" => refused(said),
        // The server is full: it says so and closes the connection.
        _ if is_passing_code(code) || said.contains("max number of clients") => Some(Fault::Passing(said)),
        _ if needed => refused(format!("can't connect: {said}")),
        _ => None,
    }
}

/// The server at `place` is of no use now.
pub(super) fn unavailable(place: &str, reason: String) -> Error {
    Error::Unavailable { what: format!("{BACKEND} at {place}"), reason }
}

/// A refusal of one command by the server at `place`.
pub(super) fn of_answer(error: &ServerError, place: &str, clustered: bool) -> Fault {
    let code = error.code();
    let said = format!("{code} {}", error.details().unwrap_or_default());
    let refused = |message: String| Fault::Final(Error::Backend { backend: BACKEND, message });
    let advice = match code {
        "NOSCRIPT" => return Fault::NoScript,
        _ if is_passing_code(code) || clustered && matches!(code, "MOVED" | "ASK" | "READONLY") => {
            return Fault::Passing(said);
        }
        "MOVED" | "ASK" | "CROSSSLOT" => "this server is part of a cluster; connect by redis+cluster://",
        "OOM" => "the server's maxmemory is reached; raise it or delete entries",
        "READONLY" => "this server is a replica; connect to its master",
        "MISCONF" => "the server can't save to its disk and refuses writes; look at its log",
        "NOAUTH" | "WRONGPASS" => "user name or password refused; check those in the url",
        _ if is_denied(code, &said) => {
            "the user lacks a permission: see the documentation for the commands that are needed"
        }
        "WRONGTYPE" => "a name of this storage holds another program's data; choose another key_prefix",
        "OVERTAKEN" => {
            let reason = "the connection broke during this write and its outcome is unknown; read before repeating it";
            return Fault::Final(unavailable(place, reason.to_owned()));
        }
        _ => return refused(format!("{place}: {said}")),
    };
    refused(format!("{place}: {advice}: {said}"))
}

/// Whether access lists forbid a command, or one that a script runs (which older servers give no code of its own).
fn is_denied(code: &str, said: &str) -> bool {
    code == "NOPERM" || said.contains("The user executing the script") || said.contains("ACL failure in script")
}

fn is_passing(kind: ServerErrorKind) -> bool {
    matches!(
        kind,
        ServerErrorKind::BusyLoading
            | ServerErrorKind::TryAgain
            | ServerErrorKind::ClusterDown
            | ServerErrorKind::MasterDown
    )
}

fn is_passing_code(code: &str) -> bool {
    matches!(code, "LOADING" | "TRYAGAIN" | "CLUSTERDOWN" | "MASTERDOWN" | "BUSY")
}

/// The driver's words. It never quotes credentials: it is not given the url.
pub(super) fn words(error: &RedisError) -> String {
    match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        _ => error.to_string(),
    }
}

/// An answer of another shape than the command has.
pub(super) fn unexpected(what: &str) -> Error {
    Error::Backend { backend: BACKEND, message: format!("the server answered {what} in an unknown form") }
}

/// An answer that nobody will give any more.
pub(super) fn gone() -> Error {
    Error::Backend {
        backend: BACKEND,
        message:
            "the operation was given up before it was answered, because the storage was dropped or the process forked"
                .to_owned(),
    }
}
