//! Operations that read.

use pollster::block_on;
use rrag_storage::engine::{KeyRange, Scan};
use rrag_storage::{Memory, MemoryQuery};

use super::super::expected;
use super::writes::stored;
use super::{Run, View, choices, value_of};

impl Run<'_> {
    pub fn look(&mut self, view: &View) {
        let key = choices::key(&mut self.input);
        let kept = self.model.get(&view.whole(key));
        let found = block_on(view.storage.get(key)).expect("it can be read");
        assert_eq!(found.as_ref(), kept.map(|kept| &kept.value), "{key:?}");
        assert_eq!(block_on(view.storage.exists(key)).expect("an answer"), kept.is_some(), "{key:?}");
        let entry = block_on(view.storage.get_entry(key)).expect("it can be read");
        assert_eq!(entry.is_some(), kept.is_some());
        if let Some((entry, kept)) = entry.as_ref().zip(kept) {
            assert!(kept.is_as(entry) && entry.key == key, "{entry:?}, not {kept:?}");
        }
        let left = block_on(view.storage.time_left(&stored(view, key))).expect("an answer");
        let now = self.model.now_ns;
        #[allow(clippy::cast_precision_loss, reason = "compared to a hundredth of a millisecond")]
        let expected = kept.map(|kept| kept.expires_at.map_or(f64::INFINITY, |at| (at * 1_000_000 - now) as f64 / 1e9));
        let close = |(left, expected): (f64, f64)| left.total_cmp(&expected).is_eq() || (left - expected).abs() < 1e-5;
        assert!(left.is_some() == expected.is_some() && left.zip(expected).is_none_or(close), "{left:?}, {expected:?}");
    }

    pub fn read_many(&mut self, view: &View) {
        let keys = choices::keys(&mut self.input);
        let found = block_on(view.storage.mget(&keys)).expect("they can be read");
        let kept = keys.iter().map(|key| self.model.get(&view.whole(key)).map(|kept| kept.value.clone()));
        assert_eq!(found, kept.collect::<Vec<_>>(), "{keys:?}");
    }

    pub fn list(&mut self, view: &View) {
        let query = choices::query(&mut self.input);
        let expected = expected::listed(&self.model.keys(), &view.prefix, &query);
        let found = block_on(view.storage.keys(query.clone())).expect("a listing");
        assert_eq!(found, expected, "{query:?}");
        let entries = block_on(view.storage.entries(query.clone())).expect("a listing");
        assert_eq!(entries.len(), expected.len(), "{query:?}");
        for (entry, key) in entries.iter().zip(expected) {
            let kept = &self.model.rows[&view.whole(&key)];
            assert!(entry.key == key && kept.is_as(entry), "{query:?}: {entry:?}, not {kept:?}");
        }
    }

    /// In small pages, as the engine gives them.
    pub fn scan(&mut self, view: &View) {
        let (start, order) = (choices::start(&mut self.input).unwrap_or_default(), self.input.one_of(&choices::ORDERS));
        let (limit, records) = (1 + self.input.below(3), self.input.chance(2));
        let range = KeyRange::prefix(&view.whole(start));
        let mut scan = Scan { range, order, after: None, limit, records };
        let query = MemoryQuery::new().with_prefix(view.whole(start)).with_sort_order(order);
        let expected = expected::listed(&self.model.keys(), "", &query);
        let mut found = Vec::new();
        loop {
            let page = block_on(self.place.engine.scan(scan.clone())).expect("a page");
            assert!(page.rows.len() <= limit && (!page.more || !page.rows.is_empty()), "{scan:?}: {page:?}");
            scan.after = page.rows.last().map(rrag_storage::engine::Row::cursor);
            for row in page.rows {
                if records {
                    let kept = &self.model.rows[row.key.as_str()];
                    assert_eq!(value_of(row.record.as_ref()).as_ref(), Some(&kept.value), "{:?}", row.key);
                }
                found.push(row.key.as_str().to_owned());
            }
            assert!(found.len() <= expected.len(), "{scan:?}: {found:?}, not {expected:?}");
            if !page.more {
                break;
            }
        }
        assert_eq!(found, expected, "{start:?}, {order:?}");
    }

    pub fn figures(&mut self, view: &View) {
        let (namespace, start) = (choices::start(&mut self.input), choices::start(&mut self.input));
        let depth = self.input.maybe(|input| input.below(4));
        let keys = self.model.keys();
        let count = block_on(view.storage.count_under(namespace, start)).expect("a count");
        assert_eq!(count, expected::count(&keys, &view.prefix, namespace, start), "{namespace:?}, {start:?}");
        let found = block_on(view.storage.namespaces(start, depth)).expect("namespaces");
        assert_eq!(found, expected::namespaces(&keys, &view.prefix, start, depth), "{start:?}, {depth:?}");
        let stats = block_on(view.storage.stats()).expect("figures");
        assert_eq!(stats.total_keys, expected::count(&keys, &view.prefix, None, None));
        let first = expected::namespaces(&keys, &view.prefix, None, Some(1));
        assert_eq!(stats.namespace_count, first.len() as u64);
    }
}
