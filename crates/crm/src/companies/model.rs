//! What a company is, and what it may become.

use crate::caller::CompanyId;
use crate::checks;
use crate::error::FieldErrors;
use crate::page::{Order, Paging};
use crate::time::Moment;
use crate::words::{search_text, word_enum};
use serde::{Deserialize, Serialize};

/// A country by its ISO 3166-1 code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct Country {
    /// Two capital letters.
    pub code: String,
    /// Its English name.
    pub name: String,
}

/// One tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct Company {
    /// Its id.
    pub id: CompanyId,
    /// The natural key of an imported company.
    pub external_id: Option<String>,
    /// Its name.
    pub name: String,
    /// The business it is in.
    pub sector: Option<String>,
    /// ISO 3166-1 code.
    pub country: Option<String>,
    /// ISO 4217 code: the currency of all its deals. It never changes, because stored amounts are in it.
    pub currency: String,
    /// What it can adjust.
    #[sqlx(flatten)]
    pub settings: Settings,
    /// When it was added.
    #[sqlx(rename = "created_at_ms")]
    pub created_at: Moment,
    /// When it was last changed.
    #[sqlx(rename = "updated_at_ms")]
    pub updated_at: Moment,
    /// Raised by each change.
    pub version: i64,
}

/// What a company can adjust.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct Settings {
    /// An open deal that nobody has touched for so many days counts as stale on the dashboard.
    pub stale_after_days: i64,
}

/// A company to be added.
#[derive(Debug, Clone, Default)]
pub struct NewCompany {
    /// The natural key of an imported company.
    pub external_id: Option<String>,
    /// Its name.
    pub name: String,
    /// The business it is in.
    pub sector: Option<String>,
    /// ISO 3166-1 code.
    pub country: Option<String>,
    /// ISO 4217 code.
    pub currency: String,
}

/// The fields of a company that a request changes; absent ones stay as they are, `null` empties.
#[derive(Debug, Clone, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"sector": "energy", "settings": {"stale_after_days": 60}}))]
pub struct CompanyEdit {
    /// The version that the caller saw: another one means that somebody else was faster.
    pub version: Option<i64>,
    /// A new name.
    #[schema(schema_with = crate::checks::schema::required_text)]
    pub name: Option<String>,
    /// A new sector.
    #[serde(default, deserialize_with = "crate::edit::given")]
    #[schema(schema_with = crate::checks::schema::optional_text)]
    pub sector: Option<Option<String>>,
    /// A new country.
    #[serde(default, deserialize_with = "crate::edit::given")]
    #[schema(schema_with = crate::checks::schema::country)]
    pub country: Option<Option<String>>,
    /// New settings.
    pub settings: Option<SettingsEdit>,
}

/// The settings that a request changes.
#[derive(Debug, Clone, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SettingsEdit {
    /// See [`Settings::stale_after_days`]; from 1 to 3,650.
    pub stale_after_days: Option<i64>,
}

impl Company {
    /// A company as it is added.
    ///
    /// # Errors
    /// The fields that break a rule.
    pub fn new(new: &NewCompany) -> Result<Self, FieldErrors> {
        let mut errors = FieldErrors::default();
        let now = Moment::now();
        let company = Self {
            id: CompanyId::new(),
            external_id: new.external_id.clone(),
            name: checks::required_text(&mut errors, "name", &new.name),
            sector: checks::optional_text(&mut errors, "sector", new.sector.as_deref()),
            country: checks::country(&mut errors, new.country.as_deref()),
            currency: checks::currency(&mut errors, &new.currency),
            settings: Settings { stale_after_days: 90 },
            created_at: now,
            updated_at: now,
            version: 1,
        };
        errors.or(company)
    }

    /// The company after an edit; its version is raised by the store.
    ///
    /// # Errors
    /// The fields that break a rule.
    pub fn edited(mut self, edit: &CompanyEdit) -> Result<Self, FieldErrors> {
        let mut errors = FieldErrors::default();
        if let Some(name) = &edit.name {
            self.name = checks::required_text(&mut errors, "name", name);
        }
        if let Some(sector) = &edit.sector {
            self.sector = checks::optional_text(&mut errors, "sector", sector.as_deref());
        }
        if let Some(country) = &edit.country {
            self.country = checks::country(&mut errors, country.as_deref());
        }
        if let Some(days) = edit.settings.as_ref().and_then(|settings| settings.stale_after_days) {
            if !(1..=3_650).contains(&days) {
                errors.add("settings.stale_after_days", "is out of range", "give days from 1 to 3650");
            }
            self.settings.stale_after_days = days;
        }
        errors.or(self)
    }

    /// What a search looks through.
    #[must_use]
    pub fn search_text(&self) -> String {
        search_text(&[Some(&self.name), self.sector.as_deref()])
    }
}

word_enum! {
    /// What the list of companies can be ordered by.
    CompanySort {
        /// The name.
        Name = "name",
        /// When it was added.
        Created = "created",
    }
}

/// Which companies, in which order.
#[derive(Debug, Clone)]
pub struct CompanyQuery {
    /// Which page.
    pub paging: Paging,
    /// In which order.
    pub order: Order<CompanySort>,
    /// Words to be found in the name or sector.
    pub search: Option<String>,
}
