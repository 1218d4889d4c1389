//! How the API describes itself: what all operations answer alike, and what lists take.

use super::answer::{Changed, Created, Gone, Made};
use super::problem::Problem;
use crate::error::Error;
use crate::page::{DEFAULT_PER_PAGE, MAX_PAGE, MAX_PER_PAGE};
use crate::words::{choice_schema, id_schema};
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use larder_axum::Served;
use std::collections::BTreeMap;
use std::marker::PhantomData;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Required, Response as Answer, ResponseBuilder};
use utoipa::{IntoResponses, ToSchema};

type Answers = BTreeMap<String, RefOr<Answer>>;

/// A cached read whose JSON is a `T`.
#[derive(Debug)]
pub struct Cached<T>(Served, PhantomData<T>);

impl<T> From<Served> for Cached<T> {
    fn from(served: Served) -> Self {
        Self(served, PhantomData)
    }
}

impl<T> IntoResponse for Cached<T> {
    fn into_response(self) -> Response {
        self.0.into_response()
    }
}

/// An answer about whoever asks, which nobody keeps, and whose JSON is a `T`.
#[derive(Debug)]
pub struct Private<T>(pub T);

impl<T: serde::Serialize> IntoResponse for Private<T> {
    fn into_response(self) -> Response {
        super::answer::private(self.0)
    }
}

/// An answer with cookies beside it.
#[derive(Debug)]
pub struct WithCookies<T>(pub Vec<(HeaderName, HeaderValue)>, pub T);

impl<T: IntoResponse> IntoResponse for WithCookies<T> {
    fn into_response(self) -> Response {
        let mut response = self.1.into_response();
        for (name, cookie) in self.0 {
            response.headers_mut().append(name, cookie);
        }
        response
    }
}

impl<T: IntoResponses> IntoResponses for WithCookies<T> {
    fn responses() -> Answers {
        T::responses()
    }
}

/// A line of text.
#[derive(Debug, Clone, Copy)]
pub struct Line(pub &'static str);

impl IntoResponse for Line {
    fn into_response(self) -> Response {
        self.0.into_response()
    }
}

impl IntoResponses for Line {
    fn responses() -> Answers {
        let text = ObjectBuilder::new().schema_type(Type::String).build();
        let content = ContentBuilder::new().schema(Some(Schema::Object(text))).build();
        let line =
            ResponseBuilder::new().description("It does.").content("text/plain; charset=utf-8", content);
        [("200".to_owned(), line.build().into())].into()
    }
}

/// JSON objects that are sent as they come about, one a line, each of them a `T`.
#[derive(Debug)]
pub struct Lines<T>(pub Body, pub PhantomData<T>);

const NDJSON: &str = "application/x-ndjson";

impl<T> IntoResponse for Lines<T> {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, NDJSON)], self.0).into_response()
    }
}

impl<T: ToSchema> IntoResponses for Lines<T> {
    fn responses() -> Answers {
        let content = ContentBuilder::new().schema(named::<T>()).build();
        let lines = ResponseBuilder::new().description("One of these a line.").content(NDJSON, content);
        [("200".to_owned(), lines.build().into())].into()
    }
}

fn described(name: &str, what: &str, kind: Type) -> (String, utoipa::openapi::Header) {
    let schema = ObjectBuilder::new().schema_type(kind).build();
    (name.to_owned(), HeaderBuilder::new().schema(Some(schema)).description(Some(what)).build())
}

fn answer(what: &str, schema: Option<RefOr<Schema>>, headers: &[(&str, &str, Type)]) -> RefOr<Answer> {
    let answer = ResponseBuilder::new().description(what);
    let answer = schema.into_iter().fold(answer, |answer, schema| {
        answer.content("application/json", ContentBuilder::new().schema(Some(schema)).build())
    });
    let headers = headers.iter().map(|(name, what, kind)| described(name, what, kind.clone()));
    headers.fold(answer, |answer, (name, header)| answer.header(name, header)).build().into()
}

const ETAG: (&str, &str, Type) =
    ("ETag", "Names this very answer, for `If-None-Match` and `If-Match`.", Type::String);
const X_CACHE: (&str, &str, Type) =
    ("X-Cache", "Where it came from: `hit-local`, `hit`, `stale`, `miss` or `bypass`.", Type::String);
const AGE: (&str, &str, Type) = ("Age", "How many seconds ago it was read from the database.", Type::Integer);
const ACKNOWLEDGED: (&str, &str, Type) = (
    "X-Acknowledged",
    "What is certain: `applied`, nothing older is answered any more; or `durable`, Redis could not be told, and is within a moment.",
    Type::String,
);
const LOCATION: (&str, &str, Type) = ("Location", "The path of what was added.", Type::String);

fn named<T: ToSchema>() -> Option<RefOr<Schema>> {
    Some(Ref::from_schema_name(T::name()).into())
}

impl<T: ToSchema> IntoResponses for Cached<T> {
    fn responses() -> Answers {
        let not_modified = answer("It is as `If-None-Match` says.", None, &[ETAG, X_CACHE, AGE]);
        let read = answer("As it is.", Some(T::schema()), &[ETAG, X_CACHE, AGE]);
        [("200".to_owned(), read), ("304".to_owned(), not_modified)].into()
    }
}

impl<T: ToSchema> IntoResponses for Private<T> {
    fn responses() -> Answers {
        [("200".to_owned(), answer("As it is.", Some(T::schema()), &[]))].into()
    }
}

