//! Rows as records.

use std::collections::HashMap;

use super::connection::{Connection, SqlRow};
use super::dialect::Statement;
use super::errors::Outcome;
use crate::engine::{Body, Meta};
use crate::key::Key;

/// A row under one key; its body where it was asked for.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) meta: Meta,
    pub(super) body: Option<Body>,
}

/// The key and the record in a row of [`super::dialect::META`], with the body behind it where there is one.
pub(super) fn row(row: &SqlRow, body: bool) -> Outcome<(Key, Found)> {
    let key = Key::from_stored(row.bytes(0)?)?;
    let meta = Meta {
        version: row.int(1)?.cast_unsigned(),
        created_at: row.int(2)?,
        updated_at: row.int(3)?,
        expires_at: row.maybe(4)?,
    };
    let body = if body { Some(Body::from(row.bytes(5)?)) } else { None };
    Ok((key, Found { meta, body }))
}

/// The rows of several statements of [`Table::read`] or [`Table::find`], by their key.
pub(super) async fn collect(
    connection: &mut Connection,
    statements: Vec<Statement<'_>>,
    body: bool,
    into: &mut HashMap<Key, Found>,
) -> Outcome<()> {
    for statement in statements {
        for found in connection.rows(statement).await? {
            let (key, found) = row(&found, body)?;
            into.insert(key, found);
        }
    }
    Ok(())
}

/// Runs statements without rows, one after the other.
pub(super) async fn run_all(connection: &mut Connection, statements: Vec<Statement<'_>>) -> Outcome<u64> {
    let mut rows = 0;
    for statement in statements {
        rows += connection.run(statement).await?.rows;
    }
    Ok(rows)
}
