//! What a deal is, and the rules by which it moves from stage to stage.

use crate::caller::CompanyId;
use crate::caller::UserId;
use crate::checks;
use crate::contacts::ContactId;
use crate::error::FieldErrors;
use crate::page::{Order, Paging};
use crate::products::ProductId;
use crate::time::{Day, Moment};
use crate::words::{id, search_text, word_enum};
use serde::{Deserialize, Serialize};

id! {
    /// Names one deal.
    DealId
}

word_enum! {
    /// How far a deal has come.
    Stage {
        /// It may become something; nobody has talked yet, so that it need not have an engage date.
        Prospecting = "prospecting",
        /// Both sides are talking.
        Engaging = "engaging",
        /// It is sold.
        Won = "won",
        /// It is not to be; it is worth nothing.
        Lost = "lost",
    }
}

impl Stage {
    /// Whether it has ended, well or not.
    #[must_use]
    pub const fn is_closed(self) -> bool {
        matches!(self, Self::Won | Self::Lost)
    }
}

/// One deal of one company, as its row is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct Deal {
    /// Its id.
    pub id: DealId,
    /// The company it belongs to, for good.
    pub company_id: CompanyId,
    /// The natural key of an imported deal.
    pub external_id: Option<String>,
    /// What it is about.
    pub title: String,
    /// With whom.
    pub contact_id: Option<ContactId>,
    /// What is to be sold.
    pub product_id: Option<ProductId>,
    /// Who is to sell it.
    pub owner_id: Option<UserId>,
    /// How far it has come.
    pub stage: Stage,
    /// Its value in the company's currency: expected while open, real once won, 0 when lost.
    pub value_cents: i64,
    /// What it was expected to be worth when it was lost; only lost deals have it, and imported ones do not.
    pub lost_value_cents: Option<i64>,
    /// When both sides began to talk.
    pub engaged_on: Option<Day>,
    /// When it was won or lost; open deals have none.
    pub closed_on: Option<Day>,
    /// When it was added.
    #[sqlx(rename = "created_at_ms")]
    pub created_at: Moment,
    /// When it was last changed.
    #[sqlx(rename = "updated_at_ms")]
    pub updated_at: Moment,
    /// Raised by each change.
    pub version: i64,
}

/// The id and the name of something that a deal names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Named {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
}

/// A deal as readers see it: with the names of what it refers to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DealView {
    /// See [`Deal::id`].
    pub id: DealId,
    /// See [`Deal::company_id`].
    pub company_id: CompanyId,
    /// See [`Deal::external_id`].
    pub external_id: Option<String>,
    /// See [`Deal::title`].
    pub title: String,
    /// See [`Deal::stage`].
    pub stage: Stage,
    /// See [`Deal::value_cents`].
    pub value_cents: i64,
    /// See [`Deal::lost_value_cents`].
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, value_type = i64)]
    pub lost_value_cents: Option<i64>,
    /// The company's currency.
    pub currency: String,
    /// See [`Deal::engaged_on`].
    pub engaged_on: Option<Day>,
    /// See [`Deal::closed_on`].
    pub closed_on: Option<Day>,
    /// With whom.
    pub contact: Option<Named>,
    /// What is to be sold.
    pub product: Option<Named>,
    /// Who is to sell it.
    pub owner: Option<Named>,
    /// See [`Deal::created_at`].
    pub created_at: Moment,
    /// See [`Deal::updated_at`].
    pub updated_at: Moment,
    /// See [`Deal::version`].
    pub version: i64,
}

/// A deal to be added.
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"title": "Twelve meters for the harbour", "stage": "engaging", "engaged_on": "2026-01-15", "value_cents": 226800}))]
pub struct NewDeal {
    /// The natural key of an imported deal.
    #[serde(skip)]
    pub external_id: Option<String>,
    /// What it is about.
    #[schema(schema_with = crate::checks::schema::required_text)]
    pub title: String,
    /// With whom: a contact of the company.
    pub contact_id: Option<ContactId>,
    /// What is to be sold.
    pub product_id: Option<ProductId>,
    /// Who is to sell it: an active user of the company.
    pub owner_id: Option<UserId>,
    /// How far it has come.
    #[serde(default = "first_stage")]
    pub stage: Stage,
    /// Its value; 0 while nobody has an idea.
    #[serde(default)]
    #[schema(schema_with = crate::checks::schema::cents)]
    pub value_cents: i64,
    /// When both sides began to talk.
    pub engaged_on: Option<Day>,
    /// When it was won or lost.
    pub closed_on: Option<Day>,
}

