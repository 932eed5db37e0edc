//! The two kinds of servers, and the statements over many keys, which each spells in its own way.
//!
//! Everything else is SQL that both understand: identifiers stand in double quotes (MySQL's sessions are in
//! `ANSI_QUOTES` mode), arguments are written `?` and numbered for PostgreSQL. Values are always bound, never formatted;
//! the table's name is checked by `SqlConfig` and quoted.

use std::fmt::Write;
use std::time::Duration;

use super::connection::Arg;
use super::{mysql, postgres};
use crate::engine::Meta;

/// What a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Postgres,
    Mysql,
}

/// A statement with what is bound to it.
pub(super) struct Statement<'a> {
    pub(super) text: String,
    pub(super) args: Vec<Arg<'a>>,
}

/// A row to be written, its creation time settled or left to the row that is there.
#[derive(Clone, Copy)]
pub(super) struct NewRow<'a> {
    pub(super) key: &'a [u8],
    pub(super) meta: Meta,
    pub(super) body: &'a [u8],
    /// Whether `meta.created_at` stands even where a live row was created at another time.
    pub(super) force_created: bool,
}

/// The columns of a record without its body, in the order in which [`super::rows::row`] reads them.
pub(super) const META: &str = r#""key", "version", "created_at", "updated_at", "expires_at""#;
/// What holds for a live row; takes the time.
pub(super) const LIVE: &str = r#"("expires_at" IS NULL OR "expires_at" > ?)"#;

/// When the rows that only hold a key expired: before any clock.
pub(super) const LONG_AGO: i64 = -9_000_000_000_000_000_000;

impl Dialect {
    /// The backend's name as users see it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Mysql => "mysql",
        }
    }

    pub(super) fn port(self) -> u16 {
        match self {
            Self::Postgres => 5432,
            Self::Mysql => 3306,
        }
    }

    /// What every session is set to. A lock is not waited for longer than any operation lives, so that a statement
    /// whose client is gone does not come to life later.
    pub(super) fn session(self, timeout: Duration) -> String {
        match self {
            Self::Postgres => postgres::session(timeout),
            Self::Mysql => mysql::session(timeout),
        }
    }

    /// Bytes as they stand in a statement's text: in hexadecimal digits, among which nothing can hide.
    pub(super) fn literal(self, bytes: &[u8]) -> String {
        let (before, after) = match self {
            Self::Postgres => (r"'\x", "'::bytea"),
            Self::Mysql => ("x'", "'"),
        };
        let mut text = String::with_capacity(before.len() + 2 * bytes.len() + after.len());
        text.push_str(before);
        for byte in bytes {
            for digit in [byte >> 4, byte & 15] {
                text.push(char::from_digit(digit.into(), 16).unwrap_or('0'));
            }
        }
        text.push_str(after);
        text
    }

    /// Begins a transaction whose reads all show one moment.
    pub(super) fn snapshot(self) -> &'static str {
        match self {
            Self::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
            Self::Mysql => {
                "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"
            }
        }
    }

    /// A statement that both dialects understand: `?` becomes what this one takes. No text of ours holds another `?`.
    pub(super) fn statement<'a>(self, text: &str, args: Vec<Arg<'a>>) -> Statement<'a> {
        if self == Self::Mysql {
            return Statement { text: text.to_owned(), args };
        }
        let mut numbered = String::with_capacity(text.len() + 16);
        for (number, part) in text.split('?').enumerate() {
            if number > 0 {
                numbered.push('$');
                numbered.push_str(&number.to_string());
            }
            numbered.push_str(part);
        }
        Statement { text: numbered, args }
    }
}

/// One table of records on a server.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) dialect: Dialect,
    pub(super) name: String,
}

impl Table {
    /// The table's name, quoted.
    pub(super) fn quoted(&self) -> String {
        format!("\"{}\"", self.name)
    }

    pub(super) fn statement<'a>(&self, text: &str, args: Vec<Arg<'a>>) -> Statement<'a> {
        self.dialect.statement(text, args)
    }

    /// The live rows under `keys`: their [`META`], and the body where it is wanted.
    pub(super) fn read<'a>(&self, keys: &[&'a [u8]], now_ms: i64, body: bool) -> Vec<Statement<'a>> {
        let body = if body { r#", "body""# } else { "" };
        let select = format!("SELECT {META}{body} FROM {}", self.quoted());
        match self.dialect {
            Dialect::Postgres => vec![postgres::among(&format!("{select} WHERE"), keys, Some(now_ms))],
            Dialect::Mysql => mysql::among(&format!("{select} WHERE"), keys, Some(now_ms)),
        }
    }

    /// The rows under `keys`, live or not, as [`Table::read`] gives them.
    pub(super) fn find<'a>(&self, keys: &[&'a [u8]], body: bool) -> Vec<Statement<'a>> {
        let body = if body { r#", "body""# } else { "" };
        let select = format!("SELECT {META}{body} FROM {}", self.quoted());
        match self.dialect {
            Dialect::Postgres => vec![postgres::among(&format!("{select} WHERE"), keys, None)],
            Dialect::Mysql => mysql::among(&format!("{select} WHERE"), keys, None),
        }
    }

    /// Locks the rows under `keys`, which are sorted, in that order, until the transaction ends; where there is none,
    /// an expired one of version 0 is made first. So every key is held, present or absent. A statement that ends.
    pub(super) fn hold(&self, keys: &[&[u8]]) -> String {
        let (alias, end) = match self.dialect {
            // A row that is there is locked, and left as it is, since the condition of the update never holds.
            Dialect::Postgres => {
                (" AS t", r#" ON CONFLICT ("key") DO UPDATE SET "version" = t."version" WHERE false;"#)
            }
            Dialect::Mysql => ("", r#" ON DUPLICATE KEY UPDATE "version" = "version";"#),
        };
        let mut text = format!(
            r#"INSERT INTO {}{alias} ("key", "version", "created_at", "updated_at", "expires_at", "body") VALUES "#,
            self.quoted()
        );
        for (at, key) in keys.iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            // Writing to a String can't fail.
            let _ = write!(text, "{comma}({},0,0,0,{LONG_AGO},'')", self.dialect.literal(key));
        }
        text + end
    }

    /// Writes rows whose creation time is settled; counts nothing.
    pub(super) fn put<'a>(&self, rows: &[NewRow<'a>]) -> Vec<Statement<'a>> {
        match self.dialect {
            Dialect::Postgres => postgres::put(&self.quoted(), rows),
            Dialect::Mysql => mysql::put(&self.quoted(), rows),
        }
    }

    /// Deletes the rows under `keys`; counts nothing.
    pub(super) fn remove<'a>(&self, keys: &[&'a [u8]]) -> Vec<Statement<'a>> {
        let delete = format!("DELETE FROM {} WHERE", self.quoted());
        match self.dialect {
            Dialect::Postgres => vec![postgres::among(&delete, keys, None)],
            Dialect::Mysql => mysql::among(&delete, keys, None),
        }
    }
}
