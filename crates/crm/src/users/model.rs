//! What a user is, and what it may become.

use crate::caller::{CompanyId, Role, UserId};
use crate::checks;
use crate::error::FieldErrors;
use crate::page::{Order, Paging};
use crate::time::Moment;
use crate::words::{search_text, word_enum};
use serde::{Deserialize, Serialize};
use sqlx::any::{Any, AnyTypeInfo};
use sqlx::error::BoxDynError;
use sqlx::{Decode, Type};

/// Whether a user may sign in and be given deals. 0 or 1 in the database, because SQLite has no boolean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(transparent)]
pub struct Active(pub bool);

impl Active {
    /// As the database stores it.
    #[must_use]
    pub const fn as_number(self) -> i64 {
        self.0 as i64
    }
}

impl Type<Any> for Active {
    fn type_info() -> AnyTypeInfo {
        <i64 as Type<Any>>::type_info()
    }
}

impl<'r> Decode<'r, Any> for Active {
    fn decode(value: <Any as sqlx::Database>::ValueRef<'r>) -> Result<Self, BoxDynError> {
        Ok(Self(<i64 as Decode<'r, Any>>::decode(value)? != 0))
    }
}

/// One user of one company.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct User {
    /// Its id.
    pub id: UserId,
    /// The company it belongs to, for good.
    pub company_id: CompanyId,
    /// The natural key of an imported user.
    pub external_id: Option<String>,
    /// Its address, unique among all users; an imported user has none until one is given.
    pub email: Option<String>,
    /// Its name.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Whether it may sign in and be given deals.
    pub active: Active,
    /// When it was added.
    #[sqlx(rename = "created_at_ms")]
    pub created_at: Moment,
    /// When it was last changed.
    #[sqlx(rename = "updated_at_ms")]
    pub updated_at: Moment,
    /// Raised by each change.
    pub version: i64,
}

/// A user to be added.
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Ada Lovelace", "email": "ada@example.com", "role": "rep"}))]
pub struct NewUser {
    /// The natural key of an imported user.
    #[serde(skip)]
    pub external_id: Option<String>,
    /// Its address.
    #[schema(schema_with = crate::checks::schema::email)]
    pub email: Option<String>,
    /// Its name.
    #[schema(schema_with = crate::checks::schema::required_text)]
    pub name: String,
    /// What it may do.
    pub role: Role,
}

/// The fields of a user that a request changes; absent ones stay as they are, `null` empties.
#[derive(Debug, Clone, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"role": "manager"}))]
pub struct UserEdit {
    /// The version that the caller saw: another one means that somebody else was faster.
    pub version: Option<i64>,
    /// A new address.
    #[serde(default, deserialize_with = "crate::edit::given")]
    #[schema(schema_with = crate::checks::schema::email)]
    pub email: Option<Option<String>>,
    /// A new name.
    #[schema(schema_with = crate::checks::schema::required_text)]
    pub name: Option<String>,
    /// A new role.
    pub role: Option<Role>,
    /// Whether it may sign in from now on.
    pub active: Option<Active>,
}

impl User {
    /// A user as it is added: active.
    ///
    /// # Errors
    /// The fields that break a rule.
    pub fn new(company: &CompanyId, new: &NewUser) -> Result<Self, FieldErrors> {
        let mut errors = FieldErrors::default();
        let now = Moment::now();
        let user = Self {
            id: UserId::new(),
            company_id: company.clone(),
            external_id: new.external_id.clone(),
            email: checks::email(&mut errors, new.email.as_deref()),
            name: checks::required_text(&mut errors, "name", &new.name),
            role: new.role,
            active: Active(true),
            created_at: now,
            updated_at: now,
            version: 1,
        };
        errors.or(user)
    }

    /// The user after an edit; its version is raised by the store.
    ///
    /// # Errors
    /// The fields that break a rule.
    pub fn edited(mut self, edit: &UserEdit) -> Result<Self, FieldErrors> {
        let mut errors = FieldErrors::default();
        if let Some(email) = &edit.email {
            self.email = checks::email(&mut errors, email.as_deref());
        }
        if let Some(name) = &edit.name {
            self.name = checks::required_text(&mut errors, "name", name);
        }
        self.role = edit.role.unwrap_or(self.role);
        self.active = edit.active.unwrap_or(self.active);
        errors.or(self)
    }

    /// What a search looks through.
    #[must_use]
    pub fn search_text(&self) -> String {
        search_text(&[Some(&self.name), self.email.as_deref()])
    }
}

word_enum! {
    /// What a list of users can be ordered by.
    UserSort {
        /// The name.
        Name = "name",
        /// When it was added.
        Created = "created",
    }
}

/// Which users of a company, in which order.
#[derive(Debug, Clone)]
pub struct UserQuery {
    /// Which page.
    pub paging: Paging,
    /// In which order.
    pub order: Order<UserSort>,
    /// Only those of this role.
    pub role: Option<Role>,
    /// Only those who may, or may not, sign in.
    pub active: Option<Active>,
    /// Words to be found in the name or address.
    pub search: Option<String>,
}
