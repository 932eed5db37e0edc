//! One connection to a server of either dialect: statements in, rows out.

use std::time::Duration;

use sqlx::mysql::{MySqlArguments, MySqlConnectOptions, MySqlConnection, MySqlRow, MySqlSslMode};
use sqlx::postgres::{PgArguments, PgConnectOptions, PgConnection, PgRow, PgSslMode};
use sqlx::{Arguments, AssertSqlSafe, ConnectOptions, Connection as _, Row as _};

use super::config::SqlConfig;
use super::dialect::{Dialect, Statement};
use super::errors::{Fault, Outcome, too_large};
use super::url::{Target, Tls};

/// A value bound to a statement.
#[derive(Debug, Clone)]
pub(super) enum Arg<'a> {
    Int(i64),
    Maybe(Option<i64>),
    Flag(bool),
    Bytes(&'a [u8]),
    Text(&'a str),
    ManyBytes(Vec<&'a [u8]>),
    ManyInts(Vec<i64>),
    ManyMaybe(Vec<Option<i64>>),
    ManyFlags(Vec<bool>),
}

impl Arg<'_> {
    /// What it takes of a message to MySQL, with its type and its length; at most.
    fn sent_bytes(&self) -> usize {
        12 + match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Text(text) => text.len(),
            _ => 8,
        }
    }
}

/// A connection, set up for this engine's statements.
pub(super) enum Connection {
    Postgres(PgConnection),
    /// With the bytes that the server takes at a time.
    Mysql(MySqlConnection, usize),
}

/// A row of an answer.
pub(super) enum SqlRow {
    Postgres(PgRow),
    Mysql(MySqlRow),
}

/// What a statement without rows did.
#[derive(Debug, Clone, Copy)]
pub(super) struct Did {
    pub(super) rows: u64,
    /// MySQL's `LAST_INSERT_ID`, by which an update reports on the row it met.
    pub(super) told: u64,
}

impl SqlRow {
    pub(super) fn int(&self, at: usize) -> Outcome<i64> {
        match self {
            Self::Postgres(row) => row.try_get(at).map_err(|error| Fault::of(error, Dialect::Postgres)),
            Self::Mysql(row) => row.try_get(at).map_err(|error| Fault::of(error, Dialect::Mysql)),
        }
    }

    pub(super) fn maybe(&self, at: usize) -> Outcome<Option<i64>> {
        match self {
            Self::Postgres(row) => row.try_get(at).map_err(|error| Fault::of(error, Dialect::Postgres)),
            Self::Mysql(row) => row.try_get(at).map_err(|error| Fault::of(error, Dialect::Mysql)),
        }
    }

    pub(super) fn bytes(&self, at: usize) -> Outcome<&[u8]> {
        match self {
            Self::Postgres(row) => row.try_get(at).map_err(|error| Fault::of(error, Dialect::Postgres)),
            Self::Mysql(row) => row.try_get(at).map_err(|error| Fault::of(error, Dialect::Mysql)),
        }
    }
}

