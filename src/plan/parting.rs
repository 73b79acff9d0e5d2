//! The first place where two lists of token ids part, shown as text. Pure; knows
//! no server and no tokenizer, only ids and what somebody says they stand for.

/// Characters shown before the place.
const BEFORE: usize = 20;
/// Characters shown of either side from the place on.
const AFTER: usize = 60;

/// Where the server's ids leave the plan's, in words; `None` where they are
/// equal. `bytes_of` gives the bytes of an id, none for a special token.
#[must_use]
pub fn parting(ours: &[u32], theirs: &[u32], bytes_of: impl Fn(u32) -> Vec<u8>) -> Option<String> {
    let same = ours
        .iter()
        .zip(theirs)
        .take_while(|(ours, theirs)| ours == theirs)
        .count();
    if same == ours.len() && same == theirs.len() {
        return None;
    }
    let before = spelled(&ours[..same], &bytes_of);
    let skipped = before.chars().count().saturating_sub(BEFORE);
    let before: String = before.chars().skip(skipped).collect();
    let dots = if skipped > 0 { "..." } else { "" };
    let after = |ids: &[u32]| {
        // A token has a character or more, but for those cut in bytes: at most
        // four to a character.
        let ids = &ids[same..ids.len().min(same + 4 * AFTER)];
        let text = spelled(ids, &bytes_of);
        if text.is_empty() {
            return "its end".to_owned();
        }
        let shown: String = text.chars().take(AFTER).collect();
        let dots = if text.chars().nth(AFTER).is_some() {
            "..."
        } else {
            ""
        };
        format!("`{}`{dots}", shown.escape_debug())
    };
    Some(format!(
        "{} tokens here, {} in the server; after {same} equal ones ({dots}`{}`) here comes {}, in \
         the server {}",
        ours.len(),
        theirs.len(),
        before.escape_debug(),
        after(ours),
        after(theirs),
    ))
}

/// The text of `ids`; a special token as `<id N>`.
fn spelled(ids: &[u32], bytes_of: impl Fn(u32) -> Vec<u8>) -> String {
    let mut bytes = Vec::new();
    for &id in ids {
        let of_id = bytes_of(id);
        if of_id.is_empty() {
            bytes.extend_from_slice(format!("<id {id}>").as_bytes());
        } else {
            bytes.extend(of_id);
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::parting;

    /// Ids from 256 on are special; the others are bytes.
    fn bytes_of(id: u32) -> Vec<u8> {
        u8::try_from(id).map_or(Vec::new(), |byte| vec![byte])
    }

    fn ids(text: &str) -> Vec<u32> {
        text.bytes().map(u32::from).collect()
    }

    #[test]
    fn equal_ids_do_not_part() {
        assert_eq!(parting(&[], &[], bytes_of), None);
        assert_eq!(parting(&[1, 300], &[1, 300], bytes_of), None);
    }

    #[test]
    fn the_first_place_is_shown_on_both_sides() {
        let ours = ids("<|im_start|>user\nhi<|im_end|>");
        let theirs = ids("<|im_start|>user\nYou are\nhi");
        let words = parting(&ours, &theirs, bytes_of).unwrap();
        assert_eq!(
            words,
            "29 tokens here, 27 in the server; after 17 equal ones (`<|im_start|>user\\n`) here \
             comes `hi<|im_end|>`, in the server `You are\\nhi`"
        );
    }

    #[test]
    fn a_special_token_and_an_end_are_seen() {
        let words = parting(&[300, 104], &[300, 301, 104], bytes_of).unwrap();
        assert!(
            words.contains("(`<id 300>`) here comes `h`, in the server `<id 301>h`"),
            "{words}"
        );
        let words = parting(&ids("abc"), &ids("a"), bytes_of).unwrap();
        assert!(
            words.ends_with("here comes `bc`, in the server its end"),
            "{words}"
        );
    }

    #[test]
    fn long_texts_are_cut_to_about_a_line() {
        let ours = ids(&format!("{}é{}", "a".repeat(500), "b".repeat(500)));
        let theirs = ids(&format!("{}è{}", "a".repeat(500), "\0".repeat(500)));
        let words = parting(&ours, &theirs, bytes_of).unwrap();
        assert!(words.contains("(...`aaaaaaaaaaaaaaaaaaa"), "{words}");
        assert!(words.chars().count() < 600, "{words}");
    }
}
