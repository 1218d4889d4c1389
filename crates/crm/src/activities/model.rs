//! What an activity is, and what it may become.

use crate::caller::{Caller, CompanyId, UserId};
use crate::checks;
use crate::contacts::ContactId;
use crate::deals::DealId;
use crate::error::FieldErrors;
use crate::page::Paging;
use crate::time::{Day, Moment};
use crate::words::{id, word_enum};
use serde::{Deserialize, Serialize};

/// Longest text, in characters: the minutes of a meeting, and no book.
pub(super) const MAX_TEXT_CHARS: usize = 4_000;

id! {
    /// Names one activity.
    ActivityId
}

word_enum! {
    /// What it was, or is to be.
    ActivityKind {
        /// Something to remember.
        Note = "note",
        /// A call.
        Call = "call",
        /// A letter.
        Email = "email",
        /// People who met.
        Meeting = "meeting",
        /// Something to be done.
        Task = "task",
    }
}

/// What an activity is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A deal.
    Deal(DealId),
    /// A contact.
    Contact(ContactId),
}

impl Subject {
    /// The id of either.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Deal(id) => id.as_str(),
            Self::Contact(id) => id.as_str(),
        }
    }
}

/// One activity of one company.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct Activity {
    /// Its id.
    pub id: ActivityId,
    /// The company it belongs to, for good.
    pub company_id: CompanyId,
    /// The deal that it is about, or else a contact.
    pub deal_id: Option<DealId>,
    /// The contact that it is about, or else a deal.
    pub contact_id: Option<ContactId>,
    /// What it was, or is to be.
    pub kind: ActivityKind,
    /// What is to be known of it.
    pub text: String,
    /// Who wrote it; nothing when that user is gone.
    pub author_id: Option<UserId>,
    /// The name that its author had.
    pub author_name: String,
    /// Until when a task is to be done.
    pub due_on: Option<Day>,
    /// Whether a task is done.
    #[sqlx(try_from = "i64")]
    pub done: Done,
    /// When it was added.
    #[sqlx(rename = "created_at_ms")]
    pub created_at: Moment,
    /// When it was last changed.
    #[sqlx(rename = "updated_at_ms")]
    pub updated_at: Moment,
    /// Raised by each change.
    pub version: i64,
}

/// Whether a task is done. 0 or 1 in the database, because SQLite has no boolean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(transparent)]
pub struct Done(pub bool);

impl From<i64> for Done {
    fn from(number: i64) -> Self {
        Self(number != 0)
    }
}

/// An activity to be added.
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"kind": "task", "text": "Send the offer", "due_on": "2027-01-15"}))]
pub struct NewActivity {
    /// What it was, or is to be.
    #[serde(default = "note")]
    pub kind: ActivityKind,
    /// What is to be known of it; it may have several lines.
    #[schema(schema_with = long_text)]
    pub text: String,
    /// Until when a task is to be done; only a task is due.
    pub due_on: Option<Day>,
}

const fn note() -> ActivityKind {
    ActivityKind::Note
}

/// The fields of an activity that a request changes; absent ones stay as they are, `null` empties.
#[derive(Debug, Clone, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"text": "Sent the offer by post"}))]
pub struct ActivityEdit {
    /// The version that the caller saw: another one means that somebody else was faster.
    pub version: Option<i64>,
    /// A new text.
    #[schema(schema_with = long_text)]
    pub text: Option<String>,
    /// Another day until when a task is to be done.
    #[serde(default, deserialize_with = "crate::edit::given")]
    pub due_on: Option<Option<Day>>,
    /// Whether a task is done.
    pub done: Option<bool>,
}

fn long_text() -> utoipa::openapi::schema::Schema {
    checks::schema::long_text(MAX_TEXT_CHARS)
}

impl Activity {
    /// An activity as it is added.
    ///
    /// # Errors
    /// The fields that break a rule.
    pub fn new(caller: &Caller, subject: &Subject, new: &NewActivity) -> Result<Self, FieldErrors> {
        let mut errors = FieldErrors::default();
        let now = Moment::now();
        let (deal_id, contact_id) = match subject {
            Subject::Deal(deal) => (Some(deal.clone()), None),
            Subject::Contact(contact) => (None, Some(contact.clone())),
        };
        let activity = Self {
            id: ActivityId::new(),
            company_id: caller.company.clone(),
            deal_id,
            contact_id,
            kind: new.kind,
            text: checks::long_text(&mut errors, "text", &new.text, MAX_TEXT_CHARS),
            author_id: Some(caller.user.clone()),
            author_name: caller.name.clone(),
            due_on: new.due_on,
            done: Done(false),
            created_at: now,
            updated_at: now,
            version: 1,
        };
        activity.check(&mut errors);
        errors.or(activity)
    }

    /// The activity after an edit; its version is raised by the store.
    ///
    /// # Errors
    /// The fields that break a rule.
    pub fn edited(mut self, edit: &ActivityEdit) -> Result<Self, FieldErrors> {
        let mut errors = FieldErrors::default();
        if let Some(text) = &edit.text {
            self.text = checks::long_text(&mut errors, "text", text, MAX_TEXT_CHARS);
        }
        self.due_on = edit.due_on.unwrap_or(self.due_on);
        self.done = edit.done.map_or(self.done, Done);
        self.check(&mut errors);
        errors.or(self)
    }

    fn check(&self, errors: &mut FieldErrors) {
        if self.kind == ActivityKind::Task {
            return;
        }
        for (field, is_there) in [("due_on", self.due_on.is_some()), ("done", self.done.0)] {
            if is_there {
                errors.add(
                    field,
                    format!("is given, but this is a {}", self.kind),
                    "leave it out: only a task has it",
                );
            }
        }
    }

    /// What it is about.
    #[must_use]
    pub fn subject(&self) -> Option<Subject> {
        let deal = self.deal_id.clone().map(Subject::Deal);
        deal.or_else(|| self.contact_id.clone().map(Subject::Contact))
    }
}

/// Which activities of a deal or contact, the newest first.
#[derive(Debug, Clone)]
pub struct ActivityQuery {
    /// Which page.
    pub paging: Paging,
    /// Only those of this kind.
    pub kind: Option<ActivityKind>,
}