impl<T: ToSchema> IntoResponses for Changed<T> {
    fn responses() -> Answers {
        [("200".to_owned(), answer("As it is now.", named::<T>(), &[ETAG, ACKNOWLEDGED]))].into()
    }
}

impl<T: ToSchema> IntoResponses for Created<T> {
    fn responses() -> Answers {
        let headers = [LOCATION, ETAG, ACKNOWLEDGED];
        [("201".to_owned(), answer("As it was added.", named::<T>(), &headers))].into()
    }
}

impl IntoResponses for Gone {
    fn responses() -> Answers {
        [("204".to_owned(), answer("It is done.", None, &[ACKNOWLEDGED]))].into()
    }
}

impl<T: ToSchema, const STATUS: u16> IntoResponses for Made<T, STATUS> {
    fn responses() -> Answers {
        let what = "What was made. It is shown this once.";
        [(STATUS.to_string(), answer(what, named::<T>(), &[ACKNOWLEDGED]))].into()
    }
}

/// Every refusal is a problem document (RFC 9457).
impl IntoResponses for Error {
    fn responses() -> Answers {
        let problem = |what: &str| -> RefOr<Answer> {
            let content = ContentBuilder::new().schema(named::<Problem>()).build();
            ResponseBuilder::new()
                .description(what)
                .content("application/problem+json", content)
                .build()
                .into()
        };
        [
            ("400", "The query, an id or the body cannot be read."),
            ("401", "Nobody has signed in."),
            ("403", "Whoever has signed in may not do this."),
            ("404", "There is no such thing, or it is another company's."),
            ("409", "The present state does not allow it, or `version` is not that of the row."),
            ("412", "The row is no longer the one of `If-Match`."),
            ("413", "The body is too long."),
            ("415", "The body is not declared as JSON."),
            ("422", "Fields break rules; `errors` says which, and what to send instead."),
            ("429", "Too often; `Retry-After` says when to come back."),
            ("503", "The database is busy or away; `Retry-After` says when to come back."),
        ]
        .into_iter()
        .map(|(status, what)| (status.to_owned(), problem(what)))
        .collect()
    }
}

/// What a list takes.
pub(crate) enum Takes {
    /// Which page, and how long it is.
    Paging,
    /// In which of these orders.
    Order(&'static [&'static str]),
    /// Words to search for.
    Search,
    /// Only what has this id.
    Id(&'static str),
    /// Only what is one of these.
    Choice(&'static str, &'static [&'static str]),
    /// Only what has this text.
    Text(&'static str),
    /// A number from 1 on: what it is, the most it may be, and what it is where it is left out.
    Number(&'static str, &'static str, u32, u32),
}

/// The parameters of a list.
pub(crate) fn parameters_of_list(taken: &[Takes]) -> Vec<Parameter> {
    let number = |most: u32, default: u32| {
        let number = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).maximum(Some(most));
        let number = number.format(Some(SchemaFormat::KnownFormat(KnownFormat::Int32)));
        Schema::Object(number.default(Some(default.into())).build())
    };
    let text = || {
        let text = ObjectBuilder::new().schema_type(Type::String);
        let text = text.max_length(Some(super::params::MAX_PARAM_CHARS));
        Schema::Object(text.pattern(Some(crate::words::PLAIN_TEXT)).build())
    };
    let parameters = taken.iter().flat_map(|takes| match takes {
        Takes::Paging => vec![
            ("page", "Which page, from 1.", number(MAX_PAGE, 1)),
            ("per_page", "Rows of a page.", number(MAX_PER_PAGE, DEFAULT_PER_PAGE)),
        ],
        Takes::Order(words) => {
            let orders = words.iter().flat_map(|word| [(*word).to_owned(), format!("-{word}")]);
            let orders: Vec<String> = orders.collect();
            let orders: Vec<&str> = orders.iter().map(String::as_str).collect();
            vec![("sort", "In which order; `-` reverses it.", choice_schema(&orders))]
        }
        Takes::Search => vec![("q", "Words to search for.", text())],
        Takes::Id(name) => vec![(*name, "Only those of this id.", id_schema())],
        Takes::Choice(name, words) => vec![(*name, "Only those of this kind.", choice_schema(words))],
        Takes::Text(name) => vec![(*name, "Only those of this.", text())],
        Takes::Number(name, what, most, default) => vec![(*name, *what, number(*most, *default))],
    });
    let parameters = parameters.map(|(name, what, schema)| {
        let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Query);
        parameter.required(Required::False).description(Some(what)).schema(Some(schema)).build()
    });
    parameters.collect()
}

/// Declares the parameters of a list, for the description of the API; who reads them is its route.
macro_rules! parameters {
    ($(#[$doc:meta])* $name:ident: $($takes:expr),*) => {
        $(#[$doc])*
        struct $name;

        impl utoipa::IntoParams for $name {
            fn into_params(
                _in: impl Fn() -> Option<utoipa::openapi::path::ParameterIn>,
            ) -> Vec<utoipa::openapi::path::Parameter> {
                crate::http::api::parameters_of_list(&[$($takes),*])
            }
        }
    };
}
pub(crate) use parameters;

/// What an `If-Match` header is for.
pub(crate) struct IfMatch;

impl utoipa::IntoParams for IfMatch {
    fn into_params(_in: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let text = Schema::Object(ObjectBuilder::new().schema_type(Type::String).build());
        let header = ParameterBuilder::new().name("If-Match").parameter_in(ParameterIn::Header);
        let what = "The `ETag` of the row as it was seen: another one means that somebody else was faster.";
        vec![header.required(Required::False).description(Some(what)).schema(Some(text)).build()]
    }
}
