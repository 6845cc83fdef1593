//! An array map in the address space of this process.
//!
//! Reading it costs no system call, and one word of it can be read or replaced
//! whole while programs use it. Needs a map made with `BPF_F_MMAPABLE`
//! (kernel 5.5; kernel/bpf/arraymap.c, `array_map_mmap`).

use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use aya::Pod;

/// The elements of a mapped array. Other CPUs write them meanwhile, so elements
/// are handed out as copies; what must be consistent is read by [`Self::word`].
pub struct MappedArray<T> {
    start: NonNull<T>,
    len: u32,
    _elements: PhantomData<T>,
}

// SAFETY: the mapping is shared memory that lives until drop; all access is by
// copies or atomics.
unsafe impl<T: Pod> Send for MappedArray<T> {}
// SAFETY: as above.
unsafe impl<T: Pod> Sync for MappedArray<T> {}

impl<T: Pod> MappedArray<T> {
    /// Maps an array of `len` elements.
    ///
    /// # Errors
    /// What mmap answers, such as `EPERM` for a map that is not mmapable.
    pub fn new(map: BorrowedFd<'_>, len: u32) -> io::Result<Self> {
        // The kernel places elements at multiples of 8 bytes.
        assert_eq!(size_of::<T>() % 8, 0, "elements of a mapped array have no padding between them");
        let bytes = size_of::<T>() * len as usize;
        // SAFETY: a fresh mapping at an address of the kernel's choice.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                map.as_raw_fd(),
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).expect("the kernel maps nothing at address 0 unasked");
        Ok(Self { start, len, _elements: PhantomData })
    }

    /// Number of elements.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// A copy of one element, possibly torn by a writer.
    ///
    /// # Panics
    /// When `index` is out of range.
    #[must_use]
    pub fn get(&self, index: u32) -> T {
        // SAFETY: in range, and the mapping lives as long as self.
        unsafe { self.element(index).read_volatile() }
    }

    /// Replaces one element, not atomically.
    ///
    /// # Panics
    /// When `index` is out of range.
    pub fn set(&self, index: u32, value: T) {
        // SAFETY: in range, and the mapping lives as long as self.
        unsafe { self.element(index).write_volatile(value) }
    }

    /// The aligned 64-bit word at byte `offset` of an element.
    ///
    /// # Panics
    /// When `index` or `offset` is out of range or not aligned.
    #[must_use]
    pub fn word(&self, index: u32, offset: usize) -> &AtomicU64 {
        assert!(offset.is_multiple_of(8) && offset + 8 <= size_of::<T>(), "an aligned word of the element");
        // SAFETY: within the element.
        let word = unsafe { self.element(index).byte_add(offset) };
        // SAFETY: aligned, since the mapping is page-aligned and elements are
        // multiples of 8 bytes; everybody changes such words atomically.
        unsafe { AtomicU64::from_ptr(word.cast()) }
    }

    fn element(&self, index: u32) -> *mut T {
        assert!(index < self.len, "element {index} of {}", self.len);
        // SAFETY: in range.
        unsafe { self.start.as_ptr().add(index as usize) }
    }
}

impl<T> Drop for MappedArray<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `new`, of which no reference is left.
        unsafe { libc::munmap(self.start.as_ptr().cast(), size_of::<T>() * self.len as usize) };
    }
}

/// Reads a word that programs write.
pub fn load(word: &AtomicU64) -> u64 {
    word.load(Ordering::Acquire)
}

/// Replaces a word that programs read.
pub fn store(word: &AtomicU64, value: u64) {
    word.store(value, Ordering::Release);
}
