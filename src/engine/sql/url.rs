//! What a url says about a server.
//!
//! # TLS
//!
//! | `sslmode` (PostgreSQL) | `ssl-mode` (MySQL) | what holds |
//! | --- | --- | --- |
//! | `disable` | `disabled` | no TLS |
//! | `prefer`, `allow` | `preferred` | TLS where the server has it, its certificate not checked |
//! | `require` | `required` | TLS, the certificate not checked: these names mean that in every client |
//! | `verify-ca` | `verify_ca` | TLS, the certificate checked, the name in it not |
//! | `verify-full` | `verify_identity` | TLS, certificate and name checked |
//! | none | none | TLS where the server has it, certificate and name checked; on a loopback address, unchecked |
//!
//! No other option is taken: a url can't name a local file, a socket, a role to change to, or a setting of the server.

use std::net::IpAddr;

use super::super::options::percent_decoded;
use super::dialect::Dialect;
use crate::error::{Error, Result};

/// How much TLS is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tls {
    /// None.
    Off,
    /// Where the server has it; nothing is checked.
    Offered,
    /// Where the server has it; all is checked.
    OfferedChecked,
    /// Always; nothing is checked.
    Unchecked,
    /// Always; the certificate is checked.
    Authority,
    /// Always; certificate and name are checked.
    Checked,
}

/// A server, and who asks for what on it.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) dialect: Dialect,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) user: String,
    pub(super) password: Option<String>,
    pub(super) database: String,
    pub(super) tls: Tls,
}

impl Target {
    /// Reads a url. No error repeats a part of it that could be a secret.
    pub(super) fn parse(url: &str) -> Result<Self> {
        let wrong = |what: &str| Error::Configuration(format!("the database url {what}"));
        let (scheme, rest) = url.split_once("://").ok_or_else(|| wrong("has no ://"))?;
        let dialect = match scheme.to_ascii_lowercase().as_str() {
            "postgres" | "postgresql" => Dialect::Postgres,
            "mysql" | "mariadb" => Dialect::Mysql,
            _ => return Err(wrong("must start with postgres://, postgresql://, mysql:// or mariadb://")),
        };
        if rest.contains('#') {
            return Err(wrong("holds a #; write it as %23"));
        }
        let (rest, query) = rest.split_once('?').map_or((rest, ""), |(rest, query)| (rest, query));
        let (authority, path) = rest.split_once('/').map_or((rest, ""), |(authority, path)| (authority, path));
        let (account, place) = authority.rsplit_once('@').unwrap_or(("", authority));
        if account.contains('@') {
            return Err(wrong("holds an @ in its user or password; write it as %40"));
        }
        let (user, password) =
            account.split_once(':').map_or((account, None), |(user, password)| (user, Some(password)));
        let (host, port) = host_and_port(place).ok_or_else(|| wrong("has a host or a port that can't be meant"))?;
        let bracketed = place.starts_with('[');
        let host = decode(host).filter(|host| is_host(host, bracketed)).ok_or_else(|| {
            wrong("needs a host name or an address; sockets by path are not supported: write HOST:PORT")
        })?;
        let user = decode(user).ok_or_else(|| wrong("has a user that is not percent-encoded UTF-8"))?;
        if user.is_empty() {
            return Err(wrong("names no user: write scheme://USER:PASSWORD@HOST/DATABASE"));
        }
        let password = match password.map(decode) {
            Some(None) => return Err(wrong("has a password that is not percent-encoded UTF-8")),
            Some(password) => password,
            None => None,
        };
        let database = decode(path).ok_or_else(|| wrong("has a database that is not percent-encoded UTF-8"))?;
        if database.is_empty() || database.contains(|c: char| c == '/' || c.is_control()) {
            return Err(wrong("must name one database: write scheme://USER:PASSWORD@HOST/DATABASE"));
        }
        let loopback = host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback());
        let mut target = Self {
            dialect,
            port: port.unwrap_or(dialect.port()),
            tls: if loopback { Tls::Offered } else { Tls::OfferedChecked },
            host,
            user,
            password,
            database,
        };
        let mut options = query.split('&').filter(|option| !option.is_empty());
        if let Some(option) = options.next() {
            target.option(option)?;
        }
        // Of two, one would hold and the other be believed to.
        if options.next().is_some() {
            return Err(wrong("takes one option, sslmode (PostgreSQL) or ssl-mode (MySQL), and that once"));
        }
        Ok(target)
    }

    fn option(&mut self, option: &str) -> Result<()> {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let value = value.to_ascii_lowercase().replace('_', "-");
        let value = match name {
            "sslmode" | "ssl-mode" | "ssl_mode" => value,
            _ => {
                // What holds anything else may be part of a password that was not percent-encoded.
                let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
                let shown = if !option.contains('@') && name.len() <= 32 && name.chars().all(plain) {
                    format!(", not {name:?}")
                } else {
                    String::new()
                };
                return Err(Error::Configuration(format!(
                    "the database url takes sslmode (PostgreSQL) or ssl-mode (MySQL) and no other option{shown}; pass others as keyword arguments"
                )));
            }
        };
        self.tls = match value.as_str() {
            "disable" | "disabled" => Tls::Off,
            "allow" | "prefer" | "preferred" => Tls::Offered,
            "require" | "required" => Tls::Unchecked,
            "verify-ca" => Tls::Authority,
            "verify-full" | "verify-identity" => Tls::Checked,
            _ => {
                return Err(Error::Configuration(
                    "sslmode must be one of disable, prefer, require, verify-ca and verify-full (ssl-mode: disabled, preferred, required, verify_ca, verify_identity)".into(),
                ));
            }
        };
        Ok(())
    }

    /// Where the server is, for people: no secret.
    pub(super) fn place(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        format!("{} at {host}:{}", self.dialect.name(), self.port)
    }

    /// The url without its password and options.
    pub(super) fn location(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        format!("{}://{host}:{}/{}", self.dialect.name(), self.port, self.database)
    }
}

