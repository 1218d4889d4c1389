//! What a form has sent, and what a form is filled with.

use super::shown::Shown;
use crate::checks::parse_cents;
use crate::error::{Error, FieldErrors};
use crate::http::request::{body_of, is_declared_as};
use crate::time::Day;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::IntoResponse;
use maud::Markup;

/// The fields of a form, by their names; one that is not there is empty.
#[derive(Debug, Clone, Default)]
pub(super) struct Form(Vec<(String, String)>);

impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self, Error> {
        if !is_declared_as(&request, "application/x-www-form-urlencoded") {
            return Err(Error::BadRequest(
                "the body is not that of a form: send it from the page".to_owned(),
            ));
        }
        let bytes = body_of(request, state).await?;
        if form_urlencoded::parse(&bytes).any(|(_, value)| value.contains('\0')) {
            return Err(Error::BadRequest("a field holds a character that is none: leave it out".to_owned()));
        }
        let fields = form_urlencoded::parse(&bytes);
        // Lines end as browsers send them, whatever they were typed on.
        Ok(Self(fields.map(|(name, value)| (name.into_owned(), value.replace("\r\n", "\n"))).collect()))
    }
}

impl Form {
    /// A form that is filled with this.
    pub(super) fn filled<const N: usize>(fields: [(&str, String); N]) -> Self {
        Self(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    /// A form that was sent as these fields.
    pub(super) fn of(fields: &[(String, String)]) -> Self {
        Self(fields.to_vec())
    }

    /// All its fields.
    pub(super) fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// What a field says, to show it again.
    pub(super) fn value(&self, name: &str) -> &str {
        self.0.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value)
    }

    /// Whether the form has this field at all.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(field, _)| field == name)
    }

    /// What a field says, unless that is nothing.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        Some(self.value(name).trim()).filter(|text| !text.is_empty())
    }

    /// The same, as text of its own.
    pub(super) fn owned(&self, name: &str) -> Option<String> {
        self.text(name).map(str::to_owned)
    }

    /// An id.
    pub(super) fn id<T: From<String>>(&self, name: &str) -> Option<T> {
        self.owned(name).map(T::from)
    }

    /// The version of the row that the form was filled with.
    pub(super) fn version(&self) -> Option<i64> {
        self.text("version")?.parse().ok()
    }

    /// A day.
    pub(super) fn day(&self, errors: &mut FieldErrors, name: &'static str) -> Option<Day> {
        let text = self.text(name)?;
        let day = Day::parse(text);
        if day.is_none() {
            errors.add(name, "is no day", "write it as 2026-01-31");
        }
        day
    }

    /// An amount of money, in cents.
    pub(super) fn cents(&self, errors: &mut FieldErrors, name: &'static str) -> Option<i64> {
        let text = self.text(name)?;
        let cents = parse_cents(&without_groups(text));
        if cents.is_none() {
            errors.add(name, "is no amount", "write it as 1250.50 or 1,250.50, up to ten billion");
        }
        cents
    }

    /// One of few words.
    pub(super) fn word<T>(
        &self,
        errors: &mut FieldErrors,
        name: &'static str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let word = parse(self.value(name));
        if word.is_none() {
            errors.add(name, "is none of the choices", "choose one");
        }
        word
    }
}

/// An amount without the commas between groups of three digits, as pages show it; one with commas elsewhere stays as it is.
fn without_groups(text: &str) -> String {
    let (whole, fraction) =
        text.split_once('.').map_or((text, None), |(whole, fraction)| (whole, Some(fraction)));
    let mut groups = whole.split(',');
    let first_is_short = groups.next().is_some_and(|first| (1..=3).contains(&first.len()));
    if first_is_short && groups.all(|group| group.len() == 3) {
        let whole = whole.replace(',', "");
        return fraction.map_or(whole.clone(), |fraction| format!("{whole}.{fraction}"));
    }
    text.to_owned()
}

/// What whoever was overtaken is told.
const OVERTAKEN: &str = "Somebody else has changed it since you opened it. What it is now stands below each field that differs: save again \
                         to put yours in its place.";

/// What a form that was refused is shown with again: the fields that break rules, or what else stands against it.
#[derive(Debug, Clone, Default)]
pub(super) struct Trouble {
    /// The fields.
    pub(super) fields: FieldErrors,
    /// Something else.
    pub(super) other: Option<String>,
    /// Whether somebody else has changed the row meanwhile.
    pub(super) is_overtaken: bool,
    /// How the refusal is answered, and when it may be tried again.
    refusal: Option<(StatusCode, Option<HeaderValue>)>,
}

impl Trouble {
    /// What is wrong with the request behind a refusal, if it is something that whoever filled the form can mend.
    ///
    /// # Errors
    /// Any other refusal.
    pub(super) fn of(error: Error) -> Result<Self, Error> {
        let is_overtaken = matches!(error, Error::OtherVersion { .. });
        let other = match &error {
            Error::Invalid(fields) => return Ok(fields.clone().into()),
            Error::OtherVersion { .. } => OVERTAKEN.to_owned(),
            Error::Conflict(_)
            | Error::PreconditionFailed
            | Error::NoMatch { .. }
            | Error::Forbidden(_)
            | Error::WrongCredentials
            | Error::TooOften { .. }
            | Error::Busy => error.to_string(),
            _ => return Err(error),
        };
        let refusal = error.into_response();
        let retry_after = refusal.headers().get(header::RETRY_AFTER).cloned();
        Ok(Self {
            other: Some(other),
            is_overtaken,
            refusal: Some((refusal.status(), retry_after)),
            ..Self::default()
        })
    }

    /// The same, in other words.
    pub(super) fn saying(mut self, words: String) -> Self {
        self.other = Some(words);
        self
    }

    /// A page with a form that was refused for it, or, if there is none, that is filled for the first time.
    pub(super) fn page(&self, page: Markup) -> Shown {
        let (status, retry_after) = match &self.refusal {
            Some((status, retry_after)) => (*status, retry_after.clone()),
            None if self.is_none() => (StatusCode::OK, None),
            None => (StatusCode::UNPROCESSABLE_ENTITY, None),
        };
        Shown::page(status, page).with(retry_after.map(|seconds| (header::RETRY_AFTER, seconds)))
    }

    /// Whether there is any.
    pub(super) fn is_none(&self) -> bool {
        self.fields.list().is_empty() && self.other.is_none()
    }
}

impl From<FieldErrors> for Trouble {
    fn from(fields: FieldErrors) -> Self {
        Self { fields, ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_as_they_are_shown_and_as_they_are_typed() {
        for (text, expected) in [
            ("1250", Some(125_000)),
            ("1,250.50", Some(125_050)),
            ("1,234,567", Some(123_456_700)),
            ("12,50", None),
            ("1,2345", None),
            (",500", None),
            ("1250,500.00", None),
        ] {
            let (form, mut errors) = (Form::filled([("value", text.to_owned())]), FieldErrors::default());
            assert_eq!(form.cents(&mut errors, "value"), expected, "{text}");
            assert_eq!(errors.list().is_empty(), expected.is_some(), "{text}");
        }
    }
}
