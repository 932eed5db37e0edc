//! What allocations truly take, so that the byte figure is the process's growth and not a sum of lengths.

/// From this size on the allocator maps pages of their own.
const MAPPED_FROM: usize = 128 * 1024;
const PAGE: usize = 4096;

/// What an allocation of `bytes` bytes takes from the system's allocator: its 8 bytes of bookkeeping and the rounding
/// of glibc's `malloc`, which other allocators come close to.
pub(super) const fn allocated(bytes: usize) -> usize {
    if bytes == 0 {
        0
    } else if bytes >= MAPPED_FROM {
        (bytes + 16).next_multiple_of(PAGE)
    } else if bytes <= 24 {
        32
    } else {
        (bytes + 8).next_multiple_of(16)
    }
}

/// What a `Vec<T>` of this capacity takes.
pub(super) const fn vec_bytes<T>(capacity: usize) -> usize {
    allocated(capacity * size_of::<T>())
}

/// The capacity that a `Vec` which grows by doubling has once it holds `len` small items, given its present one.
pub(super) fn grown(capacity: usize, len: usize) -> usize {
    if len <= capacity { capacity } else { len.next_power_of_two().max(4).max(capacity * 2) }
}

/// From so many bytes on, what was freed is given back to the system at once; and from so many where no more will be soon.
const WORTH_GIVING_BACK: i64 = 16 << 20;
const WORTH_GIVING_BACK_LAST: i64 = 1 << 20;

/// Has the allocator give free memory back to the system, where so many bytes were freed that it is worth the time; whether
/// it was. glibc keeps what does not lie at the end of its heap; other allocators give it back by themselves.
pub(super) fn give_back(freed: i64, last: bool) -> bool {
    if freed < if last { WORTH_GIVING_BACK_LAST } else { WORTH_GIVING_BACK } {
        return false;
    }
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it takes the allocator's own locks, and touches nothing that is allocated.
    unsafe {
        libc::malloc_trim(0);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_rounded_as_malloc_does() {
        assert_eq!([0, 1, 24, 25, 40, 41, 104].map(allocated), [0, 32, 32, 48, 48, 64, 112]);
        assert_eq!(allocated(1 << 20), (1 << 20) + PAGE);
    }
}
