//! What is asked of the server, with the time it has and the way back.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_channel::oneshot;
use redis::{Arg, Cmd, Value};

use super::errors::BACKEND;
use super::layout::HEADING;
use super::scripts::{self, Script};
use crate::error::{Error, Result};

/// Clocks may differ in their pace by one part in so many.
const PACE: u32 = 1_000;

/// Numbers every fenced write of the process.
static FENCES: AtomicU64 = AtomicU64::new(1);

/// What the server is to do.
pub(super) enum Work {
    Command(Cmd),
    /// A script with its names and its arguments behind the fence.
    Script {
        script: &'static Script,
        names: Vec<Vec<u8>>,
        args: Vec<Vec<u8>>,
        fenced: bool,
    },
}

fn part_len(part: &Arg<&[u8]>) -> usize {
    match part {
        Arg::Simple(bytes) => bytes.len(),
        _ => 0,
    }
}

/// A lone blind put, in its parts.
pub(super) struct Put<'r> {
    /// The names that the script starts with.
    pub(super) heading: &'r [Vec<u8>],
    pub(super) name: &'r [u8],
    /// The arguments of the whole script.
    pub(super) common: &'r [Vec<u8>],
    /// Those of the record, behind its place.
    pub(super) record: &'r [Vec<u8>],
}

/// One request.
pub(super) struct Request {
    work: Work,
    pub(super) deadline: Instant,
    pub(super) weight: usize,
    pub(super) writes: bool,
    /// Slot and number, once it was sent for the first time.
    fence: Option<(usize, u64)>,
    pub(super) sent: bool,
    /// When a command was first made of it, and the number of the next fenced write then: what is not fenced and is made
    /// again says so.
    made: Option<(Instant, u64)>,
    reply: oneshot::Sender<Result<Value>>,
}

impl Request {
    pub(super) fn new(work: Work, writes: bool, within: Duration) -> (Self, oneshot::Receiver<Result<Value>>) {
        let (reply, answer) = oneshot::channel();
        let weight = match &work {
            Work::Command(command) => command.args_iter().map(|part| part_len(&part) + 16).sum(),
            Work::Script { names, args, .. } => names.iter().chain(args).map(|part| part.len() + 16).sum(),
        };
        let deadline = Instant::now() + within;
        (Self { work, deadline, weight, writes, fence: None, sent: false, made: None, reply }, answer)
    }

    /// Whether nobody waits for its answer.
    pub(super) fn is_deserted(&self) -> bool {
        self.reply.is_canceled()
    }

    /// The lone blind put that it is, where it was never sent.
    pub(super) fn fresh_put(&self) -> Option<Put<'_>> {
        let Work::Script { script, names, args, fenced: false } = &self.work else { return None };
        if self.made.is_some() || !std::ptr::eq(*script, &raw const scripts::COMMIT) {
            return None;
        }
        let (common, rest) = args.split_at_checked(3)?;
        let [_place, record @ ..] = rest else { return None };
        let [heading @ .., name] = names.as_slice() else { return None };
        (heading.len() == HEADING && record.len() == 3).then_some(Put { heading, name, common, record })
    }

    /// Notes that it is being sent in a command of several.
    pub(super) fn unite(&mut self) {
        self.sent = true;
        self.note_made();
    }

    fn note_made(&mut self) {
        self.made.get_or_insert_with(|| (Instant::now(), FENCES.load(Ordering::Relaxed)));
    }

    /// The command as it is sent. `slot` is where its outcome is noted, if it is fenced and wasn't sent before.
    pub(super) fn command(&mut self, slot: usize) -> Cmd {
        let made = self.made;
        self.note_made();
        let (script, names, args, fenced) = match &self.work {
            Work::Command(command) => return command.clone(),
            Work::Script { script, names, args, fenced } => (script, names, args, *fenced),
        };
        let mut command = Cmd::with_capacity(names.len() + args.len() + 5, self.weight + 128);
        command.arg("EVALSHA").arg(script.hash()).arg(names.len());
        for name in names {
            command.arg(name.as_slice());
        }
        if fenced {
            let (slot, number) = *self.fence.get_or_insert_with(|| (slot, FENCES.fetch_add(1, Ordering::Relaxed)));
            command.arg(slot).arg(number);
        } else {
            let again = made.map(|(at, fence)| {
                let elapsed = at.elapsed();
                format!("again {} {fence}", (elapsed + elapsed / PACE).as_micros())
            });
            command.arg(again.unwrap_or_default()).arg("");
        }
        for arg in args {
            command.arg(arg.as_slice());
        }
        command
    }

    /// Hands the answer to whoever waits for it.
    pub(super) fn send(self, answer: Result<Value>) {
        // The caller may have gone away: nobody is left to tell.
        let _ = self.reply.send(answer);
    }

    /// Its time is up, after `last` went wrong.
    pub(super) fn give_up(self, place: &str, within: Duration, last: Option<&str>) {
        let what = format!("{BACKEND} at {place}");
        let seconds = within.as_secs_f64();
        let error = match (self.sent && self.writes, last) {
            (true, last) => Error::Unavailable {
                what,
                reason: format!(
                    "no answer to this write within {seconds} s ({}); its outcome is unknown: read before repeating it",
                    last.unwrap_or("the server is silent")
                ),
            },
            (false, Some(last)) => Error::Unavailable { what, reason: format!("{last}, for {seconds} s") },
            (false, None) => Error::Timeout { what: format!("{what}: an operation"), seconds },
        };
        self.send(Err(error));
    }
}
