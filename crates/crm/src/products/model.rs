//! What a product is, and what it may become.

use crate::checks;
use crate::error::FieldErrors;
use crate::time::Moment;
use crate::words::id;
use serde::{Deserialize, Serialize};

id! {
    /// Names one product.
    ProductId
}

/// One product of the price list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct Product {
    /// Its id.
    pub id: ProductId,
    /// The natural key of an imported product.
    pub external_id: Option<String>,
    /// Its name, unique on the list.
    pub name: String,
    /// The line of products it is one of.
    pub series: String,
    /// What it costs before anybody negotiates.
    pub list_price_cents: i64,
    /// ISO 4217 code of the list price.
    pub currency: String,
    /// When it was added.
    #[sqlx(rename = "created_at_ms")]
    pub created_at: Moment,
    /// When it was last changed.
    #[sqlx(rename = "updated_at_ms")]
    pub updated_at: Moment,
    /// Raised by each change.
    pub version: i64,
}

/// A product to be added.
#[derive(Debug, Clone)]
pub struct NewProduct {
    /// The natural key of an imported product.
    pub external_id: Option<String>,
    /// Its name.
    pub name: String,
    /// The line of products it is one of.
    pub series: String,
    /// What it costs.
    pub list_price_cents: i64,
    /// ISO 4217 code of the list price.
    pub currency: String,
}

/// The fields of a product that a request changes; absent ones stay as they are.
#[derive(Debug, Clone, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"list_price_cents": 19900}))]
pub struct ProductEdit {
    /// The version that the caller saw: another one means that somebody else was faster.
    pub version: Option<i64>,
    /// A new name.
    #[schema(schema_with = crate::checks::schema::required_text)]
    pub name: Option<String>,
    /// A new series.
    #[schema(schema_with = crate::checks::schema::required_text)]
    pub series: Option<String>,
    /// A new price.
    #[schema(schema_with = crate::checks::schema::cents)]
    pub list_price_cents: Option<i64>,
}

impl Product {
    /// A product as it is added.
    ///
    /// # Errors
    /// The fields that break a rule.
    pub fn new(new: &NewProduct) -> Result<Self, FieldErrors> {
        let mut errors = FieldErrors::default();
        let now = Moment::now();
        let product = Self {
            id: ProductId::new(),
            external_id: new.external_id.clone(),
            name: checks::required_text(&mut errors, "name", &new.name),
            series: checks::required_text(&mut errors, "series", &new.series),
            list_price_cents: checks::cents(&mut errors, "list_price_cents", new.list_price_cents),
            currency: checks::currency(&mut errors, &new.currency),
            created_at: now,
            updated_at: now,
            version: 1,
        };
        errors.or(product)
    }

    /// The product after an edit; its version is raised by the store.
    ///
    /// # Errors
    /// The fields that break a rule.
    pub fn edited(mut self, edit: &ProductEdit) -> Result<Self, FieldErrors> {
        let mut errors = FieldErrors::default();
        if let Some(name) = &edit.name {
            self.name = checks::required_text(&mut errors, "name", name);
        }
        if let Some(series) = &edit.series {
            self.series = checks::required_text(&mut errors, "series", series);
        }
        if let Some(cents) = edit.list_price_cents {
            self.list_price_cents = checks::cents(&mut errors, "list_price_cents", cents);
        }
        errors.or(self)
    }
}