fn bind<A: Arguments>(mut into: A, args: &[Arg<'_>]) -> Result<A, sqlx::Error>
where
    i64: for<'q> sqlx::Encode<'q, A::Database> + sqlx::Type<A::Database>,
    Option<i64>: for<'q> sqlx::Encode<'q, A::Database> + sqlx::Type<A::Database>,
    bool: for<'q> sqlx::Encode<'q, A::Database> + sqlx::Type<A::Database>,
    for<'q> &'q [u8]: sqlx::Encode<'q, A::Database> + sqlx::Type<A::Database>,
    for<'q> &'q str: sqlx::Encode<'q, A::Database> + sqlx::Type<A::Database>,
{
    for arg in args {
        match arg {
            Arg::Int(value) => into.add(*value),
            Arg::Maybe(value) => into.add(*value),
            Arg::Flag(value) => into.add(*value),
            Arg::Bytes(value) => into.add(*value),
            Arg::Text(value) => into.add(*value),
            _ => Err("an array has no place here".into()),
        }
        .map_err(sqlx::Error::Encode)?;
    }
    Ok(into)
}

fn bind_postgres(args: &[Arg<'_>]) -> Result<PgArguments, sqlx::Error> {
    let mut into = PgArguments::default();
    for arg in args {
        match arg {
            Arg::ManyBytes(values) => into.add(values.as_slice()),
            Arg::ManyInts(values) => into.add(values.as_slice()),
            Arg::ManyMaybe(values) => into.add(values.as_slice()),
            Arg::ManyFlags(values) => into.add(values.as_slice()),
            plain => {
                into = bind(into, std::slice::from_ref(plain))?;
                Ok(())
            }
        }
        .map_err(sqlx::Error::Encode)?;
    }
    Ok(into)
}

impl Connection {
    /// Connects, checks what the url wants checked, and sets the session up.
    pub(super) async fn open(target: &Target, config: &SqlConfig) -> Outcome<Self> {
        let attempt = match target.tls {
            Tls::OfferedChecked => match Self::connect(target, config, Tls::Checked).await {
                Err(sqlx::Error::Tls(error)) if error.to_string() == "server does not support TLS" => {
                    Self::connect(target, config, Tls::Off).await
                }
                other => other,
            },
            tls => Self::connect(target, config, tls).await,
        };
        let mut connection = attempt.map_err(|error| Fault::of_connecting(error, target.dialect))?;
        let setup = target.dialect.session(config.connection_timeout);
        connection.simple(&setup).await?;
        if matches!(connection, Self::Mysql(..)) {
            let asked = Statement { text: "SELECT CAST(@@max_allowed_packet AS SIGNED)".into(), args: Vec::new() };
            let limit = usize::try_from(connection.row(asked).await?.int(0)?).unwrap_or(usize::MAX);
            if let Self::Mysql(_, most) = &mut connection {
                *most = limit;
            }
        }
        Ok(connection)
    }

    /// Refuses what is longer than the server takes: it would hang up, perhaps before its reason can be read.
    fn fits(&self, statement: &Statement<'_>) -> Outcome<()> {
        let Self::Mysql(_, most) = self else { return Ok(()) };
        let args: usize = statement.args.iter().map(Arg::sent_bytes).sum();
        let bytes = statement.text.len().max(args) + 64;
        if bytes <= *most {
            return Ok(());
        }
        Err(too_large(Dialect::Mysql, &format!("{bytes} bytes, where it takes {most}")).into())
    }

    async fn connect(target: &Target, config: &SqlConfig, tls: Tls) -> Result<Self, sqlx::Error> {
        if let (Some(path), true) = (&config.root_certificate, tls != Tls::Off) {
            std::fs::metadata(path)
                .map_err(|error| sqlx::Error::Tls(format!("the root certificate can't be read: {error}").into()))?;
        }
        match target.dialect {
            Dialect::Postgres => {
                let mode = match tls {
                    Tls::Off => PgSslMode::Disable,
                    Tls::Offered => PgSslMode::Prefer,
                    Tls::Unchecked => PgSslMode::Require,
                    Tls::Authority => PgSslMode::VerifyCa,
                    Tls::Checked | Tls::OfferedChecked => PgSslMode::VerifyFull,
                };
                let mut options = PgConnectOptions::new_without_pgpass()
                    .host(&target.host)
                    .port(target.port)
                    .username(&target.user)
                    .password(target.password.as_deref().unwrap_or_default())
                    .database(&target.database)
                    .application_name("rrag_storage")
                    .ssl_mode(mode)
                    .disable_statement_logging();
                if let Some(path) = &config.root_certificate {
                    options = options.ssl_root_cert(path);
                }
                Ok(Self::Postgres(options.connect().await?))
            }
            Dialect::Mysql => {
                let mode = match tls {
                    Tls::Off => MySqlSslMode::Disabled,
                    Tls::Offered => MySqlSslMode::Preferred,
                    Tls::Unchecked => MySqlSslMode::Required,
                    Tls::Authority => MySqlSslMode::VerifyCa,
                    Tls::Checked | Tls::OfferedChecked => MySqlSslMode::VerifyIdentity,
                };
                let mut options = MySqlConnectOptions::new()
                    .host(&target.host)
                    .port(target.port)
                    .username(&target.user)
                    .database(&target.database)
                    .ssl_mode(mode)
                    .pipes_as_concat(false)
                    .no_engine_substitution(false)
                    .timezone(None)
                    .disable_statement_logging();
                if let Some(password) = &target.password {
                    options = options.password(password);
                }
                if let Some(path) = &config.root_certificate {
                    options = options.ssl_ca(path);
                }
                Ok(Self::Mysql(options.connect().await?, usize::MAX))
            }
        }
    }

    pub(super) fn dialect(&self) -> Dialect {
        match self {
            Self::Postgres(_) => Dialect::Postgres,
            Self::Mysql(..) => Dialect::Mysql,
        }
    }

    /// Runs statements of fixed text, without arguments and rows.
    pub(super) async fn simple(&mut self, text: &str) -> Outcome<()> {
        let dialect = self.dialect();
        let text = AssertSqlSafe(text);
        let done = match self {
            Self::Postgres(connection) => sqlx::raw_sql(text).execute(connection).await.map(drop),
            Self::Mysql(connection, _) => sqlx::raw_sql(text).execute(connection).await.map(drop),
        };
        done.map_err(|error| Fault::of(error, dialect))
    }

    /// Runs a statement without rows.
    pub(super) async fn run(&mut self, statement: Statement<'_>) -> Outcome<Did> {
        self.fits(&statement)?;
        let dialect = self.dialect();
        let text = AssertSqlSafe(statement.text);
        let done = match self {
            Self::Postgres(connection) => match bind_postgres(&statement.args) {
                Ok(args) => sqlx::query_with(text, args)
                    .execute(connection)
                    .await
                    .map(|done| Did { rows: done.rows_affected(), told: 0 }),
                Err(error) => Err(error),
            },
            Self::Mysql(connection, _) => match bind(MySqlArguments::default(), &statement.args) {
                Ok(args) => sqlx::query_with(text, args)
                    .execute(connection)
                    .await
                    .map(|done| Did { rows: done.rows_affected(), told: done.last_insert_id() }),
                Err(error) => Err(error),
            },
        };
        done.map_err(|error| Fault::of(error, dialect))
    }

    /// Runs a statement; its rows.
    pub(super) async fn rows(&mut self, statement: Statement<'_>) -> Outcome<Vec<SqlRow>> {
        self.fits(&statement)?;
        let dialect = self.dialect();
        let text = AssertSqlSafe(statement.text);
        let rows: Result<Vec<SqlRow>, sqlx::Error> = match self {
            Self::Postgres(connection) => match bind_postgres(&statement.args) {
                Ok(args) => sqlx::query_with(text, args)
                    .fetch_all(connection)
                    .await
                    .map(|rows| rows.into_iter().map(SqlRow::Postgres).collect()),
                Err(error) => Err(error),
            },
            Self::Mysql(connection, _) => match bind(MySqlArguments::default(), &statement.args) {
                Ok(args) => sqlx::query_with(text, args)
                    .fetch_all(connection)
                    .await
                    .map(|rows| rows.into_iter().map(SqlRow::Mysql).collect()),
                Err(error) => Err(error),
            },
        };
        rows.map_err(|error| Fault::of(error, dialect))
    }

    /// Runs a statement of exactly one row.
    pub(super) async fn row(&mut self, statement: Statement<'_>) -> Outcome<SqlRow> {
        let dialect = self.dialect();
        let rows = self.rows(statement).await?;
        rows.into_iter().next().ok_or_else(|| Fault::of(sqlx::Error::RowNotFound, dialect))
    }

    /// Says goodbye, `patience` at most.
    pub(super) async fn close(self, patience: Duration) {
        let _ = match self {
            Self::Postgres(connection) => tokio::time::timeout(patience, connection.close()).await,
            Self::Mysql(connection, _) => tokio::time::timeout(patience, connection.close()).await,
        };
    }
}
