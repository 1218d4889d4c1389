//! The parameters of a query: each read once, by its name; one that nobody reads is an error.

use crate::error::{Error, FieldErrors};
use crate::page::{DEFAULT_PER_PAGE, MAX_PAGE, MAX_PER_PAGE, Order, Paging};
use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;

/// Longest text of a parameter, in characters. Longer ones find nothing, and each would be a list to cache of its own.
pub const MAX_PARAM_CHARS: usize = 100;

/// The parameters of one request.
#[derive(Debug)]
pub struct Params {
    given: Vec<(String, String)>,
    known: Vec<&'static str>,
    errors: FieldErrors,
}

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Error> {
        let Query(given) = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri)
            .map_err(|rejection| Error::BadRequest(rejection.body_text()))?;
        Ok(Self { given, known: Vec::new(), errors: FieldErrors::default() })
    }
}

impl Params {
    /// All that nobody has read yet, by name.
    #[must_use]
    pub fn given(&self) -> &[(String, String)] {
        &self.given
    }

    /// The text of a parameter; an empty one counts as absent.
    pub fn text(&mut self, name: &'static str) -> Option<String> {
        self.known.push(name);
        let mut values = self.given.extract_if(.., |(given, _)| given == name).map(|(_, value)| value);
        let (first, second) = (values.next(), values.next());
        drop(values);
        if second.is_some() {
            self.errors.add(name, "is given more than once", "give it once");
        }
        let text = first.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())?;
        if text.chars().count() > MAX_PARAM_CHARS {
            self.errors.add(name, "is too long", format!("give at most {MAX_PARAM_CHARS} characters"));
        }
        // A zero byte would end the pattern of a search, and `q=%00` would find everything.
        if text.contains(char::is_control) {
            self.errors.add(name, "contains control characters", "give plain text");
        }
        Some(text)
    }

    /// An id.
    pub fn id<T: From<String>>(&mut self, name: &'static str) -> Option<T> {
        self.text(name).map(T::from)
    }

    /// Words to search for, in lower case: the case makes no difference to what is found.
    pub fn search(&mut self) -> Option<String> {
        self.text("q").map(|text| text.to_lowercase())
    }

    /// One of few words.
    pub fn word<T>(
        &mut self,
        name: &'static str,
        parse: impl Fn(&str) -> Option<T>,
        words: &[&str],
    ) -> Option<T> {
        let text = self.text(name)?;
        let parsed = parse(&text);
        if parsed.is_none() {
            self.errors.add(name, "is none of the choices", format!("give one of: {}", words.join(", ")));
        }
        parsed
    }

    /// Refuses parameters that others of the same kind take.
    pub fn refuse(&mut self, names: &[&'static str]) {
        for name in names {
            if self.given.iter().any(|(given, _)| given == name) {
                self.errors.add(name, "is not for a file, which has all", "leave it out");
            }
        }
    }

    /// Which page.
    pub fn paging(&mut self) -> Paging {
        Paging {
            page: self.number("page", MAX_PAGE).unwrap_or(1),
            per_page: self.number("per_page", MAX_PER_PAGE).unwrap_or(DEFAULT_PER_PAGE),
        }
    }

    /// A number from 1 on.
    pub fn number(&mut self, name: &'static str, most: u32) -> Option<u32> {
        let text = self.text(name)?;
        let number = text.parse().ok().filter(|number| (1..=most).contains(number));
        if number.is_none() {
            self.errors.add(name, "is not a number in range", format!("give a number from 1 to {most}"));
        }
        number
    }

    /// In which order: a word, or `-` and a word for the reverse.
    pub fn order<S>(
        &mut self,
        parse: impl Fn(&str) -> Option<S>,
        words: &[&str],
        otherwise: Order<S>,
    ) -> Order<S> {
        let Some(text) = self.text("sort") else { return otherwise };
        let word = text.strip_prefix('-').unwrap_or(&text);
        let Some(by) = parse(word) else {
            let fix = format!("give one of: {}; with `-` before it for the reverse", words.join(", "));
            self.errors.add("sort", "is none of the choices", fix);
            return otherwise;
        };
        Order { by, descending: text.starts_with('-') }
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// [`Error::Invalid`] with every parameter that is wrong, or [`Error::BadRequest`] for one that nobody has read.
    pub fn finish(self) -> Result<(), Error> {
        if let Some((unknown, _)) = self.given.first() {
            let known = if self.known.is_empty() {
                "this path takes none".to_owned()
            } else {
                format!("this path takes {}", self.known.join(", "))
            };
            let shown: String = unknown.chars().take(MAX_PARAM_CHARS).collect();
            return Err(Error::BadRequest(format!("there is no query parameter `{shown}`: {known}")));
        }
        Ok(self.errors.or(())?)
    }
}

/// Refuses any parameter, for paths that take none: a misspelt filter that is ignored looks like a wrong answer.
#[derive(Debug, Clone, Copy)]
pub struct NoParams;

impl<S: Send + Sync> FromRequestParts<S> for NoParams {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        Params::from_request_parts(parts, state).await?.finish()?;
        Ok(Self)
    }
}
