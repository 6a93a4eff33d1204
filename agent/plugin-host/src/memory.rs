//! Memory that plugins have given back to the allocator, and the allocator not to the system.

/// Blocks of this size and more are not kept: the bodies of requests and what is made of them.
#[cfg(target_env = "gnu")]
const LARGE_BLOCK: libc::c_int = 256 << 10;

/// Lets large blocks go back to the system as soon as they are freed, for as long as the process runs.
///
/// The allocator of the C library starts so, but raises its threshold to the largest block that was freed, up to 32 MiB. From
/// then on large blocks lie among small ones, and what is free between them is lost to everybody else. Under an overload that
/// was as much again as what waited.
///
/// Call it before there are other threads. Does nothing with other C libraries than glibc.
pub fn return_large_blocks() {
    #[cfg(target_env = "gnu")]
    // SAFETY: `mallopt` with this parameter changes one number of the allocator's.
    unsafe {
        // Fails for sizes over half of the allocator's own heaps alone.
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE_BLOCK);
    }
}

/// Gives the system back what the allocator keeps of freed memory.
///
/// Plugins and agent share the allocator of the C library. After a burst of events it keeps most of what was freed, and does so
/// for good: a small block that is in use keeps all that is free below it.
///
/// Takes some milliseconds where there is much to give back. Does nothing with other C libraries than glibc.
pub fn release_free_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: `malloc_trim` may be called at any time by any thread; it touches freed memory alone.
    unsafe {
        libc::malloc_trim(0);
    }
}
