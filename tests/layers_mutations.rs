//! Stored records, changed at random: what is sealed is refused, and what is not is a value or damage. Never a panic.

mod layers_support;

use fastrand::Rng;
use layers_support::{Store, TestResult, decode, layers, sample};
use rrag_storage::Error;
use rrag_storage::engine::{Meta, Record};
use rrag_storage::layers::{Compression, Layers};

/// What changes a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mutation {
    FlipBits,
    Cut,
    CutFront,
    Extend,
    Header,
    Splice,
    /// The whole record of another key.
    Swap,
    /// An older record's value under the present version and times.
    OldBody,
    /// The present value under an older record's version and times.
    OldMeta,
    Version,
    UpdatedAt,
    Expiry,
}

const BYTES: [Mutation; 6] =
    [Mutation::FlipBits, Mutation::Cut, Mutation::CutFront, Mutation::Extend, Mutation::Header, Mutation::Splice];
const ALL: [Mutation; 12] = [
    Mutation::FlipBits,
    Mutation::Cut,
    Mutation::CutFront,
    Mutation::Extend,
    Mutation::Header,
    Mutation::Splice,
    Mutation::Swap,
    Mutation::OldBody,
    Mutation::OldMeta,
    Mutation::Version,
    Mutation::UpdatedAt,
    Mutation::Expiry,
];

/// `body` changed; `other` is what is spliced in.
fn mutate_bytes(rng: &mut Rng, mutation: Mutation, body: &[u8], other: &[u8]) -> Vec<u8> {
    let mut bytes = body.to_vec();
    match mutation {
        Mutation::FlipBits => {
            for _ in 0..rng.usize(1..=8) {
                let at = rng.usize(..bytes.len());
                bytes[at] ^= 1 << rng.u8(..8);
            }
        }
        Mutation::Cut => bytes.truncate(rng.usize(..bytes.len())),
        Mutation::CutFront => bytes = bytes.split_off(rng.usize(1..bytes.len())),
        Mutation::Extend => bytes.extend((0..rng.usize(1..40)).map(|_| rng.u8(..))),
        Mutation::Header => {
            let at = rng.usize(..bytes.len().min(12));
            bytes[at] = rng.u8(..);
        }
        _ => {
            let (from, to) = (rng.usize(..bytes.len()), rng.usize(..other.len()));
            bytes.truncate(from);
            bytes.extend_from_slice(&other[to..]);
        }
    }
    bytes
}

fn mutate(rng: &mut Rng, mutation: Mutation, record: &Record, older: &Record, other: &Record) -> Record {
    let changed = |meta| Record { meta, body: record.body.clone() };
    match mutation {
        Mutation::Swap => other.clone(),
        Mutation::OldBody => Record { meta: record.meta, body: older.body.clone() },
        Mutation::OldMeta => changed(older.meta),
        Mutation::Version => changed(Meta { version: rng.u64(1..), ..record.meta }),
        Mutation::UpdatedAt => changed(Meta { updated_at: rng.i64(..), ..record.meta }),
        Mutation::Expiry => {
            let expires_at = record.meta.expires_at.is_none().then(|| rng.i64(1 << 60..));
            changed(Meta { expires_at, ..record.meta })
        }
        _ => Record { meta: record.meta, body: mutate_bytes(rng, mutation, &record.body, &other.body).into() },
    }
}

/// Each of `count` mutations of sealed records is refused.
fn refuses(layers: Layers, count: usize, seed: u64) -> TestResult {
    let mut rng = Rng::with_seed(seed);
    let store = Store::new(layers)?;
    let mut done = 0;
    while done < count {
        let older = store.put("key", &sample(&mut rng))?;
        let record = store.put("key", &sample(&mut rng))?;
        let other = store.put("other", &sample(&mut rng))?;
        for _ in 0..200 {
            let mutation = ALL[done % ALL.len()];
            let mutated = mutate(&mut rng, mutation, &record, &older, &other);
            if mutated.meta == record.meta && mutated.body[..] == record.body[..] {
                continue;
            }
            store.plant("key", &mutated)?;
            match store.get("key") {
                Err(Error::Decryption { key, .. } | Error::Corrupted { key, .. }) => assert_eq!(key, "key"),
                outcome => panic!("{mutation:?}, seed {seed}, {:?}: {outcome:?}", &mutated.body[..]),
            }
            done += 1;
        }
        store.plant("key", &record)?;
        assert!(store.get("key")?.is_some(), "the record itself is read");
    }
    Ok(())
}

