//! The pipeline board: a column for each stage, and a way for each deal to another.

use super::deals as deals_page;
use super::fields::Fields;
use super::form::{Form, Trouble};
use super::shown::Shown;
use super::visit::{Place, Visit, read};
use super::words::{capital, counted, money};
use crate::analytics::{self, Pipeline};
use crate::app::App;
use crate::caller::{Act, Caller, UserId};
use crate::deals::{self, DealId, DealQuery, DealSort, DealView, Move, Stage};
use crate::error::{Error, FieldErrors};
use crate::http::answer::Seen;
use crate::http::params::Params;
use crate::http::request::Id;
use crate::page::{Order, Page, Paging};
use crate::time::Day;
use futures_util::future::try_join_all;
use larder_axum::Served;
use maud::{Markup, html};
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Cards of a column; who wants to see all goes to the list.
const CARDS: u32 = 15;

/// The deals of a stage that stand on the board: of open ones those that are worth most, of closed ones the latest.
fn of_stage(stage: Stage, owner: Option<&UserId>) -> DealQuery {
    let by = if stage.is_closed() { DealSort::Closed } else { DealSort::Value };
    DealQuery {
        paging: Paging { page: 1, per_page: CARDS },
        order: Order { by, descending: true },
        stage: Some(stage),
        owner: owner.cloned(),
        contact: None,
        product: None,
        search: None,
    }
}

/// Shows the board, and what stands against a move that was tried.
pub(super) async fn board(
    visit: &Visit,
    owner: Option<&UserId>,
    moved: Option<&DealId>,
    trouble: Option<&Trouble>,
) -> Result<Shown, Error> {
    let (app, caller) = (&visit.app, &visit.caller);
    // One that is gone by now was moved all the same.
    let moved = match moved {
        Some(id) => deals::get(app, caller, id).await.ok(),
        None => None,
    };
    let columns = Stage::ALL.iter().map(|stage| async move {
        deals::list(app, caller, &caller.company, &of_stage(*stage, owner)).await
    });
    let (columns, pipeline) =
        tokio::try_join!(try_join_all(columns), analytics::pipeline(app, caller, &caller.company))?;
    let main = || -> Result<Markup, Error> {
        let pipeline: Pipeline = read(&pipeline)?;
        let pages: Vec<Page<DealView>> = columns.iter().map(read).collect::<Result<_, Error>>()?;
        let moved = moved.as_ref().map(read::<DealView>).transpose()?;
        Ok(html! {
            @if let Some(deal) = &moved {
                p.done role="status" { "“" a href=(format!("/deals/{}", deal.id)) { (deal.title) } "” is " (deal.stage) " now." }
            }
            (shown(visit, owner, &pipeline, &pages, trouble))
        })
    };
    if let Some(trouble) = trouble {
        return Ok(visit.form(Place::Board, "Board", trouble, &main()?));
    }
    let parts: Vec<&Served> = columns.iter().chain([&pipeline]).chain(&moved).collect();
    visit.answer(Place::Board, "Board", &parts, main)
}

fn shown(
    visit: &Visit,
    owner: Option<&UserId>,
    pipeline: &Pipeline,
    pages: &[Page<DealView>],
    trouble: Option<&Trouble>,
) -> Markup {
    let mine = format!("/board?owner={}", visit.caller.user);
    html! {
        div.head {
            h1 { "Board" }
            @if owner.is_some() { a href="/board" { "All deals" } } @else { a href=(mine) { "My deals" } }
            @if visit.caller.can(Act::Write(Some(&visit.caller.user))) { a.button.main.more href="/deals/new" { "New deal" } }
        }
        @if let Some(trouble) = trouble { (Fields::new(&Form::default(), trouble).summary(&[])) }
        ul.jump {
            @for stage in Stage::ALL { li { a.button href=(format!("#{stage}")) { (capital(stage.word())) } } }
        }
        div.board {
            @for (stage, page) in Stage::ALL.iter().zip(pages) {
                (column(&visit.caller, *stage, owner, pipeline, page))
            }
        }
    }
}

fn column(
    caller: &Caller,
    stage: Stage,
    owner: Option<&UserId>,
    pipeline: &Pipeline,
    page: &Page<DealView>,
) -> Markup {
    let value = pipeline.stages.iter().find(|sum| sum.stage == stage).map_or(0, |sum| sum.value_cents);
    let of_owner = owner.map(|owner| format!("&owner={owner}")).unwrap_or_default();
    html! {
        section.stage id=(stage) aria-labelledby=(format!("{stage}-name")) {
            h2 id=(format!("{stage}-name")) { (capital(stage.word())) " (" (counted(page.total)) ")" }
            p.sum {
                @if owner.is_none() { (money(value, &pipeline.currency)) ", " }
                @if stage.is_closed() { "the latest first" } @else { "the largest first" }
            }
            ul.cards {
                @for deal in &page.items { (card(caller, deal, owner)) }
            }
            @if page.total > i64::from(CARDS) {
                p { a href=(format!("/deals?stage={stage}{of_owner}")) { "All " (counted(page.total)) } }
            }
        }
    }
}

