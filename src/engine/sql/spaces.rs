//! The distinct namespaces of a range.

use tokio::time::Instant;

use super::core::Core;
use super::dialect::Dialect;
use super::scan::{Heads, KeysFrom};
use crate::engine::KeyRange;
use crate::engine::namespaces::distinct;
use crate::error::{Error, Result};

/// The most keys that one question brings.
const MOST: usize = 4_096;

/// Keys in order, without a gap from the first to the last.
#[derive(Default)]
struct Run {
    from: Vec<u8>,
    keys: Vec<Vec<u8>>,
    /// Whether no key of the range follows the last.
    ends: bool,
}

impl Run {
    /// The first key from `target` on; `Err` where this run can't tell.
    fn seek(&self, target: &[u8]) -> std::result::Result<Option<&Vec<u8>>, ()> {
        if target < self.from.as_slice() {
            return Err(());
        }
        match self.keys.get(self.keys.partition_point(|key| key.as_slice() < target)) {
            Some(key) => Ok(Some(key)),
            None if self.ends => Ok(None),
            None => Err(()),
        }
    }
}

/// The namespaces of a range, as [`Engine::namespaces`](crate::engine::Engine::namespaces) wants them.
pub(super) async fn namespaces(
    core: &Core,
    range: &KeyRange,
    skip: usize,
    max_depth: Option<usize>,
    until: Instant,
) -> Result<Vec<String>> {
    if max_depth == Some(0) || range.is_empty() {
        return Ok(Vec::new());
    }
    // MySQL and MariaDB cut a recursion short in silence, at a limit of the server's.
    if max_depth == Some(1) && core.pool.table.dialect == Dialect::Postgres {
        let heads = core.ask(&Heads { range, skip }, until).await?;
        let run = Run { from: range.start.clone(), keys: heads, ends: true };
        return distinct(range, skip, max_depth, |target| Ok::<_, Error>(run.seek(target).unwrap_or(None)));
    }
    let mut known = Run::default();
    let mut limit = 2;
    let mut seen: Vec<String> = Vec::new();
    let mut from = range.start.clone();
    loop {
        // Where the walk stands when it needs more than is known: it is walked again from there.
        let mut stuck = None;
        let part = KeyRange { start: from.clone(), end: range.end.clone() };
        let found = distinct(&part, skip, max_depth, |target| {
            if let Ok(key) = known.seek(target) {
                return Ok::<_, Error>(key);
            }
            stuck = Some(target.to_vec());
            Ok(None)
        })?;
        seen.extend(found);
        let Some(target) = stuck else { break };
        // Straight on: more at a time; a jump past what was brought: less.
        let straight = known.keys.last().is_some_and(|last| target.starts_with(last) && target.len() == last.len() + 1);
        limit = if straight { (limit * 4).min(MOST) } else { (limit / 2).max(2) };
        let keys = core.ask(&KeysFrom { range, from: target.clone(), limit }, until).await?;
        known = Run { from: target.clone(), ends: keys.len() < limit, keys };
        from = target;
    }
    seen.sort_unstable();
    seen.dedup();
    Ok(seen)
}