/// Each of `count` mutations of records that are not sealed is a value or damage.
fn survives(layers: Layers, count: usize, seed: u64) -> TestResult {
    let mut rng = Rng::with_seed(seed);
    let store = Store::new(layers)?;
    let (mut done, mut values) = (0, 0);
    while done < count {
        let record = store.put("key", &sample(&mut rng))?;
        let other = store.put("other", &sample(&mut rng))?;
        for _ in 0..200 {
            let mutation = BYTES[done % BYTES.len()];
            let mutated = mutate(&mut rng, mutation, &record, &record, &other);
            store.plant("key", &mutated)?;
            done += 1;
            let outcome = store.get("key").and_then(|record| record.map(|record| decode("key", &record)).transpose());
            match outcome {
                Ok(_) => values += 1,
                // The flag for a sealed body, set by a mutation.
                Err(Error::Corrupted { key, .. } | Error::Decryption { key, .. }) => assert_eq!(key, "key"),
                // The flag for one that lives elsewhere.
                Err(Error::Configuration(_)) => {}
                Err(error) => panic!("{mutation:?}, seed {seed}, {:?}: {error}", &mutated.body[..]),
            }
        }
    }
    assert!(values > 0, "some bytes of a plain record may take any value");
    let peak = layers_support::peak_memory();
    assert!(peak < 1 << 30, "{peak} bytes at the peak");
    Ok(())
}

#[test]
fn sealed_records() -> TestResult {
    refuses(layers::encrypted(), 40_000, 1)
}

#[test]
fn compressed_and_sealed_records() -> TestResult {
    refuses(layers::compressed_and_encrypted(), 40_000, 2)
}

#[test]
fn sealed_pointers() -> TestResult {
    refuses(layers::all(), 20_000, 3)
}

#[test]
fn sealed_payloads() -> TestResult {
    let mut rng = Rng::with_seed(4);
    let store = Store::new(layers::all())?;
    for round in 0..25 {
        store.put("key", &sample(&mut rng))?;
        store.put("other", &sample(&mut rng))?;
        let payloads = store.payloads()?;
        let (Some((name, payload)), Some((_, other))) = (payloads.first(), payloads.last()) else {
            return Err("two values, two payloads".into());
        };
        let owner = if store.get_after(name, &[0; 8])?.is_err() { "key" } else { "other" };
        for n in 0..200 {
            let mutation = BYTES[n % BYTES.len()];
            let mutated = mutate_bytes(&mut rng, mutation, payload, if n % 50 == 0 { payload } else { other });
            if mutated == *payload {
                continue;
            }
            store.plant_payload(name, &mutated)?;
            match store.get(owner) {
                Err(Error::Decryption { key, .. } | Error::Corrupted { key, .. }) => assert_eq!(key, owner),
                outcome => panic!("{mutation:?}, round {round}: {outcome:?}"),
            }
        }
        store.plant_payload(name, other)?;
        assert!(store.get(owner).is_err(), "another key's payload");
        store.plant_payload(name, payload)?;
        assert!(store.get(owner)?.is_some(), "the payload itself is read");
    }
    Ok(())
}

#[test]
fn plain_records() -> TestResult {
    survives(Layers::default(), 40_000, 5)
}

#[test]
fn zstd_records() -> TestResult {
    survives(layers::compressed(Compression::Zstd { level: 1 }), 30_000, 6)
}

#[test]
fn lz4_records() -> TestResult {
    survives(layers::compressed(Compression::Lz4), 30_000, 7)
}

#[test]
fn records_with_a_dictionary() -> TestResult {
    survives(layers::with_dictionary()?, 10_000, 8)
}

#[test]
fn plain_pointers() -> TestResult {
    survives(layers::offloaded(), 10_000, 9)
}

/// What claims to be large takes no memory for the claim.
#[test]
fn a_claimed_size_takes_no_memory() -> TestResult {
    let store = Store::new(layers::compressed(Compression::Zstd { level: 1 }))?;
    let record = store.put("key", &sample(&mut Rng::with_seed(10)))?;
    let before = layers_support::peak_memory();
    for packing in 1..=3 {
        for claim in [1_u32 << 16, 1 << 24, (1 << 31) - (1 << 17), u32::MAX] {
            let mut body = record.body.to_vec();
            body[2] = packing;
            body[4..8].copy_from_slice(&claim.to_le_bytes());
            store.plant("key", &Record { meta: record.meta, body: body.into() })?;
            assert!(matches!(store.get("key"), Err(Error::Corrupted { .. })), "packing {packing}, {claim} bytes");
        }
    }
    let grown = layers_support::peak_memory() - before;
    assert!(grown < 512 << 20, "{grown} bytes");
    Ok(())
}

/// A payload that is a pointer, to itself or to another, is followed nowhere.
#[test]
fn a_payload_that_is_a_pointer() -> TestResult {
    let store = Store::new(layers::offloaded())?;
    let record = store.put("key", &sample(&mut Rng::with_seed(11)))?;
    let (name, _) = store.payloads()?.remove(0);
    let outcome = store.get_after(&name, &record.body)?;
    assert!(matches!(outcome, Err(Error::Corrupted { .. })), "{outcome:?}");
    Ok(())
}
