//! One piece of work for each item of a list, on all cores.
//!
//! Knows threads and blocks of items. It refuses to know what the work is; the
//! results are in the order of the items, whoever finished first.

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Result, anyhow};

use super::watch::Watch;

/// Items that a thread takes at a time: enough to make taking them cheap, few
/// enough that no thread is left alone with the last of them.
const BLOCK_ITEMS: usize = 256;

/// Does `work` for every item and collects the results.
///
/// # Errors
/// The error of the first item (in order) whose work failed.
pub(super) fn for_each<T, R, F>(items: &[T], work: F) -> Result<Vec<R>>
where
    T: Sync,
    R: Send,
    F: Fn(usize, &T) -> Result<R> + Sync,
{
    in_blocks(items, BLOCK_ITEMS, &(), work)
}

/// The same; `watch` is told of each item that is done.
///
/// # Errors
/// As [`for_each`].
pub(super) fn watched<T, R, F>(items: &[T], watch: &dyn Watch, work: F) -> Result<Vec<R>>
where
    T: Sync,
    R: Send,
    F: Fn(usize, &T) -> Result<R> + Sync,
{
    in_blocks(items, BLOCK_ITEMS, watch, work)
}

/// The same for items in blocks of `block_items`.
///
/// # Errors
/// As [`for_each`].
pub(super) fn in_blocks<T, R, F>(
    items: &[T],
    block_items: usize,
    watch: &dyn Watch,
    work: F,
) -> Result<Vec<R>>
where
    T: Sync,
    R: Send,
    F: Fn(usize, &T) -> Result<R> + Sync,
{
    let blocks: Vec<&[T]> = items.chunks(block_items).collect();
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut finished = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(block) = blocks.get(number) else {
                return finished;
            };
            let places = number * block_items..;
            let results: Result<Vec<R>> = places
                .zip(*block)
                .map(|(place, item)| work(place, item))
                .collect();
            watch.advance(block.len() as u64);
            let failed = results.is_err();
            finished.push((number, results));
            if failed {
                // Earlier blocks are taken already; later ones no longer matter.
                next.store(blocks.len(), Ordering::Relaxed);
                return finished;
            }
        }
    };
    let threads = thread::available_parallelism()
        .map_or(1, NonZero::get)
        .min(blocks.len());
    let mut finished = thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(worker)).collect();
        let mut finished = worker();
        for other in others {
            let theirs = other
                .join()
                .map_err(|_| anyhow!("a thread stopped unexpectedly"))?;
            finished.extend(theirs);
        }
        Ok::<_, anyhow::Error>(finished)
    })?;
    finished.sort_unstable_by_key(|(number, _)| *number);
    let mut all = Vec::with_capacity(items.len());
    for (_, results) in finished {
        all.extend(results?);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_order() {
        for count in [0, 1, BLOCK_ITEMS, BLOCK_ITEMS + 1, 10_000] {
            let items: Vec<usize> = (0..count).collect();
            let doubled = for_each(&items, |place, item| Ok(place + item)).unwrap();
            assert_eq!(
                doubled,
                items.iter().map(|item| 2 * item).collect::<Vec<_>>()
            );
        }
    }

    #[test]
    fn the_first_error_is_given() {
        let items: Vec<usize> = (0..20_000).collect();
        for _ in 0..20 {
            let error = for_each(&items, |_, item| {
                if item % 700 == 699 {
                    Err(anyhow!("item {item}"))
                } else {
                    Ok(())
                }
            });
            assert_eq!(error.unwrap_err().to_string(), "item 699");
        }
    }
}
