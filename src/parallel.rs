//! Threads that do not change the result: the only file that knows about them.
//!
//! Work is cut by its shape, never by the number of threads, and partial results are joined in index order. A result
//! is therefore a function of the arguments alone: 1, 2 or 64 threads give the same bits.
//!
//! Work reaches rayon as a `dyn Fn`, in functions that are not generic in it: a call through a pointer a chunk costs nothing beside
//! the chunk, and rayon's machinery is compiled once and not for each closure.

use crate::error::{Error, Result};
use crate::tensor::Buffer;
use rayon::ThreadPool;
use rayon::prelude::*;
use std::cell::RefCell;
use std::sync::atomic::{AtomicUsize, Ordering};

/// About as many f32 operations as are worth a task of their own: smaller pieces are joined to chunks of this size.
pub const GRAIN: usize = 16 * 1024;

/// The most threads that a process is to have: more than a machine has cores. A hundred times as many would take all its memory
/// for their stacks.
pub const MOST_THREADS: usize = 1024;

/// Uses `threads` threads from now on, in the whole process; by default one for each core.
///
/// # Errors
/// If the system refuses them, or work has been done already.
pub fn use_threads(threads: Option<usize>) -> Result<()> {
    // Asked for 0 threads, rayon would look for a number in the environment.
    let cores = || std::thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
    let threads = threads.unwrap_or_else(cores);
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().map_err(|cause| {
        Error::work(format!("cannot start {threads} threads: {cause}; with --threads it takes fewer"))
    })
}

/// Runs `work` on one of the threads, so that what it deals out begins there and then. Called from outside of them, every
/// piece of work first has to wake one, which takes as long as many a small op.
pub fn on_threads<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    rayon::scope(|_| work())
}

/// How many threads there are: for reports, never for cutting work.
pub fn threads() -> usize {
    rayon::current_num_threads()
}

/// Runs `work(i)` for every i in 0..workers at the same time. The threads are divided among them, at least one each, and
/// what a worker deals out goes to its own threads only.
///
/// # Errors
/// If the threads cannot be started; nothing has then been run.
pub fn side_by_side(workers: usize, work: impl Fn(usize) + Sync) -> Result<()> {
    if workers == 1 {
        work(0);
        return Ok(());
    }
    let all = threads();
    let share = |worker| (all / workers + usize::from(worker < all % workers)).max(1);
    let start = |worker| rayon::ThreadPoolBuilder::new().num_threads(share(worker)).build();
    let pools = (0..workers).map(start).collect::<std::result::Result<Vec<_>, _>>().map_err(|cause| {
        let needed = all.max(workers);
        Error::work(format!("cannot start {needed} more threads for {workers} workers: {cause}"))
    })?;
    each_in_its_pool(&pools, 0, &work);
    Ok(())
}

/// Runs `work(i)` for i from `first` on, each on the threads of one of the pools, at the same time. It takes no thread besides
/// these, which the system might refuse when some work has begun.
fn each_in_its_pool(pools: &[ThreadPool], first: usize, work: &(impl Fn(usize) + Sync)) {
    if let Some((pool, others)) = pools.split_first() {
        pool.in_place_scope(|scope| {
            scope.spawn(|_| work(first));
            each_in_its_pool(others, first + 1, work);
        });
    }
}

/// Runs `work` with exactly `threads` threads. Tests use it to show that the number changes nothing.
///
/// # Panics
/// If the threads cannot be started.
pub fn with_threads<R: Send>(threads: usize, work: impl FnOnce() -> R + Send) -> R {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    pool.unwrap_or_else(|cause| panic!("{threads} threads could not be started: {cause}")).install(work)
}

/// What is done with the i-th chunks of two outputs.
type OnTwo<'a> = dyn Fn(usize, &mut [f32], &mut [f32]) + Sync + 'a;

/// What is done with the i-th chunks of three outputs.
type OnThree<'a> = dyn Fn(usize, &mut [f32], &mut [f32], &mut [f32]) + Sync + 'a;

/// The number of rows of `columns` numbers to be dealt with as one task.
pub fn rows_per_task(columns: usize) -> usize {
    (GRAIN / columns.max(1)).max(1)
}

