//! Runs models.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use loom::model::Builder;

/// Runs `model` in every schedule with so many preemptions at most, unless `LOOM_MAX_PREEMPTIONS` says otherwise; a
/// switch where a thread waits is none.
fn run(preemptions: usize, model: impl Fn() + Send + Sync + 'static) -> (usize, Result<(), Box<dyn Any + Send>>) {
    let schedules = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&schedules);
    let mut builder = Builder::new();
    builder.preemption_bound.get_or_insert(preemptions);
    builder.max_branches = 10_000;
    let ended = catch_unwind(AssertUnwindSafe(|| {
        builder.check(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            model();
        });
    }));
    (schedules.load(Ordering::Relaxed), ended)
}

/// Runs every schedule of `model` with so many preemptions, of which there are `least` or more.
pub(crate) fn every(name: &str, preemptions: usize, least: usize, model: impl Fn() + Send + Sync + 'static) {
    let (schedules, ended) = run(preemptions, model);
    if let Err(panic) = ended {
        eprintln!("{name}: failed in schedule {schedules}");
        std::panic::resume_unwind(panic);
    }
    println!("{name}: {schedules} schedules");
    assert!(schedules >= least, "{name}: only {schedules} schedules");
}

/// Runs `model`, which has a bug planted, until a schedule fails; one that fails in the way `said` names.
pub(crate) fn finds(name: &str, said: &str, model: impl Fn() + Send + Sync + 'static) {
    let (schedules, ended) = run(3, model);
    let panic = ended.expect_err(name);
    let words = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    let words = words.unwrap_or_default();
    assert!(words.contains(said), "{name}: {words}");
    println!("{name}: found in schedule {schedules}");
}
