//! One connection: to a server, or to all the nodes of a cluster.

use std::time::Duration;

use futures_util::future::join_all;
use redis::aio::MultiplexedConnection;
use redis::cluster::{ClusterClient, ClusterClientBuilder};
use redis::cluster_async::ClusterConnection;
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, Pipeline, ProtocolVersion,
    RedisConnectionInfo, RedisError, RedisResult, TlsCertificates, TlsMode, Value, cmd,
};

use super::config::RedisConfig;
use super::errors::{Fault, of_connection};
use super::scripts;
use super::url::{Nodes, Target, Tls};
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
    /// To a server, with the number under which the server knows it.
    Single(MultiplexedConnection, Option<i64>),
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
            if self.is_clustered() {
                self.connect_cluster(within).await
            } else {
                self.connect_single(within, before).await
            }
        };
        match tokio::time::timeout(within, connecting).await {
            Ok(connected) => connected.map_err(|error| of_connection(&error, &self.place)),
            Err(_) => Err(Fault::Passing("no connection was made in time".to_owned())),
        }
    }

    async fn connect_single(&self, within: Duration, before: Option<i64>) -> RedisResult<Connection> {
        let info = self.infos()?.into_iter().next();
        let info = info.ok_or_else(|| RedisError::from((redis::ErrorKind::InvalidClientConfig, "no host")))?;
        let insecure = matches!(&self.target.nodes, Nodes::Tcp { tls: Tls::Unchecked, .. });
        let client = if self.is_encrypted() && !insecure {
            Client::build_with_tls(info, self.certificates())?
        } else {
            Client::open(info)?
        };
        let config = AsyncConnectionConfig::new().set_connection_timeout(Some(within)).set_response_timeout(None);
        let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        let mut setup = Pipeline::new();
        setup.add_command(cmd("CLIENT").arg("ID").clone());
        if let Some(before) = before {
            setup.add_command(cmd("CLIENT").arg("KILL").arg("ID").arg(before).clone());
        }
        load_scripts(&mut setup);
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
        Ok(Connection::Single(connection, number))
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
        for script in scripts::ALL {
            // Those that a node misses are loaded when it says so.
            let _: RedisResult<Value> = cmd("SCRIPT").arg("LOAD").arg(script.code()).query_async(&mut connection).await;
        }
        Ok(Connection::Cluster(connection))
    }
}

impl Connection {
    /// Sends all of `commands` and gives each one's answer. A refusal by the server is a [`Value::ServerError`].
    ///
    /// # Errors
    ///
    /// The connection broke: which of the commands were done is unknown.
    pub(super) async fn exchange(&mut self, commands: Vec<Cmd>) -> RedisResult<Vec<RedisResult<Value>>> {
        match self {
            Self::Single(connection, _) => {
                if let [one] = commands.as_slice() {
                    return Ok(vec![Ok(connection.send_packed_command(one).await?)]);
                }
                let mut pipeline = Pipeline::with_capacity(commands.len());
                for command in commands {
                    pipeline.add_command(command);
                }
                let answers = connection.send_packed_commands(&pipeline, 0, pipeline.len()).await?;
                Ok(answers.into_iter().map(Ok).collect())
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

    /// Loads every script, on every node.
    pub(super) async fn load(&mut self) {
        let mut pipeline = Pipeline::new();
        load_scripts(&mut pipeline);
        let commands: Vec<Cmd> = pipeline.cmd_iter().cloned().collect();
        // Where that fails, the next attempt says so.
        let _ = self.exchange(commands).await;
    }

    /// The number under which the server knows it.
    pub(super) fn number(&self) -> Option<i64> {
        match self {
            Self::Single(_, number) => *number,
            Self::Cluster(_) => None,
        }
    }
}

fn load_scripts(pipeline: &mut Pipeline) {
    for script in scripts::ALL {
        pipeline.add_command(cmd("SCRIPT").arg("LOAD").arg(script.code()).clone());
    }
}