/// Calls `work(i, chunk)` for consecutive chunks of `out`, `chunk` numbers each; the last may be shorter.
pub fn for_each_chunk(out: &mut [f32], chunk: usize, work: impl Fn(usize, &mut [f32]) + Sync + Send) {
    if out.len() <= chunk {
        if !out.is_empty() {
            work(0, out);
        }
        return;
    }
    chunks(out, chunk, &work);
}

fn chunks(out: &mut [f32], chunk: usize, work: &(dyn Fn(usize, &mut [f32]) + Sync)) {
    out.par_chunks_mut(chunk).enumerate().for_each(|(i, piece)| work(i, piece));
}

/// As [`for_each_chunk`], over two outputs cut into equally many chunks, of `sizes` numbers each.
///
/// # Panics
/// If the two do not come to the same number of chunks.
#[track_caller]
pub fn for_each_chunk2(
    first: &mut [f32],
    second: &mut [f32],
    sizes: [usize; 2],
    work: impl Fn(usize, &mut [f32], &mut [f32]) + Sync + Send,
) {
    let pieces = sizes.map(|size| size.max(1));
    let counts = [first.len().div_ceil(pieces[0]), second.len().div_ceil(pieces[1])];
    assert_eq!(counts[0], counts[1], "two outputs are cut into different numbers of chunks");
    chunks2([first, second], pieces, &work);
}

fn chunks2([first, second]: [&mut [f32]; 2], sizes: [usize; 2], work: &OnTwo<'_>) {
    let pairs = first.par_chunks_mut(sizes[0]).zip(second.par_chunks_mut(sizes[1])).enumerate();
    pairs.for_each(|(i, (a, b))| work(i, a, b));
}

/// As [`for_each_chunk`], over three outputs of one length.
///
/// # Panics
/// If the lengths differ.
#[track_caller]
pub fn for_each_chunk3(
    first: &mut [f32],
    second: &mut [f32],
    third: &mut [f32],
    chunk: usize,
    work: impl Fn(usize, &mut [f32], &mut [f32], &mut [f32]) + Sync + Send,
) {
    assert_eq!([second.len(), third.len()], [first.len(); 2], "three outputs of different lengths");
    chunks3([first, second, third], chunk, &work);
}

fn chunks3([first, second, third]: [&mut [f32]; 3], chunk: usize, work: &OnThree<'_>) {
    let pairs = first.par_chunks_mut(chunk).zip(second.par_chunks_mut(chunk));
    pairs.zip(third.par_chunks_mut(chunk)).enumerate().for_each(|(i, ((a, b), c))| work(i, a, b, c));
}

/// Calls `work(i)` for every i in 0..pieces and returns the results in the order of i.
pub fn map<T: Send>(pieces: usize, work: impl Fn(usize) -> T + Sync + Send) -> Vec<T> {
    results(pieces, &work)
}

fn results<T: Send>(pieces: usize, work: &(dyn Fn(usize) -> T + Sync)) -> Vec<T> {
    (0..pieces).into_par_iter().map(work).collect()
}

/// Calls `work(i, chunk)` for consecutive chunks of `out`, `chunk` numbers each (the last may be shorter), and returns the
/// results in the order of i.
///
/// # Panics
/// If `chunk` is 0.
#[track_caller]
pub fn map_chunks<N: Send, T: Send>(
    out: &mut [N],
    chunk: usize,
    work: impl Fn(usize, &mut [N]) -> T + Sync + Send,
) -> Vec<T> {
    out.par_chunks_mut(chunk).enumerate().map(|(i, piece)| work(i, piece)).collect()
}

/// How many numbers all partials of a group may hold together, unless eight of them hold more.
const ROOM: usize = 1 << 20;

/// `out` = the sum over i in 0..pieces of what `work(i, partial)` writes, added in the order of i.
///
/// Each partial is scratch memory that `work` must overwrite in full. The pieces are gone through in groups, so that
/// the partials that exist at a time are bounded whatever the number of pieces; the order of the additions, and so
/// the bits, depend on the number of pieces only.
pub fn sum_of_partials(pieces: usize, out: &mut [f32], work: impl Fn(usize, &mut [f32]) + Sync + Send) {
    let len = out.len();
    if pieces == 1 && len > 0 {
        work(0, out);
        return;
    }
    sum_of_groups(pieces, out, &mut |done, partials| {
        chunks(partials, len, &|i, partial| work(done + i, partial));
    });
}

