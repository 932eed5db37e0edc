//! What a url of Redis means.

use std::path::PathBuf;

use super::super::options::percent_decoded;
use crate::error::{Error, Result};

const DEFAULT_PORT: u16 = 6379;

/// The servers that a url names.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) nodes: Nodes,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    pub(super) database: u32,
}

/// What to connect to.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Nodes {
    Unix(PathBuf),
    Tcp { hosts: Vec<(String, u16)>, tls: Tls, clustered: bool },
}

/// Whether the connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tls {
    Plain,
    Checked,
    /// Any certificate is taken.
    Unchecked,
}

impl Target {
    pub(super) fn is_clustered(&self) -> bool {
        matches!(self.nodes, Nodes::Tcp { clustered: true, .. })
    }

    /// `host:port` or the socket's path.
    pub(super) fn place(&self) -> String {
        match &self.nodes {
            Nodes::Unix(path) => path.display().to_string(),
            Nodes::Tcp { hosts, .. } => {
                let all: Vec<String> = hosts
                    .iter()
                    .map(
                        |(host, port)| {
                            if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
                        },
                    )
                    .collect();
                all.join(",")
            }
        }
    }

    /// The url without user and password.
    pub(super) fn location(&self) -> String {
        let database = self.database;
        match &self.nodes {
            Nodes::Unix(_) if database == 0 => format!("unix://{}", self.place()),
            Nodes::Unix(_) => format!("unix://{}?db={database}", self.place()),
            Nodes::Tcp { tls, clustered, .. } => {
                let scheme = if *tls == Tls::Plain { "redis" } else { "rediss" };
                let cluster = if *clustered { "+cluster" } else { "" };
                let path = if *clustered { String::new() } else { format!("/{database}") };
                format!("{scheme}{cluster}://{}{path}", self.place())
            }
        }
    }
}

pub(super) fn refuse<T>(message: String) -> Result<T> {
    Err(Error::Configuration(message))
}

