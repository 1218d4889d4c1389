//! The example, asked as its users would.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

#[path = "../examples/notes.rs"]
#[expect(dead_code, reason = "of the example only its router is asked")]
mod notes;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use larder::CacheService;
use tower::ServiceExt;

/// What came back.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

async fn ask(app: &Router, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = app.clone().oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    Answer { status, headers, text: String::from_utf8(bytes.to_vec()).unwrap() }
}

fn app() -> Router {
    let cache = CacheService::builder().space(&notes::VISITOR).space(&notes::NOTE).build().unwrap();
    notes::application(cache)
}

async fn sign_in(app: &Router, user: &str) -> String {
    let answer = ask(app, Method::POST, &format!("/sign-in/{user}"), &[], "").await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    answer.header("set-cookie").split(';').next().unwrap().to_owned()
}

#[test]
fn who_has_signed_in_reads_what_it_wrote_from_the_cache() {
    testkit::run(async {
        let app = app();
        let nobody = ask(&app, Method::GET, "/note", &[], "").await;
        assert_eq!((nobody.status, nobody.header("www-authenticate")), (StatusCode::UNAUTHORIZED, "Bearer"));
        let (ann, bob) = (sign_in(&app, "ann").await, sign_in(&app, "bob").await);
        for (cookie, note) in [(&ann, "hers"), (&bob, "his")] {
            let headers = [("cookie", cookie.as_str())];
            let empty = ask(&app, Method::GET, "/note", &headers, "").await;
            assert_eq!((empty.text.as_str(), empty.header("x-cache")), ("null", "miss"));
            assert_eq!(ask(&app, Method::PUT, "/note", &headers, note).await.status, StatusCode::NO_CONTENT);
            for source in ["miss", "hit-local"] {
                let read = ask(&app, Method::GET, "/note", &headers, "").await;
                assert_eq!(read.text, format!("\"{note}\""));
                assert_eq!((read.header("x-cache"), read.header("age")), (source, "0"));
                let known = [headers[0], ("if-none-match", read.header("etag"))];
                let again = ask(&app, Method::GET, "/note", &known, "").await;
                assert_eq!((again.status, again.text.as_str()), (StatusCode::NOT_MODIFIED, ""));
                assert_eq!(again.header("etag"), read.header("etag"));
            }
        }
        let token = ann.split_once('=').unwrap().1;
        let program = [("authorization", &*format!("Bearer {token}")), ("cookie", &bob)];
        assert_eq!(ask(&app, Method::GET, "/note", &program, "").await.text, "\"hers\"");
        let made_up = [("cookie", &*format!("notes={}", "0".repeat(64)))];
        assert_eq!(ask(&app, Method::GET, "/note", &made_up, "").await.status, StatusCode::UNAUTHORIZED);
    });
}

#[test]
fn too_much_and_what_another_site_sends_is_refused() {
    testkit::run(async {
        let app = app();
        let (ann, bob) = (sign_in(&app, "ann").await, sign_in(&app, "bob").await);
        let foreign = [("cookie", ann.as_str()), ("sec-fetch-site", "cross-site")];
        assert_eq!(ask(&app, Method::PUT, "/note", &foreign, "evil").await.status, StatusCode::FORBIDDEN);
        assert_eq!(ask(&app, Method::GET, "/note", &foreign, "").await.text, "null");
        let headers = [("cookie", ann.as_str())];
        let mut asked = 0;
        let refused = loop {
            let answer = ask(&app, Method::GET, "/note", &headers, "").await;
            assert_eq!(answer.header("ratelimit-policy"), "\"requests\";q=600;w=60");
            if answer.status == StatusCode::TOO_MANY_REQUESTS {
                break answer;
            }
            asked += 1;
            assert!(asked < 1_000, "there is no limit");
        };
        assert!(asked >= 99, "{asked}");
        assert!(
            refused.header("ratelimit").starts_with("\"requests\";r=0;t="),
            "{}",
            refused.header("ratelimit")
        );
        assert_eq!(refused.header("retry-after"), "1");
        let another = ask(&app, Method::GET, "/note", &[("cookie", &bob)], "").await;
        assert_eq!(another.status, StatusCode::OK);
    });
}
