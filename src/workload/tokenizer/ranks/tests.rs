use proptest::prelude::*;

use super::*;

fn single_bytes() -> Vec<Box<[u8]>> {
    (0..=255_u8).map(|byte| [byte].into()).collect()
}

fn with_tokens(more: &[&str], pattern: Pattern) -> Ranks {
    let mut tokens = single_bytes();
    tokens.extend(more.iter().map(|token| token.as_bytes().into()));
    Ranks::new(tokens, pattern).unwrap()
}

fn encode(ranks: &Ranks, text: &str) -> Vec<u32> {
    let mut ids = Vec::new();
    ranks.encode_into(text, &mut ids);
    ids
}

fn stretches(pattern: Pattern, text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    pattern::split(&pattern.regex().unwrap(), text, |stretch| {
        found.push(stretch);
    });
    found
}

/// What tiktoken 0.14 cuts (its pattern with the look-ahead, run by fancy-regex).
#[test]
fn text_is_cut_as_the_patterns_say() {
    for (pattern, text, wanted) in [
        (
            Pattern::OneDigit,
            "a1234  b",
            &["a", "1", "2", "3", "4", " ", " b"][..],
        ),
        (
            Pattern::ThreeDigits,
            "a1234  b",
            &["a", "123", "4", " ", " b"],
        ),
        (
            Pattern::OneDigit,
            "I'LL \t\n x  ",
            &["I", "'LL", " \t\n", " x", "  "],
        ),
        (
            Pattern::OneDigit,
            " \n  \u{3000}é",
            &[" \n", "  ", "\u{3000}é"],
        ),
        (
            Pattern::OneDigit,
            "\u{a0} !?\n\n\u{85}",
            &["\u{a0}", " !?\n\n", "\u{85}"],
        ),
        (Pattern::OneDigit, "it'\u{17f}", &["it", "'\u{17f}"]),
        (
            Pattern::ByCase,
            "helloWorld HTML/x",
            &["hello", "World", " HTML", "/x"],
        ),
        (Pattern::OneDigit, "", &[]),
    ] {
        assert_eq!(stretches(pattern, text), wanted, "{text:?}");
    }
}

#[test]
fn patterns_are_known_by_their_text() {
    for pattern in [Pattern::OneDigit, Pattern::ThreeDigits, Pattern::ByCase] {
        assert_eq!(Pattern::of(pattern.text()), Some(pattern));
    }
    assert_eq!(Pattern::of(r"\w+|\s+(?!\S)|\s+"), None);
}

#[test]
fn the_lowest_rank_merges_first_and_the_leftmost_of_equals() {
    // bc=256 ab=257 aa=258 aaa=259 abcd=260, and no way by merges to abcd.
    let ranks = with_tokens(&["bc", "ab", "aa", "aaa", "abcd"], Pattern::OneDigit);
    let byte = |text: &str| u32::from(text.as_bytes()[0]);
    assert_eq!(encode(&ranks, "abc"), [byte("a"), 256]);
    assert_eq!(encode(&ranks, "abb"), [257, byte("b")]);
    assert_eq!(encode(&ranks, "aaaaa"), [258, 259]);
    assert_eq!(
        encode(&ranks, "abcd"),
        [260],
        "a whole stretch is looked up first"
    );
    assert_eq!(
        encode(&ranks, "abcdd"),
        [byte("a"), 256, byte("d"), byte("d")]
    );
}

#[test]
fn vocabularies_that_cannot_write_all_text_are_refused() {
    let refusal = |tokens| format!("{:#}", Ranks::new(tokens, Pattern::OneDigit).err().unwrap());
    let mut lacking = single_bytes();
    lacking.remove(0xC3);
    assert!(refusal(lacking).contains("no token for the single byte 0xC3"));
    let twice = [single_bytes(), vec![b"a".as_slice().into()]].concat();
    assert!(refusal(twice).contains("rank 256 is also that of rank 97"));
    let empty = [single_bytes(), vec![b"".as_slice().into()]].concat();
    assert!(refusal(empty).contains("rank 256 is empty"));
    let long = [single_bytes(), vec![vec![b'a'; 1025].into()]].concat();
    assert!(refusal(long).contains("has 1025 bytes"));
}

/// Every cut of every token is looked at, so many long tokens take for ever.
#[test]
fn vocabularies_of_long_tokens_only_are_refused_at_once() {
    let long = (0..3000_u32).map(|number| format!("{number:01024}").into_bytes().into());
    let tokens: Vec<Box<[u8]>> = single_bytes().into_iter().chain(long).collect();
    let error = Ranks::new(tokens, Pattern::OneDigit).err().unwrap();
    let error = format!("{error:#}");
    assert!(error.contains("too many long tokens"), "{error}");
}

