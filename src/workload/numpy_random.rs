//! numpy's legacy `RandomState`, bit for bit.
//!
//! Knows how `np.random.seed` fills the Mersenne Twister and what `random_sample`,
//! `exponential` and `randint` draw from it (numpy 1.x and 2.x,
//! `numpy/random/src/legacy`). It refuses to be a good generator: it exists so
//! that a seed gives the lengths and gaps of LMDeploy's scripts.

use anyhow::{Result, anyhow};
use rand_mt::Mt;

/// A generator in the state that `np.random.seed(seed)` leaves behind. It is
/// apart from Python's `random`.
pub struct NumpyRandom {
    twister: Mt,
}

impl NumpyRandom {
    /// `np.random.seed(seed)`: `init_genrand` of the one word.
    ///
    /// # Errors
    /// `seed` is 2^32 or more, where numpy raises `ValueError`.
    pub fn from_seed(seed: u64) -> Result<Self> {
        let word = u32::try_from(seed).map_err(|_| {
            anyhow!("--seed {seed}: numpy's generator takes seeds from 0 to 2^32 - 1")
        })?;
        Ok(Self {
            twister: Mt::new(word),
        })
    }

    /// `np.random.random_sample()`: a number from 0 to below 1, of 53 bits.
    pub fn unit(&mut self) -> f64 {
        let high = f64::from(self.twister.next_u32() >> 5);
        let low = f64::from(self.twister.next_u32() >> 6);
        (high * 67_108_864.0 + low) / 9_007_199_254_740_992.0
    }

    /// `np.random.exponential(scale)`. Equal to numpy's in every bit where `ln` is
    /// the C library's that numpy uses (glibc).
    pub fn exponential(&mut self, scale: f64) -> f64 {
        // Not `ln_1p`: numpy's legacy generator takes the plain logarithm.
        scale * -(1.0 - self.unit()).ln()
    }

    /// `np.random.randint(low, high)` for `low < high`: from `low` to `high - 1`.
    /// An empty range gives `low`.
    pub fn integer(&mut self, low: u64, high: u64) -> u64 {
        let range = high.saturating_sub(1).saturating_sub(low);
        let mask = range
            .checked_ilog2()
            .map_or(0, |bits| u64::MAX >> (63 - bits));
        if range == 0 {
            return low;
        }
        loop {
            let mut drawn = u64::from(self.twister.next_u32());
            if range > u64::from(u32::MAX) {
                drawn = drawn << 32 | u64::from(self.twister.next_u32());
            }
            drawn &= mask;
            if drawn <= range {
                return low + drawn;
            }
        }
    }
}
