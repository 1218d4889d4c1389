//! The files that the rules are about.

use std::fs;
use std::path::{Path, PathBuf};

/// Folders whose files nobody here wrote: what is built, what is committed, and what npm installs for the benchmarks.
const FOREIGN: [&str; 3] = ["target", ".git", "node_modules"];

/// A file of the repository.
pub(crate) struct Source {
    /// From the root of the repository, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// Every file below `folder` (from the root of the repository) whose name ends in one of `endings`, sorted.
pub(crate) fn below(folder: &str, endings: &[&str]) -> Vec<Source> {
    let root = testkit::workspace_root();
    let mut files = Vec::new();
    collect(&root.join(folder), &mut files);
    let wanted =
        files.into_iter().filter(|file| endings.iter().any(|end| file.to_string_lossy().ends_with(end)));
    let mut sources: Vec<Source> = wanted.map(|file| read(&root, &file)).collect();
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(!sources.is_empty(), "no {endings:?} below {folder:?}: the rule would check nothing");
    sources
}

fn read(root: &Path, file: &Path) -> Source {
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let path = file.strip_prefix(root).unwrap_or(file).to_string_lossy().replace('\\', "/");
    Source { path, text }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries {
        let path = entry.expect("a folder can be listed to its end").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_file() {
            files.push(path);
        } else if path.is_dir() && !FOREIGN.contains(&&*name) {
            collect(&path, files);
        }
    }
}