const fn first_stage() -> Stage {
    Stage::Prospecting
}

/// The fields of a deal that a request changes; absent ones stay as they are, `null` empties. The stage changes by a [`Move`].
#[derive(Debug, Clone, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"value_cents": 250000}))]
pub struct DealEdit {
    /// The version that the caller saw: another one means that somebody else was faster.
    pub version: Option<i64>,
    /// A new title.
    #[schema(schema_with = crate::checks::schema::required_text)]
    pub title: Option<String>,
    /// Another contact.
    #[serde(default, deserialize_with = "crate::edit::given")]
    pub contact_id: Option<Option<ContactId>>,
    /// Another product.
    #[serde(default, deserialize_with = "crate::edit::given")]
    pub product_id: Option<Option<ProductId>>,
    /// Another owner.
    #[serde(default, deserialize_with = "crate::edit::given")]
    pub owner_id: Option<Option<UserId>>,
    /// Another value.
    #[schema(schema_with = crate::checks::schema::cents)]
    pub value_cents: Option<i64>,
    /// A corrected engage date.
    #[serde(default, deserialize_with = "crate::edit::given")]
    pub engaged_on: Option<Option<Day>>,
    /// A corrected close date.
    #[serde(default, deserialize_with = "crate::edit::given")]
    pub closed_on: Option<Option<Day>>,
}

/// A step of a deal to a stage, with the dates that the stage asks for.
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"stage": "won", "closed_on": "2030-01-31", "value_cents": 240000}))]
pub struct Move {
    /// The version that the caller saw: another one means that somebody else was faster.
    pub version: Option<i64>,
    /// Where to.
    pub stage: Stage,
    /// When both sides began to talk, if the deal does not say so yet.
    pub engaged_on: Option<Day>,
    /// When it was won or lost.
    pub closed_on: Option<Day>,
    /// Its value from now on; a lost deal is worth 0 whatever this says.
    #[schema(schema_with = crate::checks::schema::cents)]
    pub value_cents: Option<i64>,
    /// Says that a won or lost deal is meant to become open again.
    #[serde(default)]
    pub reopen: bool,
}

/// To whom all deals and contacts of a user are given.
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HandOver {
    /// An active user of the same company.
    pub to: UserId,
}

/// What a user has given to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct HandedOver {
    /// How many deals.
    pub deals: usize,
    /// How many contacts.
    pub contacts: usize,
}

impl Deal {
    /// A deal as it is added.
    ///
    /// # Errors
    /// The fields that break a rule.
    pub fn new(company: &CompanyId, new: &NewDeal) -> Result<Self, FieldErrors> {
        let mut errors = FieldErrors::default();
        let now = Moment::now();
        let deal = Self {
            id: DealId::new(),
            company_id: company.clone(),
            external_id: new.external_id.clone(),
            title: checks::required_text(&mut errors, "title", &new.title),
            contact_id: new.contact_id.clone(),
            product_id: new.product_id.clone(),
            owner_id: new.owner_id.clone(),
            stage: new.stage,
            value_cents: new.value_cents,
            lost_value_cents: None,
            engaged_on: new.engaged_on,
            closed_on: new.closed_on,
            created_at: now,
            updated_at: now,
            version: 1,
        };
        deal.check(&mut errors);
        errors.or(deal)
    }

    /// The deal after an edit; its version is raised by the store.
    ///
    /// # Errors
    /// The fields that break a rule.
    pub fn edited(mut self, edit: &DealEdit) -> Result<Self, FieldErrors> {
        let mut errors = FieldErrors::default();
        if let Some(title) = &edit.title {
            self.title = checks::required_text(&mut errors, "title", title);
        }
        if let Some(contact) = &edit.contact_id {
            self.contact_id.clone_from(contact);
        }
        if let Some(product) = &edit.product_id {
            self.product_id.clone_from(product);
        }
        if let Some(owner) = &edit.owner_id {
            self.owner_id.clone_from(owner);
        }
        self.value_cents = edit.value_cents.unwrap_or(self.value_cents);
        self.engaged_on = edit.engaged_on.unwrap_or(self.engaged_on);
        self.closed_on = edit.closed_on.unwrap_or(self.closed_on);
        self.check(&mut errors);
        errors.or(self)
    }

