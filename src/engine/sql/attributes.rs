//! Attributes: what a storage holds beside its records, in a table that all storages of a database share.

use super::config::ATTRIBUTES_TABLE;
use super::connection::Arg;
use super::core::{Ask, Core};
use super::dialect::Dialect;
use super::errors::Outcome;
use super::pool::Lease;

/// The value of an attribute; the proposed one where it has none. Asked twice it comes to the same.
pub(super) struct Attribute {
    pub(super) name: String,
    pub(super) proposed: Option<Vec<u8>>,
}

impl Ask for Attribute {
    type Answer = Option<Vec<u8>>;

    async fn ask(&self, core: &Core, lease: &mut Lease) -> Outcome<Option<Vec<u8>>> {
        let (table, connection) = (&core.pool.table, &mut lease.connection);
        let named = || vec![Arg::Text(&table.name), Arg::Text(&self.name)];
        if let Some(proposed) = &self.proposed {
            let (verb, otherwise) = match table.dialect {
                Dialect::Postgres => ("INSERT", "ON CONFLICT DO NOTHING"),
                Dialect::Mysql => ("INSERT IGNORE", ""),
            };
            let text = format!(
                r#"{verb} INTO "{ATTRIBUTES_TABLE}" ("name", "attribute", "value") VALUES (?, ?, ?) {otherwise}"#
            );
            let mut args = named();
            args.push(Arg::Bytes(proposed));
            connection.run(table.statement(&text, args)).await?;
        }
        let text = format!(r#"SELECT "value" FROM "{ATTRIBUTES_TABLE}" WHERE "name" = ? AND "attribute" = ?"#);
        let rows = connection.rows(table.statement(&text, named())).await?;
        rows.first().map(|row| row.bytes(0).map(<[u8]>::to_vec)).transpose()
    }
}
