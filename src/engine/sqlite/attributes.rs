//! Attributes: what a storage holds beside its records, in a table of their own that is made with the first.

use rusqlite::{Connection, OptionalExtension};

use super::errors::Outcome;
use super::statements::Sql;

/// The value of `name`; `proposed` where it has none.
pub(super) fn attribute(
    connection: &Connection,
    sql: &Sql,
    name: &str,
    proposed: Option<&[u8]>,
) -> Outcome<Option<Vec<u8>>> {
    let table = &sql.attributes;
    if let Some(proposed) = proposed {
        connection.execute_batch(&format!(
            "CREATE TABLE IF NOT EXISTS \"{table}\" (name TEXT PRIMARY KEY NOT NULL, value BLOB NOT NULL) WITHOUT ROWID"
        ))?;
        let insert = format!("INSERT INTO \"{table}\" (name, value) VALUES (?1, ?2) ON CONFLICT DO NOTHING");
        connection.execute(&insert, (name, proposed))?;
    } else {
        let known = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1 COLLATE NOCASE)";
        if !connection.query_row(known, [table], |row| row.get(0))? {
            return Ok(None);
        }
    }
    let select = format!("SELECT value FROM \"{table}\" WHERE name = ?1");
    Ok(connection.query_row(&select, [name], |row| row.get(0)).optional()?)
}
