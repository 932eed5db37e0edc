//! What a listing should give, found by looking at every key.

use std::collections::BTreeSet;

use rrag_storage::{MemoryQuery, SortOrder};

use super::glob::matches;

/// A key of the whole storage, and a number that grows with the time of its creation.
pub type Created<'k> = (&'k str, i64);

/// What `query` lists of `all` in the view whose keys start with `prefix`, spelled as there.
pub fn listed(all: &[Created<'_>], prefix: &str, query: &MemoryQuery) -> Vec<String> {
    let under = query.namespace.as_ref().map(|namespace| format!("{namespace}::"));
    let mut found: Vec<(i64, &str)> = all
        .iter()
        .filter_map(|&(key, created)| Some((created, key.strip_prefix(prefix)?)))
        .filter(|(_, key)| under.as_ref().is_none_or(|under| key.starts_with(under.as_str())))
        .filter(|(_, key)| query.prefix.as_ref().is_none_or(|start| key.starts_with(start.as_str())))
        .filter(|(_, key)| query.pattern.as_ref().is_none_or(|pattern| matches(pattern, key)))
        .filter(|(_, key)| query.after.as_ref().is_none_or(|after| *key > after.as_str()))
        .collect();
    match query.sort_order {
        SortOrder::KeyAsc | SortOrder::KeyDesc => found.sort_unstable_by_key(|&(_, key)| key),
        SortOrder::CreatedAsc | SortOrder::CreatedDesc => found.sort_unstable(),
    }
    if query.sort_order.is_descending() {
        found.reverse();
    }
    let wanted = found.into_iter().skip(query.offset).take(query.limit.unwrap_or(usize::MAX));
    wanted.map(|(_, key)| key.to_owned()).collect()
}

/// The namespaces of that view which start with `start`, at most `depth` segments deep.
pub fn namespaces(all: &[Created<'_>], prefix: &str, start: Option<&str>, depth: Option<usize>) -> Vec<String> {
    let mut found = BTreeSet::new();
    for key in all.iter().filter_map(|(key, _)| key.strip_prefix(prefix)) {
        let segments: Vec<&str> = key.split("::").collect();
        for deep in 1..segments.len().min(depth.map_or(usize::MAX, |depth| depth.saturating_add(1))) {
            found.insert(segments[..deep].join("::"));
        }
    }
    found.retain(|namespace| start.is_none_or(|start| namespace.starts_with(start)));
    found.into_iter().collect()
}

/// How many keys of that view stand under `namespace` and start with `start`.
pub fn count(all: &[Created<'_>], prefix: &str, namespace: Option<&str>, start: Option<&str>) -> u64 {
    let query = MemoryQuery {
        namespace: namespace.map(ToOwned::to_owned),
        prefix: start.map(ToOwned::to_owned),
        ..MemoryQuery::new()
    };
    listed(all, prefix, &query).len() as u64
}
