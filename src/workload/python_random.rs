//! CPython's `random`, bit for bit.
//!
//! Knows how CPython 3.6 to 3.13 seeds its Mersenne Twister and what
//! `random.sample` and `random.shuffle` draw from it (`Lib/random.py`,
//! `Modules/_randommodule.c`). It refuses to be a good generator: it exists so that
//! a seed picks the prompts that LMDeploy's scripts pick.

use std::collections::HashSet;

use rand_mt::Mt;

/// A generator in the state that `random.seed(seed)` leaves behind.
pub struct PythonRandom {
    twister: Mt,
}

impl PythonRandom {
    /// `random.seed(seed)` for an integer: its sign is dropped, and its 32-bit
    /// words, the lowest first, are the key of `init_by_array`.
    pub fn from_seed(seed: impl Into<i128>) -> Self {
        let seed = seed.into().unsigned_abs();
        let word = |at: u32| (seed >> (32 * at) & 0xFFFF_FFFF) as u32;
        let bits = u128::BITS - seed.leading_zeros();
        let words = bits.div_ceil(32).max(1);
        Self {
            twister: Mt::new_with_key((0..words).map(word)),
        }
    }

    /// `random.getrandbits(bits)`, for up to 64 bits.
    pub fn bits(&mut self, bits: u32) -> u64 {
        let word = |twister: &mut Mt, bits: u32| u64::from(twister.next_u32() >> (32 - bits));
        match bits {
            0 => 0,
            1..=32 => word(&mut self.twister, bits),
            _ => {
                let low = word(&mut self.twister, 32);
                low | word(&mut self.twister, bits.min(64) - 32) << 32
            }
        }
    }

    /// `random._randbelow(bound)`: a number from 0 to `bound - 1`, and 0 for 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        let bits = u64::BITS - bound.leading_zeros();
        loop {
            let drawn = self.bits(bits);
            if drawn < bound || bound == 0 {
                return drawn;
            }
        }
    }

    /// `random.sample(range(population), count)`: `count` different places.
    ///
    /// `None` where Python raises `ValueError`: `count` is above `population`.
    pub fn sample(&mut self, population: usize, count: usize) -> Option<Vec<usize>> {
        if count > population {
            return None;
        }
        let mut places = Vec::with_capacity(count);
        if population <= pool_limit(count) {
            let mut pool: Vec<usize> = (0..population).collect();
            for taken in 0..count {
                let left = population - taken;
                let place = self.place_below(left);
                places.push(pool[place]);
                pool[place] = pool[left - 1];
            }
        } else {
            let mut chosen = HashSet::with_capacity(count);
            while places.len() < count {
                let place = self.place_below(population);
                if chosen.insert(place) {
                    places.push(place);
                }
            }
        }
        Some(places)
    }

    /// `random.shuffle(list)`.
    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        for place in (1..list.len()).rev() {
            let other = self.place_below(place + 1);
            list.swap(place, other);
        }
    }

    fn place_below(&mut self, bound: usize) -> usize {
        usize::try_from(self.below(bound as u64)).unwrap_or(0)
    }
}

/// Up to this population Python samples from a list, beyond it with a set. The
/// draws differ, so the limit matters: 21, and for more than five places the
/// smallest power of 4 that is not below three times as many on top of it.
fn pool_limit(count: usize) -> usize {
    let mut limit = 21_usize;
    if count > 5 {
        // 3 * count is never a power of 4, so this equals Python's
        // `4 ** ceil(log(count * 3, 4))`.
        let mut power = 1_usize;
        while power < count.saturating_mul(3) {
            power = power.saturating_mul(4);
        }
        limit = limit.saturating_add(power);
    }
    limit
}

#[cfg(test)]
mod tests {
    //! All expected numbers were printed by CPython 3.11.

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_are_cpythons_for_seeds_of_one_and_two_words() {
        for (seed, words) in [
            (0, [3_626_764_237, 1_654_615_998, 3_255_389_356]),
            (1, [577_090_037, 2_444_712_010, 3_639_700_191]),
            (42, [2_746_317_213, 478_163_327, 107_420_369]),
            (4_294_967_295, [2_728_839_433, 2_661_025_012, 872_737_089]),
            (4_294_967_296, [485_306_839, 1_508_871_100, 1_794_561_286]),
            (u64::MAX, [93_740_670, 1_068_495_656, 1_452_108_352]),
        ] {
            let mut random = PythonRandom::from_seed(seed);
            assert_eq!([(); 3].map(|()| random.bits(32)), words, "seed {seed}");
        }
    }

