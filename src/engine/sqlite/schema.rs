//! The tables of a storage, their version, and whose file it is.
//!
//! `rrag_storage_schema` names each of our tables in the file with the version of its schema. A file without it that
//! holds anything else is another program's, and is left as it is.
//!
//! A storage's own table has three indexes: by key, holding all that listings and counts need, so that they never read
//! a body; by creation; and by expiry, of the rows that have one. No two rows hold one key: each write looks its key up
//! in the transaction in which it writes.

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use super::config::SCHEMA_TABLE;
use super::errors::{BACKEND, Outcome};
use crate::error::Error;

/// The version of the tables' shape that this library reads and writes.
pub(super) const VERSION: i64 = 1;

/// What a database holds, from our point of view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing at all.
    Nothing,
    /// Tables of ours, the one that was asked for not among them.
    Ours,
    /// The table that was asked for.
    Table,
}

/// Looks, and changes nothing.
pub(super) fn inspect(connection: &Connection, table: &str, place: &str) -> Outcome<Found> {
    let (objects, ours, application): (i64, bool, i64) = connection.query_row(
        "SELECT (SELECT count(*) FROM sqlite_schema),
                EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1),
                (SELECT application_id FROM pragma_application_id)",
        [SCHEMA_TABLE],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )?;
    if !ours {
        if objects == 0 && application == 0 {
            return Ok(Found::Nothing);
        }
        return Err(Error::Unavailable {
            what: format!("{BACKEND}:{place}"),
            reason: "the file is another program's SQLite database and was left as it is; name another file".into(),
        }
        .into());
    }
    let version: Option<i64> = connection
        .query_row("SELECT version FROM rrag_storage_schema WHERE name = ?1 COLLATE NOCASE", [table], |row| row.get(0))
        .optional()?;
    match version {
        None => Ok(Found::Ours),
        Some(VERSION) => Ok(Found::Table),
        Some(other) => Err(Error::Unavailable {
            what: format!("{BACKEND}:{place}"),
            reason: format!(
                "the table {table} has schema version {other} and this library reads {VERSION}; install a newer rrag-storage, or name another table or file"
            ),
        }
        .into()),
    }
}

/// Makes the table where it is missing, in one transaction.
pub(super) fn create(connection: &mut Connection, table: &str, place: &str) -> Outcome<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Again, now that nobody else can write.
    if inspect(&transaction, table, place)? == Found::Table {
        return Ok(());
    }
    transaction.execute_batch(&format!(
        r#"CREATE TABLE IF NOT EXISTS rrag_storage_schema (name TEXT PRIMARY KEY NOT NULL, version INTEGER NOT NULL) WITHOUT ROWID;
           CREATE TABLE "{table}" (
               id INTEGER PRIMARY KEY,
               key BLOB NOT NULL,
               version INTEGER NOT NULL,
               created_at INTEGER NOT NULL,
               updated_at INTEGER NOT NULL,
               expires_at INTEGER,
               body BLOB NOT NULL
           );
           CREATE INDEX "{table}:key" ON "{table}" (key, created_at, expires_at);
           CREATE INDEX "{table}:created" ON "{table}" (created_at);
           CREATE INDEX "{table}:expiry" ON "{table}" (expires_at) WHERE expires_at IS NOT NULL;"#
    ))?;
    transaction.execute("INSERT INTO rrag_storage_schema (name, version) VALUES (?1, ?2)", (table, VERSION))?;
    transaction.commit()?;
    Ok(())
}
