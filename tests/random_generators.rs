//! CPython's and numpy's generators, reproduced bit for bit in random cases that
//! `data/tools/make_python_random_cases.py` made with the real ones.

#![expect(
    clippy::unwrap_used,
    reason = "a test may stop at what it did not expect"
)]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use pairbench::workload::numpy_random::NumpyRandom;
use pairbench::workload::python_random::PythonRandom;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

#[derive(Deserialize)]
struct Cases {
    python: Vec<PythonCase>,
    numpy: Vec<NumpyCase>,
}

#[derive(Deserialize)]
struct PythonCase {
    seed: String,
    n: usize,
    k: usize,
    sample: String,
    shuffle: String,
    word: u64,
}

#[derive(Deserialize)]
struct NumpyCase {
    seed: u64,
    low: u64,
    high: u64,
    scale: f64,
    count: usize,
    first: Vec<u64>,
    integers: String,
    units: String,
    exponentials: String,
}

fn cases() -> Cases {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/python_random_cases.json");
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn digest<T: Serialize>(numbers: &[T]) -> String {
    let hash = Sha256::digest(serde_json::to_vec(numbers).unwrap());
    hash.iter().take(8).fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

#[test]
fn two_hundred_cases_are_cpythons() {
    let cases = cases().python;
    assert_eq!(cases.len(), 200);
    for case in cases {
        let seed: i128 = case.seed.parse().unwrap();
        let name = format!("seed {seed}, {} of {}", case.k, case.n);
        let mut random = PythonRandom::from_seed(seed);
        assert_eq!(
            digest(&random.sample(case.n, case.k).unwrap()),
            case.sample,
            "{name}"
        );
        let mut list: Vec<usize> = (0..case.n).collect();
        random.shuffle(&mut list);
        assert_eq!(digest(&list), case.shuffle, "{name}");
        assert_eq!(random.bits(32), case.word, "{name}");
    }
}

#[test]
fn integers_units_and_gaps_are_numpys() {
    let cases = cases().numpy;
    assert_eq!(cases.len(), 60);
    for case in cases {
        let name = format!("seed {}, {} to {}", case.seed, case.low, case.high);
        let mut random = NumpyRandom::from_seed(case.seed).unwrap();
        let integers: Vec<u64> = (0..case.count)
            .map(|_| random.integer(case.low, case.high))
            .collect();
        assert_eq!(integers[..3], case.first, "{name}");
        assert_eq!(digest(&integers), case.integers, "{name}");
        let units: Vec<u64> = (0..case.count).map(|_| random.unit().to_bits()).collect();
        assert_eq!(digest(&units), case.units, "{name}");
        let gaps: Vec<u64> = (0..case.count)
            .map(|_| random.exponential(case.scale).to_bits())
            .collect();
        assert_eq!(digest(&gaps), case.exponentials, "{name}");
    }
    assert!(NumpyRandom::from_seed(1 << 32).is_err());
}