    #[test]
    fn numbers_below_a_bound_are_cpythons() {
        for (seed, bound, numbers) in [
            (0, 1, [0, 0, 0, 0]),
            (0, 2, [1, 1, 0, 1]),
            (
                5,
                1 << 32,
                [2_675_342_405, 3_185_950_873, 4_051_686_260, 2_787_324_501],
            ),
            (
                5,
                (1 << 32) + 1,
                [2_675_342_405, 3_185_950_873, 4_051_686_260, 2_787_324_501],
            ),
            (
                5,
                1 << 40,
                [
                    561_021_090_885,
                    789_164_966_041,
                    549_512_532_852,
                    114_456_474_197,
                ],
            ),
            (5, 1_000_003, [653_159, 267_853, 777_820, 375_951]),
        ] {
            let mut random = PythonRandom::from_seed(seed);
            assert_eq!(
                [(); 4].map(|()| random.below(bound)),
                numbers,
                "{seed} {bound}"
            );
        }
        assert_eq!(PythonRandom::from_seed(1).below(0), 0);
    }

    /// Both ways of sampling, on both sides of the limit between them; the number
    /// at the end is the next word, so nothing more and nothing less was drawn.
    #[test]
    fn samples_are_cpythons() {
        for (seed, population, places, next) in [
            (0, 5, &[3, 4, 0, 1, 2][..], 1_739_178_872),
            (1, 21, &[4, 18, 2, 8, 3], 2_127_877_499),
            (1, 22, &[4, 18, 2, 8, 3], 2_127_877_499),
            (7, 85, &[41, 19, 50, 6, 9, 68], 404_285_457),
            (7, 86, &[41, 19, 50, 83, 6, 9], 3_527_346_212),
            (
                3,
                277,
                &[
                    121, 66, 189, 242, 33, 6, 240, 132, 119, 98, 270, 243, 203, 77, 118, 263, 199,
                    7, 32, 81, 21, 154,
                ],
                3_350_403_033,
            ),
            (
                3,
                278,
                &[
                    121, 66, 189, 242, 33, 6, 240, 132, 119, 98, 276, 243, 203, 77, 118, 267, 199,
                    7, 32, 81, 21, 154,
                ],
                3_350_403_033,
            ),
            (
                42,
                100_000,
                &[
                    83810, 14592, 3278, 97196, 36048, 32098, 29256, 18289, 96530, 13434,
                ],
                2_906_402_157,
            ),
            (
                42,
                2023,
                &[
                    1309, 228, 51, 1518, 563, 501, 457, 285, 1508, 209, 1385, 1516,
                ],
                3_831_882_064,
            ),
            ((1_i128 << 63) + 5, 1, &[0], 736_485_321),
            (9, 10, &[], 1_988_601_454),
        ] {
            let mut random = PythonRandom::from_seed(seed);
            let sample = random.sample(population, places.len());
            assert_eq!(sample.as_deref(), Some(places), "{seed} {population}");
            assert_eq!(random.bits(32), next, "after {seed} {population}");
        }
    }

    #[test]
    fn large_samples_are_cpythons() {
        for (seed, population, count, checksum, last) in [
            (0, 2023, 1000, 507_718_132, 427),
            (1, 2014, 1000, 484_514_945, 1718),
            (5, 65557, 5461, 1_797_138_952, 40123),
            (5, 65558, 5461, 1_797_138_952, 40123),
            (11, 300_000, 90_000, 4_038_628_108, 13210),
        ] {
            let sample = PythonRandom::from_seed(seed)
                .sample(population, count)
                .unwrap();
            let sum: usize = sample
                .iter()
                .enumerate()
                .map(|(at, place)| at * place)
                .sum();
            assert_eq!(
                (sum % (1 << 32), sample.last()),
                (checksum, Some(&last)),
                "seed {seed}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_sample_holds_different_places(
            seed: u64, population in 0_usize..300, count in 0_usize..300,
        ) {
            let sample = PythonRandom::from_seed(seed).sample(population, count);
            prop_assert_eq!(sample.is_none(), count > population);
            if let Some(sample) = sample {
                let different: HashSet<_> = sample.iter().collect();
                prop_assert_eq!((sample.len(), different.len()), (count, count));
                prop_assert!(sample.iter().all(|&place| place < population));
            }
        }
    }
}