    /// The deal after a step; its version is raised by the store.
    ///
    /// # Errors
    /// The fields that break a rule.
    pub fn moved(mut self, step: &Move) -> Result<Self, FieldErrors> {
        let mut errors = FieldErrors::default();
        if self.stage.is_closed() {
            if step.stage.is_closed() {
                errors.add("stage", format!("is {} already", self.stage), "reopen the deal first");
            } else if !step.reopen {
                let fix = "send `reopen`: true if it is meant to become open again";
                errors.add("reopen", format!("is needed, because the deal is {}", self.stage), fix);
            }
        } else if step.reopen {
            errors.add("reopen", "has nothing to open: the deal is open", "leave it out");
        }
        self.stage = step.stage;
        self.engaged_on = step.engaged_on.or(self.engaged_on);
        self.closed_on = step.closed_on;
        // A lost deal is worth nothing, and is worth again what it was if it is opened.
        let value_cents = step.value_cents.or(self.lost_value_cents.take()).unwrap_or(self.value_cents);
        if step.stage == Stage::Lost {
            (self.value_cents, self.lost_value_cents) = (0, Some(value_cents));
        } else {
            self.value_cents = value_cents;
        }
        self.check(&mut errors);
        errors.or(self)
    }

    /// The rules that hold for every deal, however it came about.
    fn check(&self, errors: &mut FieldErrors) {
        checks::cents(errors, "value_cents", self.lost_value_cents.unwrap_or(self.value_cents));
        if self.stage == Stage::Lost && self.value_cents != 0 {
            errors.add(
                "value_cents",
                "is not 0, but the deal is lost",
                "send 0: a lost deal is worth nothing",
            );
        }
        if self.stage != Stage::Prospecting && self.engaged_on.is_none() {
            let problem = format!("is missing, but the deal is {}", self.stage);
            errors.add(
                "engaged_on",
                problem,
                "give the day on which both sides began to talk, as YYYY-MM-DD",
            );
        }
        match (self.stage.is_closed(), self.closed_on) {
            (true, None) => {
                let problem = format!("is missing, but the deal is {}", self.stage);
                errors.add("closed_on", problem, "give the day on which it was won or lost, as YYYY-MM-DD");
            }
            (false, Some(_)) => {
                let problem = format!("is given, but the deal is {}", self.stage);
                errors.add("closed_on", problem, "leave it out until the deal is won or lost");
            }
            _ => {}
        }
        if let (Some(engaged_on), Some(closed_on)) = (self.engaged_on, self.closed_on)
            && closed_on < engaged_on
        {
            let problem = format!("is before the engage date {engaged_on}");
            errors.add("closed_on", problem, "give a day on or after it, or correct `engaged_on`");
        }
    }

    /// How many days a closed deal took from the engage date to the close date.
    #[must_use]
    pub fn cycle_days(&self) -> Option<i64> {
        Some(self.closed_on?.days_since(self.engaged_on?))
    }

    /// What a search looks through.
    #[must_use]
    pub fn search_text(&self) -> String {
        search_text(&[Some(&self.title), self.external_id.as_deref()])
    }
}

word_enum! {
    /// What a list of deals can be ordered by.
    DealSort {
        /// When it was added.
        Created = "created",
        /// The value.
        Value = "value",
        /// The engage date; deals without one come last.
        Engaged = "engaged",
        /// The close date; open deals come last.
        Closed = "closed",
        /// The title.
        Title = "title",
    }
}

/// Which deals of a company, in which order.
#[derive(Debug, Clone)]
pub struct DealQuery {
    /// Which page.
    pub paging: Paging,
    /// In which order.
    pub order: Order<DealSort>,
    /// Only those of this stage.
    pub stage: Option<Stage>,
    /// Only those of this owner.
    pub owner: Option<UserId>,
    /// Only those with this contact.
    pub contact: Option<ContactId>,
    /// Only those of this product.
    pub product: Option<ProductId>,
    /// Words to be found in the title or the natural key.
    pub search: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Day {
        Day::parse(text).unwrap()
    }

