//! One connection: to a server, or to all the nodes of a cluster.

use std::time::Duration;

use futures_util::future::join_all;
use redis::aio::MultiplexedConnection;
use redis::cluster::{ClusterClient, ClusterClientBuilder};
use redis::cluster_async::ClusterConnection;
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, Pipeline, ProtocolVersion,
    RedisConnectionInfo, RedisError, RedisResult, ServerError, TlsCertificates, TlsMode, Value, cmd,
};

use super::config::RedisConfig;
use super::errors::{Fault, of_connection, words};
use super::scripts;
use super::url::{Nodes, Target, Tls};
use super::wire::Wire;
use crate::engine::tls;

/// A node of a cluster is given up after so long, so that its successor is asked for.
const NODE_TIMEOUT: Duration = Duration::from_secs(5);

/// Makes connections.
pub(super) struct Connector {
    target: Target,
    ca_certificates: Option<Vec<u8>>,
    place: String,
}

/// A connection.
pub(super) enum Connection {
    /// To a server, without TLS.
    Wire(Box<Wire>),
    /// To a server by TLS, with the number under which the server knows it.
    Encrypted(MultiplexedConnection, Option<i64>),
    Cluster(ClusterConnection),
}

impl Connector {
    pub(super) fn new(config: &RedisConfig, target: Target) -> Self {
        Self { place: target.place(), target, ca_certificates: config.ca_certificates.clone() }
    }

    /// Where it connects to, with no secret.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    pub(super) fn is_clustered(&self) -> bool {
        self.target.is_clustered()
    }

    fn login(&self) -> RedisConnectionInfo {
        let mut login = RedisConnectionInfo::default().set_protocol(ProtocolVersion::RESP2);
        if let Some(user) = &self.target.user {
            login = login.set_username(user);
        }
        if let Some(password) = &self.target.password {
            login = login.set_password(password);
        }
        login.set_db(i64::from(self.target.database))
    }

    fn certificates(&self) -> TlsCertificates {
        TlsCertificates { client_tls: None, root_cert: self.ca_certificates.clone() }
    }

    fn infos(&self) -> RedisResult<Vec<ConnectionInfo>> {
        let addresses = match &self.target.nodes {
            Nodes::Unix(path) => vec![ConnectionAddr::Unix(path.clone())],
            Nodes::Tcp { hosts, tls, .. } => {
                let address = |(host, port): &(String, u16)| match tls {
                    Tls::Plain => ConnectionAddr::Tcp(host.clone(), *port),
                    _ => ConnectionAddr::TcpTls {
                        host: host.clone(),
                        port: *port,
                        insecure: *tls == Tls::Unchecked,
                        tls_params: None,
                    },
                };
                hosts.iter().map(address).collect()
            }
        };
        let settings = TcpSettings::default().set_nodelay(true);
        let info = |address: ConnectionAddr| {
            let info = address.into_connection_info()?;
            Ok(info.set_redis_settings(self.login()).set_tcp_settings(settings.clone()))
        };
        addresses.into_iter().map(info).collect()
    }

    fn is_encrypted(&self) -> bool {
        matches!(&self.target.nodes, Nodes::Tcp { tls, .. } if *tls != Tls::Plain)
    }

    /// Connects, signs in and loads the scripts. What `before`, a broken connection of ours, sent and the server has
    /// not read yet is never done: the server drops it first.
    ///
    /// # Errors
    ///
    /// A fault that says whether another attempt may succeed.
    pub(super) async fn connect(&self, within: Duration, before: Option<i64>) -> Result<Connection, Fault> {
        if self.is_encrypted() {
            tls::install();
        }
        let connecting = async {
            let connected = if self.is_clustered() {
                self.connect_cluster(within).await
            } else if self.is_encrypted() {
                self.connect_encrypted(within, before).await
            } else {
                return Ok(Connection::Wire(Box::new(Wire::connect(&self.target, before, &self.place).await?)));
            };
            connected.map_err(|error| of_connection(&error, &self.place))
        };
        match tokio::time::timeout(within, connecting).await {
            Ok(connected) => connected,
            Err(_) => Err(Fault::Passing("no connection was made in time".to_owned())),
        }
    }

    async fn connect_encrypted(&self, within: Duration, before: Option<i64>) -> RedisResult<Connection> {
        let info = self.infos()?.into_iter().next();
        let info = info.ok_or_else(|| RedisError::from((redis::ErrorKind::InvalidClientConfig, "no host")))?;
        let insecure = matches!(&self.target.nodes, Nodes::Tcp { tls: Tls::Unchecked, .. });
        let client = if insecure { Client::open(info)? } else { Client::build_with_tls(info, self.certificates())? };
        let config = AsyncConnectionConfig::new().set_connection_timeout(Some(within)).set_response_timeout(None);
        let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        let mut setup = Pipeline::new();
        setup.add_command(cmd("CLIENT").arg("ID").clone());
        if let Some(before) = before {
            setup.add_command(cmd("CLIENT").arg("KILL").arg("ID").arg(before).clone());
        }
        for command in scripts::loading() {
            setup.add_command(command);
        }
        let answers = connection.send_packed_commands(&setup, 0, setup.len()).await?;
        for answer in &answers[1.min(answers.len())..] {
            if let Value::ServerError(error) = answer
                && matches!(error.code(), "LOADING" | "NOAUTH" | "MASTERDOWN")
            {
                return Err(error.clone().into());
            }
        }
        // Without the permission for it a broken connection's last commands may still be done.
        let number = match answers.first() {
            Some(Value::Int(number)) => Some(*number),
            _ => None,
        };
        Ok(Connection::Encrypted(connection, number))
    }

    async fn connect_cluster(&self, within: Duration) -> RedisResult<Connection> {
        let mut builder: ClusterClientBuilder = ClusterClient::builder(self.infos()?)
            .connection_timeout(within.min(NODE_TIMEOUT))
            .response_timeout(within.min(NODE_TIMEOUT))
            .overall_response_timeout(Some(within))
            .tcp_settings(TcpSettings::default().set_nodelay(true));
        if let Nodes::Tcp { tls, .. } = &self.target.nodes {
            match tls {
                Tls::Plain => {}
                Tls::Checked => builder = builder.certs(self.certificates()),
                Tls::Unchecked => builder = builder.tls(TlsMode::Insecure),
            }
        }
        let mut connection = builder.build()?.get_async_connection().await?;
        for command in scripts::loading() {
            // Those that a node misses are loaded when it says so.
            let _: RedisResult<Value> = command.query_async(&mut connection).await;
        }
        Ok(Connection::Cluster(connection))
    }
}

