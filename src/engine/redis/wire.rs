//! A connection to one server, without TLS, to which the calling thread itself may write.
//!
//! A lone request then costs two wake-ups in all: the server's, and that of the thread that reads the answer. Answers
//! come in the order of the commands; a connection whose answers don't add up is of no use any more.

use std::future::poll_fn;
use std::io::{Error, ErrorKind, Result as IoResult};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use redis::{Cmd, Value, cmd};
use tokio::net::{TcpStream, UnixStream};

use super::errors::{Fault, of_setup, unavailable};
use super::resp::Parser;
use super::scripts;
use super::url::{Nodes, Target};

/// So many bytes are read at a time.
const READ: usize = 64 * 1024;

/// The way to the server and back. Any thread may write; one task reads.
pub(super) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    async fn connect(target: &Target) -> IoResult<Self> {
        match &target.nodes {
            Nodes::Unix(path) => Ok(Self::Unix(UnixStream::connect(path).await?)),
            Nodes::Tcp { hosts, .. } => {
                let none = || Error::new(ErrorKind::InvalidInput, "no host");
                let (host, port) = hosts.first().ok_or_else(none)?;
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                stream.set_nodelay(true)?;
                Ok(Self::Tcp(stream))
            }
        }
    }

    fn try_read(&self, buffer: &mut [u8]) -> IoResult<usize> {
        match self {
            Self::Tcp(stream) => stream.try_read(buffer),
            Self::Unix(stream) => stream.try_read(buffer),
        }
    }

    fn try_write(&self, bytes: &[u8]) -> IoResult<usize> {
        match self {
            Self::Tcp(stream) => stream.try_write(bytes),
            Self::Unix(stream) => stream.try_write(bytes),
        }
    }

    fn poll_readable(&self, context: &mut Context<'_>) -> Poll<IoResult<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_read_ready(context),
            Self::Unix(stream) => stream.poll_read_ready(context),
        }
    }

    fn poll_writable(&self, context: &mut Context<'_>) -> Poll<IoResult<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_write_ready(context),
            Self::Unix(stream) => stream.poll_write_ready(context),
        }
    }

    /// Writes what goes at once; how many bytes. An error shows when the answer is read.
    pub(super) fn write_some(&self, bytes: &[u8]) -> usize {
        self.try_write(bytes).unwrap_or(0)
    }

    /// Writes `unsent`, and takes out of it what was written.
    pub(super) fn poll_write(&self, context: &mut Context<'_>, unsent: &mut &[u8]) -> Poll<IoResult<()>> {
        while !unsent.is_empty() {
            ready!(self.poll_writable(context))?;
            match self.try_write(unsent) {
                Ok(0) => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
                Ok(count) => *unsent = unsent.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// See the module.
pub(super) struct Wire {
    socket: Arc<Socket>,
    parser: Parser,
    buffer: Box<[u8]>,
    /// The number under which the server knows it.
    pub(super) number: Option<i64>,
}

impl Wire {
    /// Connects, signs in and loads the scripts. What `before`, a broken connection of ours, sent and the server has
    /// not read yet is never done: the server drops it first.
    pub(super) async fn connect(target: &Target, before: Option<i64>, place: &str) -> Result<Self, Fault> {
        let passing = |error: Error| match error.kind() {
            ErrorKind::InvalidData => Fault::Final(unavailable(place, format!("{error}; is it a Redis server?"))),
            _ => Fault::Passing(error.to_string()),
        };
        let socket = Arc::new(Socket::connect(target).await.map_err(passing)?);
        let mut wire = Self { socket, parser: Parser::default(), buffer: vec![0; READ].into(), number: None };
        let mut setup = Vec::new();
        if let Some(password) = &target.password {
            let mut login = cmd("AUTH");
            if let Some(user) = &target.user {
                login.arg(user);
            }
            setup.push(login.arg(password).clone());
        }
        if target.database != 0 {
            setup.push(cmd("SELECT").arg(target.database).clone());
        }
        let needed = setup.len();
        setup.push(cmd("CLIENT").arg("ID").clone());
        if let Some(before) = before {
            setup.push(cmd("CLIENT").arg("KILL").arg("ID").arg(before).clone());
        }
        setup.extend(scripts::loading());
        let answers = wire.exchange(&setup).await.map_err(passing)?;
        for (at, answer) in answers.iter().enumerate() {
            if let Value::ServerError(error) = answer
                && let Some(fault) = of_setup(error, at < needed, place)
            {
                return Err(fault);
            }
        }
        // Without the permission for it a broken connection's last commands may still be done.
        if let Some(Value::Int(number)) = answers.get(needed) {
            wire.number = Some(*number);
        }
        Ok(wire)
    }

    /// Where a caller may write to while nothing else is under way.
    pub(super) fn socket(&self) -> Arc<Socket> {
        Arc::clone(&self.socket)
    }

    /// Sends `commands` and gives each one's answer.
    pub(super) async fn exchange(&mut self, commands: &[Cmd]) -> IoResult<Vec<Value>> {
        let mut bytes = Vec::new();
        for command in commands {
            command.write_packed_command(&mut bytes);
        }
        let mut unsent = bytes.as_slice();
        let mut answers = Vec::with_capacity(commands.len());
        // Written and read at the same time: a server that is not listened to stops listening.
        poll_fn(|context| {
            let socket = Arc::clone(&self.socket);
            if let Poll::Ready(Err(error)) = socket.poll_write(context, &mut unsent) {
                return Poll::Ready(Err(error));
            }
            while answers.len() < commands.len() {
                answers.push(ready!(self.poll_answer(context))?);
            }
            Poll::Ready(if self.is_quiet() { Ok(()) } else { Err(out_of_step()) })
        })
        .await?;
        Ok(answers)
    }

    /// The next answer.
    pub(super) fn poll_answer(&mut self, context: &mut Context<'_>) -> Poll<IoResult<Value>> {
        loop {
            if let Some(answer) = self.parser.next() {
                return Poll::Ready(Ok(answer));
            }
            ready!(self.socket.poll_readable(context))?;
            match self.socket.try_read(&mut self.buffer) {
                Ok(0) => return Poll::Ready(Err(Error::other("the server closed the connection"))),
                Ok(count) => {
                    let fed = self.parser.feed(self.buffer.get(..count).unwrap_or_default());
                    fed.map_err(|garbage| {
                        Error::new(ErrorKind::InvalidData, format!("the server sent {}", garbage.0))
                    })?;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Whether nothing was answered beyond what was asked.
    pub(super) fn is_quiet(&self) -> bool {
        self.parser.len() == 0
    }
}

/// More answers than commands.
pub(super) fn out_of_step() -> Error {
    Error::other("the server's answers are out of step")
}