    fn deal(stage: Stage) -> Deal {
        let new = NewDeal {
            external_id: None,
            title: "Ten pumps".to_owned(),
            contact_id: None,
            product_id: None,
            owner_id: None,
            stage,
            value_cents: if stage == Stage::Lost { 0 } else { 5_000 },
            engaged_on: (stage != Stage::Prospecting).then(|| day("2026-01-10")),
            closed_on: stage.is_closed().then(|| day("2026-02-09")),
        };
        Deal::new(&CompanyId::named("c"), &new).unwrap()
    }

    fn step(stage: Stage) -> Move {
        Move { version: None, stage, engaged_on: None, closed_on: None, value_cents: None, reopen: false }
    }

    fn fields(result: Result<Deal, FieldErrors>) -> Vec<&'static str> {
        result.err().map(|errors| errors.list().iter().map(|error| error.field).collect()).unwrap_or_default()
    }

    #[test]
    fn each_stage_asks_for_its_dates() {
        let closed = Move { closed_on: Some(day("2026-03-01")), ..step(Stage::Won) };
        assert_eq!(fields(deal(Stage::Prospecting).moved(&step(Stage::Engaging))), ["engaged_on"]);
        assert_eq!(fields(deal(Stage::Prospecting).moved(&closed)), ["engaged_on"]);
        assert_eq!(fields(deal(Stage::Engaging).moved(&step(Stage::Won))), ["closed_on"]);
        let early = Move { closed_on: Some(day("2026-01-09")), ..step(Stage::Won) };
        assert_eq!(fields(deal(Stage::Engaging).moved(&early)), ["closed_on"]);
        let open = Move { closed_on: Some(day("2026-03-01")), ..step(Stage::Prospecting) };
        assert_eq!(fields(deal(Stage::Engaging).moved(&open)), ["closed_on"]);
        assert_eq!(deal(Stage::Engaging).moved(&closed).unwrap().cycle_days(), Some(50));
    }

    #[test]
    fn a_lost_deal_is_worth_nothing() {
        let lost = Move { closed_on: Some(day("2026-03-01")), value_cents: Some(7), ..step(Stage::Lost) };
        let of_engaging = deal(Stage::Engaging).moved(&lost).unwrap();
        assert_eq!((of_engaging.value_cents, of_engaging.lost_value_cents), (0, Some(7)));
        for none in [-1, i64::MAX] {
            let lost = Move { value_cents: Some(none), ..lost.clone() };
            assert_eq!(fields(deal(Stage::Engaging).moved(&lost)), ["value_cents"], "{none}");
        }
        let lost = Move { value_cents: None, ..lost };
        let lost = deal(Stage::Engaging).moved(&lost).unwrap();
        let open = Move { reopen: true, ..step(Stage::Engaging) };
        let again = lost.clone().moved(&open).unwrap();
        assert_eq!(
            (again.value_cents, again.lost_value_cents),
            (5_000, None),
            "it is worth again what it was"
        );
        let for_less = lost.moved(&Move { value_cents: Some(9), ..open }).unwrap();
        assert_eq!((for_less.value_cents, for_less.lost_value_cents), (9, None));
        let edit = DealEdit { value_cents: Some(7), ..DealEdit::default() };
        assert_eq!(fields(deal(Stage::Lost).edited(&edit)), ["value_cents"]);
    }

    #[test]
    fn a_closed_deal_is_opened_only_on_purpose() {
        let open = step(Stage::Engaging);
        assert_eq!(fields(deal(Stage::Won).moved(&open)), ["reopen"]);
        let reopened = deal(Stage::Won).moved(&Move { reopen: true, ..open.clone() }).unwrap();
        assert_eq!((reopened.stage, reopened.closed_on), (Stage::Engaging, None));
        let lost = Move { closed_on: Some(day("2026-03-01")), ..step(Stage::Lost) };
        assert_eq!(fields(deal(Stage::Won).moved(&lost)), ["stage"]);
        assert_eq!(fields(deal(Stage::Engaging).moved(&Move { reopen: true, ..open })), ["reopen"]);
    }

    #[test]
    fn an_edit_cannot_break_the_rules_of_the_stage() {
        let edit = DealEdit { closed_on: Some(None), ..DealEdit::default() };
        assert_eq!(fields(deal(Stage::Won).edited(&edit)), ["closed_on"]);
        let edit = DealEdit { engaged_on: Some(None), ..DealEdit::default() };
        assert_eq!(fields(deal(Stage::Engaging).edited(&edit)), ["engaged_on"]);
        assert!(deal(Stage::Prospecting).edited(&edit).is_ok());
    }
}
