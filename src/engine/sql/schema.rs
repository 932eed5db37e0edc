//! The tables of a storage and their version.
//!
//! `rrag_storage_schema` names each of our tables in the database with the version of its schema. `rrag_storage_counts`
//! holds how many rows each has in each first-level namespace: see `counts`. Both are shared by all tables of ours. They are made and migrated by one process at a time, under a lock of the server.

use std::time::Duration;

use super::config::{ATTRIBUTES_TABLE, COUNTS_TABLE, SCHEMA_TABLE};
use super::connection::{Arg, Connection};
use super::dialect::{Dialect, Table};
use super::errors::{Fault, Outcome};
use crate::error::Error;

/// The version of the tables' shape that this library reads and writes.
const VERSION: i64 = 1;
/// The server's lock under which tables are made: PostgreSQL's has a number, MySQL's a name.
const LOCK: &str = "rrag_storage_schema";
/// The comment on MySQL's tables of records, by which one that was cut short is known.
const OURS: &str = "rrag_storage";
const LOCK_NUMBER: i64 = 0x7272_6167_5f73_746f;

/// Makes the tables where they are missing.
///
/// # Errors
///
/// [`Error::Unavailable`] for a table of another version, which is left as it is.
pub(super) async fn ensure(connection: &mut Connection, table: &Table, place: &str, patience: Duration) -> Outcome<()> {
    if version(connection, table).await? == Some(VERSION) {
        return Ok(());
    }
    acquire(connection, place, patience).await?;
    let made = create(connection, table, place).await;
    match connection.dialect() {
        Dialect::Postgres => {
            connection.simple(if made.is_ok() { "COMMIT" } else { "ROLLBACK" }).await?;
        }
        Dialect::Mysql => connection.simple(&format!("DO RELEASE_LOCK('{LOCK}')")).await?,
    }
    made
}

async fn acquire(connection: &mut Connection, place: &str, patience: Duration) -> Outcome<()> {
    match connection.dialect() {
        Dialect::Postgres => connection.simple(&format!("BEGIN; SELECT pg_advisory_xact_lock({LOCK_NUMBER})")).await,
        Dialect::Mysql => {
            let text = format!("SELECT CAST(COALESCE(GET_LOCK('{LOCK}', ?), 0) AS SIGNED)");
            let seconds = i64::try_from(patience.as_secs().max(1)).unwrap_or(1);
            let row = connection.row(Dialect::Mysql.statement(&text, vec![Arg::Int(seconds)])).await?;
            if row.int(0)? == 1 {
                return Ok(());
            }
            Err(Error::Timeout { what: format!("{place}: making the tables"), seconds: patience.as_secs_f64() }.into())
        }
    }
}

/// How many of the tables of these two names there are, but for those with this comment.
async fn tables(connection: &mut Connection, names: [&str; 2], but: &str) -> Outcome<i64> {
    let (here, int, comment) = match connection.dialect() {
        Dialect::Postgres => ("current_schema()", "int8", "''"),
        Dialect::Mysql => ("DATABASE()", "SIGNED", "table_comment"),
    };
    let text = format!(
        "SELECT CAST(COUNT(*) AS {int}) FROM information_schema.tables
         WHERE table_schema = {here} AND table_name IN (?, ?) AND {comment} <> ?"
    );
    let args = vec![Arg::Text(names[0]), Arg::Text(names[1]), Arg::Text(but)];
    let statement = connection.dialect().statement(&text, args);
    connection.row(statement).await?.int(0)
}

