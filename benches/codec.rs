//! What a value costs on its way to bytes and back, in Rust: `cargo bench --bench codec`.
#![allow(missing_docs, reason = "the macros make functions")]
#![expect(clippy::expect_used, reason = "a value that can't be encoded ends the benchmark")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rrag_storage::MemoryValue;

fn values() -> Vec<(&'static str, MemoryValue)> {
    let text = |length: usize| MemoryValue::from("lorem ipsum ".repeat(length / 12 + 1)[..length].to_owned());
    let map = |text: MemoryValue| {
        MemoryValue::Map(vec![
            ("text".to_owned(), text),
            ("source".to_owned(), MemoryValue::from("manual.md")),
            ("page".to_owned(), MemoryValue::from(7)),
            ("score".to_owned(), MemoryValue::from(0.25)),
        ])
    };
    let vector: Vec<f32> = (0..1536_u16).map(|number| f32::from(number) / 1536.0).collect();
    vec![
        ("str of 100 bytes", text(100)),
        ("dict of 200 bytes", map(text(140))),
        ("chunk of 4 KB", map(text(4096))),
        ("vector of 1536 float32", MemoryValue::from(vector.as_slice())),
    ]
}

fn codec(criterion: &mut Criterion) {
    for (name, value) in values() {
        let encoded = value.encode().expect("it can be encoded");
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Bytes(encoded.size() as u64));
        group.bench_function("encode", |bench| bench.iter(|| black_box(&value).encode()));
        group.bench_function("decode", |bench| {
            bench.iter(|| MemoryValue::decode(encoded.kind(), black_box(encoded.payload())));
        });
        group.finish();
    }
}

criterion_group!(benches, codec);
criterion_main!(benches);
