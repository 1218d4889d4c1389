//! When the cache cannot do what it is asked: the caller goes on, and the failure is counted and told.

use std::fmt;
use std::sync::{Arc, Mutex};

use larder::{Blob, ErrorKind, Lookup, Policy, Refusal};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tracing::field::{Field, Visit};
use tracing::instrument::WithSubscriber;
use tracing::span;

use super::fixture::{self, assert_entries, cache};
use crate::loader::{Runs, brings};
use crate::observed::followers;

/// A value that cannot be written.
#[derive(Clone, Debug, PartialEq)]
struct Unwritable;

impl Serialize for Unwritable {
    fn serialize<S: Serializer>(&self, _serializer: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("sealed"))
    }
}

impl<'de> Deserialize<'de> for Unwritable {
    fn deserialize<D: Deserializer<'de>>(_deserializer: D) -> Result<Self, D::Error> {
        Ok(Unwritable)
    }
}

/// One log line: its level, its message and its fields.
#[derive(Clone, Debug, Default)]
struct Line {
    level: String,
    message: String,
    fields: Vec<(String, String)>,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            name => self.fields.push((name.to_owned(), format!("{value:?}"))),
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.push((field.name().to_owned(), value.to_owned()));
    }
}

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<Line>>>);

impl Log {
    fn lines(&self) -> Vec<Line> {
        self.0.lock().unwrap().clone()
    }

    fn messages(&self) -> Vec<String> {
        self.lines().into_iter().map(|line| line.message).collect()
    }
}

impl tracing::Subscriber for Log {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target().starts_with("larder")
    }

    fn new_span(&self, _span: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _span: &span::Id, _values: &span::Record<'_>) {}

    fn record_follows_from(&self, _span: &span::Id, _follows: &span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut line = Line { level: event.metadata().level().to_string(), ..Line::default() };
        event.record(&mut line);
        self.0.lock().unwrap().push(line);
    }

    fn enter(&self, _span: &span::Id) {}

    fn exit(&self, _span: &span::Id) {}
}

#[test]
fn a_value_of_another_type_is_a_counted_miss_until_it_is_loaded_anew() {
    testkit::run(async {
        let cache = cache().await;
        cache.set("user:1", "not a number".to_owned(), Policy::new()).await;
        assert_eq!(cache.get::<u64>("user:1").await, None);
        assert_eq!(cache.try_get::<u64>("user:1").await.unwrap_err().kind(), ErrorKind::Decode);
        let total = cache.stats().total;
        assert_eq!((total.hits, total.misses, total.errors), (0, 2, 2));
        assert!(
            cache.get::<String>("user:1").await.is_some(),
            "a reader of the right type has it all the same"
        );

        let runs = Runs::default();
        for _ in 0..2 {
            assert_eq!(cache.get_or_set("user:1", Policy::new(), || runs.of(7_u64)).await.as_deref(), Ok(&7));
        }
        assert_eq!(runs.count(), 1, "what was loaded has taken its place");
        assert_eq!(cache.get::<u64>("user:1").await.as_deref(), Some(&7));
        assert_eq!(cache.stats().total.errors, 3);
    });
}

#[test]
fn a_batch_and_a_permit_heal_a_value_of_another_type_and_count_it() {
    testkit::run(async {
        let cache = cache().await;
        for name in ["a:1", "a:2"] {
            cache.set(name, "not a number".to_owned(), Policy::new()).await;
        }
        let batch =
            cache.get_or_set_many(&[1], |_| "a:1", Policy::new(), |_| brings([(1, 7_u64)])).await.unwrap();
        assert_eq!(batch[0].as_deref(), Some(&7));
        assert_eq!(cache.stats().total.errors, 1);
        let Lookup::Permit(permit) = cache.get_or_permit::<u64>("a:2", Policy::new()).await else {
            panic!("a text was taken for a number")
        };
        assert!(permit.fill(8).await.stored);
        assert_eq!(cache.stats().total.errors, 2);
        let healed = cache.get_many::<u64, _>(["a:1", "a:2"]).await;
        assert_eq!(
            healed.iter().map(|value| value.as_deref().copied()).collect::<Vec<_>>(),
            [Some(7), Some(8)]
        );
    });
}

#[test]
fn a_type_that_reads_the_encoding_of_another_is_no_trouble() {
    testkit::run(async {
        let cache = cache().await;
        cache.set("n", 7_u32, Policy::new()).await;
        assert_eq!(cache.get::<u64>("n").await.as_deref(), Some(&7));
        assert_eq!(cache.get::<Blob>("n").await.as_deref().map(|blob| &blob.0[..]), Some(&b"7"[..]));
        cache.set("b", Blob(b"[1,2]".to_vec().into()), Policy::new()).await;
        assert_eq!(cache.get::<Vec<u8>>("b").await.as_deref(), Some(&vec![1, 2]));
        assert_eq!(cache.stats().total.errors, 0);
    });
}

