//! Any text as a url, given to each kind of storage: a storage, or an error that says what is wrong. A password in it
//! stands in nothing that is shown: no error, no `Debug` form, no location.

use std::fmt::Debug;

use rrag_storage::engine::Engine;
use rrag_storage::engine::sql::SqlConfig;
use rrag_storage::layers::Layers;
use rrag_storage::{
    Clock, DatabaseConfig, DatabaseStorage, Error, ObjectConfig, ObjectStorage, RedisConfig, RedisStorage, Result,
    Storage,
};

use super::input::Input;

const SECRET: &str = "hunter2hunter2";
const ENCODED: &str = "%68unter2%68unter2";

/// The schemes whose urls may hold a password.
const SCHEMES: [&str; 18] = [
    "postgres",
    "postgresql",
    "mysql",
    "mariadb",
    "redis",
    "rediss",
    "redis+cluster",
    "rediss+cluster",
    "valkey",
    "unix",
    "redis+unix",
    "s3",
    "gs",
    "az",
    "http",
    "oracle",
    "Postgres",
    "REDIS",
];
/// What is not part of a user's name, nor of a host.
const MARKS: [char; 5] = ['@', '/', '?', '#', ':'];

pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    match input.below(4) {
        0 => {
            shown(&String::from_utf8_lossy(input.rest()));
        }
        1 => in_login(&mut input),
        2 => in_query(&mut input),
        _ => in_socket(&mut input),
    }
}

/// `scheme://user:PASSWORD@rest`, whatever stands in the password but an `@`.
fn in_login(input: &mut Input<'_>) {
    let scheme = input.one_of(&SCHEMES);
    let (user, secret) = (input.text().replace(MARKS, ""), secret(input));
    let (before, after, rest) = (input.text().replace('@', ""), input.text().replace('@', ""), input.text());
    hides(&format!("{scheme}://{user}:{before}"), secret, &format!("{after}@{rest}"));
}

/// `scheme://user@host/path?name=PASSWORD`.
fn in_query(input: &mut Input<'_>) {
    let scheme = input.one_of(&SCHEMES);
    let (user, host, path) = (input.text(), input.text(), input.text());
    let (name, before, after) = (input.text(), input.text().replace(['&', '?'], ""), input.text());
    let secret = secret(input);
    let place = format!("{}@{}/{}", user.replace(MARKS, ""), host.replace(MARKS, ""), path.replace(MARKS, ""));
    hides(&format!("{scheme}://{place}?{}={before}", name.replace(['&', '='], "")), secret, &after);
}

/// `unix:///path?pass=PASSWORD`.
fn in_socket(input: &mut Input<'_>) {
    let secret = secret(input);
    let (path, before, after) = (input.text(), input.text(), input.text());
    hides(&format!("unix:///{}?pass={before}", path.replace('?', "")), secret, &after);
}

fn secret(input: &mut Input<'_>) -> &'static str {
    if input.chance(2) { ENCODED } else { SECRET }
}

fn hides(before: &str, secret: &str, after: &str) {
    if before.contains(SECRET) || after.contains(SECRET) {
        return;
    }
    let url = format!("{before}{secret}{after}");
    let shown = shown(&url);
    for form in [SECRET, ENCODED] {
        assert!(!shown.contains(form), "{url:?} is shown as {shown}");
    }
}

/// All that is shown of a url.
fn shown(url: &str) -> String {
    let database = DatabaseConfig { connection_string: url.to_owned(), ..DatabaseConfig::default() };
    let (redis, object) = (RedisConfig::new(url), ObjectConfig::new(url));
    let mut shown = format!("{database:?}\n{redis:?}\n{object:?}\n{:?}\n", SqlConfig::new(url));
    shown += &outcome(DatabaseStorage::lazy(database));
    shown += &outcome(RedisStorage::lazy(redis, Layers::default(), Clock::System));
    shown += &outcome(ObjectStorage::lazy(object, Layers::default(), Clock::System));
    shown
}

fn outcome<E: Engine + ?Sized>(storage: Result<Storage<E>>) -> String {
    match storage {
        Ok(storage) => storage.location(),
        Err(error) => {
            let Error::Configuration(words) = &error else { panic!("an error of another kind: {error:?}") };
            // Which of its options or parts, and what to write instead.
            assert!(words.split_whitespace().count() > 4, "it says too little: {words}");
            words_of(&error)
        }
    }
}

fn words_of(error: &(impl Debug + ToString)) -> String {
    format!("{error:?}\n{}\n", error.to_string())
}
