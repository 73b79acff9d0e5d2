//! A distribution of lengths, drawn with characters: one row per class, its
//! bar as long as its share. Knows whole numbers, no meaning.

use crate::stats::words::grouped;

/// Characters of the longest bar.
const BAR_COLUMNS: u64 = 40;
/// Classes of equal width, at most, where the lengths lie close together.
const EVEN_CLASSES: u32 = 12;
/// From this ratio of longest to shortest on, each class is twice as wide as
/// the one before.
const WIDE_RATIO: u32 = 8;

/// Lengths from `from` to `to`, both included, and how many there are.
#[derive(Debug, PartialEq, Eq)]
struct Class {
    from: u32,
    to: u32,
    count: u64,
}

/// Appends the drawing; nothing for no lengths.
pub(super) fn draw(out: &mut String, lengths: &[u32]) {
    let classes = classes(lengths);
    let most = classes.iter().map(|class| class.count).max().unwrap_or(0);
    let number = |figure: u32| grouped(u64::from(figure));
    let last = classes.last().map_or(0, |class| number(class.to).len());
    let widest = grouped(most).len();
    for class in &classes {
        out.push_str(&format!(
            "  {:>last$} to {:>last$}  {:>widest$}  {}",
            number(class.from),
            number(class.to),
            grouped(class.count),
            bar(class.count, most)
        ));
        out.truncate(out.trim_end().len());
        out.push('\n');
    }
}

/// Eighths of a column, so that a small share can be seen, too.
fn bar(count: u64, most: u64) -> String {
    const PARTS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (count * BAR_COLUMNS * 8).div_ceil(most.max(1));
    let whole = usize::try_from(eighths / 8).unwrap_or(0);
    let part = PARTS[usize::try_from(eighths % 8).unwrap_or(0)];
    format!("{}{part}", "█".repeat(whole))
}

fn classes(lengths: &[u32]) -> Vec<Class> {
    let (Some(&least), Some(&most)) = (lengths.iter().min(), lengths.iter().max()) else {
        return Vec::new();
    };
    let mut classes = if most / WIDE_RATIO >= least.max(1) {
        doubling(least, most)
    } else {
        even(least, most)
    };
    for &length in lengths {
        let at = classes.partition_point(|class| class.to < length);
        if let Some(class) = classes.get_mut(at) {
            class.count += 1;
        }
    }
    classes
}

/// From power of two to power of two; 0 is a class of its own.
fn doubling(least: u32, most: u32) -> Vec<Class> {
    let mut classes = Vec::new();
    let mut from = match least {
        0 => 0,
        _ => 1 << least.ilog2(),
    };
    while from <= most {
        let to = match from {
            0 => 0,
            _ => from.checked_mul(2).map_or(u32::MAX, |next| next - 1),
        };
        classes.push(Class { from, to, count: 0 });
        let Some(next) = to.checked_add(1) else { break };
        from = next;
    }
    classes
}

/// Classes of the same width, a round number.
fn even(least: u32, most: u32) -> Vec<Class> {
    let least_width = (most - least) / EVEN_CLASSES + 1;
    let width = round_up(least_width);
    let mut from = least - least % width;
    let mut classes = Vec::new();
    while from <= most {
        let to = from.saturating_add(width - 1);
        classes.push(Class { from, to, count: 0 });
        let Some(next) = to.checked_add(1) else { break };
        from = next;
    }
    classes
}

/// The next of 1, 2, 5, 10, 20, 50, ...
fn round_up(width: u32) -> u32 {
    let mut ten = 1_u32;
    loop {
        for digit in [1, 2, 5] {
            let round = ten.saturating_mul(digit);
            if round >= width {
                return round;
            }
        }
        ten = ten.saturating_mul(10);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{classes, draw};

    fn drawn(lengths: &[u32]) -> String {
        let mut out = String::new();
        draw(&mut out, lengths);
        out
    }

    #[test]
    fn wide_ranges_double() {
        let lengths = [4, 5, 6, 7, 8, 9, 16, 130];
        let expected = "    4 to   7  4  ████████████████████████████████████████
    8 to  15  2  ████████████████████
   16 to  31  1  ██████████
   32 to  63  0
   64 to 127  0
  128 to 255  1  ██████████
";
        assert_eq!(drawn(&lengths), expected);
    }

    #[test]
    fn close_lengths_get_even_classes() {
        let page = drawn(&[1_000, 1_010, 1_024]);
        assert!(page.starts_with("  1,000 to 1,004  1  "), "{page}");
        assert_eq!(page.lines().count(), 5, "{page}");
        assert_eq!(drawn(&[128; 3]).lines().count(), 1);
        assert_eq!(drawn(&[]), "");
        assert_eq!(drawn(&[1, u32::MAX]).lines().count(), 32);
        assert_eq!(drawn(&[u32::MAX]).lines().count(), 1);
    }

    #[test]
    fn a_small_share_is_still_seen() {
        let mut lengths = vec![4; 10_000];
        lengths.push(64);
        assert!(drawn(&lengths).ends_with("1  ▏\n"));
    }

    proptest! {
        #[test]
        fn every_length_is_in_its_class(lengths in prop::collection::vec(any::<u32>(), 1..50)) {
            let classes = classes(&lengths);
            prop_assert!(classes.len() <= 33);
            prop_assert!(classes.windows(2).all(|two| two[0].to + 1 == two[1].from));
            for class in &classes {
                let within = lengths.iter().filter(|&&length| length >= class.from && length <= class.to);
                prop_assert_eq!(u64::try_from(within.count()).unwrap(), class.count);
            }
            let counted: u64 = classes.iter().map(|class| class.count).sum();
            prop_assert_eq!(counted, u64::try_from(lengths.len()).unwrap());
        }
    }
}
