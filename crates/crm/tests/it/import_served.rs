//! An import and the server: what was imported is served, also by one that ran meanwhile.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Stdio};

use serde_json::Value;

use crate::importing::{Desk, sample};
use crate::running::{Keys, client};
use crm::config::DatabaseUrl;
use crm::database::Database;
use tokio::sync::OnceCell;

/// A running `crm serve`; killed when dropped, so that no test leaves one behind.
struct Server {
    process: Child,
    /// What the highest users of the companies send.
    keys: OnceCell<Keys>,
    database: DatabaseUrl,
    /// Kept open: the server still writes to it when the first line has been read.
    _greeting: BufReader<ChildStdout>,
    address: String,
}

impl Server {
    fn start(desk: &Desk, cache: &str) -> Self {
        let mut command = desk.crm();
        command
            .args(["serve", "--no-demo", "--listen", "127.0.0.1:0", "--cache", cache])
            .stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut greeting = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        greeting.read_line(&mut line).unwrap();
        let address = line.split_whitespace().find(|word| word.starts_with("http://"));
        let address = address.expect("the server says where it serves").to_owned();
        let database = DatabaseUrl::parse(&desk.url()).unwrap();
        Self { process, keys: OnceCell::new(), database, _greeting: greeting, address }
    }

    async fn keys(&self) -> &Keys {
        let sign_in = async || Keys::of(&Database::open(&self.database).await.unwrap()).await;
        self.keys.get_or_init(sign_in).await
    }

    /// The body of an answer and what `X-Cache` says of it.
    async fn get(&self, path: &str) -> (Value, String) {
        let request = client().get(format!("{}{path}", self.address));
        let request = request.header("authorization", self.keys().await.for_path(path).unwrap());
        let response = request.send().await.unwrap();
        assert!(response.status().is_success(), "{path}: {}", response.status());
        let source = response.headers()["x-cache"].to_str().unwrap().to_owned();
        (response.json().await.unwrap(), source)
    }

    /// Count and value by stage, over all companies, in the order of [`STAGES`]; and where the second reading came from.
    async fn pipeline(&self) -> ([(i64, i64); 4], String) {
        let companies: Vec<_> = self.keys().await.companies().collect();
        assert_eq!(companies.len(), 3);
        let mut sums = [(0, 0); 4];
        let mut sources = Vec::new();
        for company in companies {
            let path = format!("/api/companies/{}/pipeline", company);
            let (first, _) = self.get(&path).await;
            let (second, source) = self.get(&path).await;
            assert_eq!(first, second);
            sources.push(source);
            for (sum, (stage, shown)) in
                sums.iter_mut().zip(STAGES.iter().zip(second["stages"].as_array().unwrap()))
            {
                assert_eq!(shown["stage"], *stage);
                sum.0 += shown["count"].as_i64().unwrap();
                sum.1 += shown["value_cents"].as_i64().unwrap();
            }
        }
        sources.dedup();
        (sums, sources.join(" "))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

const STAGES: [&str; 4] = ["prospecting", "engaging", "won", "lost"];

fn the_companies_add_up(directory: PathBuf, answers: [(i64, i64); 4]) {
    testkit::run(async move {
        let desk = Desk::new();
        desk.imported(&directory);
        for (cache, source) in [("on", "hit-local"), ("off", "bypass")] {
            let server = Server::start(&desk, cache);
            assert_eq!(server.pipeline().await, (answers, source.to_owned()), "cache {cache}");
        }
    });
}

#[test]
fn the_pipelines_of_the_sample_add_up_over_http_with_and_without_the_cache() {
    the_companies_add_up(sample(), [(5, 0), (12, 0), (27, 4_651_050), (16, 0)]);
}

#[test]
fn the_real_pipelines_add_up_over_http_with_and_without_the_cache() {
    let Some(real) = testkit::shared_data("data/crm_maven") else { return };
    the_companies_add_up(real, [(500, 0), (1_589, 0), (4_238, 1_000_553_400), (2_473, 0)]);
}

#[test]
fn what_is_imported_beside_a_server_is_shown_by_it() {
    testkit::run(async {
        let desk = Desk::new();
        let server = Server::start(&desk, "on");
        desk.add_user(&["ann@x.example", "--name=Ann", "--new-company=Lee"], "four words that nobody knows");
        let products = async || server.get("/api/products").await.0.as_array().unwrap().len();
        assert_eq!(products().await, 0);
        assert_eq!(products().await, 0, "now from the cache");
        assert_eq!(desk.imported(&sample())["outcome"], "imported");
        testkit::until("the import is shown", async || products().await > 0).await;
        assert_eq!(desk.imported(&sample())["outcome"], "unchanged");
    });
}
