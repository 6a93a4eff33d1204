//! Memory that plugins have given back to the allocator, and the allocator not to the system.

/// Gives the system back what the allocator keeps of freed memory.
///
/// Plugins and agent share the allocator of the C library. After a burst of large events it keeps most of what was freed, and
/// does so for good: its threshold for giving back rises with the sizes that it sees.
///
/// Takes some milliseconds where there is much to give back. Does nothing with other C libraries than glibc.
pub fn release_free_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: `malloc_trim` may be called at any time by any thread; it touches freed memory alone.
    unsafe {
        libc::malloc_trim(0);
    }
}