#[test]
fn a_value_that_cannot_be_written_is_returned_and_not_stored() {
    testkit::run(async {
        let cache = cache().await;
        assert_eq!(cache.set("x:1", Unwritable, Policy::new()).await.refusal, Some(Refusal::Failed));
        assert_eq!(
            cache.try_set("x:1", Unwritable, Policy::new()).await.unwrap_err().kind(),
            ErrorKind::Encode
        );
        let read = cache.read_through("x:1", Policy::new(), || brings(Unwritable)).await.unwrap();
        assert_eq!((&*read.value, read.stored), (&Unwritable, false));
        let batch =
            cache.get_or_set_many(&[1], |_| "x:1", Policy::new(), |_| brings([(1, Unwritable)])).await;
        assert_eq!(batch.unwrap()[0].as_deref(), Some(&Unwritable));
        let total = cache.stats().total;
        assert_eq!((total.errors, total.sets, total.superseded, total.too_large), (4, 0, 0, 0));
        assert_entries(&cache, 0).await;
    });
}

#[test]
fn an_error_of_writing_keeps_the_words_of_the_value_to_itself() {
    struct Talkative;

    impl serde::Serialize for Talkative {
        fn serialize<S: serde::Serializer>(&self, _serializer: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("my secret is 42"))
        }
    }

    impl<'de> serde::Deserialize<'de> for Talkative {
        fn deserialize<D: serde::Deserializer<'de>>(_deserializer: D) -> Result<Self, D::Error> {
            Ok(Talkative)
        }
    }

    testkit::run(async {
        let error = cache().await.try_set("x:1", Talkative, Policy::new()).await.unwrap_err();
        let told = format!("{error} {error:?} {:?}", std::error::Error::source(&error));
        assert!(!told.contains("42"), "{told}");
    });
}

#[test]
fn who_waits_for_a_value_that_cannot_be_written_shares_it_all_the_same() {
    testkit::run(async {
        let cache = cache().await;
        let Lookup::Permit(held) = cache.get_or_permit("x:1", Policy::new()).await else { panic!("a hit") };
        let runs = Runs::default();
        let asker = || cache.read_through("x:1", Policy::new(), || runs.of(Unwritable));
        let fills = async {
            followers(&cache, 2).await;
            held.fill(Unwritable).await
        };
        let (one, two, _filled) = tokio::join!(asker(), asker(), fills);
        for read in [one.unwrap(), two.unwrap()] {
            assert_eq!((read.source, read.stored), (larder::Source::Joined, false));
        }
        assert_eq!(runs.count(), 0, "they would load one after the other");
    });
}

#[test]
fn a_permit_says_that_its_value_could_not_be_written() {
    testkit::run(async {
        let cache = cache().await;
        let Lookup::Permit(permit) = cache.get_or_permit("x:1", Policy::new()).await else { panic!("a hit") };
        let (read, stored) = permit.try_fill(Unwritable).await;
        assert_eq!((&*read.value, read.stored), (&Unwritable, false));
        assert_eq!(stored.refusal, Some(Refusal::Failed), "nothing has superseded it");
        assert_eq!((cache.stats().total.errors, cache.stats().total.superseded), (1, 0));
    });
}

#[test]
fn a_value_that_is_too_large_is_returned_counted_and_empties_nothing() {
    testkit::run(async {
        let cache = fixture::build(fixture::builder().max_value_bytes(64 << 10)).await;
        for i in 0..20 {
            cache.set(format!("small:{i}"), i, Policy::new()).await;
        }
        let large = || "x".repeat(100_000);
        assert_eq!(cache.set("large:1", large(), Policy::new()).await.refusal, Some(Refusal::TooLarge));
        let read = cache.read_through("large:2", Policy::new(), || brings(large())).await.unwrap();
        assert_eq!((read.value.len(), read.stored), (100_000, false));
        let batch =
            cache.get_or_set_many(&[3], |_| "large:3", Policy::new(), |_| brings([(3, large())])).await;
        assert_eq!(batch.unwrap()[0].as_deref().map(String::len), Some(100_000));
        let Lookup::Permit(permit) = cache.get_or_permit("large:4", Policy::new()).await else {
            panic!("a hit")
        };
        assert_eq!(permit.try_fill(large()).await.1.refusal, Some(Refusal::TooLarge));

        let stats = cache.stats();
        assert_eq!((stats.total.too_large, stats.total.sets, stats.total.errors), (4, 20, 0));
        assert_entries(&cache, 20).await;
        for i in 0..20 {
            assert_eq!(cache.get::<i32>(format!("small:{i}")).await.as_deref(), Some(&i));
        }
    });
}

#[test]
fn a_set_that_is_too_large_leaves_no_older_value_behind() {
    testkit::run(async {
        let cache = fixture::build(fixture::builder().max_value_bytes(1_000)).await;
        cache.set("a", "old".to_owned(), Policy::new()).await;
        assert_eq!(cache.set("a", "x".repeat(2_000), Policy::new()).await.refusal, Some(Refusal::TooLarge));
        assert_eq!(cache.get::<String>("a").await, None);
    });
}

