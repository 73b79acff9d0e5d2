//! The tables that encoding looks things up in, made once from a model.
//!
//! Knows which two symbols merge, which characters may stand side by side in a
//! piece, and which ids a finished symbol is written as. It refuses to see text:
//! that is the merging's part.
//!
//! A symbol is a number: the id of the piece with that text, or a number above
//! all ids for a character that occurs in pieces without being one.

use anyhow::{Result, ensure};

use super::merging::{Merge, MergeTable, Merging, Placed, check_cuts};
use super::model_file::{Kind, ModelFile, Piece};
use super::quick_hash::QuickMap;
use super::tables::{CharTable, FOREIGN, NeighbourSet, UserDefined};

/// All tables of one model.
pub(super) struct Lexicon {
    merges: MergeTable,
    characters: CharTable,
    neighbours: NeighbourSet,
    user_defined: UserDefined,
    /// By symbol: its one id, or `SEVERAL | place in several`.
    written: Vec<u32>,
    several: Vec<Box<[u32]>>,
    /// By byte: the id that stands for it; empty without byte fallback.
    bytes: Vec<u32>,
    unk_id: u32,
}

/// Marks an entry of `written` that points into `several`. Ids stay below it.
const SEVERAL: u32 = 1 << 31;

impl Lexicon {
    /// Builds the tables.
    ///
    /// # Errors
    /// The model has more pieces than ids can be given, or too many long ones.
    pub(super) fn of(model: &ModelFile) -> Result<Self> {
        ensure!(
            model.pieces.len() < 1 << 24,
            "{} pieces are too many",
            model.pieces.len()
        );
        let cut = model.pieces.iter().filter(|piece| is_cut(piece.kind));
        check_cuts(cut.map(|piece| piece.text.len()))?;
        let names = Names::of(&model.pieces);
        let symbols = Symbols::of(&model.pieces, &names);
        let mut lexicon = Self {
            merges: merges(&model.pieces, &names, &symbols),
            neighbours: NeighbourSet::of(&model.pieces),
            user_defined: UserDefined::of(&model.pieces),
            written: Vec::new(),
            several: Vec::new(),
            bytes: byte_ids(model),
            unk_id: model.unk_id,
            characters: symbols.characters,
        };
        lexicon.write_symbols(&model.pieces, &names, &symbols.loose);
        Ok(lexicon)
    }

    /// The symbol of a single character, [`FOREIGN`] if no piece has it.
    pub(super) fn character(&self, character: char) -> u32 {
        self.characters.get(character)
    }

    /// Which symbols merge into what.
    pub(super) fn merges(&self) -> &MergeTable {
        &self.merges
    }

    /// Whether some piece holds `left` directly before `right`. Where none does,
    /// no merge and no user-defined piece can reach across.
    pub(super) fn may_join(&self, left: char, right: char) -> bool {
        self.neighbours.contains(left, right)
    }

    /// The longest user-defined piece at the start of `text`: symbol and bytes.
    pub(super) fn user_defined(&self, first: char, text: &str) -> Option<(u32, usize)> {
        self.user_defined.longest_prefix(first, text)
    }

    /// Appends the ids of `symbol`; `character` is its first character.
    pub(super) fn write(&self, symbol: u32, character: char, ids: &mut Vec<u32>) {
        match self.written.get(symbol as usize) {
            Some(&entry) if entry & SEVERAL == 0 => ids.push(entry),
            Some(&entry) => {
                if let Some(several) = self.several.get((entry & !SEVERAL) as usize) {
                    ids.extend_from_slice(several);
                }
            }
            None => self.write_unknown(character, ids),
        }
    }

    fn write_unknown(&self, character: char, ids: &mut Vec<u32>) {
        let mut buffer = [0; 4];
        let bytes = character.encode_utf8(&mut buffer).bytes();
        let before = ids.len();
        ids.extend(bytes.filter_map(|byte| self.bytes.get(usize::from(byte))));
        if ids.len() == before {
            ids.push(self.unk_id);
        }
    }

    /// Fills `written` and `several`: pieces first, loose characters after them.
    fn write_symbols(&mut self, pieces: &[Piece], names: &Names<'_>, loose: &[char]) {
        let mut finished: Vec<Vec<u32>> = Vec::with_capacity(pieces.len() + loose.len());
        finished.extend(pieces.iter().map(|piece| self.ids_of(&piece.text, names)));
        for character in loose {
            finished.push(self.ids_of(character.encode_utf8(&mut [0; 4]), names));
        }
        // Shorter pieces first, so that each half is final before it is built upon.
        let mut unused = self.halves(pieces);
        unused.sort_by_key(|&(symbol, ..)| pieces[symbol as usize].text.len());
        for (symbol, left, right) in unused {
            let whole = [
                finished[left as usize].as_slice(),
                &finished[right as usize],
            ]
            .concat();
            finished[symbol as usize] = whole;
        }
        for ids in finished {
            if let [id] = ids[..] {
                self.written.push(id);
            } else {
                self.written
                    .push(SEVERAL | u32::try_from(self.several.len()).unwrap_or(0));
                self.several.push(ids.into());
            }
        }
    }