/// As [`for_each_chunk`] over `data`, and `sums` = the sum over the chunks of what `work(i, chunk, partial)` writes to
/// its partial, as [`sum_of_partials`] adds them.
pub fn for_each_chunk_and_sum(
    data: &mut [f32],
    chunk: usize,
    sums: &mut [f32],
    work: impl Fn(usize, &mut [f32], &mut [f32]) + Sync + Send,
) {
    let len = sums.len();
    let pieces = data.len().div_ceil(chunk);
    sum_of_groups(pieces, sums, &mut |done, partials| {
        let pieces = partials.len() / len;
        let last = data.len().min((done + pieces) * chunk);
        let group = [&mut data[done * chunk..last], partials];
        chunks2(group, [chunk, len], &|i, data, partial| work(done + i, data, partial));
    });
}

/// `out` = the sum of so many partials in their order, of which `fill(done, partials)` writes some behind the first
/// `done`.
fn sum_of_groups(pieces: usize, out: &mut [f32], fill: &mut dyn FnMut(usize, &mut [f32])) {
    let len = out.len();
    let most = (ROOM / len.max(1)).max(8);
    out.fill(0.0);
    if len == 0 {
        return;
    }
    let mut done = 0;
    while done < pieces {
        let group = most.min(pieces - done);
        with_scratch(group * len, |partials| {
            fill(done, partials);
            for_each_chunk(out, GRAIN, |chunk, out| {
                let start = chunk * GRAIN;
                for partial in partials.chunks(len) {
                    crate::simd::slice::accumulate(out, &partial[start..start + out.len()]);
                }
            });
        });
        done += group;
    }
}

thread_local! {
    /// Scratch memory of this thread, kept between calls. Nested calls take one each.
    static SCRATCH: RefCell<Vec<Buffer>> = const { RefCell::new(Vec::new()) };
}

/// How many buffers of scratch memory all threads have allocated together.
static SCRATCH_ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

/// How often scratch memory had to be allocated so far, on any thread: for reports.
pub fn scratch_allocations() -> usize {
    SCRATCH_ALLOCATIONS.load(Ordering::Relaxed)
}

/// Lends `len` f32s of this thread's scratch memory to `work`. What they hold is left over from earlier work.
pub fn with_scratch<R>(len: usize, work: impl FnOnce(&mut [f32]) -> R) -> R {
    let mut buffer = borrow_scratch(len);
    let result = work(&mut buffer[..len]);
    SCRATCH.with_borrow_mut(|kept| kept.push(buffer));
    result
}

fn borrow_scratch(len: usize) -> Buffer {
    // The smallest kept buffer that is long enough, so that nested calls of different sizes do not rob each other.
    let kept = SCRATCH.with_borrow_mut(|kept| {
        let fitting = (0..kept.len()).filter(|&i| kept[i].len() >= len).min_by_key(|&i| kept[i].len());
        match fitting {
            Some(i) => Some(kept.swap_remove(i)),
            None => {
                kept.pop(); // too small: replaced by the one made below
                None
            }
        }
    });
    kept.unwrap_or_else(|| {
        SCRATCH_ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        Buffer::zeros(len)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn chunks_are_filled_and_told_of_in_order() {
        for threads in 1..4 {
            let mut out = [0_u8; 10];
            let sums = with_threads(threads, || {
                map_chunks(&mut out, 4, |i, chunk| {
                    chunk.fill(i as u8 + 1);
                    (i, chunk.len())
                })
            });
            assert_eq!(sums, [(0, 4), (1, 4), (2, 2)]);
            assert_eq!(out, [1, 1, 1, 1, 2, 2, 2, 2, 3, 3]);
        }
    }

    #[test]
    fn workers_run_once_each_with_their_share_of_the_threads() {
        for (all, workers, shares) in [(5, 2, &[3, 2][..]), (2, 3, &[1, 1, 1]), (3, 1, &[3]), (1, 0, &[])] {
            let seen = Mutex::new(Vec::new());
            let work = |worker| {
                let sum: usize = map(100, |i| i).into_iter().sum();
                seen.lock().unwrap().push((worker, threads(), sum));
            };
            with_threads(all, || side_by_side(workers, work)).unwrap();
            let mut seen = seen.into_inner().unwrap();
            seen.sort_unstable();
            let expected: Vec<_> = shares.iter().enumerate().map(|(i, &share)| (i, share, 4950)).collect();
            assert_eq!(seen, expected);
        }
    }
}