#[test]
fn files_are_read_and_broken_ones_refused_with_their_line() {
    assert_eq!(
        parse_file(b"Yg== 1\r\nYQ== 0\n\n").unwrap(),
        [b"a".as_slice().into(), b"b".as_slice().into()]
    );
    for (file, complaint) in [
        (&b""[..], "the file is empty"),
        (b"YQ== 0\nYg=", "line 2: this is not a token in base64"),
        (b"YQ== 0\nYg= 1", "line 2: the token is no base64"),
        (b"YQ== 0\n\xFF\xFE 1", "line 2: the token is no base64"),
        (b"YQ== 0\nYg== x", "line 2: the rank is no whole number"),
        (b"YQ== 0\nYg== -1", "line 2: the rank is no whole number"),
        (
            b"YQ== 0\nYg== 4294967296",
            "line 2: the rank is no whole number",
        ),
        (b"YQ== 0\nYg== 1 2", "line 2: this is not a token in base64"),
        (
            b"YQ== 0\nYg== 1\nYw== 0",
            "line 3: rank 0 is there twice, first on line 1",
        ),
        (
            b"YQ== 0\nYg== 2",
            "rank 1 is missing (the next is 2, on line 2)",
        ),
        (b"YQ== 7", "rank 0 is missing"),
    ] {
        let error = format!("{:#}", parse_file(file).unwrap_err());
        assert!(error.contains(complaint), "{error}");
    }
}

/// The pattern's own words, tried by a backtracking engine.
fn slowly(pattern: Pattern, text: &str) -> Vec<String> {
    let regex = tokenizers_split(pattern);
    let mut text = tokenizers::PreTokenizedString::from(text);
    tokenizers::PreTokenizer::pre_tokenize(&regex, &mut text).unwrap();
    let splits = text.get_splits(
        tokenizers::OffsetReferential::Original,
        tokenizers::OffsetType::Byte,
    );
    splits
        .into_iter()
        .map(|(part, _, _)| part.to_owned())
        .collect()
}

fn tokenizers_split(pattern: Pattern) -> tokenizers::pre_tokenizers::split::Split {
    use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
    let text = SplitPattern::Regex(pattern.text().to_owned());
    Split::new(text, tokenizers::SplitDelimiterBehavior::Isolated, false).unwrap()
}

proptest! {
    #[test]
    fn cutting_is_what_the_look_ahead_says(
        text in "([ \t\n\r\u{a0}\u{85}\u{2028}\u{3000}]{0,3}[a-zA-Zéß中\u{301}0-9'/!_.ſ\u{1F600}]{0,3}){0,9}",
        which in 0_usize..3,
    ) {
        let pattern = [Pattern::OneDigit, Pattern::ThreeDigits, Pattern::ByCase][which];
        prop_assert_eq!(stretches(pattern, &text), slowly(pattern, &text));
    }

    /// tiktoken's `byte_pair_encode` as it is written, without tables and heaps.
    #[test]
    fn merging_is_what_the_ranks_say(
        more in prop::collection::btree_set("[ab]{2,6}", 1..20),
        order in any::<prop::sample::Index>(),
        text in "[ab]{0,120}",
    ) {
        let mut more: Vec<&str> = more.iter().map(String::as_str).collect();
        let turn = order.index(more.len());
        more.rotate_left(turn);
        let ranks = with_tokens(&more, Pattern::OneDigit);
        let rank_of = |bytes: &[u8]| ranks.ids.get(bytes).copied();
        let mut parts: Vec<Vec<u8>> = text.bytes().map(|byte| vec![byte]).collect();
        if rank_of(text.as_bytes()).is_some() {
            parts = vec![text.clone().into_bytes()];
        }
        loop {
            let joined = parts.windows(2).enumerate();
            let best = joined.filter_map(|(at, two)| Some((rank_of(&two.concat())?, at))).min();
            let Some((_, at)) = best else { break };
            let right = parts.remove(at + 1);
            parts[at].extend(right);
        }
        let wanted: Vec<u32> = parts.iter().map(|part| rank_of(part).unwrap()).collect();
        prop_assert_eq!(encode(&ranks, &text), wanted);
    }

    #[test]
    fn all_of_the_text_comes_back(text in any::<String>(), which in 0_usize..3) {
        let pattern = [Pattern::OneDigit, Pattern::ThreeDigits, Pattern::ByCase][which];
        let ranks = with_tokens(&["th", "the", " the", "\u{4e2d}"], pattern);
        let tokens = encode(&ranks, &text).into_iter().flat_map(|id| ranks.token(id).unwrap().to_vec());
        prop_assert_eq!(tokens.collect::<Vec<u8>>(), text.as_bytes());
    }

    #[test]
    fn damaged_files_do_no_harm(file in prop::collection::vec(any::<u8>(), 0..80)) {
        let _ = parse_file(&file);
    }
}