#[test]
fn failures_are_logged_in_the_words_of_the_specification() {
    testkit::run(async {
        let log = Log::default();
        let cache = cache().await;
        let body = async {
            cache.set("deals:abc123", "top secret".to_owned(), Policy::new()).await;
            cache.get::<u64>("deals:abc123").await;
            cache.set("deals:x", Unwritable, Policy::new()).await;
            cache.get_or_set("deals:y", larder::Ttl::millis(0), || brings(1)).await.unwrap();
            cache.delete_pattern("d".repeat(5_000)).await;
        };
        body.with_subscriber(log.clone()).await;
        let lines = log.lines();
        let begins = [
            "[CacheService] Cache get error for key deals:abc123: ",
            "[CacheService] Cache set error for key deals:x: ",
            "[CacheService] Cache get_or_set error for key deals:y: ",
            "[CacheService] Cache delete error for key ddddd",
        ];
        assert_eq!(lines.len(), begins.len(), "{lines:?}");
        for (line, begin) in lines.iter().zip(begins) {
            assert!(line.message.starts_with(begin), "{line:?}");
            assert_eq!(line.level, "ERROR");
        }
        let fields = &lines[0].fields;
        assert!(fields.contains(&("key".to_owned(), "deals:abc123".to_owned())), "{fields:?}");
        assert!(fields.contains(&("kind".to_owned(), "Decode".to_owned())), "{fields:?}");
        assert!(!format!("{lines:?}").contains("secret"), "{lines:?}");
        assert_eq!(cache.stats().total.errors, 4);
    });
}

#[test]
fn every_door_that_swallows_a_failure_logs_it_once() {
    testkit::run(async {
        let log = Log::default();
        let cache = cache().await;
        cache.set("a:1", "top secret".to_owned(), Policy::new()).await;
        let zero = larder::Ttl::millis(0);
        let body = async {
            cache.lookup::<u64>("a:1").await;
            cache.get_many::<u64, _>(["a:1"]).await;
            drop(cache.get_or_permit::<u64>("a:1", Policy::new()).await);
            cache.set("a:1", "top secret".to_owned(), Policy::new()).await;
            drop(cache.get_or_permit::<u64>("a:2", zero).await);
            cache.get_or_set_many(&[1], |_| "a:1", Policy::new(), |_| brings([(2, 7_u64)])).await.unwrap();
            cache.get_or_set_many(&[1], |_| "a:2", zero, |_| brings([(1, 7_u64)])).await.unwrap();
            cache.set_many([("a:3", Unwritable)], Policy::new()).await;
        };
        body.with_subscriber(log.clone()).await;
        assert_eq!(log.lines().len(), 7, "{:?}", log.messages());
        assert_eq!(cache.stats().total.errors, 7);
        assert!(!format!("{:?}", log.lines()).contains("secret"));
    });
}

#[test]
fn the_try_forms_hand_the_failure_out_and_log_nothing() {
    testkit::run(async {
        let log = Log::default();
        let cache = cache().await;
        cache.set("a:1", "top secret".to_owned(), Policy::new()).await;
        let body = async {
            let decode = cache.try_get::<u64>("a:1").await.unwrap_err();
            assert!(!format!("{decode} {decode:?}").contains("secret"));
            assert!(std::error::Error::source(&decode).is_none(), "serde's own words may quote the value");
            cache.try_set("a:2", Unwritable, Policy::new()).await.unwrap_err();
            cache.try_delete_pattern("d".repeat(5_000)).await.unwrap_err();
        };
        body.with_subscriber(log.clone()).await;
        assert_eq!(log.messages(), Vec::<String>::new());
    });
}

#[test]
fn a_loaders_error_reaches_the_caller_as_it_is_and_nothing_is_stored() {
    testkit::run(async {
        #[derive(Clone, Debug, PartialEq)]
        enum DbError {
            NotFound(u32),
        }
        let cache = cache().await;
        for n in 0..2 {
            let failed = cache
                .get_or_set("deal:1", Policy::new(), || async move { Err::<u32, _>(DbError::NotFound(n)) });
            assert_eq!(failed.await, Err(DbError::NotFound(n)), "each asks anew");
        }
        let total = cache.stats().total;
        assert_eq!(
            (total.errors, total.misses, total.loads, total.sets),
            (0, 2, 2, 0),
            "it is no error of the cache"
        );
        assert_eq!(cache.get_or_set("deal:1", Policy::new(), || brings(1)).await.as_deref(), Ok(&1));
        let failed =
            cache.get_or_set("deal:1", Policy::new(), || async { Err::<u32, _>(DbError::NotFound(9)) });
        assert_eq!(failed.await.as_deref(), Ok(&1), "a hit asks no loader");
    });
}