    /// The ids of a finished symbol with this text, unused pieces left whole.
    fn ids_of(&self, text: &str, names: &Names<'_>) -> Vec<u32> {
        if let Some(id) = names.get(text) {
            return vec![id];
        }
        let mut ids = Vec::new();
        text.chars()
            .for_each(|character| self.write_unknown(character, &mut ids));
        ids
    }

    /// Each unused piece that merges can make, with the two symbols of the last
    /// merge. One text is always made by the same merges, since none of them
    /// reaches out of it; so they can be replayed here on the text alone.
    fn halves(&self, pieces: &[Piece]) -> Vec<(u32, u32, u32)> {
        let mut merging = Merging::default();
        let mut halves = Vec::new();
        for (id, piece) in (0_u32..).zip(pieces) {
            if piece.kind == Kind::Unused {
                let places = piece.text.char_indices();
                merging.row.clear();
                merging.row.extend(places.map(|(at, character)| Placed {
                    symbol: self.character(character),
                    at,
                }));
                merging.run(&self.merges);
                if let ([_], Some((left, right))) = (&merging.row[..], merging.last) {
                    halves.push((id, left, right));
                }
            }
        }
        halves
    }
}

fn byte_ids(model: &ModelFile) -> Vec<u32> {
    let mut ids = vec![model.unk_id; if model.byte_fallback { 256 } else { 0 }];
    for (id, piece) in (0_u32..).zip(&model.pieces) {
        if let Kind::Byte(byte) = piece.kind
            && let Some(slot) = ids.get_mut(usize::from(byte))
        {
            *slot = id;
        }
    }
    ids
}

/// Whether merges can make pieces of this kind.
fn is_cut(kind: Kind) -> bool {
    matches!(kind, Kind::Normal | Kind::Unused)
}

/// Every way to cut a piece that merges can make into two symbols.
fn merges(pieces: &[Piece], names: &Names<'_>, symbols: &Symbols) -> MergeTable {
    let turns = turns(pieces);
    // A user-defined piece is matched before any merge and then left alone.
    let part = |text: &str| {
        let mut characters = text.chars();
        let symbol = match (characters.next(), characters.next()) {
            (Some(only), None) => symbols.characters.get(only),
            _ => names.get(text)?,
        };
        let piece = pieces.get(symbol as usize);
        piece
            .is_none_or(|piece| piece.kind != Kind::UserDefined)
            .then_some(symbol)
    };
    let mut merges = MergeTable::default();
    for (id, piece) in (0_u32..).zip(pieces) {
        if is_cut(piece.kind) {
            for (cut, _) in piece.text.char_indices().skip(1) {
                let (left, right) = piece.text.split_at(cut);
                if let (Some(left), Some(right)) = (part(left), part(right)) {
                    let merge = Merge {
                        turn: turns[id as usize],
                        symbol: id,
                    };
                    merges.insert(left, right, merge);
                }
            }
        }
    }
    merges
}

/// By piece: how many different scores are higher. Equal scores, equal turns.
fn turns(pieces: &[Piece]) -> Vec<u32> {
    let mut scores: Vec<f32> = pieces.iter().map(|piece| piece.score).collect();
    scores.sort_by(|a, b| b.partial_cmp(a).unwrap_or(std::cmp::Ordering::Equal));
    scores.dedup();
    pieces
        .iter()
        .map(|piece| {
            let higher = scores.partition_point(|score| *score > piece.score);
            u32::try_from(higher).unwrap_or(u32::MAX)
        })
        .collect()
}

/// Text to id, for the pieces that text can become. The others are names: a text
/// that looks like one is taken apart like any other.
struct Names<'a>(QuickMap<&'a str, u32>);

impl<'a> Names<'a> {
    fn of(pieces: &'a [Piece]) -> Self {
        let numbered = (0_u32..).zip(pieces);
        let matched = numbered.filter(|(_, piece)| {
            matches!(piece.kind, Kind::Normal | Kind::UserDefined | Kind::Unused)
        });
        Self(
            matched
                .map(|(id, piece)| (piece.text.as_str(), id))
                .collect(),
        )
    }

    fn get(&self, text: &str) -> Option<u32> {
        self.0.get(text).copied()
    }
}

/// Numbers for all characters that occur in pieces.
struct Symbols {
    characters: CharTable,
    /// Characters that are no piece by themselves; the first has the number
    /// `pieces.len()`.
    loose: Vec<char>,
}

impl Symbols {
    fn of(pieces: &[Piece], names: &Names<'_>) -> Self {
        let mut characters = CharTable::default();
        let mut loose = Vec::new();
        for piece in pieces {
            for character in piece.text.chars() {
                if characters.get(character) == FOREIGN {
                    let piece = names.get(character.encode_utf8(&mut [0; 4]));
                    let symbol = piece.unwrap_or_else(|| {
                        loose.push(character);
                        u32::try_from(pieces.len() + loose.len() - 1).unwrap_or(FOREIGN)
                    });
                    characters.insert(character, symbol);
                }
            }
        }
        Self { characters, loose }
    }
}