fn card(caller: &Caller, deal: &DealView, owner: Option<&UserId>) -> Markup {
    let of_owner = deal.owner.as_ref().map(|owner| UserId::named(owner.id.as_str()));
    let may = caller.can(Act::Write(of_owner.as_ref()));
    html! {
        li.card id=(format!("deal-{}", deal.id)) tabindex="-1" draggable=[may.then_some("true")] {
            a href=(format!("/deals/{}", deal.id)) draggable="false" { (deal.title) }
            p { (deals_page::worth(deal)) }
            @if let Some(contact) = &deal.contact { p.soft { (contact.name) } }
            @if let Some(owner) = &deal.owner { p.soft { (owner.name) } }
            @if may {
                form method="post" action=(format!("/deals/{}/stage", deal.id)) {
                    input type="hidden" name="version" value=(deal.version);
                    input type="hidden" name="from" value="board";
                    @if let Some(owner) = owner { input type="hidden" name="owner" value=(owner); }
                    select id=(format!("to-{}", deal.id)) name="stage" aria-label=(format!("Move {} to", deal.title)) {
                        @for stage in deals_page::moves(deal.stage) { option value=(stage) { (capital(stage.word())) } }
                    }
                    button { "Move" }
                }
            }
        }
    }
}

/// The board.
#[utoipa::path(get, path = "/board", tag = "pages")]
async fn show(visit: Visit, mut params: Params) -> Result<Shown, Error> {
    let (owner, moved) = (params.id("owner"), params.id("moved"));
    params.finish()?;
    board(&visit, owner.as_ref(), moved.as_ref(), None).await
}

/// Moves a deal to another stage, and says so where it was moved: on the board, or on its own page.
#[utoipa::path(post, path = "/deals/{id}/stage", tag = "pages", params(("id" = DealId, Path, description = "The deal.")))]
async fn step(visit: Visit, Id(id): Id<DealId>, form: Form) -> Result<Shown, Error> {
    let is_on_the_board = form.value("from") == "board";
    let owner: Option<UserId> = form.id("owner");
    let trouble = match moved(&visit, &id, &form).await {
        Ok(()) if is_on_the_board => {
            let owner = owner.map(|owner| format!("&owner={owner}")).unwrap_or_default();
            return Ok(Shown::at(&format!("/board?moved={id}{owner}#deal-{id}")));
        }
        Ok(()) => return Ok(Shown::at(&format!("/deals/{id}"))),
        Err(error @ Error::OtherVersion { .. }) => {
            let deal: DealView = read(&deals::get(&visit.app, &visit.caller, &id).await?)?;
            let words =
                format!("“{}” was changed by somebody else meanwhile: look at what it is now.", deal.title);
            Trouble::of(error)?.saying(words)
        }
        Err(error) => Trouble::of(error)?,
    };
    match is_on_the_board {
        true => board(&visit, owner.as_ref(), None, Some(&trouble)).await,
        false => deals_page::detail(&visit, &id, Some((&form, &trouble))).await,
    }
}

/// Takes the step that a form asks for. What it leaves open is what somebody means who moves a card: that it happened today, and that
/// a closed deal which is moved to an open stage is open again.
async fn moved(visit: &Visit, id: &DealId, form: &Form) -> Result<(), Error> {
    let (app, caller) = (&visit.app, &visit.caller);
    let before: DealView = read(&deals::get(app, caller, id).await?)?;
    let mut errors = FieldErrors::default();
    let stage = form.word(&mut errors, "stage", Stage::parse);
    let closed_on = form.day(&mut errors, "closed_on");
    let value_cents = form.cents(&mut errors, "value_cents");
    let stage = errors.or(stage)?.ok_or(Error::NotFound("stage"))?;
    let today = Day::today();
    let begins = stage != Stage::Prospecting && before.engaged_on.is_none();
    let step = Move {
        version: form.version(),
        stage,
        engaged_on: begins.then_some(closed_on.unwrap_or(today)),
        closed_on: stage.is_closed().then_some(closed_on.unwrap_or(today)),
        value_cents,
        reopen: before.stage.is_closed() && !stage.is_closed(),
    };
    deals::step(app, caller, id.clone(), step, Seen::default()).await?;
    Ok(())
}

/// The routes.
pub(super) fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(show)).routes(routes!(step))
}
