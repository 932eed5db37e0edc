//! What is asked about ranges of keys, and what is done to them.

use super::connection::{Arg, Connection};
use super::core::{Ask, Core};
use super::counts::{self, Changes};
use super::dialect::{Dialect, LIVE, Table};
use super::errors::Outcome;
use super::pool::Lease;
use crate::engine::{EngineStats, KeyRange};

/// The condition of a range, and its arguments.
pub(super) fn within(range: &KeyRange) -> (&'static str, Vec<Arg<'_>>) {
    match &range.end {
        Some(end) => (r#""key" >= ? AND "key" < ?"#, vec![Arg::Bytes(&range.start), Arg::Bytes(end)]),
        None => (r#""key" >= ?"#, vec![Arg::Bytes(&range.start)]),
    }
}

/// The type to which a count is cast.
pub(super) fn int(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Postgres => "int8",
        Dialect::Mysql => "SIGNED",
    }
}

/// Whether the server answers.
pub(super) struct Ping;

impl Ask for Ping {
    type Answer = ();
    const QUICK: bool = true;

    async fn ask(&self, _: &Core, lease: &mut Lease) -> Outcome<()> {
        lease.connection.simple("SELECT 1").await
    }
}

/// How many live records a range holds.
pub(super) struct Count(pub(super) KeyRange);

impl Ask for Count {
    type Answer = u64;

    async fn ask(&self, core: &Core, lease: &mut Lease) -> Outcome<u64> {
        count(&mut lease.connection, &core.pool.table, &self.0, core.clock.now_ms()).await
    }
}

async fn count(connection: &mut Connection, table: &Table, range: &KeyRange, now_ms: i64) -> Outcome<u64> {
    if range.is_all() {
        return counts::total(connection, table, now_ms).await;
    }
    let (t, int) = (table.quoted(), int(table.dialect));
    let (condition, mut args) = within(range);
    args.push(Arg::Int(now_ms));
    let text = format!("SELECT CAST(COUNT(*) AS {int}) FROM {t} WHERE {condition} AND {LIVE}");
    let statement = table.statement(&text, args);
    Ok(u64::try_from(connection.row(statement).await?.int(0)?).unwrap_or(0))
}

/// What is known of a range.
pub(super) struct Census {
    pub(super) stats: EngineStats,
    /// How many namespaces of the first level it has, where it is the whole table.
    pub(super) spaces: Option<u64>,
    /// Whether the counters had better be tidied.
    pub(super) untidy: bool,
}

/// Asks for a [`Census`].
pub(super) struct Stats(pub(super) KeyRange);

impl Ask for Stats {
    type Answer = Census;

    async fn ask(&self, core: &Core, lease: &mut Lease) -> Outcome<Self::Answer> {
        let connection = &mut lease.connection;
        let (table, now_ms) = (&core.pool.table, core.clock.now_ms());
        if self.0.is_all() {
            // The table's name holds nothing that needs quoting but its capitals.
            let size = match table.dialect {
                Dialect::Postgres => format!("pg_total_relation_size(CAST('{}' AS regclass))", table.quoted()),
                Dialect::Mysql => format!(
                    "COALESCE((SELECT SUM(data_length + index_length) FROM information_schema.tables
                               WHERE table_schema = DATABASE() AND table_name = '{}'), 0)",
                    table.name
                ),
            };
            let found = counts::figures(connection, table, &size, now_ms).await?;
            let stats = EngineStats { keys: found.keys, bytes: found.bytes, extra: Vec::new() };
            return Ok(Census { stats, spaces: Some(found.spaces), untidy: found.untidy });
        }
        let (t, int) = (table.quoted(), int(table.dialect));
        let (condition, mut args) = within(&self.0);
        args.push(Arg::Int(now_ms));
        let text = format!(
            r#"SELECT CAST(COUNT(*) AS {int}),
                   CAST(COALESCE(SUM(OCTET_LENGTH("key") + OCTET_LENGTH("body")), 0) AS {int})
               FROM {t} WHERE {condition} AND {LIVE}"#
        );
        let row = connection.row(table.statement(&text, args)).await?;
        let [keys, bytes] = [row.int(0)?, row.int(1)?].map(|figure| u64::try_from(figure).unwrap_or(0));
        Ok(Census { stats: EngineStats { keys, bytes, extra: Vec::new() }, spaces: None, untidy: false })
    }
}

/// Deletes a range; how many live records went.
pub(super) struct RemoveRange(pub(super) KeyRange);

impl Ask for RemoveRange {
    type Answer = u64;
    const WRITES: bool = true;

    async fn ask(&self, core: &Core, lease: &mut Lease) -> Outcome<u64> {
        let (table, t) = (&core.pool.table, core.pool.table.quoted());
        let connection = &mut lease.connection;
        // No writer may be half within: in PostgreSQL none is let in meanwhile, in MySQL the range is locked as it
        // is read, its gaps too.
        let lock = match table.dialect {
            Dialect::Postgres => {
                connection.simple(&format!("BEGIN; LOCK TABLE {t} IN SHARE ROW EXCLUSIVE MODE")).await?;
                ""
            }
            Dialect::Mysql => {
                connection.simple("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; BEGIN").await?;
                "FOR UPDATE"
            }
        };
        let (condition, args) = within(&self.0);
        let (space, int) = (counts::space_of(r#""key""#, table.dialect), int(table.dialect));
        let text = format!(
            "SELECT {space} AS s, CAST(COUNT(*) AS {int}), CAST(COUNT(CASE WHEN {LIVE} THEN 1 END) AS {int})
               FROM {t} WHERE {condition} GROUP BY s {lock}"
        );
        let mut with_time = vec![Arg::Int(core.clock.now_ms())];
        with_time.extend(args.iter().cloned());
        let (mut changes, mut live) = (Changes::default(), 0);
        changes.remove_range();
        for row in connection.rows(table.statement(&text, with_time)).await? {
            changes.add_to(row.bytes(0)?, -row.int(1)?);
            live += u64::try_from(row.int(2)?).unwrap_or(0);
        }
        connection.run(table.statement(&format!("DELETE FROM {t} WHERE {condition}"), args)).await?;
        changes.commit(lease, core).await?;
        Ok(live)
    }
}
