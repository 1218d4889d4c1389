//! The checker itself: it finds nothing where nothing is wrong, and finds what is.

use std::fs;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::Command;

/// 3 minutes: a run of half a minute, what it starts, and how long it may take to compare.
const LIMIT: Duration = Duration::from_secs(180);

/// What a run has said, and whether it found something.
struct Ran {
    closing: String,
    said: String,
    passed: bool,
    folder: TempDir,
}

async fn freshness(words: &str) -> Ran {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let mut command = Command::new(env!("CARGO_BIN_EXE_freshness"));
    command.args(words.split(' ')).arg("--folder").arg(folder.path()).kill_on_drop(true);
    let Output { status, stdout, stderr } = command.output().await.expect("it can be started");
    let text = |bytes| String::from_utf8(bytes).expect("it writes text");
    Ran { closing: text(stdout), said: text(stderr), passed: status.success(), folder }
}

fn exists(folder: &TempDir, file: &str) -> bool {
    Path::new(folder.path()).join(file).is_file()
}

#[test]
fn a_third_of_a_minute_of_all_faults_finds_nothing() {
    testkit::run_within(LIMIT, async {
        let ran = freshness("run --minutes 0.35 --faults all --seed 11").await;
        assert!(ran.passed, "{}{}", ran.said, ran.closing);
        assert!(ran.closing.starts_with("freshness: 0 violations in "), "{}", ran.closing);
        assert!(ran.closing.contains("all tiers equal the database"), "{}", ran.closing);
        for file in ["README.md", "index.html", "raw.csv", "staleness.svg", "course.svg"] {
            assert!(exists(&ran.folder, file), "{file}");
        }
    });
}

#[test]
fn the_same_on_postgresql() {
    testkit::run_within(LIMIT, async {
        let ran = freshness("run --minutes 0.35 --faults all --seed 12 --database postgres").await;
        assert!(ran.passed, "{}{}", ran.said, ran.closing);
    });
}

#[test]
fn the_same_of_servers_of_the_crm() {
    testkit::run_within(LIMIT, async {
        let ran = freshness("run --minutes 0.35 --faults all --seed 13 --subject crm").await;
        assert!(ran.passed, "{}{}", ran.said, ran.closing);
        assert!(ran.closing.contains("all tiers equal the database"), "{}", ran.closing);
    });
}

#[test]
fn the_cache_aside_of_textbooks_is_found_and_each_violation_is_written_down() {
    testkit::run_within(LIMIT, async {
        let ran = freshness("run --minutes 1 --faults none --subject naive --stop-at-first").await;
        assert!(!ran.passed, "{}", ran.closing);
        assert!(ran.closing.contains("nothing was compared"), "{}", ran.closing);
        assert!(ran.said.contains("violation: {\"at_s\":"), "{}", ran.said);
        assert!(
            ran.said.contains("cargo xtask freshness --minutes 1 --faults none --seed 1 --subject naive")
        );
        assert!(exists(&ran.folder, "violations.jsonl"));
    });
}

#[test]
fn a_rule_that_is_taken_out_is_missed() {
    testkit::run_within(LIMIT, async {
        for rule in ["fill-compare", "late-snapshot", "token-check"] {
            let ran =
                freshness(&format!("run --minutes 1 --faults none --without {rule} --stop-at-first")).await;
            assert!(!ran.passed && ran.said.contains("\"wrong\":\"Stale\""), "{rule}: {}", ran.closing);
        }
    });
}

#[test]
fn a_copy_that_is_served_behind_its_second_is_found() {
    testkit::run_within(2 * LIMIT, async {
        let ran =
            freshness("run --minutes 4 --faults process-paused --without local-lease --stop-at-first").await;
        assert!(!ran.passed && ran.said.contains("\"promise\":\"Local\""), "{}", ran.closing);
    });
}

/// A process that this one has started to read and write, if there is one yet.
#[cfg(target_os = "linux")]
fn worker_of(run: u32) -> Option<String> {
    let tasks = fs::read_dir(format!("/proc/{run}/task")).ok()?.filter_map(Result::ok);
    let children = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    let children: Vec<String> =
        children.flat_map(|all| all.split(' ').map(str::to_owned).collect::<Vec<_>>()).collect();
    let is_worker = |child: &String| {
        fs::read(format!("/proc/{child}/cmdline")).is_ok_and(|words| words.ends_with(b"\0worker\0"))
    };
    children.into_iter().find(is_worker)
}

#[cfg(target_os = "linux")]
#[test]
fn a_process_that_ends_though_the_run_did_not_kill_it_is_told_from_those_that_it_did() {
    testkit::run_within(LIMIT, async {
        for ends in [false, true] {
            let folder = tempfile::tempdir().expect("a folder can be made");
            let mut command = Command::new(env!("CARGO_BIN_EXE_freshness"));
            command
                .args(["run", "--minutes", "0.3", "--faults", "process-killed", "--folder"])
                .arg(folder.path());
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
            let run = command.spawn().expect("it can be started");
            let pid = run.id().expect("nobody has waited for it");
            if ends {
                testkit::until("a process of it runs", async || worker_of(pid).is_some()).await;
                let worker = worker_of(pid).expect("one runs");
                let killed = std::process::Command::new("kill").args(["-KILL", &worker]).status();
                assert!(killed.expect("it can be started").success());
            }
            let Output { status, stderr, .. } = run.wait_with_output().await.expect("it can be waited for");
            let said = String::from_utf8_lossy(&stderr).into_owned();
            assert_eq!(status.success(), !ends, "{said}");
            assert_eq!(said.contains("has ended by itself"), ends, "{said}");
        }
    });
}

#[test]
fn what_cannot_be_run_is_said_with_what_can() {
    testkit::run_within(LIMIT, async {
        let ran = freshness("run --subject crm --without local-lease").await;
        assert!(!ran.passed && ran.said.contains("leave `--subject` away"), "{}", ran.said);
        let ran = freshness("run --subject crm --rows 900").await;
        assert!(!ran.passed && ran.said.contains("fewer `--rows`"), "{}", ran.said);
        let ran = freshness("run --faults drowned").await;
        assert!(!ran.passed);
        assert!(ran.said.contains("`drowned` is no fault") && ran.said.contains("half-open"), "{}", ran.said);
    });
}
