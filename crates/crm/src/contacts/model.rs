//! What a contact is, and what it may become.

use crate::caller::{CompanyId, UserId};
use crate::checks;
use crate::error::FieldErrors;
use crate::page::{Order, Paging};
use crate::time::Moment;
use crate::words::{id, search_text, word_enum};
use serde::{Deserialize, Serialize};

id! {
    /// Names one contact.
    ContactId
}

word_enum! {
    /// Who can be a contact.
    ContactKind {
        /// Somebody, perhaps of an organisation.
        Person = "person",
        /// A firm, an authority, a club.
        Organisation = "organisation",
    }
}

/// One contact of one company.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct Contact {
    /// Its id.
    pub id: ContactId,
    /// The company it belongs to, for good.
    pub company_id: CompanyId,
    /// The natural key of an imported contact.
    pub external_id: Option<String>,
    /// A person or an organisation.
    pub kind: ContactKind,
    /// Its name.
    pub name: String,
    /// Where a person works; for an organisation, the one it is part of.
    pub organisation: Option<String>,
    /// What a person does there.
    pub title: Option<String>,
    /// Its address.
    pub email: Option<String>,
    /// Its number, as it was given.
    pub phone: Option<String>,
    /// ISO 3166-1 code.
    pub country: Option<String>,
    /// Who looks after it.
    pub owner_id: Option<UserId>,
    /// When it was added.
    #[sqlx(rename = "created_at_ms")]
    pub created_at: Moment,
    /// When it was last changed.
    #[sqlx(rename = "updated_at_ms")]
    pub updated_at: Moment,
    /// Raised by each change.
    pub version: i64,
}

/// A contact to be added.
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"kind": "person", "name": "Grace Hopper", "organisation": "Harbour Lines", "email": "grace@example.com", "country": "US"}))]
pub struct NewContact {
    /// The natural key of an imported contact.
    #[serde(skip)]
    pub external_id: Option<String>,
    /// A person or an organisation.
    pub kind: ContactKind,
    /// Its name.
    #[schema(schema_with = crate::checks::schema::required_text)]
    pub name: String,
    /// See [`Contact::organisation`].
    #[schema(schema_with = crate::checks::schema::optional_text)]
    pub organisation: Option<String>,
    /// See [`Contact::title`].
    #[schema(schema_with = crate::checks::schema::optional_text)]
    pub title: Option<String>,
    /// Its address.
    #[schema(schema_with = crate::checks::schema::email)]
    pub email: Option<String>,
    /// Its number.
    #[schema(schema_with = crate::checks::schema::optional_text)]
    pub phone: Option<String>,
    /// ISO 3166-1 code.
    #[schema(schema_with = crate::checks::schema::country)]
    pub country: Option<String>,
    /// Who is to look after it: an active user of the company.
    pub owner_id: Option<UserId>,
}

/// The fields of a contact that a request changes; absent ones stay as they are, `null` empties.
#[derive(Debug, Clone, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"phone": "+49 30 555 0100", "title": null}))]
pub struct ContactEdit {
    /// The version that the caller saw: another one means that somebody else was faster.
    pub version: Option<i64>,
    /// A person or an organisation.
    pub kind: Option<ContactKind>,
    /// A new name.
    #[schema(schema_with = crate::checks::schema::required_text)]
    pub name: Option<String>,
    /// A new organisation.
    #[serde(default, deserialize_with = "crate::edit::given")]
    #[schema(schema_with = crate::checks::schema::optional_text)]
    pub organisation: Option<Option<String>>,
    /// A new title.
    #[serde(default, deserialize_with = "crate::edit::given")]
    #[schema(schema_with = crate::checks::schema::optional_text)]
    pub title: Option<Option<String>>,
    /// A new address.
    #[serde(default, deserialize_with = "crate::edit::given")]
    #[schema(schema_with = crate::checks::schema::email)]
    pub email: Option<Option<String>>,
    /// A new number.
    #[serde(default, deserialize_with = "crate::edit::given")]
    #[schema(schema_with = crate::checks::schema::optional_text)]
    pub phone: Option<Option<String>>,
    /// A new country.
    #[serde(default, deserialize_with = "crate::edit::given")]
    #[schema(schema_with = crate::checks::schema::country)]
    pub country: Option<Option<String>>,
    /// Another owner.
    #[serde(default, deserialize_with = "crate::edit::given")]
    pub owner_id: Option<Option<UserId>>,
}

impl Contact {
    /// A contact as it is added.
    ///
    /// # Errors
    /// The fields that break a rule.
    pub fn new(company: &CompanyId, new: &NewContact) -> Result<Self, FieldErrors> {
        let mut errors = FieldErrors::default();
        let now = Moment::now();
        let contact = Self {
            id: ContactId::new(),
            company_id: company.clone(),
            external_id: new.external_id.clone(),
            kind: new.kind,
            name: checks::required_text(&mut errors, "name", &new.name),
            organisation: checks::optional_text(&mut errors, "organisation", new.organisation.as_deref()),
            title: checks::optional_text(&mut errors, "title", new.title.as_deref()),
            email: checks::email(&mut errors, new.email.as_deref()),
            phone: checks::optional_text(&mut errors, "phone", new.phone.as_deref()),
            country: checks::country(&mut errors, new.country.as_deref()),
            owner_id: new.owner_id.clone(),
            created_at: now,
            updated_at: now,
            version: 1,
        };
        errors.or(contact)
    }

    /// The contact after an edit; its version is raised by the store.
    ///
    /// # Errors
    /// The fields that break a rule.
    pub fn edited(mut self, edit: &ContactEdit) -> Result<Self, FieldErrors> {
        let mut errors = FieldErrors::default();
        self.kind = edit.kind.unwrap_or(self.kind);
        if let Some(name) = &edit.name {
            self.name = checks::required_text(&mut errors, "name", name);
        }
        if let Some(organisation) = &edit.organisation {
            self.organisation = checks::optional_text(&mut errors, "organisation", organisation.as_deref());
        }
        if let Some(title) = &edit.title {
            self.title = checks::optional_text(&mut errors, "title", title.as_deref());
        }
        if let Some(email) = &edit.email {
            self.email = checks::email(&mut errors, email.as_deref());
        }
        if let Some(phone) = &edit.phone {
            self.phone = checks::optional_text(&mut errors, "phone", phone.as_deref());
        }
        if let Some(country) = &edit.country {
            self.country = checks::country(&mut errors, country.as_deref());
        }
        if let Some(owner) = &edit.owner_id {
            self.owner_id.clone_from(owner);
        }
        errors.or(self)
    }

    /// What a search looks through.
    #[must_use]
    pub fn search_text(&self) -> String {
        search_text(&[Some(&self.name), self.organisation.as_deref(), self.email.as_deref()])
    }
}

word_enum! {
    /// What a list of contacts can be ordered by.
    ContactSort {
        /// The name.
        Name = "name",
        /// When it was added.
        Created = "created",
    }
}

/// Which contacts of a company, in which order.
#[derive(Debug, Clone)]
pub struct ContactQuery {
    /// Which page.
    pub paging: Paging,
    /// In which order.
    pub order: Order<ContactSort>,
    /// Only people, or only organisations.
    pub kind: Option<ContactKind>,
    /// Only those of this country.
    pub country: Option<String>,
    /// Only those of this owner.
    pub owner: Option<UserId>,
    /// Words to be found in the name, organisation or address.
    pub search: Option<String>,
}