impl Connection {
    /// Sends all of `commands` and gives each one's answer. A refusal by the server is a [`Value::ServerError`].
    ///
    /// # Errors
    ///
    /// The connection broke, as the words say: which of the commands were done is unknown.
    pub(super) async fn exchange(&mut self, commands: Vec<Cmd>) -> Result<Vec<RedisResult<Value>>, String> {
        match self {
            Self::Wire(wire) => {
                let answers = wire.exchange(&commands).await.map_err(|error| error.to_string())?;
                Ok(answers.into_iter().map(Ok).collect())
            }
            Self::Encrypted(connection, _) => {
                let mut pipeline = Pipeline::with_capacity(commands.len());
                for command in commands {
                    pipeline.add_command(command);
                }
                let answers = connection.send_packed_commands(&pipeline, 0, pipeline.len()).await;
                Ok(answers.map_err(|error| words(&error))?.into_iter().map(Ok).collect())
            }
            Self::Cluster(connection) => {
                let sent = commands.into_iter().map(|command| {
                    let mut connection = connection.clone();
                    async move { redis::aio::ConnectionLike::req_packed_command(&mut connection, &command).await }
                });
                Ok(join_all(sent).await)
            }
        }
    }

    /// Loads every script, on every node; what the server says where it refuses that.
    pub(super) async fn load(&mut self) -> Option<ServerError> {
        let answers = self.exchange(scripts::loading().collect()).await.ok()?;
        // Where the connection breaks, the next attempt says so.
        answers.into_iter().find_map(|answer| match answer {
            Ok(Value::ServerError(error)) => Some(error),
            Ok(_) => None,
            Err(error) => Some(error.into_server_errors()?.iter().next()?.1.clone()),
        })
    }

    /// The number under which the server knows it.
    pub(super) fn number(&self) -> Option<i64> {
        match self {
            Self::Wire(wire) => wire.number,
            Self::Encrypted(_, number) => *number,
            Self::Cluster(_) => None,
        }
    }
}
