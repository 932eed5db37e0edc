//! The fuzz targets on a stable compiler: over their seeds, changes of these, and inputs of chance, the same each time.
#![allow(clippy::unwrap_used)]

#[path = "../fuzz/src/lib.rs"]
mod targets;

use std::path::Path;
use std::time::{Duration, Instant};

use fastrand::Rng;

/// How many inputs that nobody wrote each target gets at most, and for how long: the slowest machine stops at the latter.
/// With `RRAG_FUZZ_INPUTS` it gets that many, however long it takes.
const INPUTS: usize = 4_000;
const ENOUGH: Duration = Duration::from_secs(4);
/// However slow the machine: so many at least.
const LEAST: usize = 100;

#[test]
fn records() {
    run("records", targets::records::run);
}

#[test]
fn cbor() {
    run("cbor", targets::cbor::run);
}

#[test]
fn keys() {
    run("keys", targets::keys::run);
}

#[test]
fn urls() {
    run("urls", targets::urls::run);
}

#[test]
fn operations() {
    run("operations", targets::operations::run);
}

fn run(name: &str, target: fn(&[u8])) {
    let seeds = seeds(name);
    assert!(!seeds.is_empty(), "fuzz/seeds/{name} is empty");
    for seed in &seeds {
        target(seed);
    }
    let wanted = std::env::var("RRAG_FUZZ_INPUTS").ok().map(|wanted| wanted.parse::<usize>().unwrap());
    let (began, mut rng, mut made) = (Instant::now(), Rng::with_seed(7), 0);
    while made < wanted.unwrap_or(LEAST) || (wanted.is_none() && made < INPUTS && began.elapsed() < ENOUGH) {
        let input = if made % 4 == 0 { by_chance(&mut rng) } else { changed(&seeds, &mut rng) };
        target(&input);
        made += 1;
    }
    println!("{name}: {} executions, {} of them seeds", seeds.len() + made, seeds.len());
}

fn seeds(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(name);
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

fn by_chance(rng: &mut Rng) -> Vec<u8> {
    (0..rng.usize(..200)).map(|_| rng.u8(..)).collect()
}

/// A seed with some bytes changed, taken out or put in, or with the end of another.
fn changed(seeds: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let mut input = seeds[rng.usize(..seeds.len())].clone();
    for _ in 0..rng.usize(1..6) {
        let at = rng.usize(..=input.len());
        match rng.u8(..5) {
            0 => input.insert(at, rng.u8(..)),
            1 => input.truncate(at),
            2 => {
                let other = &seeds[rng.usize(..seeds.len())];
                input.truncate(at);
                input.extend_from_slice(&other[rng.usize(..=other.len())..]);
            }
            kind => {
                if let Some(byte) = input.get_mut(at) {
                    *byte = if kind == 3 { *byte ^ (1 << rng.u8(..8)) } else { rng.u8(..) };
                }
            }
        }
    }
    input
}