/// Nothing of the url but its known parts is repeated in an error: it may hold a password.
pub(super) fn parse(url: &str) -> Result<Target> {
    let Some((scheme, rest)) = url.split_once("://") else {
        return refuse(
            "a Redis url starts with redis://, rediss://, redis+cluster://, rediss+cluster:// or unix://".into(),
        );
    };
    let (tls, clustered) = match scheme.to_ascii_lowercase().as_str() {
        "redis" | "valkey" => (Tls::Plain, false),
        "rediss" | "valkeys" => (Tls::Checked, false),
        "redis+cluster" | "valkey+cluster" => (Tls::Plain, true),
        "rediss+cluster" | "valkeys+cluster" => (Tls::Checked, true),
        "unix" | "redis+unix" => return parse_unix(rest),
        _ => {
            return refuse(
                "the url has no scheme of Redis; use redis://, rediss://, redis+cluster:// or unix://".into(),
            );
        }
    };
    let (rest, tls) = match rest.split_once('#') {
        Some((rest, "insecure")) if tls == Tls::Checked => (rest, Tls::Unchecked),
        Some(_) => {
            return refuse("a Redis url takes nothing behind # but insecure, and that only with TLS; percent-encode a # (%23) in a password".into());
        }
        None => (rest, tls),
    };
    if rest.contains('?') {
        return refuse(
            "a Redis url takes no ?options; pass them as keyword arguments, and percent-encode a ? (%3F) in a password"
                .into(),
        );
    }
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (login, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
    if login.contains('@') {
        return refuse("the Redis url holds an @ in its user name or password; write it as %40".into());
    }
    let (user, password) = match login.split_once(':') {
        Some((user, password)) => (decode(user, "user name")?, decode(password, "password")?),
        None => (decode(login, "user name")?, None),
    };
    if user.is_some() && password.is_none() {
        return refuse(
            "the url has a user name but no password; write redis://user:password@host, or redis://:password@host"
                .into(),
        );
    }
    let hosts = hosts.split(',').map(parse_host).collect::<Result<Vec<_>>>()?;
    if hosts.len() > 1 && !clustered {
        return refuse("several hosts are for a cluster: redis+cluster://host:port,host:port".into());
    }
    let database = match path.trim_end_matches('/') {
        "" => 0,
        _ if clustered => return refuse("a cluster has one database: its url takes no path".into()),
        path => parse_database(path)?,
    };
    Ok(Target { nodes: Nodes::Tcp { hosts, tls, clustered }, user, password, database })
}

fn parse_unix(rest: &str) -> Result<Target> {
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let path = decode(path, "path")?.unwrap_or_default();
    if !path.starts_with('/') || path.contains('\0') {
        return refuse("a unix:// url needs the socket's whole path: unix:///run/redis.sock".into());
    }
    let mut target = Target { nodes: Nodes::Unix(path.into()), user: None, password: None, database: 0 };
    let mut names = Vec::new();
    for option in query.split('&').filter(|option| !option.is_empty()) {
        let pair = option.split_once('=');
        if let Some((name, _)) = pair {
            if names.contains(&name) {
                return refuse("a unix:// url takes each of its options once".into());
            }
            names.push(name);
        }
        match pair {
            Some(("db", number)) => target.database = parse_database(number)?,
            Some(("user", user)) => target.user = decode(user, "user name")?,
            Some(("pass", password)) => target.password = decode(password, "password")?,
            _ => return refuse("a unix:// url takes the options db, user and pass only".into()),
        }
    }
    Ok(target)
}

fn parse_database(text: &str) -> Result<u32> {
    match text.parse::<u32>() {
        Ok(number) if text.bytes().all(|byte| byte.is_ascii_digit()) && i32::try_from(number).is_ok() => Ok(number),
        _ => refuse("the database in a Redis url is a number: redis://host/0".into()),
    }
}

fn parse_host(text: &str) -> Result<(String, u16)> {
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let (host, port) = match bracketed {
        Some((host, "")) => (host, None),
        // Whatever does not start with a colon is no port, and said to be none.
        Some((host, rest)) => (host, Some(rest.strip_prefix(':').unwrap_or_default())),
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let port = match port {
        None => DEFAULT_PORT,
        Some(port) => match port.parse() {
            Ok(number) if number != 0 && !port.starts_with('+') => number,
            _ => return refuse(
                "the port in the Redis url is not a number from 1 to 65535; percent-encode /, ? and # in a password"
                    .into(),
            ),
        },
    };
    let punctuation = if bracketed.is_some() { "-._:%" } else { "-._" };
    let known = |c: char| c.is_alphanumeric() || punctuation.contains(c);
    if host.is_empty() || !host.chars().all(known) {
        return refuse("the Redis url names no host; write redis://host:6379/0".into());
    }
    Ok((host.to_owned(), port))
}

/// Percent-decodes; empty is none.
fn decode(text: &str, what: &str) -> Result<Option<String>> {
    let Some(bytes) = percent_decoded(text) else {
        return refuse(format!("the {what} in the Redis url holds a % that starts no code; write %25 for a %"));
    };
    match String::from_utf8(bytes) {
        Ok(text) if text.is_empty() => Ok(None),
        Ok(text) => Ok(Some(text)),
        Err(_) => refuse(format!("the {what} in the Redis url is not UTF-8")),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::RedisConfig;
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        for (url, location) in [
            ("redis://h", "redis://h:6379/0"),
            ("REDIS://ada:p%40ss@h:1/3", "redis://h:1/3"),
            ("rediss://:secret@[::1]:7/", "rediss://[::1]:7/0"),
            ("redis+cluster://u:secret@a:1,b:2", "redis+cluster://a:1,b:2"),
            ("unix:///run/r.sock?db=2&pass=secret", "unix:///run/r.sock?db=2"),
        ] {
            let target = parse(url).unwrap();
            assert_eq!(target.location(), location);
            assert!(!format!("{:?}", RedisConfig::new(url)).contains("secret"));
        }
        let target = parse("redis://ada:p%40s:s@h/3").unwrap();
        assert_eq!((target.user.as_deref(), target.password.as_deref()), (Some("ada"), Some("p@s:s")));
        assert!(matches!(parse("rediss://h#insecure").unwrap().nodes, Nodes::Tcp { tls: Tls::Unchecked, .. }));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for url in [
            "h:6379",
            "http://h",
            "redis://",
            "redis://h/x",
            "redis://h/-1",
            "redis://h:0",
            "redis://u:secret@h?x=1",
            "redis://:secret%zz@h",
            "redis://:secret@h#insecure",
            "redis+cluster://h/1",
            "redis://a,b",
            "unix://relative",
            "unix:///s?path=/etc",
            "redis://secret@h",
            "redis://u:sec/ret@h",
            "redis://u:secret@h@other",
            "redis://h:+1",
            "redis://[::1]secret",
            "redis://[::1]secret:5",
            "redis://h%0a",
            "rediss://h%23insecure",
            "unix:///s?db=1&db=2",
            "unix:///s?pass=secret&pass=",
        ] {
            match parse(url) {
                Err(Error::Configuration(message)) => assert!(!message.contains("secret"), "{message}"),
                _ => panic!("{url}"),
            }
        }
        let odd = |change: fn(&mut RedisConfig)| {
            let mut config = RedisConfig::new("redis://h");
            change(&mut config);
            config.validate().is_err()
        };
        assert!(odd(|c| c.key_prefix = "a{b".into()) && odd(|c| c.max_connections = 0));
        assert!(odd(|c| c.key_prefix = String::new()) && odd(|c| c.connection_timeout = Duration::ZERO));
    }
}