/// The version of the table's schema; `None` where it isn't there, or isn't ours.
async fn version(connection: &mut Connection, table: &Table) -> Outcome<Option<i64>> {
    if tables(connection, [SCHEMA_TABLE, &table.name], "-").await? < 2 {
        return Ok(None);
    }
    let text = format!(r#"SELECT "version" FROM "{SCHEMA_TABLE}" WHERE "name" = ?"#);
    match connection.rows(table.statement(&text, vec![Arg::Text(&table.name)])).await?.first() {
        Some(row) => row.int(0).map(Some),
        None => Ok(None),
    }
}

async fn create(connection: &mut Connection, table: &Table, place: &str) -> Outcome<()> {
    // Again, now that nobody else makes tables.
    match version(connection, table).await? {
        Some(VERSION) => return Ok(()),
        Some(other) => {
            return Err(Fault::Refused(Error::Unavailable {
                what: place.to_owned(),
                reason: format!(
                    "the table {} has schema version {other} and this library reads {VERSION}; install a newer rrag-storage, or name another table",
                    table.name
                ),
            }));
        }
        None => {}
    }
    // One of ours without a version was cut short while it was made.
    if tables(connection, [&table.name; 2], OURS).await? > 0 {
        return Err(Fault::Refused(Error::Unavailable {
            what: place.to_owned(),
            reason: format!(
                "the table {} is there and was not made by this library, so it is left alone; name another (table)",
                table.name
            ),
        }));
    }
    for text in texts(table) {
        connection.simple(&text).await?;
    }
    // What is left of a table that was dropped by hand.
    for of in [SCHEMA_TABLE, COUNTS_TABLE, ATTRIBUTES_TABLE] {
        let text = format!(r#"DELETE FROM "{of}" WHERE "name" = ?"#);
        connection.run(table.statement(&text, vec![Arg::Text(&table.name)])).await?;
    }
    let text = format!(r#"INSERT INTO "{SCHEMA_TABLE}" ("name", "version") VALUES (?, ?)"#);
    connection.run(table.statement(&text, vec![Arg::Text(&table.name), Arg::Int(VERSION)])).await?;
    Ok(())
}

/// In MySQL each of these is final at once, so the row that names the version comes last, and each may be there
/// already from an attempt that was cut short.
fn texts(table: &Table) -> Vec<String> {
    let (t, name) = (table.quoted(), &table.name);
    match table.dialect {
        Dialect::Postgres => vec![
            format!(
                r#"CREATE TABLE IF NOT EXISTS "{SCHEMA_TABLE}" ("name" TEXT PRIMARY KEY, "version" BIGINT NOT NULL)"#
            ),
            format!(
                r#"CREATE TABLE IF NOT EXISTS "{COUNTS_TABLE}" ("name" TEXT NOT NULL, "space" BYTEA NOT NULL,
                   "slot" BIGINT NOT NULL, "n" BIGINT NOT NULL, PRIMARY KEY ("name", "slot", "space"))"#
            ),
            format!(
                r#"CREATE TABLE IF NOT EXISTS "{ATTRIBUTES_TABLE}" ("name" TEXT NOT NULL, "attribute" TEXT NOT NULL,
                   "value" BYTEA NOT NULL, PRIMARY KEY ("name", "attribute"))"#
            ),
            format!(
                r#"CREATE TABLE {t} ("key" BYTEA PRIMARY KEY, "version" BIGINT NOT NULL, "created_at" BIGINT NOT NULL,
                   "updated_at" BIGINT NOT NULL, "expires_at" BIGINT, "met" SMALLINT NOT NULL DEFAULT 0,
                   "body" BYTEA NOT NULL) WITH (fillfactor = 90)"#
            ),
            // Bodies are compressed before they come here, or not worth it.
            format!(r#"ALTER TABLE {t} ALTER COLUMN "body" SET STORAGE EXTERNAL"#),
            format!(r#"CREATE INDEX ON {t} ("created_at", "key")"#),
            format!(r#"CREATE INDEX ON {t} ("expires_at") WHERE "expires_at" IS NOT NULL"#),
        ],
        Dialect::Mysql => {
            let options = "ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARACTER SET = binary";
            vec![
                format!(
                    r#"CREATE TABLE IF NOT EXISTS "{SCHEMA_TABLE}" ("name" VARBINARY(63) PRIMARY KEY,
                       "version" BIGINT NOT NULL) {options}"#
                ),
                format!(
                    r#"CREATE TABLE IF NOT EXISTS "{COUNTS_TABLE}" ("name" VARBINARY(63) NOT NULL,
                       "space" VARBINARY(2048) NOT NULL, "slot" BIGINT NOT NULL, "n" BIGINT NOT NULL,
                       PRIMARY KEY ("name", "slot", "space")) {options}"#
                ),
                format!(
                    r#"CREATE TABLE IF NOT EXISTS "{ATTRIBUTES_TABLE}" ("name" VARBINARY(63) NOT NULL,
                       "attribute" VARBINARY(255) NOT NULL, "value" LONGBLOB NOT NULL,
                       PRIMARY KEY ("name", "attribute")) {options}"#
                ),
                format!(
                    r#"CREATE TABLE IF NOT EXISTS {t} ("key" VARBINARY(2048) PRIMARY KEY, "version" BIGINT NOT NULL,
                       "created_at" BIGINT NOT NULL, "updated_at" BIGINT NOT NULL, "expires_at" BIGINT,
                       "body" LONGBLOB NOT NULL, KEY "{name}_created" ("created_at", "key"),
                       KEY "{name}_expires" ("expires_at")) {options} COMMENT = '{OURS}'"#
                ),
            ]
        }
    }
}
