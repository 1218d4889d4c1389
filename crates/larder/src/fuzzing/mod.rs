//! What must hold whatever the bytes: the bodies of the fuzz targets in `fuzz/`, which see nothing else of the insides.
//! Tests replay what the fuzzers found worth keeping. See docs/fuzzing.md.

mod entry;
mod names;
mod pattern;
mod reply;

pub use entry::{entry, most_allocated};
pub use names::names;
pub use pattern::pattern;
pub use reply::{most_allocated_for_a_reply, reply};

/// The first lines of a text; the last one is all that is left.
fn lines<const N: usize>(text: &str) -> [&str; N] {
    let mut lines = text.splitn(N, '\n');
    std::array::from_fn(|_| lines.next().unwrap_or_default())
}

/// The files that were found worth keeping.
#[cfg(test)]
fn corpus(target: &str) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let folder = testkit::workspace_root().join("fuzz/corpus").join(target);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths = files.map(|file| file.expect("a folder can be listed to its end").path());
    let read =
        |path| std::fs::read(&path).map(|bytes| (path, bytes)).expect("a file of a corpus can be read");
    let corpus: Vec<_> = paths.map(read).collect();
    assert!(!corpus.is_empty(), "{} is empty", folder.display());
    corpus
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replay(target: &str, property: impl Fn(&[u8])) {
        for (path, bytes) in corpus(target) {
            eprintln!("{}", path.display()); // shown if it fails
            property(&bytes);
        }
    }

    #[test]
    fn the_corpus_of_entries_is_read() {
        replay("entry", |bytes| {
            let used = allocation_counter::measure(|| entry(bytes));
            assert!(used.bytes_max <= most_allocated(bytes.len()), "{} bytes at once", used.bytes_max);
        });
    }

    #[test]
    fn the_corpus_of_globs_matches_as_expected() {
        replay("pattern", pattern);
    }

    #[test]
    fn the_corpus_of_replies_is_read_alike_however_it_is_cut() {
        replay("reply", |bytes| {
            let used = allocation_counter::measure(|| reply(bytes));
            assert!(
                used.bytes_max <= most_allocated_for_a_reply(bytes.len()),
                "{} bytes at once",
                used.bytes_max
            );
        });
    }

    #[test]
    fn the_corpus_of_names_keeps_them_apart() {
        replay("names", names);
    }
}
