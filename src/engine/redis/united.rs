//! Lone blind puts that stand next to each other in a pipeline travel as one script: a script costs the server more than
//! what it does for one record.
//!
//! 1. Only requests that were never sent are united, on a single server, each of another record. So their order among
//!    the other requests stays, and what is sent again goes by itself, as the script expects of it.
//! 2. The script does all of them or fails; where it fails each is sent again by itself, and has its own answer.

use std::collections::HashSet;
use std::mem;

use redis::{Cmd, RedisResult, Value};

use super::request::{Put, Request};
use super::scripts;

/// Puts of one script, so that nobody else waits long for the server.
const MOST: usize = 64;
/// A script with so many bytes takes no more.
const MOST_BYTES: usize = 64 * 1024;

/// How many of `requests`, from each place where a command begins, make one command.
pub(super) fn lengths(requests: &[(usize, Request)]) -> Vec<usize> {
    let mut lengths = Vec::with_capacity(requests.len());
    let mut rest = requests;
    while !rest.is_empty() {
        let length = first_length(rest);
        lengths.push(length);
        rest = &rest[length..];
    }
    lengths
}

fn first_length(requests: &[(usize, Request)]) -> usize {
    let (mut names, mut bytes) = (HashSet::new(), 0);
    for (at, (_, request)) in requests.iter().enumerate().take(MOST) {
        let fits = request.fresh_put().is_some_and(|put| names.insert(put.name));
        if !fits || bytes >= MOST_BYTES {
            return at.max(1);
        }
        bytes += request.weight;
    }
    requests.len().min(MOST)
}

/// The commands of requests that travel by `lengths`.
pub(super) fn commands(requests: &mut [(usize, Request)], lengths: &[usize]) -> Vec<Cmd> {
    let mut commands = Vec::with_capacity(lengths.len());
    let mut rest = requests;
    for &length in lengths {
        let (these, after) = rest.split_at_mut(length);
        rest = after;
        if let [(slot, request)] = these {
            request.sent = true;
            commands.push(request.command(*slot));
        } else {
            commands.push(command(these));
            for (_, request) in these {
                request.unite();
            }
        }
    }
    commands
}

/// An answer for each of the requests in `left`; those of commands that failed for several go to `apart`.
pub(super) fn parted(
    left: &mut Vec<(usize, Request)>,
    lengths: &[usize],
    answers: Vec<RedisResult<Value>>,
    apart: &mut Vec<(usize, Request)>,
) -> Vec<RedisResult<Value>> {
    if lengths.len() == left.len() {
        return answers;
    }
    let mut each = Vec::with_capacity(left.len());
    let mut rest = mem::take(left).into_iter();
    for (answer, &length) in answers.into_iter().zip(lengths) {
        let these = rest.by_ref().take(length);
        match parts(&answer, length) {
            _ if length == 1 => {
                left.extend(these);
                each.push(answer);
            }
            Some(parts) => {
                left.extend(these);
                each.extend(parts);
            }
            None => apart.extend(these),
        }
    }
    each
}

/// The command of several puts.
fn command(requests: &[(usize, Request)]) -> Cmd {
    let puts: Vec<Put<'_>> = requests.iter().filter_map(|(_, request)| request.fresh_put()).collect();
    let weight: usize = requests.iter().map(|(_, request)| request.weight).sum();
    let mut command = Cmd::with_capacity(puts.len() * 5 + 12, weight + 256);
    let heading = puts.first().map_or(&[][..], |put| put.heading);
    command.arg("EVALSHA").arg(scripts::COMMIT.hash()).arg(heading.len() + puts.len());
    for name in heading {
        command.arg(name.as_slice());
    }
    for put in &puts {
        command.arg(put.name);
    }
    command.arg("").arg("");
    // Of the times at which they were asked for the last counts.
    for arg in puts.last().map_or(&[][..], |put| put.common) {
        command.arg(arg.as_slice());
    }
    for (at, put) in puts.iter().enumerate() {
        command.arg(heading.len() + at + 1);
        for arg in put.record {
            command.arg(arg.as_slice());
        }
    }
    command
}

/// The answers to `count` puts, from the one that they were given together; `None` where each is to be sent by itself.
fn parts(answer: &RedisResult<Value>, count: usize) -> Option<Vec<RedisResult<Value>>> {
    let Ok(Value::BulkString(bytes)) = answer else { return None };
    let flags = bytes.strip_prefix(b"D").filter(|flags| flags.len() == count)?;
    Some(flags.iter().map(|&flag| Ok(Value::BulkString(vec![b'D', flag]))).collect())
}
