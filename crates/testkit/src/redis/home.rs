//! The folder of a server: its configuration, its data, what it said.

use std::fmt::Write;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// Where a server lives. Removed with it.
#[derive(Debug)]
pub(crate) struct Home {
    folder: TempDir,
}

/// What Redis calls the log of all writes: the folder, and in it the first file and the list of files.
/// The list's format: <https://redis.io/docs/latest/operate/oss_and_stack/management/persistence/>.
const AOF: [&str; 3] = ["appendonlydir", "appendonly.aof.1.base.rdb", "appendonly.aof.manifest"];

/// What Redis calls its snapshot.
const RDB: &str = "dump.rdb";

impl Home {
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("testkit-redis-").tempdir();
        let home = Self { folder: folder.expect("a temporary folder can be made") };
        fs::create_dir(home.data()).expect("a folder can be made in an empty one");
        home
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The working directory of the server.
    pub(crate) fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    /// The socket through which the testkit itself talks to the server.
    pub(crate) fn socket(&self) -> PathBuf {
        self.path().join("redis.sock")
    }

    /// Writes `redis.conf`: the file `base`, and the settings that stand over it.
    pub(crate) fn configure<'a>(&self, base: &Path, settings: impl Iterator<Item = (&'a str, &'a str)>) {
        let mut text = format!("include \"{}\"\n", base.display());
        for (directive, value) in settings {
            // Writing to a String cannot fail.
            writeln!(text, "{directive} {value}").ok();
        }
        self.write("redis.conf", &text);
    }

    /// Writes a file beside the configuration, and returns its path.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        fs::write(&path, text).unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
        path
    }

    /// What the server wrote to its log, all its runs.
    pub(crate) fn log(&self) -> String {
        let output = fs::read(self.path().join("output")).unwrap_or_default();
        String::from_utf8_lossy(&output).into_owned()
    }

    /// Whether there is anything to load at a start.
    pub(crate) fn has_data(&self) -> bool {
        self.data().join(RDB).exists() || self.data().join(AOF[0]).exists()
    }

    /// The last snapshot that the server wrote.
    pub(crate) fn rdb(&self) -> Vec<u8> {
        fs::read(self.data().join(RDB)).expect("a server that has saved has a snapshot")
    }

    /// Removes all data.
    pub(crate) fn clear(&self) {
        let cleared = fs::remove_dir_all(self.data()).and_then(|()| fs::create_dir(self.data()));
        cleared.expect("data of a server that is gone can be removed");
    }

    /// Puts a snapshot in place of all data. A server with a log of its writes does not look at `dump.rdb`: there the
    /// snapshot becomes the log's first file.
    pub(crate) fn restore(&self, rdb: &[u8], aof: bool) {
        self.clear();
        let written = if aof { self.write_aof(rdb) } else { fs::write(self.data().join(RDB), rdb) };
        written.expect("a snapshot can be written");
    }

    fn write_aof(&self, rdb: &[u8]) -> io::Result<()> {
        let [folder, base, manifest] = AOF;
        let folder = self.data().join(folder);
        fs::create_dir(&folder)?;
        fs::write(folder.join(base), rdb)?;
        fs::write(folder.join(manifest), format!("file {base} seq 1 type b\n"))
    }
}