fn host_and_port(place: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = if let Some(rest) = place.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) })
    } else {
        place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port)))
    };
    match port {
        None | Some("") => Some((host, None)),
        Some(port) if port.starts_with('+') => None,
        Some(port) => Some((host, Some(port.parse().ok().filter(|&port| port != 0)?))),
    }
}

/// A name or an address; in brackets one of IPv6, perhaps with its zone.
fn is_host(host: &str, bracketed: bool) -> bool {
    let punctuation = if bracketed { ".-_:%" } else { ".-_" };
    !host.is_empty() && host.chars().all(|c| c.is_alphanumeric() || punctuation.contains(c)) && !host.starts_with('-')
}

/// Undoes percent-encoding; `None` for what is none, is no UTF-8 or holds a NUL.
fn decode(text: &str) -> Option<String> {
    percent_decoded(text).filter(|bytes| !bytes.contains(&0)).and_then(|bytes| String::from_utf8(bytes).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let target = Target::parse("postgres://ada:p%40ss%3A@db.example:6000/app?sslmode=verify-full").unwrap();
        assert_eq!((target.host.as_str(), target.port, target.database.as_str()), ("db.example", 6000, "app"));
        assert_eq!((target.user.as_str(), target.password.as_deref()), ("ada", Some("p@ss:")));
        assert_eq!(target.tls, Tls::Checked);
        assert_eq!(target.location(), "postgres://db.example:6000/app");
        let target = Target::parse("mariadb://ada@[::1]/app").unwrap();
        assert_eq!((target.host.as_str(), target.port, target.tls), ("::1", 3306, Tls::Offered));
        assert_eq!(target.place(), "mysql at [::1]:3306");
        assert_eq!(Target::parse("mysql://a@h/d").unwrap().tls, Tls::OfferedChecked);
    }

    #[test]
    fn what_smuggles_or_cannot_be_meant_is_refused_without_its_secret() {
        for url in [
            "postgres://ada:secret@%2Fvar%2Frun/app",
            "postgres://ada:secret@h/app?host=/tmp",
            "postgres://ada:secret@h/app?sslrootcert=/etc/passwd",
            "postgres://ada:secret@h/app?options=-csecret",
            "mysql://ada:secret@h/app?local-infile=1",
            "mysql://ada:secret@h/app?socket=/secret",
            "mysql://ada:secret@h/app?ssl-mode=secret",
            "postgres://ada:secret@h",
            "postgres://ada:secret@h/",
            "postgres://ada:secret@h/a/b",
            "postgres://ada:secret@h:0/a",
            "postgres://ada:secret@h:99999/a",
            "postgres://ada:secret@/a",
            "postgres://ada:sec@ret@h/a",
            "postgres://ada:secret%@h/a",
            "postgres://ada:secret%00@h/a",
            "postgres://ada:secret@h/a#x",
            "postgres://:secret@h/a",
            "postgres://ada:secret@h/a?sslmode=verify-full&sslmode=disable",
            "postgres://ada:a@h/d?secret@real/d",
            "postgres://ada:x@h/a?/secret=1",
            "mysql://ada:secret@h/a?ssl-mode=disabled&sslmode=verify-full",
            "postgres://ada:secret@h%3A1:2/a",
            "postgres://ada:secret@[::1]x/a",
            "postgres://ada:secret@h%25/a",
            "postgres://ada:secret@h/a%0A",
            "postgres://ada:secret@h/a\n",
            "oracle://ada:secret@h/a",
            "secret",
        ] {
            match Target::parse(url) {
                Err(Error::Configuration(words)) => assert!(!words.contains("secret"), "{words}"),
                Err(other) => panic!("{url}: {other:?}"),
                Ok(_) => panic!("{url} was taken"),
            }
        }
    }
}
