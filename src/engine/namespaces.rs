//! The distinct namespaces of a range of keys, for any store that can find the first key from a given one on.

use super::KeyRange;
use crate::error::{Error, Result};
use crate::key::{Key, SEPARATOR};

/// The distinct namespaces of the keys in `range`, sorted: those of the part of each key past its first `skip` bytes,
/// at most `max_depth` segments deep.
///
/// `seek` gives the smallest key of the store that is not less than the one it is given; it may leave out keys past the
/// range. A whole namespace at the greatest depth costs one call; every other key costs one too.
///
/// # Errors
///
/// Those of `seek`, and [`crate::Error::Corrupted`] for a key that is not UTF-8.
pub(crate) fn distinct<K: AsRef<[u8]>, E: From<Error>>(
    range: &KeyRange,
    skip: usize,
    max_depth: Option<usize>,
    mut seek: impl FnMut(&[u8]) -> Result<Option<K>, E>,
) -> Result<Vec<String>, E> {
    let mut found = Vec::new();
    let mut before: Vec<u8> = Vec::new();
    let mut target = range.start.clone();
    while max_depth != Some(0) {
        let Some(key) = seek(&target)?.filter(|key| range.contains(key.as_ref())) else { break };
        let key = key.as_ref();
        target.clear();
        // Which separators a key has depends on nothing that follows them: a namespace is new exactly where the key
        // before differs from this one somewhere up to the end of the separator.
        let same = before.iter().zip(key).take_while(|(one, two)| one == two).count();
        for (depth, end) in (1..).zip(separator_ends(key, skip)) {
            if end > same {
                let namespace = key.get(skip..end - SEPARATOR.len()).unwrap_or_default();
                found.push(utf8(namespace)?);
            }
            if Some(depth) == max_depth {
                // All keys with this start have the same namespaces so far: on to what follows them.
                target.extend_from_slice(key.get(..end - 1).unwrap_or_default());
                target.push(b':' + 1);
                break;
            }
        }
        if target.is_empty() {
            target.extend_from_slice(key);
            target.push(0);
        }
        before.clear();
        before.extend_from_slice(key);
    }
    found.sort_unstable();
    Ok(found)
}

/// Where each separator past `skip` ends, read from the left, none overlapping.
pub(crate) fn separator_ends(key: &[u8], skip: usize) -> impl Iterator<Item = usize> {
    let mut from = skip;
    std::iter::from_fn(move || {
        let at = key.get(from..)?.windows(SEPARATOR.len()).position(|two| two == SEPARATOR.as_bytes())?;
        from += at + SEPARATOR.len();
        Some(from)
    })
}

fn utf8(bytes: &[u8]) -> Result<String> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(_) => Key::from_stored(bytes).map(|key| key.as_str().to_owned()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::cell::Cell;
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::key::namespaces_of;

    fn run(keys: &BTreeSet<String>, prefix: &str, skip: usize, max_depth: Option<usize>) -> (Vec<String>, usize) {
        let range = KeyRange::prefix(prefix);
        let seeks = Cell::new(0);
        let found = distinct(&range, skip, max_depth, |target| {
            seeks.set(seeks.get() + 1);
            Ok::<_, Error>(keys.iter().find(|key| key.as_bytes() >= target))
        });
        (found.unwrap(), seeks.get())
    }

    fn naive(keys: &BTreeSet<String>, prefix: &str, skip: usize, max_depth: Option<usize>) -> Vec<String> {
        let mut found = BTreeSet::new();
        for key in keys.iter().filter(|key| key.starts_with(prefix)) {
            let all = namespaces_of(&key[skip..]).take(max_depth.unwrap_or(usize::MAX));
            found.extend(all.map(str::to_owned));
        }
        found.into_iter().collect()
    }

    #[test]
    fn odd_colons() {
        let keys = ["a:::b", "a::::b", "::x", "x::", "::", ":::", "a", "p::", "p::q::r"].map(str::to_owned).into();
        assert_eq!(run(&keys, "", 0, None).0, ["", "a", "a::", "p", "p::q", "x"]);
        assert_eq!(run(&keys, "", 0, Some(1)).0, ["", "a", "p", "x"]);
        assert_eq!(run(&keys, "p::", 3, None).0, ["q"]);
        assert_eq!(run(&keys, "", 0, Some(0)).0, [""; 0]);
    }

    #[test]
    fn whole_namespaces_are_jumped_over() {
        let keys = (0..2_000).map(|n| format!("n{}::k{n}", n % 7)).collect();
        let (found, seeks) = run(&keys, "", 0, Some(1));
        assert_eq!((found.len(), seeks), (7, 8));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2_000, ..ProptestConfig::default() })]

        #[test]
        fn as_the_definition_says(
            keys in prop::collection::btree_set("[ab:]{1,8}", 0..24),
            prefix in "[ab:]{0,3}",
            skip in 0..4usize,
            max_depth in prop::option::of(0..4usize),
        ) {
            let skip = skip.min(prefix.len());
            prop_assert_eq!(run(&keys, &prefix, skip, max_depth).0, naive(&keys, &prefix, skip, max_depth));
        }
    }
}
