//! Raw SQL on a table with triggers.

use larder::{Invalidation, Space, Tag};
use larder_outbox::Triggers;
use sqlx::AssertSqlSafe;

use crate::fixture::{Base, KINDS, Kind, Node};

static DEAL: Space<str, i64> = Space::new("deal:{id}", "Read by whoever works on the deal.");
static PART: Space<(String, String), i64> = Space::new("c:{company}:d:{id}:x", "Its parts are read with it.");

/// Ids that a name has to escape, and some that it need not.
const IDS: [&str; 12] = [
    "a",
    "",
    "a:b",
    "%",
    "%3A",
    "*[x]?\\",
    "{p}",
    "ä:ö\u{1F600}",
    "!root",
    " \n\t\u{1}\u{7f}",
    "o'x\"y",
    "-_.@+=,~/Az09",
];

async fn with_triggers(kind: Kind, triggers: &Triggers) -> Base {
    let base = Base::new(kind).await;
    for _ in 0..2 {
        let statements = if kind == Kind::Sqlite { triggers.sqlite() } else { triggers.postgres() };
        let mut connection = base.pool.acquire().await.unwrap();
        for statement in statements {
            sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut *connection).await.unwrap();
        }
    }
    base
}

/// What was recorded, a row at a time.
async fn recorded(base: &Base) -> Vec<Invalidation> {
    let rows: Vec<String> = sqlx::query_scalar("SELECT removes FROM larder_outbox ORDER BY seq")
        .fetch_all(&base.pool)
        .await
        .unwrap();
    base.sql("DELETE FROM larder_outbox").await;
    let parsed = rows.iter().map(|row| row.parse::<Invalidation>().unwrap());
    parsed
        .map(|mut changed| {
            changed.dedup();
            changed
        })
        .collect()
}

fn sorted(mut changed: Invalidation) -> Invalidation {
    changed.dedup();
    changed
}

#[test]
fn a_trigger_names_what_the_library_names() {
    testkit::run(async {
        let triggers = Triggers::on("deals")
            .key(&DEAL, &["id"])
            .key(&PART, &["company", "id"])
            .tag("deals of", "company")
            .named_tag("o'any");
        for kind in KINDS {
            let base = with_triggers(kind, &triggers).await;
            for id in IDS {
                let insert = "INSERT INTO deals (id, company, stage) VALUES ($1, $2, 1)";
                sqlx::query(insert).bind(id).bind(format!("c{id}")).execute(&base.pool).await.unwrap();
                let company = format!("c{id}");
                let expected = Invalidation::new()
                    .key(DEAL.key(id))
                    .key(PART.key(&(company.clone(), id.to_owned())))
                    .tag(Tag::new("deals of", &company))
                    .tag(Tag::named("o'any"));
                assert_eq!(recorded(&base).await, [sorted(expected)], "{kind:?} {id:?}");
            }
        }
    });
}

#[test]
fn before_and_after_a_change_and_nothing_where_there_is_null() {
    testkit::run(async {
        let triggers = Triggers::on("deals").key(&DEAL, &["id"]).tag("of", "company");
        for kind in KINDS {
            let base = with_triggers(kind, &triggers).await;
            let of = |company: &str| Tag::new("of", company);
            let a = || Invalidation::new().key("deal:a");
            for (statement, expected) in [
                ("INSERT INTO deals VALUES ('a', NULL, 1)", a()),
                ("UPDATE deals SET company = 'x'", a().tag(of("x"))),
                ("UPDATE deals SET company = 'y'", a().tag(of("x")).tag(of("y"))),
                ("UPDATE deals SET id = 'b'", a().key("deal:b").tag(of("y"))),
                ("DELETE FROM deals", Invalidation::new().key("deal:b").tag(of("y"))),
            ] {
                base.sql(statement).await;
                assert_eq!(recorded(&base).await, [sorted(expected)], "{kind:?}: {statement}");
            }
            base.sql("DELETE FROM deals WHERE id = 'nobody'").await;
            assert!(recorded(&base).await.is_empty());
        }
    });
}

#[test]
fn raw_sql_of_a_stranger_is_heard_of_in_every_process() {
    testkit::run(async {
        for kind in KINDS {
            let base = with_triggers(kind, &Triggers::on("deals").key(&DEAL, &["id"])).await;
            let node = Node::new(&base, None).await;
            node.synced().await;
            base.sql("INSERT INTO deals (id, stage) VALUES ('a', 1)").await;
            for stage in 2..10 {
                node.synced().await;
                assert_eq!(node.read("a").await, stage - 1, "{kind:?}");
                sqlx::query(AssertSqlSafe(format!("UPDATE deals SET stage = {stage}")))
                    .execute(&base.pool)
                    .await
                    .unwrap();
            }
            base.sql("DELETE FROM larder_outbox").await;
        }
    });
}

#[test]
fn a_truncated_table_removes_everything() {
    testkit::run(async {
        let base = with_triggers(Kind::Postgres, &Triggers::on("deals").key(&DEAL, &["id"])).await;
        base.sql("TRUNCATE deals").await;
        assert_eq!(recorded(&base).await, [Invalidation::everything()]);
    });
}

#[test]
fn a_table_with_a_long_name_has_all_its_triggers() {
    testkit::run(async {
        let name = format!("deals_{}", "x".repeat(54));
        for kind in KINDS {
            let base = Base::new(kind).await;
            base.sql(&format!("CREATE TABLE {name} (id TEXT PRIMARY KEY)")).await;
            let triggers = Triggers::on(&name).key(&DEAL, &["id"]);
            let statements = if kind == Kind::Sqlite { triggers.sqlite() } else { triggers.postgres() };
            let mut connection = base.pool.acquire().await.unwrap();
            for statement in statements {
                sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut *connection).await.unwrap();
            }
            base.sql(&format!("INSERT INTO {name} VALUES ('a')")).await;
            base.sql(&format!("DELETE FROM {name}")).await;
            let a = || Invalidation::new().key("deal:a");
            assert_eq!(recorded(&base).await, [a(), a()], "{kind:?}");
        }
    });
}

#[test]
fn a_table_on_which_all_depends_removes_everything() {
    testkit::run(async {
        for kind in KINDS {
            let base = with_triggers(kind, &Triggers::on("deals").everything()).await;
            base.sql("INSERT INTO deals (id, stage) VALUES ('a', 1)").await;
            assert_eq!(recorded(&base).await, [Invalidation::everything()], "{kind:?}");
        }
    });
}
