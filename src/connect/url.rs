//! What a url leads to, and how it is shown.

use std::path::PathBuf;

use crate::engine::sqlite::SqlitePath;
use crate::error::{Error, Result};

/// What to write, in errors.
const KNOWN: &str =
    "memory://, sqlite:PATH, postgres://, mysql://, redis://, redis+cluster://, s3://, gs://, az:// or file:///DIR";

/// The kinds of urls, by their scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// `memory://`
    Memory,
    /// `sqlite:`
    Sqlite,
    /// `postgres://`, `mysql://` and their other names.
    Sql,
    /// `redis://` and its relatives.
    Redis,
    /// `s3://`, `gs://`, `az://`, `file://`
    Object,
}

/// What `url` leads to.
///
/// # Errors
///
/// [`Error::Configuration`] for a url of no scheme that is built in. The url is not repeated in it: it may hold a
/// password.
pub(crate) fn scheme_of(url: &str) -> Result<Scheme> {
    let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
    match scheme.to_ascii_lowercase().as_str() {
        "memory" => match url.get("memory:".len()..) {
            Some("" | "//") => Ok(Scheme::Memory),
            _ => {
                Err(Error::Configuration("a memory:// url takes nothing behind it; limits are keyword options".into()))
            }
        },
        "sqlite" => Ok(Scheme::Sqlite),
        "postgres" | "postgresql" | "mysql" | "mariadb" => Ok(Scheme::Sql),
        "redis" | "rediss" | "redis+cluster" | "rediss+cluster" | "valkey" | "valkeys" | "valkey+cluster"
        | "valkeys+cluster" | "unix" | "redis+unix" => Ok(Scheme::Redis),
        "s3" | "gs" | "az" | "file" => Ok(Scheme::Object),
        "" => Err(Error::Configuration(format!("the url has no scheme; write {KNOWN}"))),
        other if other.len() <= 32 && other.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c)) => {
            Err(Error::Configuration(format!("no backend for {other}: urls; use {KNOWN}")))
        }
        _ => Err(Error::Configuration(format!("the url has no known scheme; use {KNOWN}"))),
    }
}

/// `url` with stars where a login or options stand, to be shown.
pub(crate) fn masked(url: &str) -> String {
    if matches!(scheme_of(url), Ok(Scheme::Memory | Scheme::Sqlite)) {
        return url.to_owned();
    }
    let Some((scheme, rest)) = url.split_once("://").filter(|_| scheme_of(url).is_ok()) else {
        return "***".to_owned();
    };
    let (rest, query) = match rest.split_once('?') {
        // The ? may belong to a password that was not percent-encoded, or the @ to an option.
        Some((_, query)) if query.contains('@') => return format!("{scheme}://***"),
        Some((rest, _)) => (rest, "?***"),
        None => (rest, ""),
    };
    // Whatever stands before the last @ may belong to a password that was not percent-encoded.
    let (login, place) = rest.rsplit_once('@').map_or(("", rest), |(_, place)| ("***@", place));
    format!("{scheme}://{login}{place}{query}")
}

/// The file that a `sqlite:` url names: what follows the scheme, taken literally.
pub(super) fn sqlite_path(url: &str) -> Result<SqlitePath> {
    let rest = url.get("sqlite:".len()..).unwrap_or_default();
    let path = rest.strip_prefix("//").unwrap_or(rest);
    if path == ":memory:" {
        return Ok(SqlitePath::Memory);
    }
    if path.is_empty() {
        return Err(Error::Configuration(
            "a sqlite: url needs a path: sqlite:memory.db, sqlite:///var/lib/app.db".into(),
        ));
    }
    if path.contains('\0') {
        return Err(Error::Configuration("the path of a sqlite: url holds a NUL".to_owned()));
    }
    if let Some((_, query)) = path.rsplit_once('?')
        && query.split_once('=').is_some_and(|(name, _)| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
    {
        return Err(Error::Configuration(
            "a sqlite: url takes no ?options; pass them as keyword arguments, as synchronous=\"normal\"".to_owned(),
        ));
    }
    Ok(SqlitePath::File(PathBuf::from(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_files_literally() {
        let file = |url| match sqlite_path(url) {
            Ok(SqlitePath::File(path)) => path.to_string_lossy().into_owned(),
            other => format!("{other:?}"),
        };
        assert_eq!(file("sqlite:memory.db"), "memory.db");
        assert_eq!(file("sqlite:/abs/x.db"), "/abs/x.db");
        assert_eq!(file("sqlite:///abs/x.db"), "/abs/x.db");
        assert_eq!(file("sqlite://rel.db"), "rel.db");
        assert_eq!(file("SQLITE:a%20b.db"), "a%20b.db");
        assert_eq!(file("sqlite:what?.db"), "what?.db");
        assert!(matches!(sqlite_path("sqlite::memory:"), Ok(SqlitePath::Memory)));
        assert!(matches!(sqlite_path("sqlite://:memory:"), Ok(SqlitePath::Memory)));
    }

    #[test]
    fn what_is_shown_holds_no_secret() {
        for (url, shown) in [
            ("sqlite:a@b?.db", "sqlite:a@b?.db"),
            ("postgres://ada:secret@h:1/d?sslmode=require", "postgres://***@h:1/d?***"),
            ("redis://:sec/ret@ret@h", "redis://***@h"),
            ("postgres://ada:secret?ret@h/d", "postgres://***"),
            ("unix:///s?pass=sec@ret", "unix://***"),
            ("unix:///s?pass=secret", "unix:///s?***"),
            ("mysql:secret", "***"),
            ("secret", "***"),
            ("secret://h", "***"),
        ] {
            assert_eq!(masked(url), shown);
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for url in ["", "x.db", "sqlite:", "sqlite://", "sqlite:a.db?mode=ro", "memory://x", "oracle://u:secret@h/d"] {
            match scheme_of(url).and_then(|_| sqlite_path(url)) {
                Err(Error::Configuration(message)) => assert!(!message.contains("secret"), "{message}"),
                other => panic!("{url}: {other:?}"),
            }
        }
    }
}
