//! What is known to be misspelt in the sales files, and what it is read as.
//!
//! The list is closed: a misspelling that is not on it is refused as unknown, and whoever knows the data decides. Each
//! repair is reported with its file and line.

use crate::import::cell::Cell;
use crate::import::findings::Repair;

/// One known misspelling.
struct Misspelling {
    column: &'static str,
    wrong: &'static str,
    right: &'static str,
}

const MISSPELLINGS: [Misspelling; 3] = [
    Misspelling { column: "product", wrong: "GTXPro", right: "GTX Pro" },
    Misspelling { column: "sector", wrong: "technolgy", right: "technology" },
    Misspelling { column: "office_location", wrong: "Philipines", right: "Philippines" },
];

/// The repair of a field, if what it says is known to be wrong.
pub(super) fn repair(cell: Cell<'_>) -> Option<Repair> {
    let known = MISSPELLINGS.iter().find(|known| known.column == cell.column && known.wrong == cell.text)?;
    Some(Repair { place: cell.place, column: known.column, from: known.wrong, to: known.right })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::findings::Place;

    #[test]
    fn only_the_known_word_in_its_own_column_is_repaired() {
        for (column, text, right) in [
            ("product", "GTXPro", Some("GTX Pro")),
            ("product", "GTX Pro", None),
            ("product", "gtxpro", None),
            ("product", "MGSpecial", None),
            ("account", "GTXPro", None),
            ("sector", "technolgy", Some("technology")),
            ("office_location", "Philipines", Some("Philippines")),
        ] {
            let cell = Cell { place: Place::line("deals.csv", 3), column, text };
            assert_eq!(repair(cell).map(|repair| repair.to), right, "{column} {text}");
        }
    }
}
